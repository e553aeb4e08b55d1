"""The development issuer: real documents, marked as what they are, and tokens like a CI provider's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from extproc.errors import Refusal
from extproc.identity.dev_issuer import Job, app, mint, person
from extproc.identity.oidc import DEVELOPMENT_CLAIM, IssuerRule, OidcVerifier
from extproc.model import Identity
from tests.unit.identity.issuer import NOW

BASE = "http://127.0.0.1:8083"
JOBS, PEOPLE = f"{BASE}/jobs", f"{BASE}/people"
RULES = [
    IssuerRule(JOBS, "gateway", ("ES256",), "job"),
    IssuerRule(PEOPLE, "console", ("ES256",), "person", actor_claim="preferred_username"),
]


def asked(keys: Path, path: str, method: str = "GET") -> httpx.Response:
    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app(keys, BASE)), base_url=BASE) as client:
            return await client.request(method, path)

    return asyncio.run(once())


def verified(keys: Path, token: str, *, development: bool = True) -> Identity:
    verify = OidcVerifier(RULES, development=development)
    for kind, issuer in (("jobs", JOBS), ("people", PEOPLE)):
        verify.set_keys(issuer, asked(keys, f"/{kind}/jwks").json())
    identity = verify.verify(token, NOW)
    assert isinstance(identity, Identity)
    return identity


def test_a_jobs_token_opens_a_development_gateway(tmp_path: Path) -> None:
    token = mint(tmp_path, "jobs", JOBS, "gateway", Job("acme/billing", run_id="7").claims(), NOW, 600)
    identity = verified(tmp_path, token)
    assert (identity.kind, identity.subject) == ("job", "repo:acme/billing:ref:refs/heads/main")
    assert (identity.actor, identity.claims["run_id"]) == ("octocat", "7")


def test_a_persons_token_names_account_and_groups(tmp_path: Path) -> None:
    identity = verified(tmp_path, mint(tmp_path, "people", PEOPLE, "console", person("dana", ["owners"]), NOW, 600))
    assert (identity.kind, identity.actor, identity.groups) == ("person", "dana", ("owners",))


def test_no_other_gateway_takes_such_a_token(tmp_path: Path) -> None:
    token = mint(tmp_path, "jobs", JOBS, "gateway", Job("acme/billing").claims(), NOW, 600)
    with pytest.raises(Refusal, match="identity_invalid"):
        verified(tmp_path, token, development=False)


def test_a_jobs_key_signs_no_person(tmp_path: Path) -> None:
    token = mint(tmp_path, "jobs", PEOPLE, "console", person("dana", ["owners"]), NOW, 600)
    verify = OidcVerifier(RULES, development=True)
    people = asked(tmp_path, "/people/jwks").json()
    people["keys"][0]["kid"] = asked(tmp_path, "/jobs/jwks").json()["keys"][0]["kid"]
    verify.set_keys(PEOPLE, people)
    with pytest.raises(Refusal, match="identity_invalid"):
        verify.verify(token, NOW)


def test_a_fork_is_told_apart() -> None:
    claims = Job("acme/billing", fork=True).claims()
    assert (claims["event_name"], claims["sub"]) == ("pull_request", "repo:acme/billing:pull_request")
    assert (claims["head_ref"], claims["actor"]) == ("feature", "somebody-else")


def test_keys_are_for_this_user_alone_and_stay(tmp_path: Path) -> None:
    first = asked(tmp_path, "/jobs/jwks").json()
    assert {path.name for path in tmp_path.iterdir()} == {"jobs.pem", "people.pem"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert asked(tmp_path, "/jobs/jwks").json() == first


def test_only_public_documents_are_served_and_each_says_what_it_is(tmp_path: Path) -> None:
    for kind, issuer in (("jobs", JOBS), ("people", PEOPLE)):
        document = asked(tmp_path, f"/{kind}/.well-known/openid-configuration").json()
        assert (document["issuer"], document["jwks_uri"]) == (issuer, f"{issuer}/jwks")
        assert document[DEVELOPMENT_CLAIM] is True
        assert all("d" not in key for key in asked(tmp_path, f"/{kind}/jwks").json()["keys"])
    for path in ("/", "/jobs", "/jobs/token", "/others/jwks", "/jobs/../keys/jobs.pem", "/jobs/jwks"):
        assert asked(tmp_path, path).headers["x-extproc-development"] == "true"
    assert asked(tmp_path, "/others/jwks").status_code == 404
    assert asked(tmp_path, "/jobs/token", "POST").status_code == 404
    assert asked(tmp_path, "/jobs/jwks", "POST").status_code == 405
