"""What is found, and what is left alone."""

from __future__ import annotations

import functools
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.redact.checks import luhn
from extproc.redact.detectors import DETECTORS, _first, compile_bytes, find, finder, mask_text

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PEM = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----"
FOUND = {
    "credit_card": [
        b"4111111111111111", b"4111 1111 1111 1111", b"4111-1111-1111-1111", b"4111+1111+1111+1111",
        b"4111%201111%201111%201111", b"378282246310005", b"3782 822463 10005", b"6011111111111117",
        b"5555555555554444", b"2221000000000009", b"3530111333300000", b"30569309025904", b"4222222222222",
    ],
    "ssn": [b"123-45-6789", b"123 45 6789", b"078-05-1120", b"899-99-9999"],
    "email": [
        b"jane@example.com", b"jane.doe+x@mail.example.co.uk", b"jane%40example.com", b"a_b%c@xn--bcher-kva.example",
    ],
    "iban": [
        b"DE89370400440532013000", b"DE89 3704 0044 0532 0130 00", b"GB82WEST12345698765432", b"NO93 8601 1117 947",
        b"MT84MALT011000012345MTLCAST001S",
    ],
    "aws_key_id": [b"AKIAIOSFODNN7EXAMPLE", b"ASIAIOSFODNN7EXAMPLE"],
    "github_token": [
        b"ghp_" + b"a1B2" * 9, b"gho_" + b"a" * 36, b"ghu_" + b"a" * 36, b"ghs_" + b"a" * 36, b"ghr_" + b"a" * 76,
        b"github_pat_" + b"A" * 22 + b"_" + b"b" * 59, b"ghs_1234567_" + JWT,
    ],
    "jwt": [JWT, b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0", b"eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn"],
    "private_key": [
        PEM, PEM.replace(b"RSA ", b""), PEM.replace(b"RSA", b"OPENSSH"), PEM.replace(b"\n", b"\\n"),
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ==\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
}  # fmt: skip
LEFT_ALONE = {
    "a card number with a wrong check digit": b"4111111111111112",
    "digits of no issuer": b"1111111111111117",
    "a card number inside a longer number": b"941111111111111110",
    "the fraction of a number": b"0.4111111111111111",
    "a host's name of letters and digits": b"a4111111111111112.com",
    "pairs of digits": b"41 11 11 11 11 11 11 11",
    "area 000": b"000-12-3456",
    "area 666": b"666-12-3456",
    "area 9xx": b"900-12-3456",
    "group 00": b"123-00-4567",
    "serial 0000": b"123-45-0000",
    "a longer number with dashes": b"9123-45-6789 123-45-67890",
    "mixed separators": b"123-45 6789",
    "a package at a version": b"left-pad@1.3.0",
    "a host without a domain": b"root@localhost",
    "an IBAN with a wrong check": b"DE88370400440532013000",
    "an IBAN of the wrong length": b"DE8937040044053201300",
    "capitals around a key id": b"XAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEX",
    "a short token": b"ghp_short",
    "base64 of JSON without dots": b"eyJhbGciOiJIUzI1NiJ9",
    "a public key": b"-----BEGIN PUBLIC KEY-----\nMII=\n-----END PUBLIC KEY-----",
    "a time": b"1700000000000 2024-01-02 10:00:00 2024-01-03",
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FOUND.items() for value in values])
@pytest.mark.parametrize(
    "around", [(b"", b""), (b"x: ", b", y"), (b'"', b'"'), (b"=", b"\r\n"), (b"\xc3\xa9", b"\xc3\xa9")]
)
def test_a_value_is_found_whole_and_nothing_else(name: str, value: bytes, around: tuple[bytes, bytes]) -> None:
    text = around[0] + value + around[1]
    found = find(text, [name])
    assert [(f.detector, text[f.start : f.end]) for f in found] == [(name, value)]


@pytest.mark.parametrize(("name", "value"), [(name, values[0]) for name, values in FOUND.items()])
def test_every_detector_is_on_unless_named(name: str, value: bytes) -> None:
    assert mask_text(b"a " + value + b" b") == (b"a **** b", {name: 1})
    assert mask_text(value, [other for other in DETECTORS if other != name])[1].get(name) is None


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_what_only_looks_alike_is_left_alone(text: bytes) -> None:
    assert mask_text(text) == (text, {})


def test_only_checked_values_are_called_validated() -> None:
    found = {f.detector: f.validated for values in FOUND.values() for f in find(values[0])}
    assert {name for name, validated in found.items() if validated} == {"credit_card", "ssn", "iban"}


def test_a_card_is_found_behind_other_groups_of_digits() -> None:
    assert mask_text(b"12 4111 1111 1111 1111 2030") == (b"12 **** 2030", {"credit_card": 1})


def test_what_one_trigger_finds_is_not_taken_for_another() -> None:
    assert mask_text(b"e4111111111111111.com", ["credit_card", "jwt", "email"]) == (b"e****.com", {"credit_card": 1})


@given(st.lists(st.sampled_from([b"a1", b"2", b"b", b"\n", b"a"]), max_size=12).map(b"".join), st.integers(0, 8))
def test_a_match_is_found_the_same_without_the_packages_own_object(text: bytes, start: int) -> None:
    pattern = rb"a[0-9]|2b"
    plain = functools.partial(_first, compile_bytes(pattern))
    span = (min(start, len(text)), len(text))
    assert finder(pattern)(text, *span) == plain(text, *span)


def test_an_escaped_line_end_is_not_part_of_an_address() -> None:
    assert mask_text(rb'data: {"text":"hi\njane@example.com"}')[0] == rb'data: {"text":"hi\n****"}'
    assert mask_text(rb"\u000ajane@example.com")[0] == rb"\u000a****"


def test_a_form_keeps_its_names() -> None:
    assert mask_text(b"a=b&mail=jane%40example.com&c=d")[0] == b"a=b&mail=****&c=d"
    assert mask_text(b"q=mail%3Djane%40example.com")[0] == b"q=mail%3D****"


def test_a_private_key_without_end_hides_everything_after_it() -> None:
    assert mask_text(b"a -----BEGIN PRIVATE KEY-----\nMII and more") == (b"a ****", {"private_key": 1})


def test_a_token_takes_its_tail_but_not_the_full_stop() -> None:
    assert mask_text(b"see " + JWT + b". Next")[0] == b"see ****. Next"


def test_values_side_by_side_do_not_overlap() -> None:
    assert mask_text(b"123-45-6789/123-45-6789@example.com") == (b"****/****@example.com", {"ssn": 2})


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        find(b"", ["iris_scan"])
    assert caught.value.code.name == "policy_unmet"


def test_without_names_nothing_is_looked_for() -> None:
    assert mask_text(PEM, ()) == (PEM, {})


@given(st.integers(0, 10**18))
def test_luhn_agrees_with_its_definition(number: int) -> None:
    digits = str(number)
    total = sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(reversed(digits)))
    assert luhn(digits.encode()) == (total % 10 == 0)


@given(st.binary(max_size=300))
def test_findings_are_in_order_and_apart(data: bytes) -> None:
    found = find(data + b" 123-45-6789 " + data)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(0 <= f.start < f.end for f in found)
