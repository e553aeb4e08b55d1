"""Cells whose names stand elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.redact import fields
from extproc.redact.fields import JsonFieldFilter
from tests.unit.redact.cutting import cut, outcome, run, singles

ROWS = [[1, "jane@example.com", "x"], [2, None, "y"], [3, {"a": 1}, ["z"]]]
MASKED = [[1, "****", "x"], [2, None, "y"], [3, "****", ["z"]]]
COLUMNS = ["id", "Email", "note"]


def make() -> JsonFieldFilter:
    return JsonFieldFilter(["email"], "mask", key=b"k")


def masked(value: Any) -> Any:
    return json.loads(run(make, [json.dumps(value).encode()]))


def test_columns_before_rows_mask_by_place() -> None:
    assert masked({"columns": COLUMNS, "rows": ROWS, "z": [[1]]}) == {"columns": COLUMNS, "rows": MASKED, "z": [[1]]}


def test_columns_after_rows_mask_by_place() -> None:
    value = {"database": "d", "rows": ROWS, "truncated": False, "columns": COLUMNS, "query_ms": 1.5}
    assert masked(value) == {**value, "rows": MASKED}


def test_rows_wait_for_their_columns() -> None:
    one = make()
    assert b"".join(one.feed(b'{"a":1,"rows":[["jane","b"],["c","d"]],"n":2,', end=False)) == b'{"a":1,"rows":['
    rest = b"".join(one.feed(b'"columns":["email","x"]}', end=True))
    assert rest == b'["****","b"],["****","d"]],"n":2,"columns":["email","x"]}'
    assert one.counts == {"field:email": 2}


def test_a_table_without_masked_columns_comes_as_it_was() -> None:
    text = json.dumps({"rows": ROWS, "columns": ["id", "a", "b"]}).encode()
    assert run(make, [text]) == text


def test_a_field_inside_a_held_cell_is_masked_once() -> None:
    made = JsonFieldFilter(["email"], "hash", key=b"k")
    plain = json.loads(b"".join(made.feed(b'{"email":"jane"}', end=True)))["email"]
    made = JsonFieldFilter(["email"], "hash", key=b"k")
    text = b'{"rows":[[{"email":"jane"},"jane"]],"columns":["a","email"]}'
    assert json.loads(b"".join(made.feed(text, end=True)))["rows"] == [[{"email": plain}, plain]]


def test_rows_of_objects_go_by_their_names() -> None:
    assert masked({"rows": [{"email": 1}], "columns": ["email"]}) == {"rows": [{"email": "****"}], "columns": ["email"]}


@pytest.mark.parametrize(
    "value",
    [
        [[1, "jane@example.com"]],
        ["jane@example.com"],
        [{"email": 1}, [2]],
        {"rows": ROWS},
        {"rows": ROWS, "columns": [{"name": "email"}]},
        {"rows": ROWS, "columns": "email"},
        {"columns": ["id"], "rows": [], "columns\u200b": 1, "x": 1} | {"rows": ROWS, "columns": None},
    ],
)
def test_values_that_never_get_a_name_are_refused(value: Any) -> None:
    text = json.dumps(value).encode()
    assert outcome(make, [text]) == outcome(make, singles(text)) == "response_unmaskable"


def test_two_lists_of_columns_are_refused() -> None:
    assert outcome(make, [b'{"columns":["a"],"rows":[["jane"]],"columns":["email"]}']) == "response_unmaskable"


def test_nothing_of_a_row_goes_out_before_a_refusal() -> None:
    one = make()
    assert b"jane" not in b"".join(one.feed(b'{"rows":[["jane"]],"x":1', end=False))


def test_rows_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "HOLD_CAP", 1000)
    assert outcome(make, [json.dumps({"rows": [["x" * 100]] * 20, "columns": ["a"]}).encode()]) == "response_unmaskable"


cells = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))


@given(
    st.lists(st.lists(cells, max_size=4), min_size=1, max_size=6),
    st.lists(st.sampled_from(["email", "a", "EMAIL", "é"]), max_size=4),
    st.booleans(),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_any_table_cut_anywhere_is_masked_by_place(
    rows: list[list[Any]], columns: list[str], before: bool, places: list[int]
) -> None:
    value: dict[str, Any] = (
        {"columns": columns, "rows": rows} if before else {"rows": rows, "n": [1], "columns": columns}
    )
    hidden = {place for place, name in enumerate(columns) if name.lower() == "email"}
    want = [["****" if i in hidden and cell is not None else cell for i, cell in enumerate(row)] for row in rows]
    text = json.dumps(value).encode()
    assert json.loads(run(make, cut(text, places))) == {**value, "rows": want}
    assert run(make, singles(text)) == run(make, [text])
