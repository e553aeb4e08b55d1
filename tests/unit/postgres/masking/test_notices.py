"""Errors and notices: what they quote is masked, and withheld where masked columns are concerned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres.masking.notices import mask_fields
from extproc.postgres.wire import ProtocolViolation

UNIQUE = {
    "S": "ERROR", "V": "ERROR", "C": "23505", "M": 'duplicate key value violates unique constraint "customers_email_key"',
    "D": "Key (email)=(jane@example.com) already exists.", "s": "public", "t": "customers", "n": "customers_email_key",
    "F": "nbtinsert.c", "L": "666", "R": "_bt_check_unique",
}  # fmt: skip
RAISED = {
    "S": "FEHLER", "V": "ERROR", "C": "P0001", "M": "ssn is 123-45-6789", "D": "a", "H": "b", "P": "7", "p": "3",
    "q": "SELECT '123-45-6789'", "W": "PL/pgSQL function f(text) line 1 at RAISE", "s": "123-45-6789", "t": "t",
    "c": "123-45-6789", "d": "d", "n": "n", "F": "pl_exec.c", "L": "3893", "R": "exec_stmt_raise",
}  # fmt: skip


def body(fields: dict[str, str]) -> bytes:
    return b"".join(code.encode() + value.encode() + b"\0" for code, value in fields.items()) + b"\0"


def read(masked: bytes) -> dict[str, str]:
    assert masked.endswith(b"\0")
    parts = masked[:-1].split(b"\0")
    assert parts.pop() == b""
    return {part[:1].decode(): part[1:].decode() for part in parts}


def test_a_text_without_a_value_stays_as_it_is() -> None:
    fields = {**UNIQUE, "D": "Key (id)=(1) already exists."}
    assert mask_fields(body(fields), touched=False) == body(fields)


def test_what_detectors_find_is_masked_in_every_text() -> None:
    assert read(mask_fields(body(UNIQUE), touched=False)) == {**UNIQUE, "D": "Key (email)=(****) already exists."}
    masked = read(mask_fields(body(RAISED), touched=False))
    assert masked == {**RAISED, "M": "ssn is ****", "q": "SELECT '****'", "s": "****", "c": "****"}


def test_of_an_error_that_touches_masked_columns_only_fixed_texts_remain() -> None:
    masked = read(mask_fields(body(RAISED), touched=True))
    assert masked.pop("M") == "PL/pgSQL error; the text is withheld, as the statement concerns masked columns"
    assert masked == {code: RAISED[code] for code in "SVCPFLR"}


def test_names_from_the_servers_own_checks_remain() -> None:
    masked = read(mask_fields(body(UNIQUE), touched=True))
    assert masked.pop("M").startswith("integrity constraint violation;")
    assert masked == {code: value for code, value in UNIQUE.items() if code not in "MD"}


@pytest.mark.parametrize("state", ["", "1234", "123-45-6789", "abcde"])
def test_what_is_no_sqlstate_is_not_passed_on(state: str) -> None:
    masked = read(mask_fields(body({"S": "ERROR", "C": state, "M": "x"}), touched=True))
    assert masked["C"] == "XX000"
    assert masked["M"].startswith("internal error;")


def test_fields_that_are_not_known_go_with_the_texts() -> None:
    assert read(mask_fields(body({"C": "00000", "Z": "new in 19"}), touched=True)) == {"C": "00000"}
    assert read(mask_fields(body({"Z": "a 123-45-6789"}), touched=False)) == {"Z": "a ****"}


@pytest.mark.parametrize("damaged", [b"", b"M", b"Mtext", b"Mtext\0", b"Mtext\0\0more", b"\0\0"])
def test_what_is_no_list_of_fields_is_refused(damaged: bytes) -> None:
    for touched in (False, True):
        with pytest.raises(ProtocolViolation):
            mask_fields(damaged, touched=touched)


texts = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b""))


@given(st.lists(st.tuples(st.integers(1, 255), texts), max_size=8), st.booleans())
def test_what_comes_out_is_always_a_list_of_fields(fields: list[tuple[int, bytes]], touched: bool) -> None:
    sent = b"".join(bytes((code,)) + text + b"\0" for code, text in fields) + b"\0"
    out = mask_fields(sent, touched=touched)
    assert mask_fields(out, touched=touched) == out
    assert out.count(b"\0") <= sent.count(b"\0")


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_give_fields_or_a_violation(data: bytes, touched: bool) -> None:
    try:
        out = mask_fields(data, touched=touched)
    except ProtocolViolation:
        return
    assert out.endswith(b"\0")
