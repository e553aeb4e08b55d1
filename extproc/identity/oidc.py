"""OIDC tokens to identities, without I/O: keys that are missing come back as a wait.

Rules: RFC 7519 (claims), RFC 7515 (`crit`), OpenID Connect Core 3.1.3.7 (issuer, audience), RFC 8725 (algorithms are
allow-listed, never taken from the token).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt

from extproc.errors import Refusal
from extproc.model import JSON, Identity
from extproc.waits import FetchKeys

LEEWAY: Final = 30.0  # seconds that clocks may differ
_MAX_TOKEN: Final = 16 * 1024  # bytes
_REMEMBERED: Final = 10_000  # tokens
_FETCH_PAUSE: Final = 10.0  # seconds between two fetches that unknown keys may cause
_ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
DEVELOPMENT_CLAIM: Final = "extproc_development"


@dataclass(frozen=True, slots=True)
class IssuerRule:
    """Whose tokens count, for what audience, and as what."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    kind: Literal["job", "person"]
    groups_claim: str = "groups"
    actor_claim: str = "actor"

    def __post_init__(self) -> None:
        if not self.algorithms or not set(self.algorithms) <= _ASYMMETRIC:
            raise ValueError("only asymmetric algorithms")


class OidcVerifier:
    """Verifies a token once and remembers it by its hash until it expires."""

    def __init__(self, rules: list[IssuerRule], *, development: bool) -> None:
        self._rules = {rule.issuer: rule for rule in rules}
        self._keys: dict[str, dict[str, jwt.PyJWK]] = {}
        self._fetched_at: dict[str, float] = {}
        self._known: OrderedDict[bytes, Identity] = OrderedDict()
        self.development = development

    @property
    def issuers(self) -> list[str]:
        return list(self._rules)

    def set_keys(self, issuer: str, jwks: dict[str, Any]) -> None:
        """Take an issuer's keys (RFC 7517). What was verified with keys that may be gone is verified again."""
        keys = {}
        for entry in jwks.get("keys", []):
            if not isinstance(entry, dict) or not entry.get("kid") or entry.get("use", "sig") != "sig":
                continue
            try:
                keys[str(entry["kid"])] = jwt.PyJWK(entry)
            except jwt.PyJWTError:
                continue  # a key of a kind that we do not use
        self._keys[issuer] = keys
        self._known.clear()

    def verify(self, token: str, now: float) -> Identity | FetchKeys:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            if known.expires_at <= now:
                del self._known[digest]
                raise Refusal("identity_expired")
            return known
        found = self._key(token, now)
        if isinstance(found, FetchKeys):
            return found
        rule, key = found
        identity = self._identity(self._claims(token, rule, key, now), rule)
        self._known[digest] = identity
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return identity

    def _key(self, token: str, now: float) -> tuple[IssuerRule, jwt.PyJWK] | FetchKeys:
        """The rule and key that a token claims; nothing of it is trusted yet."""
        if len(token) > _MAX_TOKEN:
            raise Refusal("identity_invalid", "the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Refusal("identity_invalid", "the token is no JWT") from None
        issuer, kid = claims.get("iss"), header.get("kid")
        rule = self._rules.get(issuer) if isinstance(issuer, str) else None
        if rule is None:
            raise Refusal("identity_invalid", "the token's issuer is not accepted")
        if header.get("alg") not in rule.algorithms or "crit" in header or not isinstance(kid, str):
            raise Refusal("identity_invalid", "the token's header is not accepted")
        key = self._keys.get(rule.issuer, {}).get(kid)
        if key is not None:
            return rule, key
        # Tokens with made-up key ids must not make us ask the issuer again and again.
        if now - self._fetched_at.get(rule.issuer, -_FETCH_PAUSE) < _FETCH_PAUSE:
            if rule.issuer not in self._keys:
                raise Refusal("identity_unavailable", retry_after=int(_FETCH_PAUSE))
            raise Refusal("identity_invalid", "the token is signed with an unknown key")
        self._fetched_at[rule.issuer] = now
        return FetchKeys(rule.issuer, kid)

    def _claims(self, token: str, rule: IssuerRule, key: jwt.PyJWK, now: float) -> dict[str, JSON]:
        try:
            claims: dict[str, JSON] = jwt.decode(
                token,
                key,
                algorithms=list(rule.algorithms),
                audience=rule.audience,
                issuer=rule.issuer,
                # Times are checked below, against the caller's clock.
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise Refusal("identity_invalid", "the token is for another audience") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Refusal("identity_invalid", "the token's signature or claims are not valid") from None
        self._check_times(claims, now)
        if claims.get(DEVELOPMENT_CLAIM) and not self.development:
            raise Refusal("identity_invalid", "a development token is accepted only where development is on")
        return claims

    @staticmethod
    def _check_times(claims: dict[str, JSON], now: float) -> None:
        times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in times.values()):
            raise Refusal("identity_invalid", "the token's times are not numbers")
        if times["exp"] + LEEWAY <= now:
            raise Refusal("identity_expired")
        if times.get("nbf", 0) > now + LEEWAY or times.get("iat", 0) > now + LEEWAY:
            raise Refusal("identity_invalid", "the token is not valid yet")

    @staticmethod
    def _identity(claims: dict[str, JSON], rule: IssuerRule) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise Refusal("identity_invalid", "the token has no subject")
        groups = claims.get(rule.groups_claim, [])
        actor = claims.get(rule.actor_claim)
        # Under one name for both kinds, so that a job's actor can be held against a person's.
        claims = {**claims, "actor": actor} if isinstance(actor, str) else claims
        return Identity(
            issuer=rule.issuer,
            subject=subject,
            kind=rule.kind,
            claims=claims,
            expires_at=float(claims["exp"]) + LEEWAY,
            groups=tuple(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else (),
        )
