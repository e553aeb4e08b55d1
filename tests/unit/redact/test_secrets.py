"""The resource's own credential never comes back."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.redact.secrets import SecretFilter
from tests.unit.redact.cutting import cut, outcome, run, singles

SECRET = b'Tok/en+odd &<chars>="x"\\0123456789'
TEXT = SECRET.decode()
FORMS = {
    "raw": SECRET,
    "hex": SECRET.hex().encode(),
    "hex in capitals": SECRET.hex().upper().encode(),
    "URL": quote(TEXT, safe="").encode(),
    "URL, small hex": quote(TEXT, safe="").lower().replace("tok", "Tok").encode(),
    "URL path": quote(TEXT).encode(),
    "form": quote_plus(TEXT).encode(),
    "every byte in percent": b"".join(b"%%%02X" % byte for byte in SECRET),
    "JSON": json.dumps(TEXT)[1:-1].encode(),
    "JSON with escaped slashes": json.dumps(TEXT)[1:-1].replace("/", "\\/").encode(),
    "JSON as Go writes it": json.dumps(TEXT)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").encode(),
    "HTML": html.escape(TEXT).encode(),
    **{f"base64 at {n}": base64.b64encode(b"?" * n + SECRET + b"!") for n in range(5)},
    **{f"base64url at {n}": base64.urlsafe_b64encode(b"?" * n + SECRET + b"!").rstrip(b"=") for n in range(5)},
    "base64 in a URL": quote(base64.b64encode(SECRET + b"\xff\xfe").decode(), safe="").encode(),
}


def make() -> SecretFilter:
    return SecretFilter((b"another-secret", SECRET))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_secret_is_found_in_every_form_and_cut(form: bytes) -> None:
    text = b"before " + form + b" after"
    assert outcome(make, [text]) == outcome(make, singles(text)) == "response_leaks_credential"
    for place in range(len(text)):
        assert outcome(make, cut(text, [place])) == "response_leaks_credential"
    assert make().contains(text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_last_byte_of_a_secret_never_goes_out(form: bytes) -> None:
    one = make()
    out: list[bytes] = []
    pieces = singles(b"x" + form + b"y")
    with pytest.raises(Refusal):
        out.extend(part for piece in pieces for part in one.feed(piece, end=False))
    # What stands before the characters that the secret alone decides may go on.
    assert len(b"".join(out)) <= 8


def test_what_is_no_secret_goes_on_at_once() -> None:
    one = make()
    assert b"".join(one.feed(b"data: hello\n\n", end=False)) == b"data: hello\n\n"
    assert b"".join(one.feed(SECRET[:-1], end=False)) == b""
    assert b"".join(one.feed(b"!", end=False)) == SECRET[:-1] + b"!"


def test_without_secrets_everything_passes() -> None:
    empty = SecretFilter(())
    assert b"".join(empty.feed(SECRET, end=False)) == SECRET
    assert not empty.contains(SECRET)


def test_a_short_secret_is_looked_for_as_it_is() -> None:
    short = SecretFilter((b"hunter2",))
    assert short.contains(b"x hunter2 y")
    assert not short.contains(b"hunter2".hex().encode())
    assert not SecretFilter((b"abc",)).contains(b"abc")


def test_a_filter_does_not_show_what_it_looks_for() -> None:
    assert TEXT not in repr(make())


@given(st.text(st.sampled_from("Tok/en%5\\u0"), max_size=60), st.lists(st.integers(0, 100), max_size=6))
def test_near_misses_come_through_unchanged(text: str, places: list[int]) -> None:
    data = text.encode()
    assert run(make, cut(data, places)) == run(make, singles(data)) == data


def test_a_secret_after_its_own_beginning_is_found() -> None:
    repeated = SecretFilter((b"abababac",))
    text = b"ababababac"
    assert outcome(lambda: SecretFilter((b"abababac",)), singles(text)) == "response_leaks_credential"
    assert repeated.contains(text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_conversation_never_gives_the_second_half_of_a_secret(form: bytes) -> None:
    one = SecretFilter((SECRET,), conversation=True)
    out: list[bytes] = []
    pieces = singles(b"hello " + form + b".")
    with pytest.raises(Refusal):
        out.extend(part for piece in pieces for part in one.feed(piece, end=False))
    assert len(b"".join(out)) <= len(b"hello ") + len(form) * 2 // 3


@pytest.mark.parametrize("message", [b"stop T", b"100%", b"number 5", b"back\\", SECRET[:5], b"VG9"])
def test_a_conversation_does_not_wait_for_what_may_never_come(message: bytes) -> None:
    one = SecretFilter((SECRET,), conversation=True)
    assert list(one.feed(message, end=False)) == [message]
    assert list(one.feed(b", and on", end=False)) == [b", and on"]


@given(st.lists(st.sampled_from([SECRET[:3], SECRET[:9], SECRET[:20], SECRET[4:], b"x", b"%", b"VG9rL2"]), max_size=20))
def test_a_conversation_loses_and_doubles_nothing(pieces: list[bytes]) -> None:
    one = SecretFilter((SECRET,), conversation=True)
    out = b""
    try:
        for piece in pieces:
            out += b"".join(one.feed(piece, end=False))
        out += b"".join(one.feed(b"", end=True))
    except Refusal:
        assert b"".join(pieces).startswith(out)
        assert SECRET not in out
    else:
        assert out == b"".join(pieces)
