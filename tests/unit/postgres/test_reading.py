from __future__ import annotations

import pytest

from extproc.postgres import reading
from extproc.postgres.reading import Reading
from extproc.postgres.sql.model import Origin, SqlError
from tests.unit.postgres.sql.shop import shop


def test_a_text_is_analysed_once() -> None:
    one = Reading(shop())
    assert one.analyse("SELECT 1") is one.analyse("SELECT 1")
    assert one.analyse("SELECT 1") is not Reading(shop()).analyse("SELECT 1")


def test_what_was_used_last_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_REMEMBERED", 2)
    one = Reading(shop())
    first, second = one.analyse("SELECT 1"), one.analyse("SELECT 2")
    one.analyse("SELECT 1")
    one.analyse("SELECT 3")
    assert one.analyse("SELECT 1") is first
    assert one.analyse("SELECT 2") is not second


def test_only_so_much_text_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST", 30)
    one = Reading(shop())
    first = one.analyse("SELECT 1")
    assert one.analyse("SELECT 2") is one.analyse("SELECT 2")
    assert one.analyse("SELECT 1") is first
    longer = one.analyse("SELECT 1, 2, 3, 4")
    assert one.analyse("SELECT 1, 2, 3, 4") is longer
    assert one.analyse("SELECT 1") is first
    one.analyse("SELECT 1, 2, 3, 5")
    assert one.analyse("SELECT 1") is first
    assert one.analyse("SELECT 1, 2, 3, 4") is not longer


def test_long_texts_are_not_kept() -> None:
    one, text = Reading(shop()), "SELECT '" + "x" * 40_000 + "'"
    assert one.analyse(text) is not one.analyse(text)


def test_what_cannot_be_read_is_not_remembered_as_anything() -> None:
    one = Reading(shop())
    for _ in range(2):
        with pytest.raises(SqlError):
            one.analyse("SELEC 1")


def test_origins() -> None:
    one = Reading(shop())
    assert one.origins_of(16400, 7) == frozenset({Origin("public.customers", "ssn", 16400, 7)})
    assert one.origins_of(99_999, 1) is None
