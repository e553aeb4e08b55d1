"""Where a token may stand, and that nothing else counts."""

from __future__ import annotations

import base64

import pytest

from extproc.errors import Refusal
from extproc.http.authorization import token_of
from extproc.model import Headers

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln-_"


def sent(*values: bytes) -> Headers:
    return Headers(tuple((b"authorization", value) for value in values))


def basic(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_taken(scheme: str) -> None:
    assert token_of(sent(f"{scheme} {TOKEN}".encode())) == TOKEN


@pytest.mark.parametrize("user", ["oidc", "", "x-access-token"])
def test_the_password_of_basic_is_the_token(user: str) -> None:
    assert token_of(sent(basic(f"{user}:{TOKEN}".encode()))) == TOKEN


@pytest.mark.parametrize("headers", [Headers(), sent(b"")])
def test_no_header_and_an_empty_one_are_missing(headers: Headers) -> None:
    with pytest.raises(Refusal) as refused:
        token_of(headers)
    assert refused.value.code.name == "identity_missing"


@pytest.mark.parametrize("second", [b"Bearer b", b"Bearer " + TOKEN.encode(), b""])
def test_two_headers_are_ambiguous_even_where_they_are_equal(second: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        token_of(sent(b"Bearer " + TOKEN.encode(), second))
    assert refused.value.code.name == "identity_ambiguous"


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer",
        b"Bearer ",
        b"planted-secret",
        b"Digest planted-secret",
        b"Negotiate planted-secret",
        b"Bearer planted-secret, Bearer other",
        b"Bearer planted secret",
        b"Bearer planted-secret\xc3\xa9",
        b"Bearer planted-secret\0",
        b" Bearer planted-secret",
        b"Basic planted-secret!",
        b"Basic cGxhbnRlZA=",
        basic(b"planted-secret"),
        basic(b"user:"),
        basic(b"user:planted:secret"),
        basic(b"user:planted\xff"),
        b"Bearer planted-secret" + b"a" * 16384,
    ],
)
def test_anything_else_is_invalid_and_not_quoted(value: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        token_of(sent(value))
    assert refused.value.code.name == "identity_invalid"
    assert "planted" not in str(refused.value)
    assert refused.value.__cause__ is None
