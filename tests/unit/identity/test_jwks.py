"""Which of an issuer's keys count, and for which algorithms."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from extproc.errors import Refusal
from extproc.identity.oidc import OidcVerifier
from extproc.model import Identity
from extproc.waits import FetchKeys
from tests.unit.identity.issuer import NOW, RULE, URL, Issuer, verifier

ISSUER = Issuer()
ANY = replace(RULE, algorithms=("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"))


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def rsa_jwk(key: rsa.RSAPrivateKey, **more: Any) -> dict[str, Any]:
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "r", **more}


def having(*entries: object) -> OidcVerifier:
    made = verifier(rule=ANY)
    made.set_keys(URL, {"keys": list(entries)})
    return made


def token(key: Any, algorithm: str, kid: str = "r") -> str:
    return jwt.encode(ISSUER.claims(), key, algorithm, headers={"kid": kid})


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_an_rsa_key_without_alg_serves_every_algorithm_of_its_kind(algorithm: str) -> None:
    assert isinstance(having(rsa_jwk(rsa_key())).verify(token(rsa_key(), algorithm), NOW), Identity)


def test_a_key_with_alg_serves_that_one_only() -> None:
    verify = having(rsa_jwk(rsa_key(), alg="PS256"))
    assert isinstance(verify.verify(token(rsa_key(), "PS256"), NOW), Identity)
    with pytest.raises(Refusal, match="identity_invalid"):
        verify.verify(token(rsa_key(), "RS256"), NOW)


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())]
)
def test_a_curve_serves_its_own_algorithm(algorithm: str, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    assert isinstance(having({**public, "kid": "r"}).verify(token(key, algorithm), NOW), Identity)
    header = json.dumps({"alg": next(a for a in ("ES256", "ES384") if a != algorithm), "kid": "r"})
    other = ISSUER.signed(header, json.dumps(ISSUER.claims()))
    assert isinstance(having({**public, "kid": "r"}).verify(other, NOW), FetchKeys)


def test_an_edwards_key_serves_eddsa() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    assert isinstance(having({**public, "kid": "r"}).verify(token(key, "EdDSA"), NOW), Identity)


def test_keys_of_two_kinds_may_have_one_id() -> None:
    verify = having(rsa_jwk(rsa_key(), kid="k1"), ISSUER.jwk())
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
    assert isinstance(verify.verify(token(rsa_key(), "RS256", "k1"), NOW), Identity)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_rsa_key_verifies_nothing() -> None:
    weak = rsa_key(1024)
    assert isinstance(having(rsa_jwk(weak)).verify(token(weak, "RS256"), NOW), FetchKeys)


def test_a_published_private_key_verifies_nothing() -> None:
    private = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(), as_dict=True)
    verify = having({**private, "kid": "r"})
    assert isinstance(verify.verify(token(rsa_key(), "RS256"), NOW), FetchKeys)


@pytest.mark.parametrize(
    "more", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": "ES256"}, {"alg": "RSA-OAEP"}]
)
def test_a_key_for_something_else_verifies_nothing(more: dict[str, Any]) -> None:
    assert isinstance(having(rsa_jwk(rsa_key(), **more)).verify(token(rsa_key(), "RS256"), NOW), FetchKeys)


ODD: list[object] = [
    None,
    "key",
    [],
    {},
    {"kid": "o"},
    {"kid": "o", "kty": "oct"},
    {"kid": "o", "kty": "oct", "k": 1},
    {"kid": "o", "kty": ["RSA"]},
    {"kid": "o", "kty": "RSA"},
    {"kid": "o", "kty": "RSA", "n": 1, "e": None},
    {"kid": "o", "kty": "RSA", "n": "", "e": ""},
    {"kid": "o", "kty": "RSA", "n": "\ud800", "e": "AQAB"},
    {"kid": ["o"], "kty": "RSA", "n": "AQAB", "e": "AQAB"},
    {"kid": "o", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kid": "o", "kty": "EC", "crv": {}, "x": "AA", "y": "AA"},
    {"kid": "o", "kty": "OKP", "crv": "X25519", "x": "AA"},
    {**jwt.algorithms.OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True), "kid": "o"},
    {**ISSUER.jwk(), "kid": "o", "alg": ["ES256"]},
    {**ISSUER.jwk(), "kid": "o", "use": {}},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_key_costs_nobody_the_others(odd: object) -> None:
    verify = having(odd, ISSUER.jwk())
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
    assert isinstance(verify.verify(ISSUER.token({"kid": "o"}), NOW), FetchKeys)


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": "none"}, {"keys": {"kid": "k1"}}])
def test_a_jwks_without_a_list_holds_no_key(jwks: dict[str, Any]) -> None:
    verify = verifier(ISSUER)
    verify.set_keys(URL, jwks)
    assert isinstance(verify.verify(ISSUER.token(), NOW), FetchKeys)
