from __future__ import annotations

import io
import sys
import unicodedata

import pytest
from rich.console import Console

from extproc.cli.show import cell, moment, size, table, visible, visible_lines


@pytest.mark.parametrize(
    ("nasty", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\r\nb\tc\0\x7f", r"a\x0d\x0ab\x09c\x00\x7f"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("a\u200bb\u200fc\u061cd\ufeff", r"a\u200bb\u200fc\u061cd\ufeff"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        ("a\u2028b\u00a0c\u3164", r"a\u2028b\xa0c\u3164"),
        ("\ud800", r"\ud800"),
        ("plain / Ünïcødé 日本 [bold]", "plain / Ünïcødé 日本 [bold]"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(nasty: str, shown: str) -> None:
    assert visible(nasty) == shown


def test_no_control_format_or_separator_of_all_unicode_gets_through() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    bad = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in hidden]
    assert len(bad) > 100_000
    assert visible("".join(map(chr, bad[:3000]))).isascii()
    assert not [code for code in bad[3000::97] if not visible(chr(code)).isascii()]


def test_marks_do_not_grow_over_other_lines() -> None:
    assert visible("e\u0301") == "e\u0301"
    assert r"\u0301" in visible("e" + "\u0301" * 20)


def test_lines_of_a_body_stay_lines_and_nothing_else_gets_through() -> None:
    assert visible_lines("a\n\tb\r\x1b[2K") == "a\n\tb\\x0d\\x1b[2K"


def test_recorded_text_is_never_read_as_markup() -> None:
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    out.print(table(("name",), [("[red]x[/red] [link=http://e]y[/link] :smile: \x1b[31m",)]))
    out.print(cell("[blink]z"))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()
    assert "[red]x[/red] [link=http://e]y[/link] :smile: \\x1b[31m" in text
    assert "[blink]z" in text


def test_a_long_cell_is_folded_and_not_cut() -> None:
    out = Console(file=io.StringIO(), width=20)
    out.print(table(("name", "n"), [("abcdefghij" * 5, 1)], right=("n",)))
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().replace("\n", "").replace(" ", "").count("a") == 6  # five, and one of the heading


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 40, "5.0 TiB"), (5 << 50, "5120.0 TiB")]
)
def test_sizes_are_for_people(count: int, shown: str) -> None:
    assert size(count) == shown


def test_times_are_utc_and_an_impossible_one_stops_nothing() -> None:
    assert moment(1_800_000_000) == "2027-01-15 08:00:00"
    assert moment(1e300) == "?"
