from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.record.items import (
    Column,
    Columns,
    CopyBegins,
    CopyData,
    Notification,
    Parameter,
    Ready,
    Report,
    Result,
    Row,
    Suspended,
    Tag,
    Unread,
)
from extproc.record.transcript import blocks, columns_of, decode
from tests.unit.record.backend import complete, customers, described, message, ready, report, row

ALL = (
    described(("id", 23), ("name", 25))
    + row("1", None)
    + complete("SELECT 1")
    + message("H", b"\0\0\1\0\0")
    + message("d", b"1\tx\n")
    + message("c")
    + complete("COPY 1")
    + report("N", S="NOTICE", V="NOTICE", C="00000", M="hello")
    + report("E", S="ERROR", V="ERROR", C="22012", M="division by zero", D="d", H="h", P="8")
    + message("S", b"application_name\0psql\0")
    + message("A", struct.pack(">i", 7) + b"ch\0pay\0")
    + message("I")
    + message("s")
    + message("1")
    + message("2")
    + message("3")
    + message("n")
    + message("t", b"\0\0")
    + message("G", b"\1\0\0")
    + ready("E")
)


def test_each_kind_of_message_becomes_an_item_in_order() -> None:
    names = (Column("id", 23, 0), Column("name", 25, 0))
    error = {"S": "ERROR", "V": "ERROR", "C": "22012", "M": "division by zero", "D": "d", "H": "h", "P": "8"}
    assert list(decode(ALL)) == [
        Columns(names),
        Row(("1", None)),
        Tag("SELECT 1"),
        CopyBegins(to=True, binary=False),
        CopyData(b"1\tx\n"),
        Tag("COPY 1"),
        Report(error=False, fields={"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "hello"}),
        Report(error=True, fields=error),
        Parameter("application_name", "psql"),
        Notification(7, "ch", "pay"),
        Tag(""),
        Suspended(),
        CopyBegins(to=False, binary=True),
        Ready("E"),
    ]


def test_a_cut_anywhere_gives_what_came_before_and_says_so() -> None:
    whole, ends = list(decode(ALL)), set()
    at = 0
    while at < len(ALL):
        at += 1 + int.from_bytes(ALL[at + 1 : at + 5], "big")
        ends.add(at)
    for cut in range(1, len(ALL)):
        found = list(decode(ALL[:cut]))
        if cut in ends:
            assert found == whole[: len(found)]
        else:
            assert found[:-1] == whole[: len(found) - 1]
            assert found[-1] == Unread("the last message was not recorded whole")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reading(data: bytes) -> None:
    list(blocks(decode(data)))
    for kind in "TDCEGHNSAdZsI":
        list(blocks(decode(described(("a", 23)) + message(kind, data) + ready())))


@pytest.mark.parametrize(
    "damaged",
    [
        message("D", b"\0\1\0\0\0\xff"), message("D", b"\0"), message("T", b"\0\1name"), message("Z"), message("G"),
        message("S", b"a"), message("?"), message("D", b"\xff\xff"),
    ],
)  # fmt: skip
def test_a_damaged_message_is_told_and_the_next_one_is_read(damaged: bytes) -> None:
    first, *_, last = decode(damaged + ready())
    assert isinstance(first, Unread | Columns)
    assert any(isinstance(item, Unread) for item in decode(damaged + ready()))
    assert last == Ready("I")


def test_a_damaged_length_ends_the_reading() -> None:
    told = [Unread("a message's length is damaged; what follows cannot be read")]
    assert list(decode(b"Z\0\0\0\3" + ready())) == told
    assert list(decode(b"Z\x80\0\0\0" + ready())) == told


def test_binary_values_are_read_by_their_type() -> None:
    data = described(("n", 23), ("b", 16), ("x", 600), form=1) + row(b"\0\0\0\7", b"\1", b"\1\2")
    assert list(decode(data))[1] == Row(("7", "t", "\\x0102"))


def test_rows_without_a_description_take_their_columns_from_the_head() -> None:
    head = columns_of({
        "columns": [
            {"name": "n", "type": "int4", "oid": 23, "format": "binary"}, {"name": "t", "type": "text"}, {"name": 7},
            "odd", {"name": "o", "type": [], "oid": "x", "format": {}},
        ]
    })  # fmt: skip
    assert head == (Column("n", 23, 1), Column("t", 25, None), Column("7", 0, None), Column("?"), Column("o"))
    empty = columns_of({"columns": []})
    found = list(decode(row(b"\0\0\0\7", "x") + complete("SELECT 1"), [empty, head]))
    assert found == [Columns(head), Row(("7", "x")), Tag("SELECT 1")]
    assert list(decode(complete("SELECT 0"), [head])) == [Columns(head), Tag("SELECT 0")]
    assert list(decode(complete("BEGIN"), [head])) == [Tag("BEGIN")]
    assert list(decode(row("x") + complete("SELECT 1")))[1] == Row(("x",))
    assert columns_of({"columns": "none"}) == columns_of({}) == ()


def test_a_description_takes_the_place_of_its_head() -> None:
    first, second = (Column("a", 23, 0),), (Column("b", 25, 0),)
    data = described(("a", 23)) + row("1") + complete("SELECT 1") + row("x") + complete("SELECT 1")
    assert [item for item in decode(data, [first, second]) if isinstance(item, Columns)] == [
        Columns(first), Columns(second),
    ]  # fmt: skip


def test_results_are_put_together_and_everything_else_stays_in_order() -> None:
    data = (
        described(("a", 23))
        + row("1")
        + report("N", S="NOTICE", M="on the way")
        + row("2")
        + complete("SELECT 2")
        + described(("b", 25))
        + row("x")
        + report("E", S="ERROR", C="57014", M="cancelled")
        + ready("E")
    )
    notice, first, second, error, end = blocks(decode(data))
    assert isinstance(notice, Report)
    assert isinstance(first, Result)
    assert (first.rows, first.command) == ([("1",), ("2",)], "SELECT 2")
    assert isinstance(second, Result)
    assert (second.rows, second.command) == ([("x",)], "")
    assert isinstance(error, Report)
    assert error.document() == {"severity": "ERROR", "sqlstate": "57014", "message": "cancelled"}
    assert end == Ready("E")


def test_of_a_long_result_all_rows_are_counted_and_some_kept() -> None:
    result, _ = blocks(decode(customers(50)), most=3)
    assert isinstance(result, Result)
    assert (result.count, len(result.rows), result.command) == (50, 3, "SELECT 50")
    nothing, _ = blocks(decode(customers(50)), most=0)
    assert isinstance(nothing, Result)
    assert (nothing.count, nothing.rows) == (50, [])


def test_copied_data_is_joined_and_is_base64_where_it_is_no_text() -> None:
    def copied(*pieces: bytes) -> Result:
        data = message("H", b"\0\0\0") + b"".join(message("d", piece) for piece in pieces) + message("c")
        [result] = blocks(decode(data + complete("COPY 2")))
        assert isinstance(result, Result)
        return result

    assert copied(b"1\n", b"2\n").document() == {"columns": [], "rows": [], "command": "COPY 2", "copy": "1\n2\n"}
    assert copied(b"\xff").document()["copy"] == {"base64": "/w=="}
