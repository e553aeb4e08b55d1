"""An issuer for tests: keys, their JWKS, tokens signed with them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.identity.oidc import IssuerRule, OidcVerifier

NOW = 1_800_000_000.0
URL = "https://issuer.test"
RULE = IssuerRule(URL, "gateway", ("ES256", "RS256"), "job")


@dataclass
class Issuer:
    url: str = URL
    kid: str = "k1"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def jwk(self) -> dict[str, Any]:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": "ES256", "use": "sig"}

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.jwk()]}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Valid ones, with some changed; None takes a claim away."""
        claims = {"iss": self.url, "aud": "gateway", "sub": "repo:a/b", "exp": NOW + 600, "iat": NOW, "nbf": NOW}
        return {name: value for name, value in {**claims, "actor": "mona", **changed}.items() if value is not None}

    def token(self, headers: dict[str, Any] | None = None, /, **changed: Any) -> str:
        """Signed by hand, so that it may say what no library would sign. A header of None is left out."""
        header = {"alg": "ES256", "kid": self.kid, **(headers or {})}
        header = {name: value for name, value in header.items() if value is not None}
        return self.signed(*(json.dumps(value) for value in (header, self.claims(**changed))))

    def signed(self, header: str, claims: str) -> str:
        """A token of these very texts."""
        head = b".".join(base64.urlsafe_b64encode(text.encode()).rstrip(b"=") for text in (header, claims))
        signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(head, self.key)
        return (head + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def part(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def verifier(
    *issuers: Issuer, rule: IssuerRule = RULE, development: bool = False, clock: Callable[[], float] = time.monotonic
) -> OidcVerifier:
    made = OidcVerifier([rule], development=development, clock=clock)
    for issuer in issuers:
        made.set_keys(issuer.url, issuer.jwks())
    return made
