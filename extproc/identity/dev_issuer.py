"""A small OIDC issuer for trying the gateway out: real discovery, real keys, tokens as GitHub Actions mints them.

It serves documents only. Tokens are minted by whoever can read its key files, never over the network.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extproc.identity.oidc import DEVELOPMENT_CLAIM
from extproc.privatefile import write_private

KINDS: Final = ("jobs", "people")
_ALGORITHM: Final = "ES256"


@dataclass(frozen=True, slots=True)
class Job:
    """What a job's token says of its run."""

    repository: str
    ref: str = "refs/heads/main"
    actor: str = "octocat"
    run_id: str = "1001"
    event: str = "push"
    fork: bool = False

    def claims(self) -> dict[str, Any]:
        """The claims of a GitHub Actions token (its OpenID Connect reference), as far as policies use them."""
        event = "pull_request" if self.fork else self.event
        ref = "refs/pull/1/merge" if event == "pull_request" else self.ref
        claims: dict[str, Any] = {
            "sub": f"repo:{self.repository}:" + ("pull_request" if event == "pull_request" else f"ref:{ref}"),
            "repository": self.repository,
            "repository_owner": self.repository.partition("/")[0],
            "repository_visibility": "private",
            "ref": ref,
            "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
            "sha": "0" * 39 + "1",
            "actor": self.actor,
            "actor_id": "1",
            "event_name": event,
            "workflow": "ci",
            "job_workflow_ref": f"{self.repository}/.github/workflows/ci.yml@{ref}",
            "run_id": self.run_id,
            "run_number": "1",
            "run_attempt": "1",
            "check_run_id": self.run_id + "01",
            "runner_environment": "self-hosted",
            "head_ref": "",
            "base_ref": "",
        }
        if event == "pull_request":
            claims |= {"head_ref": "feature", "base_ref": "main"}
        if self.fork:
            # No claim says "fork": such a run is told by its event, and by an actor from outside.
            claims |= {"actor": "somebody-else", "actor_id": "2"}
        return claims


def person(name: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "sub": f"person:{name}",
        "preferred_username": name,
        "email": f"{name}@example.test",
        "groups": list(groups),
    }


def mint(  # noqa: PLR0917 - each stands in the token
    keys: Path, kind: str, issuer: str, audience: str, claims: dict[str, Any], now: float, lifetime: float
) -> str:
    """A signed token, marked as a development one. Creates the key where there is none yet."""
    key = _key(keys, kind)
    times = {"iat": int(now), "nbf": int(now), "exp": int(now + lifetime)}
    own = {"iss": issuer, "aud": audience, "jti": secrets.token_hex(8), DEVELOPMENT_CLAIM: True}
    return jwt.encode({**claims, **times, **own}, key, algorithm=_ALGORITHM, headers={"kid": _kid(key)})


def app(keys: Path, base_url: str) -> Starlette:
    """Serves `/jobs` and `/people`: discovery and JWKS."""
    for kind in KINDS:
        _key(keys, kind)

    async def discovery(request: Request) -> JSONResponse:
        issuer = f"{base_url}/{request.path_params['kind']}"
        return JSONResponse(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [_ALGORITHM],
                DEVELOPMENT_CLAIM: True,
            }
        )

    async def jwks(request: Request) -> JSONResponse:
        key = _key(keys, request.path_params["kind"])
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": _kid(key), "use": "sig", "alg": _ALGORITHM}]})

    routes = [Route("/{kind}/.well-known/openid-configuration", discovery), Route("/{kind}/jwks", jwks)]
    return Starlette(routes=routes, middleware=[Middleware(_Development)])


class _Development:
    """Every answer says what it is; kinds that are not served are not there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-extproc-development", b"true")]
            await send(message)

        if scope["type"] == "http" and scope["path"].split("/")[1] not in KINDS:
            await JSONResponse({"error": "not_found"}, 404)(scope, receive, marked)
            return
        await self._app(scope, receive, marked)


def _key(keys: Path, kind: str) -> ec.EllipticCurvePrivateKey:
    path = keys / f"{kind}.pem"
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        encoding = serialization.Encoding.PEM
        form = serialization.PrivateFormat.PKCS8
        write_private(path, made.private_bytes(encoding, form, serialization.NoEncryption()))
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _kid(key: ec.EllipticCurvePrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    return f"{numbers.x:064x}"[:16]
