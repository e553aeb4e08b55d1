"""Attacks on who asks and who approves: forged tokens, stolen roles, names made to look like others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from extproc.identity.oidc import LEEWAY
from tests.integration.gateway import Gateway
from tests.integration.issuer import Served, serving
from tests.integration.raw import Evil, Reply, answer, request
from tests.integration.raw import ask as ask_raw
from tests.integration.test_holds import Asking, decide, pending
from tests.unit.identity.issuer import part

pytestmark = pytest.mark.envoy

POLICY = """package extproc

terms := {"approvers": ["group:data-owners"], "timeout": "20s"}

decision := d if {
	input.request.segments[0] == "plain"
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "two"
	d := {"action": "hold", "hold": object.union(terms, {"min": 2})}
} else := {"action": "hold", "hold": terms}
"""
OK = answer(b"fine")


@dataclass
class Stage:
    gateway: Gateway
    evil: Evil
    jobs: Served
    people: Served
    asked: list[Asking] = field(default_factory=list)

    def ask(self, token: str, path: str = "/plain") -> Reply:
        return ask_raw(self.gateway.url, request(path, token=token))

    def person(self, name: object, **claims: Any) -> str:
        """Whoever the people's own issuer would say it is; in the group that may approve."""
        sub = claims.pop("sub", f"person:{name}")
        own = {"aud": "extproc-console", "preferred_username": name, "groups": ["data-owners"], "sub": sub}
        return self.people.minted(**{**own, "actor": None, **claims})

    def hold(self, path: str, actor: str = "octocat") -> dict[str, Any]:
        """A held request of a run of its own, and its approval."""
        token = self.jobs.minted(actor=actor, run_id=str(time.monotonic_ns()))
        self.asked.append(Asking(self.gateway, path, token))
        (approval,) = pending(self.gateway)
        return approval

    def end(self, approval: dict[str, Any]) -> None:
        assert decide(self.gateway, approval, self.gateway.person("erin"), "deny").status_code == 200
        assert self.asked.pop().done().status_code == 403


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        jobs, people = stack.enter_context(serving("jobs")), stack.enter_context(serving("people"))
        evil = Evil().start()
        stack.callback(evil.stop)
        gateway = Gateway(upstream_port=evil.port, policy=POLICY)
        document = yaml.safe_load(gateway.write().read_text())
        identity = document["identity"]
        identity["jobs"].append({"issuer": jobs.url, "audience": "extproc-gateway"})
        identity["people"].append({"issuer": people.url, "audience": "extproc-console"})
        gateway.config.write_text(yaml.safe_dump(document))
        gateway.start()
        stack.callback(gateway.stop)
        yield Stage(gateway, evil, jobs, people)


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.evil.says(OK)


# --- tokens


def public_pem(issuer: Served) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return issuer.key.public_key().public_bytes(serialization.Encoding.PEM, form)


def with_hmac(issuer: Served, key: bytes, kid: str) -> str:
    head = part({"alg": "HS256", "kid": kid}) + b"." + issuer.minted().split(".")[1].encode()
    return (head + b"." + base64.urlsafe_b64encode(hmac.digest(key, head, hashlib.sha256)).rstrip(b"=")).decode()


def with_none(issuer: Served, name: str, signature: str = "") -> str:
    return (
        (part({"alg": name, "kid": issuer.kid}) + b"." + issuer.minted().split(".")[1].encode()).decode()
        + "."
        + signature
    )


