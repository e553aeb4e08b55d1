"""OIDC tokens to identities, without I/O: keys that are missing come back as a wait.

Rules: RFC 7519 (claims), RFC 7515 (`crit`), RFC 7517 (keys), OpenID Connect Core 3.1.3.7 (issuer, audience), RFC 8725
(algorithms are allow-listed, never taken from the token; a key serves its own kind of algorithm only).
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from extproc import strictjson
from extproc.errors import Refusal
from extproc.model import JSON, Identity
from extproc.remembered import Remembered
from extproc.waits import FetchKeys

LEEWAY: Final = 30.0  # seconds that clocks may differ
FETCH_PAUSE: Final = 10.0  # seconds after a fetch in which an unknown key causes no other
_MAX_TOKEN: Final = 16 * 1024  # bytes
_MAX_DEPTH: Final = 32  # of a token's JSON
_MAX_KEYS: Final = 100  # of an issuer; each costs time to read
_RSA_BITS: Final = range(2048, 8192 + 1)  # at least: RFC 7518, 3.3; at most: verifying must stay cheap
_LAST_TIME: Final = 253_402_300_799  # seconds; the end of year 9999, which every reader of a date can show
_REMEMBERED: Final = 10_000  # tokens
DEVELOPMENT_CLAIM: Final = "extproc_development"

# Which kind of key an algorithm takes (RFC 7518, 3.1; RFC 8037, 3.1).
_KINDS: Final = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "secp256r1",
    "ES384": "secp384r1",
    "ES512": "secp521r1",
    "EdDSA": "Ed25519",
}

_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}

_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


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
        if not self.algorithms or not set(self.algorithms) <= set(_KINDS):
            raise ValueError("only asymmetric algorithms")


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    kind: str  # one of `_KINDS`' values
    algorithm: str  # the only one that it serves, or "" for every one of its kind
    public: _PublicKey


class OidcVerifier:
    """
    Verifies a token once and remembers it by its hash until it expires.

    `clock` (seconds, only ever forwards) times fetches of keys; a token's own times are held against `verify`'s `now`.
    Raises `ValueError` where two rules are for one issuer: only one of them could count.
    """

    def __init__(
        self, rules: list[IssuerRule], *, development: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rules = {rule.issuer: rule for rule in rules}
        if len(self._rules) != len(rules):
            raise ValueError("two rules for one issuer")
        self._keys: dict[str, dict[tuple[str, str], _Key]] = {}
        self._asked: set[str] = set()
        self._answered_at: dict[str, float] = {}
        self._known: Remembered[bytes, Identity] = Remembered(_REMEMBERED)
        self._clock = clock
        self.development = development

    @property
    def issuers(self) -> list[str]:
        return list(self._rules)

    def set_keys(self, issuer: str, jwks: dict[str, Any]) -> None:
        """
        Take an issuer's keys (RFC 7517), each that is fit. Never raises for what stands in `jwks`.

        What was verified with keys that may be gone is verified again.
        """
        entries = jwks.get("keys")
        found = [_key(entry) for entry in entries[:_MAX_KEYS]] if isinstance(entries, list) else []
        self._keys[issuer] = {(key.id, key.kind): key for key in found if key is not None}
        self._known.clear()
        if issuer in self._asked:
            self._asked.discard(issuer)
            self._answered_at[issuer] = self._clock()

    def answered_lately(self, issuer: str) -> bool:
        """True where a `FetchKeys` was answered just now: the issuer has no other keys, so asking again is vain."""
        return self._clock() - self._answered_at.get(issuer, float("-inf")) < FETCH_PAUSE

    def verify(self, token: str, now: float) -> Identity | FetchKeys:
        # Nothing of a JWT is outside of ASCII (RFC 7515, 3.1); half a surrogate pair could not even be hashed.
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise Refusal("identity_invalid", "the token is too long or no JWT")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            if known.expires_at <= now:
                self._known.forget(digest)
                raise Refusal("identity_expired")
            return known
        found = self._find(token)
        if isinstance(found, FetchKeys):
            return found
        rule, key, algorithm = found
        return self._known.put(digest, _identity(self._claims(token, rule, key, algorithm, now), rule))

    def _find(self, token: str) -> tuple[IssuerRule, _Key, str] | FetchKeys:
        """The rule, key and algorithm that a token claims; nothing of it is trusted yet."""
        header, claims = _read(token)
        issuer, kid, algorithm = claims.get("iss"), header.get("kid"), header.get("alg")
        rule = self._rules.get(issuer) if isinstance(issuer, str) else None
        if rule is None:
            raise Refusal("identity_invalid", "the token's issuer is not accepted")
        if algorithm not in rule.algorithms or "crit" in header or not isinstance(kid, str) or not kid:
            raise Refusal("identity_invalid", "the token's header is not accepted")
        key = self._keys.get(rule.issuer, {}).get((kid, _KINDS[algorithm]))
        if key is None:
            return self._ask(rule.issuer, kid)
        if key.algorithm not in ("", algorithm):
            raise Refusal("identity_invalid", "the token's key is for another algorithm")
        return rule, key, algorithm

    def _ask(self, issuer: str, kid: str) -> FetchKeys:
        # Everybody who comes while keys are fetched waits for them. What bounds the fetches that made-up key ids cause
        # is the pause after an answer here, and the pause after a failure where they are fetched.
        if self.answered_lately(issuer):
            raise Refusal("identity_invalid", "the token is signed with an unknown key")
        self._asked.add(issuer)
        return FetchKeys(issuer, kid)

    def _claims(self, token: str, rule: IssuerRule, key: _Key, algorithm: str, now: float) -> dict[str, JSON]:
        try:
            claims: dict[str, JSON] = jwt.decode(
                token,
                # The bare key: with a `PyJWK`, the library would choose the algorithm, RS256 for any RSA key.
                key.public,
                algorithms=[algorithm],
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
        except Exception:
            raise Refusal("identity_invalid", "the token's signature or claims are not valid") from None
        _check_times(claims, now)
        if claims.get(DEVELOPMENT_CLAIM) and not self.development:
            raise Refusal("identity_invalid", "a development token is accepted only where development is on")
        return claims


def _key(entry: Any) -> _Key | None:
    """A JWK's key, or None where it is none that we use: odd ones must not cost us the others (RFC 7517, 5)."""
    # A private key that is published has signed whatever anybody likes.
    if not isinstance(entry, dict) or "d" in entry or entry.get("use") not in (None, "sig"):
        return None
    kid, algorithm, operations = entry.get("kid"), entry.get("alg"), entry.get("key_ops")
    if not isinstance(kid, str) or not kid:
        return None
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    try:
        public = _READERS[entry["kty"]](entry)
        kind = _kind(public)
        if kind is None or (algorithm is not None and _KINDS[algorithm] != kind):
            return None
    except Exception:
        return None
    return _Key(kid, kind, algorithm or "", public)


