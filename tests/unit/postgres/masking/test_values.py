"""What stands in place of a masked value; tests/integration/test_postgres_values.py holds it against real servers."""

from __future__ import annotations

import json

import pytest

from extproc.model import Strategy
from extproc.postgres.catalog import Type
from extproc.postgres.masking.values import masked, type_info, varies
from extproc.redact.strategies import replacement

KEY = b"k" * 32
TYPES = {
    one.oid: one
    for one in (
        Type(9001, "public", "word", "d", "S", base=25),
        Type(9002, "public", "deeper", "d", "S", base=9001),
        Type(9003, "public", "words", "d", "A", base=1009),
        Type(9004, "public", "citext", "b", "S"),
        Type(9005, "public", "citext", "c", "C"),
        Type(9006, "public", "mood", "e", "E"),
        Type(9007, "public", "_mood", "b", "A", element=9006),
        Type(9008, "public", "_word", "b", "A", element=9001),
        Type(9009, "public", "loop", "d", "S", base=9010),
        Type(9010, "public", "pool", "d", "S", base=9009),
        Type(9011, "public", "_loop", "b", "A", element=9011),
        Type(9012, "public", "_citext", "b", "A", element=9004),
    )
}


@pytest.mark.parametrize(
    ("oid", "form"),
    [
        (25, "text"), (1043, "text"), (20, "number"), (23, "plain"), (17, "plain"), (114, "json"), (3802, "jsonb"),
        (1009, "array"), (2249, "opaque"), (9001, "text"), (9002, "text"), (9003, "array"), (9004, "text"),
        (9005, "opaque"), (9006, "opaque"), (9007, "array"), (9009, "opaque"), (0, "opaque"), (12345, "opaque"),
    ],
)  # fmt: skip
def test_types_are_told_by_their_form_and_domains_by_what_they_are_of(oid: int, form: str) -> None:
    assert type_info(oid, TYPES).form == form


def test_arrays_know_their_elements() -> None:
    elements = {oid: type_info(oid, TYPES).element for oid in (1009, 1231, 3807, 9007, 9008, 9012)}
    assert {oid: one and one.form for oid, one in elements.items()} == {
        1009: "text", 1231: "number", 3807: "jsonb", 9007: "opaque", 9008: "text", 9012: "text",
    }  # fmt: skip
    # The OID in an empty array is that of the declared type, a domain's own.
    assert masked("mask", b"x", type_info(9008, TYPES), 1, KEY) == bytes(8) + (9001).to_bytes(4, "big")
    assert type_info(9011, TYPES).form == "array"


@pytest.mark.parametrize("strategy", ["mask", "partial", "hash", "token"])
@pytest.mark.parametrize("oid", [25, 114, 3802])
def test_text_and_json_are_replaced_by_what_the_strategy_says(strategy: Strategy, oid: int) -> None:
    value = b"4111111111111111"
    expected = replacement(strategy, value, KEY)
    info = type_info(oid, {})
    if oid == 25:
        assert masked(strategy, value, info, 0, KEY) == masked(strategy, value, info, 1, KEY) == expected
        return
    # The string and what is in it are the same value, so that hashes of the two can be compared.
    assert json.loads(masked(strategy, b'"' + value + b'"', info, 0, KEY) or b"") == expected.decode()
    assert json.loads(masked(strategy, value, info, 0, KEY) or b"") == expected.decode()
    version = b"\x01" if oid == 3802 else b""
    assert masked(strategy, version + b'"' + value + b'"', info, 1, KEY) == version + b'"' + expected + b'"'


def test_escapes_of_json_do_not_make_another_hash() -> None:
    info = type_info(114, {})
    assert masked("hash", rb'"j\u0061ne"', info, 0, KEY) == masked("hash", b'"jane"', info, 0, KEY)
    assert masked("partial", b'{"a":"12345678"}', info, 0, KEY) == b'"****"'


@pytest.mark.parametrize("value", [b'"', b'"\\', b'"\\u12', b'"\\x"', b"", b'"' + b"x" * 100_000 + b'"'])
def test_json_that_cannot_be_read_or_is_long_is_masked(value: bytes) -> None:
    for strategy in ("partial", "hash", "token"):
        new = masked(strategy, value, type_info(114, {}), 0, KEY)
        assert isinstance(json.loads(new or b""), str)


@pytest.mark.parametrize("binary", [0, 1])
def test_other_types_tell_nothing_of_the_value(binary: int) -> None:
    for oid in (16, 20, 21, 23, 700, 701, 1082, 1114, 1184, 1186, 1700, 2950, 869, 17, 1007, 9006):
        info = type_info(oid, TYPES)
        assert len({masked(way, value, info, binary, KEY) for way in ("mask", "hash") for value in (b"a", b"b")}) == 1
        assert not varies("hash", info)


def test_drop_is_null_for_every_type() -> None:
    for oid in (25, 114, 3802, 20, 1082, 1009, 9006):
        for binary in (0, 1):
            assert masked("drop", b"x", type_info(oid, TYPES), binary, KEY) is None
        assert not varies("drop", type_info(oid, TYPES))
