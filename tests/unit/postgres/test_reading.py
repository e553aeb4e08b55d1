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


def test_plans_are_shared_by_texts_that_differ_in_constants_alone() -> None:
    one = Reading(shop())
    first, second = (one.analyse(f"SELECT id FROM customers WHERE name = '{name}'") for name in ("ada", "grace"))
    assert first.text != second.text
    assert first.cache is second.cache
    assert first.steps is second.steps
    other = one.analyse("SELECT id FROM customers WHERE name = 'ada' LIMIT 1")
    assert other.cache is not first.cache
    assert Reading(shop()).analyse(first.text).cache is not first.cache


def test_what_they_share_is_what_each_would_have_alone() -> None:
    one = Reading(shop())
    for text in (
        "SELECT 1",
        "SELECT 2",
        "SELECT ssn FROM customers WHERE id = 3",
        "SELECT ssn FROM customers WHERE id = 4",
    ):
        assert one.analyse(text) == Reading(shop()).analyse(text)


def test_kinds_of_statements_are_bounded_by_their_number_and_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_KINDS", 2)
    one = Reading(shop())
    first = one.analyse("SELECT id FROM customers WHERE id = 1")
    for column in ("name", "ssn"):
        one.analyse(f"SELECT {column} FROM customers WHERE id = 1")
    assert one.analyse("SELECT id FROM customers WHERE id = 2").cache is not first.cache
    monkeypatch.setattr(reading, "_KINDS_MOST", 60)
    again = one.analyse("SELECT id FROM customers WHERE id = 3")
    one.analyse("SELECT name FROM customers WHERE id = 3")
    assert one.analyse("SELECT id FROM customers WHERE id = 4").cache is not again.cache