def forged(jobs: Served, people: Served) -> dict[str, str]:
    now = time.time()
    good = jobs.minted()
    head, claims, signature = good.split(".")
    other = Served(url=jobs.url)  # another key under the same name
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["repository"] = "acme/crown-jewels"
    return {
        "alg none": with_none(jobs, "none"),
        "alg None": with_none(jobs, "None"),
        "alg none, and a signature": with_none(jobs, "none", signature),
        "no signature": f"{head}.{claims}.",
        "HS256 with the public key": with_hmac(jobs, public_pem(jobs), jobs.kid),
        "HS256 with the JWK": with_hmac(jobs, json.dumps(jobs.jwk()).encode(), jobs.kid),
        "HS256 with nothing": with_hmac(jobs, b"", jobs.kid),
        "another key": other.minted(),
        "a key of its own": other.minted({"jwk": other.jwk()}),
        "a key elsewhere": other.minted({"jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/"}),
        "changed claims": f"{head}.{part(changed).decode()}.{signature}",
        "another audience": jobs.minted(aud="extproc-console"),
        "no audience": jobs.minted(aud=None),
        "an audience that begins alike": jobs.minted(aud="extproc-gateway.evil"),
        "another issuer": jobs.minted(iss="https://token.actions.githubusercontent.com"),
        "an issuer with a slash": jobs.minted(iss=jobs.url + "/"),
        "a list of issuers": jobs.minted(iss=[jobs.url]),
        "the people's issuer, the jobs' key": jobs.minted(iss=people.url),
        "a person's": people.minted(aud="extproc-gateway"),
        "expired": jobs.minted(exp=now - LEEWAY - 5),
        "never expiring": jobs.minted(exp=None),
        "an expiry that is a text": jobs.minted(exp="9999999999"),
        "not yet valid": jobs.minted(nbf=now + LEEWAY + 60),
        "of tomorrow": jobs.minted(iat=now + 86400),
        "without a subject": jobs.minted(sub=None),
        "an empty subject": jobs.minted(sub=""),
        "a subject that is a list": jobs.minted(sub=["a", "b"]),
        "an unknown critical header": jobs.minted({"crit": ["b64"], "b64": False}),
        "a key that is no text": jobs.minted({"kid": 1}),
        "no key": jobs.minted({"kid": None}),
        "a key that is a path": jobs.minted({"kid": "../../etc/passwd"}),
        "five parts": good + ".x.y",
        "two tokens": good + "," + good,
    }


FORGED = tuple(forged(Served(), Served()))


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_opens_nothing(stage: Stage, name: str) -> None:
    reply = stage.ask(forged(stage.jobs, stage.people)[name])
    assert stage.evil.heads == []
    assert reply.code in ("identity_invalid", "identity_expired")
    assert reply.status == 401


def test_a_good_token_of_that_issuer_opens(stage: Stage) -> None:
    """Else the forged ones would prove nothing."""
    assert stage.ask(stage.jobs.minted()).status == 200


def test_made_up_keys_do_not_make_the_gateway_ask_the_issuer_again_and_again(stage: Stage) -> None:
    stage.ask(stage.jobs.minted())
    before = stage.jobs.hits
    for number in range(60):
        assert stage.ask(stage.jobs.minted({"kid": f"made-up-{number}"})).status == 401
    assert stage.jobs.hits - before <= 2  # one a worker at most, and a pause that may end meanwhile
    assert stage.ask(stage.jobs.minted()).status == 200


def test_a_token_that_expires_while_its_request_is_held_opens_nothing(stage: Stage) -> None:
    token = stage.jobs.minted(exp=time.time() - LEEWAY + 2.5, run_id="expiring")
    asking = Asking(stage.gateway, "/hold", token)
    (approval,) = pending(stage.gateway)
    time.sleep(max(0.0, 2.7 - (time.time() - approval["created_at"])))
    decide(stage.gateway, approval, stage.gateway.person("erin"))
    told = asking.done()
    assert (told.status_code, told.json()["type"].rpartition(":")[2]) == (401, "identity_expired")
    assert stage.evil.heads == []


# --- the control plane


@pytest.mark.parametrize(
    "path", ["/v1/approvals", "/v1/approvals/a-1", "/v1/events/approvals", "/v1/approvals/a-1/approve"]
)
def test_no_jobs_token_opens_the_control_plane(stage: Stage, path: str) -> None:
    person, name = stage.person("dana"), {"preferred_username": "dana", "groups": ["data-owners"]}
    tokens = {
        "a job's": stage.gateway.token(),
        "a job's for the console": stage.jobs.minted(aud="extproc-console", **name),
        "a job's for both": stage.jobs.minted(aud=["extproc-console", "extproc-gateway"], **name),
        "a job's that calls itself the people's": stage.jobs.minted(
            iss=stage.people.url, aud="extproc-console", **name
        ),
        "a person's for the gateway": stage.people.minted(aud="extproc-gateway", **name),
        "none": "",
    }
    method = "POST" if path.endswith("approve") else "GET"
    for token in tokens.values():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        told = httpx.request(method, stage.gateway.control + path, headers=headers, trust_env=False)
        assert told.status_code in (401, 403), told.text
    twice = [("authorization", f"Bearer {person}")] * 2
    assert httpx.request(method, stage.gateway.control + path, headers=twice, trust_env=False).status_code == 400


