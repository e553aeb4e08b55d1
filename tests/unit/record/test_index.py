from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.record import index as index_module
from extproc.record.index import Index
from tests.unit.record.backend import attempt, closed, customers, ended, opened, statement
from tests.unit.record.logs import IDENTITY, NOW, exchange, open_log, records, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def index(tmp_path: Path, folder: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index.db", folder)
    yield made
    made.close()


def test_a_session_is_counted_from_its_exchanges(folder: Path, index: Index) -> None:
    log = open_log(folder)
    exchange(log, "s-1", "x-1", bytes_out=10)
    exchange(log, "s-1", "x-2", bytes_out=20)
    attempt = {"identity": IDENTITY, "resource": "app", "summary": "GET /held", "decision": {"action": "hold"}}
    log.append("s-1", "x-3", "request.attempt", attempt)
    log.append("s-1", "x-3", "hold.opened", {"approval": "a", "digest": "d", "state": "pending"})
    log.append("s-1", "x-3", "request.refused", {"code": "approval_denied", "status": 403, "summary": "GET /held"})
    log.append("-", "x-4", "request.refused", {"code": "identity_missing", "status": 401, "resource": "app"})
    log.close()
    assert index.update() == 14
    nobody, row = index.sessions()
    assert (nobody.session, nobody.requests, nobody.refused, nobody.resource) == ("-", 1, 1, "")
    assert (row.session, row.subject, row.actor, row.resource) == ("s-1", "repo:acme/billing", "octocat", "app")
    assert (row.requests, row.refused, row.held, row.bytes_out) == (3, 1, 1, 30)
    assert (row.first, row.last) == (NOW, NOW + 12)
    assert index.session("s-1") == row
    assert index.session("s-9") is None
    assert [s.session for s in index.sessions(resource="app")] == ["s-1"]
    assert len(index.sessions(limit=1)) == 1
    first, _, held = index.exchanges("s-1")
    assert (first.summary, first.action, first.outcome, first.status) == ("GET /", "allow", "released", 200)
    assert (held.action, held.outcome, held.status, held.held) == ("hold", "approval_denied", 403, 1)


def test_statements_are_requests_and_connections_are_not(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log, 1)
    statement(log, "x-1", "SELECT 1", customers(2), number=1, rows=2)
    opened(log, 2, user="")
    statement(log, "x-2", "SELECT 2", customers(3), number=2, rows=3, outcome="aborted")
    attempt(log, "x-3", "SELECT nosuch", number=2)
    ended(log, "x-3", sqlstate="42703")
    attempt(log, "x-4", "DROP TABLE t", number=2, action="deny")
    log.append("s-1", "x-4", "request.refused", {"code": "policy_denied", "status": 403, "summary": "DROP TABLE t"})
    log.append("s-1", "x-5", "request.refused", {"code": "policy_error", "status": 503, "summary": "SELECT 5"})
    closed(log, 1)
    closed(log, 2, outcome="server_closed")
    log.close()
    index.update()
    row = index.session("s-1")
    assert row is not None
    assert (row.requests, row.refused, row.connections, row.rows) == (5, 2, 2, 5)
    assert (row.resource, row.actor) == ("db", "octocat")
    assert [(one.connection, one.rows, one.sqlstate) for one in index.exchanges("s-1")] == [
        (1, 2, ""), (2, 3, ""), (2, 0, "42703"), (2, 0, ""), (0, 0, ""),
    ]  # fmt: skip
    first, second, rest = index.connections("s-1")
    assert (first.number, first.connection, first.summary) == (1, "c-1", "app as reader, psql")
    assert (first.outcome, first.statements, first.rows) == ("terminated", 1, 2)
    assert (second.summary, second.outcome, second.statements) == ("app, psql", "server_closed", 3)
    assert (rest.number, rest.connection, rest.statements) == (0, "", 1)
    assert index.exchanges_of("s-1", 2) == {"c-2", "x-2", "x-3", "x-4"}


def test_only_refusals_count_as_refused(folder: Path, index: Index) -> None:
    log = open_log(folder)
    for number, outcome in enumerate(("released", "unread", "aborted", "prepared", "suspended", "failed")):
        attempt(log, f"x-{number}", "SELECT 1")
        ended(log, f"x-{number}", outcome=outcome)
    attempt(log, "x-9", "SELECT 1")
    ended(log, "x-9", outcome="limit_exceeded")
    log.close()
    index.update()
    row = index.session("s-1")
    assert row is not None
    assert (row.requests, row.refused) == (7, 1)


def test_refusals_without_a_session_are_of_no_connection(folder: Path, index: Index) -> None:
    log = open_log(folder)
    refused = {"code": "identity_expired", "status": 401, "summary": "SELECT 1", "number": 3, "connection": "c-3"}
    log.append("-", "x-1", "request.refused", refused)
    log.append("s-1", "x-2", "request.refused", refused)
    log.close()
    index.update()
    nobody = index.session("-")
    assert nobody is not None
    assert (nobody.connections, index.connections("-")) == (0, [])
    assert [row.number for row in index.connections("s-1")] == [3]


def test_a_session_of_http_has_no_connections(folder: Path, index: Index) -> None:
    log = open_log(folder)
    exchange(log, "s-1", "x-1")
    log.close()
    index.update()
    row = index.session("s-1")
    assert row is not None
    assert (row.connections, row.rows) == (0, 0)
    assert index.connections("s-1") == []


def test_a_connection_is_known_by_its_opening_or_by_its_statements(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log, 1, session="s-1")
    attempt(log, "x-1", "SELECT 1", session="s-2", number=1)  # the next session of a connection that idled
    nested = {"operation": {"sql": {}, "number": 4}, "summary": "SELECT 4"}
    log.append("s-2", "x-2", "request.attempt", nested)
    log.close()
    index.update()
    [idle] = index.connections("s-1")
    assert (idle.connection, idle.statements, idle.outcome) == ("c-1", 0, "")
    assert [(row.number, row.connection) for row in index.connections("s-2")] == [(1, ""), (4, "")]


def test_an_index_of_an_older_format_is_built_again(tmp_path: Path, folder: Path, index: Index) -> None:
    write(folder, 3)
    index.close()
    (tmp_path / "index.db").unlink()
    old = sqlite3.connect(tmp_path / "index.db")
    old.executescript("""
        CREATE TABLE logs (log TEXT PRIMARY KEY, segment INTEGER, offset INTEGER, seq INTEGER, hash BLOB);
        INSERT INTO logs VALUES ('worker-0-aa', 1, 9999, 99, x'00');
        CREATE TABLE problems (file TEXT, offset INTEGER, what TEXT, PRIMARY KEY (file, offset, what)) STRICT;
        CREATE TABLE sessions (session TEXT PRIMARY KEY, first REAL, last REAL, issuer, subject, actor, resource);
        CREATE TABLE exchanges (session TEXT, exchange TEXT, log TEXT, PRIMARY KEY (session, exchange, log));
        PRAGMA user_version = 1;
    """)
    old.close()
    again = Index(tmp_path / "index.db", folder)
    assert again.update() == 3
    assert len(again.exchanges("s-1")) == 3
    assert again.problems() == []
    again.close()


def test_an_update_reads_only_what_is_new(folder: Path, index: Index) -> None:
    log = open_log(folder)
    exchange(log, "s-1", "x-1")
    log.flush()
    assert index.update() == 5
    assert index.update() == 0
    log.append("s-1", "x-2", "request.attempt", {"summary": "GET /2"})
    log.close()
    assert index.update() == 1
    assert index.session("s-1") is not None
    assert index.problems() == []


def test_a_log_is_read_in_groups_and_over_segments(folder: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_GROUP", 3)
    write(folder, 10)
    write(folder, 5)
    assert index.update() == 15
    assert index.update() == 0
    assert index.heads()["worker-0-aa"].seq == 15


def test_a_lost_index_is_built_again(tmp_path: Path, folder: Path, index: Index) -> None:
    write(folder, 3)
    index.update()
    before = index.sessions()
    index.close()
    (tmp_path / "index.db").unlink()
    again = Index(tmp_path / "index.db", folder)
    assert again.update() == 3
    assert again.sessions() == before
    again.close()


def test_an_incomplete_end_is_no_problem_and_is_read_once_it_is_whole(folder: Path, index: Index) -> None:
    path = write(folder, 3)
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    assert index.update() == 2
    path.write_bytes(data)
    assert index.update() == 1
    assert index.problems() == []


def test_a_log_that_was_cut_is_a_problem_that_stays(folder: Path, index: Index) -> None:
    path = write(folder, 3)
    index.update()
    os.truncate(path, records(folder)[1].end)
    assert index.update() == 2
    index.update()
    [problem] = index.problems()
    assert problem.file == path.name
    assert "bytes long" in problem.what
    row = index.session("s-1")
    assert row is not None
    assert row.requests == 2


def test_a_log_that_is_gone_is_a_problem(folder: Path, index: Index) -> None:
    path = write(folder, 3)
    index.update()
    path.unlink()
    index.update()
    assert [(p.file, p.what) for p in index.problems()] == [(path.name, "the file is gone")]


def test_events_that_do_not_link_to_what_was_read_before_are_a_problem(folder: Path, index: Index) -> None:
    path = write(folder, 2)
    index.update()
    path.unlink()
    log = open_log(folder)
    for number in range(4):
        log.append("s-2", f"x-{number}", "request.attempt", {"n": number + 7, "summary": "GET /0"})
    log.close()
    index.update()
    assert index.problems()


def test_a_damaged_record_is_a_problem_and_the_rest_is_indexed(folder: Path, index: Index) -> None:
    path = write(folder, 3)
    middle = records(folder)[1]
    data = bytearray(path.read_bytes())
    data[middle.end - 1] ^= 1
    path.write_bytes(data)
    assert index.update() == 2
    first = index.problems()[0]
    assert (first.file, first.offset) == (path.name, middle.offset)
    assert index.update() == 0


def test_two_processes_may_update_one_index(tmp_path: Path, folder: Path, index: Index) -> None:
    other = Index(tmp_path / "index.db", folder)
    log = open_log(folder)
    for number in range(10):
        exchange(log, "s-1", f"x-{number}")
        log.flush()
        assert (index if number % 2 else other).update() == 5
    log.close()
    row = index.session("s-1")
    assert row is not None
    assert row.requests == 10
    other.close()
    assert index.problems() == []


def test_odd_values_in_an_event_do_not_stop_the_index(folder: Path, index: Index) -> None:
    log = open_log(folder)
    log.append("s-1", "x-1", "request.attempt", {"identity": [], "summary": 7, "decision": "allow"})
    log.append("s-1", "x-1", "exchange.closed", {"status": "200", "bytes_out": 2**63, "outcome": None})
    log.append("s-1", "x-1", "something.new", {})
    log.close()
    assert index.update() == 3
    assert index.exchanges("s-1")[0].bytes_out == 0
