"""Elements of arrays are edited, and everything else stays."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.postgres.masking.arrays import edit_binary, edit_text

elements = st.lists(st.none() | st.binary(max_size=8).map(lambda b: b.replace(b"\0", b"")), max_size=5)


def literal(values: list[bytes | None]) -> bytes:
    """As `array_out` writes it (src/backend/utils/adt/arrayfuncs.c): quoted where it must be."""

    def written(value: bytes | None) -> bytes:
        if value is None:
            return b"NULL"
        odd = not value or value.upper() == b"NULL" or any(byte in b'{},"\\ \t\n\r\v\f' for byte in value)
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"' if odd else value

    return b"{" + b",".join(map(written, values)) + b"}"


def binary(values: list[bytes | None], oid: int = 25) -> bytes:
    if not values:
        return struct.pack("!iiI", 0, 0, oid)
    parts = [b"\xff" * 4 if one is None else struct.pack("!i", len(one)) + one for one in values]
    return struct.pack("!iiIii", 1, int(None in values), oid, len(values), 1) + b"".join(parts)


@given(elements)
@example([b"NULL", None, b"", b'"', b"\\", b"{", b","])
def test_an_array_that_is_not_changed_is_the_same(values: list[bytes | None]) -> None:
    seen: list[bytes] = []

    def look(value: bytes) -> bytes:
        seen.append(value)
        return value

    assert edit_text(literal(values), look) == literal(values)
    assert seen == [value for value in values if value is not None]
    made = binary(values)
    assert edit_binary(made, look) is made


@given(elements, st.sampled_from([None, b"", b"****", b'a"b\\c', b"{,}"]))
def test_every_element_can_be_changed(values: list[bytes | None], new: bytes | None) -> None:
    changed = [None if value is None else new for value in values]
    found: list[bytes] = []

    def look(value: bytes) -> bytes:
        found.append(value)
        return value

    edit_text(edit_text(literal(values), lambda _: new), look)
    assert found == [one for one in changed if one is not None]
    assert edit_binary(binary(values), lambda _: new) == binary(changed)


def test_dimensions_stay() -> None:
    assert (
        edit_text(b'[0:1][-1:0]={{a,b},{"c d",NULL}}', lambda v: v.upper()) == b'[0:1][-1:0]={{"A","B"},{"C D",NULL}}'
    )
    two = struct.pack("!iiIiiii", 2, 0, 25, 2, 1, 1, 1) + b"\0\0\0\1a\0\0\0\1b"
    assert edit_binary(two, lambda v: v.upper()) == two[:28] + b"\0\0\0\1A\0\0\0\1B"


@given(st.binary(max_size=60))
@example(struct.pack("!iiI", 1 << 30, 0, 25))
@example(struct.pack("!iiI", -1, 0, 25))
@example(binary([b"abc"])[:-1])
@example(binary([b"abc"]) + b"\0")
@example(binary([b"abc"])[:20] + b"\xff\xff\xff\xfeabc")
def test_what_is_no_array_is_refused_or_gone_through(data: bytes) -> None:
    try:
        out = edit_binary(data, lambda _: b"x")
    except Refusal:
        return
    assert out[:12] == data[:12]


@pytest.mark.parametrize("text", [b"", b"{", b'{"', b'{"a', b"}{", b'{\\"a"}', b"{a", b"[1:1]="])
def test_any_text_comes_through(text: bytes) -> None:
    assert edit_text(text, lambda value: value) == text