def test_a_held_request_is_shown_and_answered_by_its_approvers_alone(stage: Stage) -> None:
    approval = stage.hold("/hold?mine")
    outsider = stage.person("mallory", groups=["others"])
    answers = [decide(stage.gateway, approval, outsider, verb).status_code for verb in ("approve", "deny")]
    url = f"{stage.gateway.control}/v1/approvals"
    for path in ("", f"/{approval['id']}"):
        shown = httpx.get(url + path, headers={"authorization": f"Bearer {outsider}"}, trust_env=False)
        assert approval["id"] not in shown.text
    stage.end(approval)
    assert answers == [404, 404]


OWN = [
    "mona", "Mona", "MONA", " mona ", "mona\t", "\uff4d\uff4f\uff4e\uff41", "\u1d50ona", "mona\u200b", "mo\u200dna",
    "\u202emona", "mo\u00adna", "mona\ufe0f", "mo\u034fna", "\U0001d426ona", "mona\u0301", "m\u00f3na", "octocat", "OctoCat",
    "octo\u2060cat", "\u24dectocat", "\u00f6ctocat", "mo\u115fna", "mona\u3164", "mo\u2800na", "mona\U000e0041", "mona\0",
]  # fmt: skip


def test_nobody_approves_their_own_request_under_another_spelling(stage: Stage) -> None:
    approval = stage.hold("/two?own")  # one yes too many would not end it
    answers = {name: decide(stage.gateway, approval, stage.person(name)) for name in OWN}
    stage.end(approval)
    assert {name: told.text for name, told in answers.items() if told.status_code != 403} == {}


@pytest.mark.parametrize("name", ["", " ", "\u200b", None, 7, ["dana"], {"a": 1}, True])
def test_whoever_has_no_name_approves_nothing(stage: Stage, name: object) -> None:
    approval = stage.hold(f"/hold?unnamed={hash(str(name))}")
    status = decide(stage.gateway, approval, stage.person(name)).status_code
    stage.end(approval)
    assert status in (401, 403, 404)


def test_two_accounts_of_one_person_count_once(stage: Stage) -> None:
    """As far as anything tells that they are one: the same name by another issuer or spelling, or the same subject."""
    approval = stage.hold("/two")
    assert decide(stage.gateway, approval, stage.person("dana")).status_code == 200
    again = [
        stage.gateway.person("dana"), stage.person("DANA"), stage.person("dana\u200b"), stage.person("d\u00e1na"),
        stage.person("another", sub="person:dana"), stage.person("dana"),
    ]  # fmt: skip
    statuses = [decide(stage.gateway, approval, token).status_code for token in again]
    stage.asked[-1].join(0.2)
    assert stage.asked[-1].answer is None
    assert set(statuses) == {409}
    assert decide(stage.gateway, approval, stage.person("erin")).status_code == 200
    assert stage.asked.pop().done().status_code == 200
    assert len(stage.evil.heads) == 1


def test_an_actor_who_looks_like_a_known_one_is_not_known(stage: Stage) -> None:
    """Only the configured name stands for a person: whoever is not known needs two approvers."""
    for number, actor in enumerate(("octocat\u200b", "\u00f6ctocat", "octoc\u0430t")):
        approval = stage.hold(f"/hold?unknown={number}", actor=actor)
        stage.end(approval)
        assert approval["required"] == 2


@pytest.mark.parametrize("said", [{"digest": ""}, {"digest": None}, {}, {"approve": True}, {"digest": ["x"]}, [], "x"])
def test_an_answer_names_what_was_seen(stage: Stage, said: object) -> None:
    approval = stage.hold(f"/hold?said={hash(str(said))}")
    url = f"{stage.gateway.control}/v1/approvals/{approval['id']}/approve"
    headers = {"authorization": f"Bearer {stage.person('dana')}"}
    told = httpx.post(url, json=said, headers=headers, trust_env=False)
    form = httpx.post(url, data={"digest": approval["digest"]}, headers=headers, trust_env=False)
    link = httpx.get(url, headers=headers, trust_env=False)
    override = httpx.get(url, headers={**headers, "x-http-method-override": "POST"}, trust_env=False)
    stage.end(approval)
    assert told.status_code in (400, 409)
    assert form.status_code == 415
    assert {link.status_code, override.status_code} == {405}
