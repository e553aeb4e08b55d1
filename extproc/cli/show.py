"""What a terminal may be shown. Recorded text is written by others: nothing in it may move, hide or colour anything."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Controls, formats (bidi, zero width, tags), surrogates, private, unassigned, line and paragraph separators.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Letters and marks that show as nothing (Unicode, Default_Ignorable_Code_Point), and the blank Braille pattern.
_BLANK: Final = frozenset({
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0,
    *range(0xE0100, 0xE01F0),
})  # fmt: skip
_MAX_MARKS: Final = 4  # combining marks on one character; more grow over the lines around


def visible(text: str) -> str:
    r"""
    `text` on one line, with everything escaped that a terminal would obey or not show: `\x1b`, `\u202e`.

    A backslash stays as it is, so escapes are for reading, not for decoding.
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = char != " " and (category in _HIDDEN or ord(char) in _BLANK or marks > _MAX_MARKS)
        shown.append(_escape(char) if hidden else char)
    return "".join(shown)


def visible_lines(text: str) -> str:
    """As `visible`, with line feeds and tabs left as they are: for bodies, never within a line of ours."""
    return "\n".join("\t".join(visible(cell) for cell in line.split("\t")) for line in text.split("\n"))


def cell(value: object, style: str = "") -> Text:
    """Recorded text for a table: made visible, and never read as markup."""
    return Text(visible(str(value)), style=style)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A table in which long cells are folded, not cut. `right`: the columns of numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return made


def console() -> Console:
    """Standard output. A pipe has no width: lines are not cut there."""
    made = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not made.is_terminal:
        made = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=240)
    return made


def moment(seconds: float) -> str:
    """Epoch seconds as UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "?"


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
