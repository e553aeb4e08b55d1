from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.errors import Refusal
from extproc.model import Identity, Resource
from extproc.record import sessions, tally
from extproc.record.sessions import SqliteSessionBook
from extproc.record.tally import Tally

NOW = 1_800_000_000.0
JOB = Identity("https://issuer", "repo:acme/app", "job", {"run_id": "7"}, NOW + 600)
APP, OTHER = Resource("app", "http", "http://app"), Resource("other", "http", "http://other")
Counts = tuple[int, int, int, float]  # requests, bytes, rows, when it was last seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


def written(path: Path) -> list[Counts]:
    with sqlite3.connect(path) as db:
        return db.execute("SELECT requests, bytes_out, rows_out, seen FROM sessions ORDER BY requests").fetchall()


def run(path: Path, use: Callable[[Tally], Awaitable[None]], *, exact: bool = False) -> None:
    async def main() -> None:
        book = Tally(SqliteSessionBook(path), exact=lambda: exact)
        await use(book)
        book.close()

    asyncio.run(main())


def test_counts_are_written_a_little_later_and_seen_at_once_by_the_process(path: Path) -> None:
    async def use(book: Tally) -> None:
        first = book.open(JOB, APP, NOW)
        book.count(first, size=100, rows=3)
        second = book.open(JOB, APP, NOW + 1)
        assert (second.id, second.requests, second.bytes_out, second.rows_out) == (first.id, 2, 100, 3)
        assert written(path) == [(1, 0, 0, NOW)]
        await asyncio.sleep(tally.BEHIND + 0.1)
        assert written(path) == [(2, 100, 3, NOW + 1)]
        third = book.open(JOB, APP, NOW + 2)
        assert (third.requests, third.bytes_out, third.rows_out) == (3, 100, 3)

    run(path, use)


def test_an_end_in_order_writes_everything(path: Path) -> None:
    async def use(book: Tally) -> None:
        for resource in (APP, OTHER, OTHER):
            book.count(book.open(JOB, resource, NOW), size=10)

    run(path, use)
    assert written(path) == [(1, 10, 0, NOW), (2, 20, 0, NOW)]


def test_where_policy_looks_every_request_is_one_write(path: Path) -> None:
    async def use(book: Tally) -> None:
        other = SqliteSessionBook(path)
        book.open(JOB, APP, NOW)
        other.open(JOB, APP, NOW)
        session = book.open(JOB, APP, NOW)
        assert session.requests == 3
        book.count(session, size=7)
        assert written(path) == [(3, 7, 0, NOW)]
        other.close()

    run(path, use, exact=True)


def test_totals_that_are_asked_for_are_exact(path: Path) -> None:
    async def use(book: Tally) -> None:
        other = SqliteSessionBook(path)
        session = book.open(JOB, APP, NOW)
        book.count(session, size=100, rows=1)
        other.reserve(session, size=1000)
        assert book.reserve(session, size=10, rows=1) == (1110, 2)
        assert book.reserve(session, size=1)[0] == 1111
        other.close()

    run(path, use)
    assert written(path) == [(1, 1111, 2, NOW)]


def test_another_identity_has_its_own_session(path: Path) -> None:
    async def use(book: Tally) -> None:
        first = book.open(JOB, APP, NOW)
        second = book.open(replace(JOB, subject="repo:acme/other"), APP, NOW)
        again = book.open(replace(JOB), APP, NOW)  # another token of the same run
        assert first.id == again.id != second.id
        assert (first.requests, again.requests) == (1, 2)

    run(path, use)


def test_a_book_that_cannot_be_written_refuses_soon_and_forgets_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_BUSY", 0.02)
    monkeypatch.setattr(tally, "BEHIND", 0.02)

    async def use(book: Tally) -> None:
        book.count(book.open(JOB, APP, NOW), size=5)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(0.06)
        with pytest.raises(Refusal, match="record_unavailable"):
            book.open(JOB, APP, NOW)
        other.execute("ROLLBACK")
        other.close()
        await asyncio.sleep(0.06)
        assert written(path) == [(1, 5, 0, NOW)]

    run(path, use)


def test_without_a_loop_nothing_waits(path: Path) -> None:
    book = Tally(SqliteSessionBook(path), exact=lambda: False)
    for _ in range(2):
        book.count(book.open(JOB, APP, NOW), size=1)
    assert written(path) == [(2, 2, 0, NOW)]
    book.close()
