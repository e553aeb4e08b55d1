"""A result drawn as psql draws it: `print_aligned_text` of its print.c, border 1, with NULL for NULL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from extproc.cli.show import visible
from extproc.record.binary import is_number
from extproc.record.items import Column

_MOST_CELL: Final = 1000  # characters of a value; a longer one would widen every line


def draw_table(columns: Sequence[Column], rows: Sequence[Sequence[str | None]], count: int) -> Iterator[str]:
    """Its lines, safe for a terminal; `(count rows)` is the last."""
    width = max(len(columns), max(map(len, rows), default=0))
    names = [_cell(column.name) for column in columns] + [[""]] * (width - len(columns))
    right = [n < len(columns) and is_number(columns[n].oid) for n in range(width)]
    drawn = [[_cell(value) for value in row] + [[""]] * (width - len(row)) for row in rows]
    widths = [max(cell_len(line) for cells in (names, *drawn) for line in cells[n]) for n in range(width)]
    for at in range(max((len(cell) for cell in names), default=0)):
        marks = ["+" if at + 1 < len(cell) else " " for cell in names]
        parts = (_centred(_at(cell, at), widths[n]) + marks[n] for n, cell in enumerate(names))
        yield " " + "| ".join(parts)
    yield "+".join("-" * (n + 2) for n in widths) or "--"
    for cells in drawn:
        yield from _lines(cells, widths, right)
    yield f"({count} row{'' if count == 1 else 's'})"


def _lines(cells: list[list[str]], widths: list[int], right: list[bool]) -> Iterator[str]:
    """A row, which takes as many lines as its highest cell; `+` marks where a value goes on."""
    for at in range(max((len(cell) for cell in cells), default=0)):
        line = ""
        for n, cell in enumerate(cells):
            text, goes_on, last = _at(cell, at), at + 1 < len(cell), n + 1 == len(cells)
            space = " " * (widths[n] - cell_len(text))
            line += " " + (space + text if right[n] else text + space if goes_on or not last else text)
            line += ("+" if goes_on else "" if last else " ") + ("" if last else "|")
        yield line


def _cell(value: str | None) -> list[str]:
    """A value's lines, safe to show."""
    if value is None:
        return ["NULL"]
    if len(value) > _MOST_CELL:
        value = f"{value[:_MOST_CELL]}… ({len(value)} characters)"
    return [visible(line) for line in value.split("\n")]


def _at(cell: list[str], at: int) -> str:
    return cell[at] if at < len(cell) else ""


def _centred(text: str, width: int) -> str:
    space = width - cell_len(text)
    return " " * (space // 2) + text + " " * (space - space // 2)
