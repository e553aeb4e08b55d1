from __future__ import annotations

import pytest

from extproc.cli.aligned import draw_table
from extproc.record.items import Column

INT, TEXT, NUMERIC, BOOL = 23, 25, 1700, 16
# What psql 18 prints with `\pset null NULL`.
DRAWN = [
    (
        [("a", INT), ("b", TEXT), ("longer_name", TEXT)], [("1", None, "x"), ("20", "y", None)],
        (" a  |  b   | longer_name \n"
         "----+------+-------------\n"
         "  1 | NULL | x\n"
         " 20 | y    | NULL\n"
         "(2 rows)"),
    ),
    (
        [("x", TEXT), ("y", INT), ("z", TEXT)], [("a\nbb\nccc", "1", "d\ne")],
        ("  x  | y | z \n"
         "-----+---+---\n"
         " a  +| 1 | d+\n"
         " bb +|   | e\n"
         " ccc |   | \n"
         "(1 row)"),
    ),
    (
        [("x", TEXT), ("two\nlines", TEXT)], [("e", "q\n\nr")],
        (" x |  two +\n"
         "   | lines \n"
         "---+-------\n"
         " e | q    +\n"
         "   |      +\n"
         "   | r\n"
         "(1 row)"),
    ),
    (
        [("名前", TEXT), ("c", TEXT)], [("日本", "aé")],
        (" 名前 | c  \n"
         "------+----\n"
         " 日本 | aé\n"
         "(1 row)"),
    ),
    (
        [("b", BOOL), ("numeric", NUMERIC)], [("t", "1.50")],
        (" b | numeric \n"
         "---+---------\n"
         " t |    1.50\n"
         "(1 row)"),
    ),
    ([("?column?", INT)], [], " ?column? \n----------\n(0 rows)"),
    ([], [()], "--\n(1 row)"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "rows", "expected"), DRAWN)
def test_a_result_looks_as_psql_draws_it(
    columns: list[tuple[str, int]], rows: list[tuple[str | None, ...]], expected: str
) -> None:
    drawn = draw_table([Column(name, oid) for name, oid in columns], rows, len(rows))
    assert "\n".join(drawn) == expected


def test_the_number_of_rows_is_that_of_the_result_and_not_of_what_is_shown() -> None:
    assert list(draw_table([Column("a")], [("1",)], 500))[-1] == "(500 rows)"


def test_nothing_in_a_value_or_a_name_moves_or_hides_anything() -> None:
    drawn = "\n".join(draw_table([Column("\x1b[2J")], [("\u202eevil\r\n-- approved\n(9 rows)\t",)], 1))
    assert "\x1b" not in drawn
    assert "\r" not in drawn
    assert "\u202e" not in drawn
    assert all(line.startswith((" ", "---")) for line in drawn.split("\n")[:-1])


def test_a_long_value_is_cut_and_says_so() -> None:
    _, ruler, row, _ = draw_table([Column("a")], [("x" * 5000,)], 1)
    assert row.endswith("x… (5000 characters)")
    assert len(ruler) < 1100


def test_rows_that_do_not_fit_their_columns_are_drawn_all_the_same() -> None:
    drawn = list(draw_table([Column("a")], [("1", "2"), ()], 2))
    assert drawn == [" a |   ", "---+---", " 1 | 2", "   | ", "(2 rows)"]
