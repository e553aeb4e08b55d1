"""Columns of CSV masked by the names in the header."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.redact import columns
from extproc.redact.columns import CsvColumnFilter
from tests.unit.redact.cutting import cut, outcome, run, singles


def make() -> CsvColumnFilter:
    return CsvColumnFilter(["email", "SSN"], "mask", key=b"k")


def test_cells_of_a_column_are_masked_and_quotes_stay() -> None:
    text = b'id, Email ,"ssn",x\r\n1,jane,"1,2",a\r\n2,"a ""b""\r\nc",,"d"\r\n3,x\r\n'
    want = b'id, Email ,"ssn",x\r\n1,****,"****",a\r\n2,"****",,"d"\r\n3,****\r\n'
    assert run(make, [text]) == run(make, singles(text)) == want


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_kept(end: bytes) -> None:
    text = end.join([b"a,email", b"1,x", b"2,y"])
    assert run(make, singles(text)) == end.join([b"a,email", b"1,****", b"2,****"])


def test_a_byte_order_mark_does_not_hide_the_first_column() -> None:
    assert run(make, singles(b"\xef\xbb\xbfemail,a\nx,1\n")) == b"\xef\xbb\xbfemail,a\n****,1\n"


def test_a_header_without_the_name_is_fine() -> None:
    text = b'a,b\n1,"2\n3"\n'
    assert run(make, singles(text)) == text


def test_tabs_part_cells_where_the_type_says_so() -> None:
    tabs = CsvColumnFilter(["email"], "drop", key=b"k", delimiter=b"\t")
    assert b"".join(tabs.feed(b"a\temail\n1,2\tx\n", end=True)) == b"a\temail\n1,2\t\n"


def test_a_header_parted_by_something_else_is_refused() -> None:
    assert outcome(make, [b"id;email\n1;x\n"]) == "response_unmaskable"


@pytest.mark.parametrize(
    "text",
    [b'email\n"x', b'email\n"x"y\n', b'email\na"b\n', b'a,"b\n', "email\nx\n".encode("utf-16"), b"email\n\0\n"],
)
def test_malformed_csv_is_refused(text: bytes) -> None:
    assert outcome(make, [text]) == outcome(make, singles(text)) == "response_malformed"


def test_a_row_goes_on_when_it_is_whole() -> None:
    one = make()
    assert b"".join(one.feed(b"a,email\n1,x\n2,", end=False)) == b"a,email\n1,****\n"


def test_a_row_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROW_CAP", 100)
    for text in (b'a\n"' + b"x" * 200, b"a\n" + b"x" * 200 + b"\n"):
        assert outcome(make, [text]) == outcome(make, singles(text)) == "response_malformed"


def test_counts_go_by_column() -> None:
    one = make()
    list(one.feed(b"a,email\n1,x\n2,\n3,z", end=True))
    assert one.counts == {"column:email": 2}


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=5), st.lists(st.integers(0, 1000), max_size=6))
def test_only_the_column_changes(rows: list[list[str]], places: list[int]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["a", "email", "b"], *rows])
    text = out.getvalue().encode()
    got = run(make, cut(text, places))
    assert got == run(make, singles(text))
    read = list(csv.reader(io.StringIO(got.decode(), newline="")))
    assert read[1:] == [[a, "****" if middle else "", b] for a, middle, b in rows]


@given(st.text(st.sampled_from('a,"\r\n;'), max_size=40), st.lists(st.integers(0, 100), max_size=6))
def test_any_cut_gives_what_one_piece_gives(text: str, places: list[int]) -> None:
    data = b"x,email\n" + text.encode()
    assert outcome(make, cut(data, places)) == outcome(make, singles(data)) == outcome(make, [data])
