from __future__ import annotations

from typing import Any

import pytest

from extproc.postgres.sql.copyshape import shape_of
from extproc.postgres.sql.model import CopyShape
from extproc.postgres.sql.parse import parse

CSV: dict[str, Any] = {"format": "csv", "delimiter": ",", "null": ""}
OUT: dict[str, dict[str, Any]] = {
    "": {},
    "(FORMAT text)": {},
    "(FORMAT 'text', DELIMITER '|', NULL 'nil')": {"delimiter": "|", "null": "nil"},
    "(FORMAT text, HEADER)": {"header": True},
    "USING DELIMITERS ';' WITH NULL AS 'x'": {"delimiter": ";", "null": "x"},
    "WITH DELIMITER AS E'\\x01'": {"delimiter": "\x01"},
    "(FORMAT CSV)": CSV,
    "WITH CSV": CSV,
    "CSV HEADER": CSV | {"header": True},
    "(FORMAT csv, HEADER off)": CSV,
    "(FORMAT csv, HEADER 1)": CSV | {"header": True},
    "(FORMAT csv, HEADER TRUE)": CSV | {"header": True},
    "(FORMAT csv, QUOTE '''')": CSV | {"quote": "'", "escape": "'"},
    "(FORMAT csv, QUOTE '''', ESCAPE '\\', DELIMITER ';', NULL 'NULL')": {
        "format": "csv", "quote": "'", "escape": "\\", "delimiter": ";", "null": "NULL"},
    "WITH BINARY": {"format": "binary"},
    "(FORMAT binary)": {"format": "binary"},
    "(DELIMITER 1)": {"delimiter": "1"},
}  # fmt: skip
NOT_UNDERSTOOD = [
    "(FORMAT csv, FORCE_QUOTE *)", "(FORMAT csv, FORCE_QUOTE (a))", "CSV FORCE QUOTE a", "(ENCODING 'latin1')",
    "(FORMAT csv, FORCE_NULL (a))", "(FORMAT csv, FORCE_NOT_NULL *)", "(DEFAULT 'x')", "(FORMAT 'CSV')", "(FORMAT parquet)",
    '("FORMAT" csv)', "(FORMAT csv, FORMAT text)", "(DELIMITER ',', DELIMITER ';')", "(FORMAT csv, HEADER perhaps)",
    "(NULL)", "(DELIMITER 1.5)", "(SOMETHING new)", "(FORMAT csv, HEADER (a, b))",
]  # fmt: skip


@pytest.mark.parametrize("options", OUT)
def test_options_say_how_rows_look(options: str) -> None:
    node = parse(f"COPY a TO STDOUT {options}")[0].node
    assert shape_of(node) == CopyShape("out", **OUT[options])


@pytest.mark.parametrize("options", NOT_UNDERSTOOD)
def test_what_masking_does_not_know_is_not_understood(options: str) -> None:
    shape = shape_of(parse(f"COPY a TO STDOUT {options}")[0].node)
    assert shape is not None
    assert not shape.understood


def test_direction_is_the_servers_view_whatever_the_word_for_the_client() -> None:
    for text, direction in [
        ("COPY a TO STDIN", "out"),
        ("COPY a FROM STDOUT", "in"),
        ("COPY (TABLE a) TO STDOUT", "out"),
    ]:
        shape = shape_of(parse(text)[0].node)
        assert shape is not None
        assert (shape.direction, shape.understood) == (direction, True)


def test_how_rows_are_loaded_changes_nothing() -> None:
    shape = shape_of(parse("COPY a FROM STDIN (FORMAT csv, HEADER match, FREEZE, ON_ERROR ignore)")[0].node)
    assert shape == CopyShape("in", header=True, **CSV)


@pytest.mark.parametrize("text", ["COPY a TO '/x'", "COPY a FROM PROGRAM 'x'", "COPY (SELECT 1) TO PROGRAM 'x'"])
def test_files_and_programs_have_no_shape(text: str) -> None:
    assert shape_of(parse(text)[0].node) is None
