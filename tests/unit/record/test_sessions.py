from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.errors import Refusal
from extproc.model import Identity, Resource
from extproc.record import sessions
from extproc.record.sessions import IDLE, SqliteSessionBook, session_key

NOW = 1_800_000_000.0
JOB = Identity("https://issuer", "repo:acme/app", "job", {"run_id": "7", "run_attempt": "1"}, NOW + 600)
APP = Resource("app", "http", "http://app")


def open_many(path: Path, count: int) -> None:
    book = SqliteSessionBook(path)
    for _ in range(count):
        session = book.open(JOB, APP, NOW)
        book.reserve(session, size=10)
    book.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def book(path: Path) -> Iterator[SqliteSessionBook]:
    made = SqliteSessionBook(path)
    yield made
    made.close()


def test_each_request_is_counted_before_it_goes_on(book: SqliteSessionBook) -> None:
    first, second = book.open(JOB, APP, NOW), book.open(JOB, APP, NOW + 1)
    assert first.id == second.id == f"s-{first.key[:16]}-1"
    assert (first.requests, second.requests) == (1, 2)


def test_bytes_are_counted_for_all_who_share_the_session(book: SqliteSessionBook, path: Path) -> None:
    other = SqliteSessionBook(path)
    session = book.open(JOB, APP, NOW)
    assert book.reserve(session, size=100)[0] == 100
    assert other.reserve(other.open(JOB, APP, NOW), size=50)[0] == 150
    assert book.open(JOB, APP, NOW).bytes_out == 150
    other.close()


def test_rows_and_bytes_are_counted_in_one_write(book: SqliteSessionBook, path: Path) -> None:
    other = SqliteSessionBook(path)
    session = book.open(JOB, APP, NOW)
    assert book.reserve(session, size=100, rows=3) == (100, 3)
    assert other.reserve(session, rows=4) == (100, 7)
    assert other.reserve(session, size=1)[0] == 101
    again = book.open(JOB, APP, NOW)
    assert (again.bytes_out, again.rows_out) == (101, 7)
    other.close()


def test_connections_have_numbers_of_their_own_and_are_no_requests(book: SqliteSessionBook, path: Path) -> None:
    other = SqliteSessionBook(path)
    session, number = book.open_connection(JOB, APP, NOW)
    assert (number, session.requests, session.generation) == (1, 0, 1)
    assert other.open_connection(JOB, APP, NOW)[1] == 2
    assert book.open_connection(replace(JOB, subject="repo:acme/other"), APP, NOW)[1] == 1
    first = book.open(JOB, APP, NOW)
    assert (first.id, first.requests) == (session.id, 1)
    other.close()


def test_a_connection_keeps_a_session_open_and_its_number_outlives_it(book: SqliteSessionBook) -> None:
    book.open(JOB, APP, NOW)
    session, number = book.open_connection(JOB, APP, NOW + IDLE)
    assert (session.generation, number) == (1, 1)
    assert book.open(JOB, APP, NOW + 2 * IDLE).generation == 1
    later, number = book.open_connection(JOB, APP, NOW + 4 * IDLE)
    assert (later.generation, later.requests, number) == (2, 0, 2)  # connection 1 may be there still
    assert book.open(JOB, APP, NOW + 4 * IDLE).requests == 1


OLD_SCHEMA = """
CREATE TABLE sessions (
    key BLOB PRIMARY KEY, generation INTEGER NOT NULL, requests INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
    rows_out INTEGER NOT NULL, seen REAL NOT NULL
) STRICT, WITHOUT ROWID
"""


def test_a_file_of_before_there_were_connections_goes_on(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA journal_mode = WAL")
    old.execute(OLD_SCHEMA)
    old.execute("INSERT INTO sessions VALUES (?, 3, 7, 100, 0, ?)", (session_key(JOB, "app"), NOW))
    old.close()
    books = [SqliteSessionBook(path), SqliteSessionBook(path)]
    assert books[0].open(JOB, APP, NOW).requests == 8
    session, number = books[1].open_connection(JOB, APP, NOW)
    assert (session.generation, session.requests, session.bytes_out, number) == (3, 8, 100, 1)
    for one in books:
        one.close()


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, issuer="https://other"),
        replace(JOB, subject="repo:acme/other"),
        replace(JOB, claims={"run_id": "8", "run_attempt": "1"}),
        replace(JOB, claims={"run_id": "7", "run_attempt": "2"}),
        replace(JOB, claims={"run_id": "7", "run_attempt": "1", "check_run_id": "1"}),
        replace(JOB, claims={"run_id": "7", "run_attempt": "1", "check_run_id": ""}),
        replace(JOB, issuer="https://issuerr", subject="epo:acme/app"),
    ],
)
def test_another_run_job_or_identity_has_a_session_of_its_own(other: Identity) -> None:
    assert session_key(JOB, "app") != session_key(other, "app")


def test_a_session_is_of_one_resource_and_of_every_token_of_its_run(book: SqliteSessionBook) -> None:
    assert session_key(JOB, "app") != session_key(JOB, "other")
    again = replace(JOB, claims={**JOB.claims, "jti": "another"}, expires_at=NOW + 9999)
    assert book.open(again, APP, NOW).id == book.open(JOB, APP, NOW).id


def test_half_an_hour_without_a_request_begins_the_next_generation(book: SqliteSessionBook) -> None:
    first = book.open(JOB, APP, NOW)
    book.reserve(first, size=100)
    assert book.open(JOB, APP, NOW + IDLE).generation == 1
    later = book.open(JOB, APP, NOW + 2 * IDLE + 1)
    assert later.id == f"s-{first.key[:16]}-2"
    assert (later.generation, later.requests, later.bytes_out) == (2, 1, 0)
    assert book.reserve(first, size=5)[0] == 5  # an older generation's bytes are not forgotten


def test_a_clock_that_steps_back_does_not_close_a_session(book: SqliteSessionBook) -> None:
    book.open(JOB, APP, NOW)
    assert book.open(JOB, APP, NOW - 10 * IDLE).requests == 2
    assert book.open(JOB, APP, NOW).requests == 3


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_requests_at_once_never_share_a_count(path: Path, kind: str) -> None:
    SqliteSessionBook(path).close()
    spawn = multiprocessing.get_context("spawn")
    make: Callable[..., threading.Thread | multiprocessing.process.BaseProcess]
    make = threading.Thread if kind == "threads" else spawn.Process
    workers = [make(target=open_many, args=(path, 200)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    book = SqliteSessionBook(path)
    last = book.open(JOB, APP, NOW)
    book.close()
    assert (last.requests, last.bytes_out) == (401, 4000)


def test_a_book_that_is_locked_too_long_refuses(
    book: SqliteSessionBook, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_BUSY", 0.02)
    session = book.open(JOB, APP, NOW)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refusal, match="record_unavailable"):
        book.open(JOB, APP, NOW)
    with pytest.raises(Refusal, match="record_unavailable"):
        book.reserve(session, size=1)
    other.execute("ROLLBACK")
    other.close()
    assert book.open(JOB, APP, NOW).requests == 2


def test_bytes_of_a_session_that_nobody_opened_are_refused(book: SqliteSessionBook) -> None:
    session = replace(book.open(JOB, APP, NOW), key="00" * 32)
    with pytest.raises(Refusal, match="record_unavailable"):
        book.reserve(session, size=1)


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    SqliteSessionBook(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