def _kind(public: object) -> str | None:
    if isinstance(public, rsa.RSAPublicKey):
        return "RSA" if public.key_size in _RSA_BITS else None
    if isinstance(public, ec.EllipticCurvePublicKey):
        return public.curve.name if public.curve.name in _KINDS.values() else None
    return "Ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else None


def _read(token: str) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """Header and claims, read so that every reader would read the same."""
    try:
        first, second, _ = token.split(".")
        header, claims = (strictjson.loads(_decoded(part), depth=_MAX_DEPTH) for part in (first, second))
    except ValueError:
        raise Refusal("identity_invalid", "the token is no JWT") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refusal("identity_invalid", "the token is no JWT")
    return header, claims


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)


def _check_times(claims: dict[str, JSON], now: float) -> None:
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for value in times.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LAST_TIME:
            raise Refusal("identity_invalid", "the token's times are not numbers of seconds")
    if times["exp"] + LEEWAY <= now:
        raise Refusal("identity_expired")
    if times.get("nbf", 0) > now + LEEWAY or times.get("iat", 0) > now + LEEWAY:
        raise Refusal("identity_invalid", "the token is not valid yet")


def _identity(claims: dict[str, JSON], rule: IssuerRule) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise Refusal("identity_invalid", "the token has no subject")
    groups = claims.get(rule.groups_claim, [])
    if isinstance(groups, str) and groups and rule.kind == "job":
        groups = [groups]  # forges say what a job is by claims of one value: its repository, its environment
    actor = claims.get(rule.actor_claim)
    if rule.kind == "person" and not (isinstance(actor, str) and actor.strip()):
        raise Refusal("identity_invalid", "the token names no account")
    # Under one name for both kinds, so that a job's actor can be held against a person's. The token's own claim of that
    # name must not stand in for the configured one: its owner may be free to choose it.
    claims = {name: value for name, value in claims.items() if name != "actor"}
    if isinstance(actor, str):
        claims["actor"] = actor
    return Identity(
        issuer=rule.issuer,
        subject=subject,
        kind=rule.kind,
        claims=claims,
        expires_at=float(claims["exp"]) + LEEWAY,
        groups=tuple(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else (),
    )
