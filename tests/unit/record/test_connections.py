from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.record.connections import Closed, Connection, Opened, Statement, read_connection, whole_connection
from extproc.record.index import Index
from extproc.record.log import SegmentLog
from extproc.record.replay import replay
from extproc.record.verify import verify
from tests.unit.record.backend import (
    attempt,
    body,
    closed,
    complete,
    customers,
    described,
    ended,
    message,
    opened,
    ready,
    report,
    row,
    sink,
    statement,
)
from tests.unit.record.logs import NOW, exchange, open_log, ticking


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def index(tmp_path: Path, folder: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index.db", folder)
    yield made
    made.close()


def read(folder: Path, index: Index, number: int = 1) -> Connection:
    index.update()
    return whole_connection(folder, index, "s-1", number)


def test_a_connection_is_its_opening_its_statements_and_its_end(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    statement(log, "x-1", "SELECT * FROM customers", customers(2), rows=2, masked={"ssn": 2}, command="SELECT 2")
    attempt(log, "x-2", "DELETE FROM customers", action="deny", statement=2)
    log.append("s-1", "x-2", "request.refused", {"code": "policy_denied", "status": 403, "reason": "no", "rule": "r"})
    closed(log)
    log.close()
    index.update()
    first, *statements, last = read_connection(folder, index, "s-1", 1)
    assert isinstance(first, Opened)
    assert (first.connection, first.time, first.about["database"]) == ("c-1", NOW, "app")
    assert [one.text for one in statements if isinstance(one, Statement)] == [
        "SELECT * FROM customers", "DELETE FROM customers",
    ]  # fmt: skip
    assert isinstance(last, Closed)
    assert last.about["outcome"] == "terminated"
    assert verify(folder, heads=index.heads()).problems == []


def test_a_statement_as_json(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    attempt(log, "x-1", "SELECT $1", parameters=["a", None, {"base64": "/w=="}], action="hold", statement=7)
    log.append("s-1", "x-1", "hold.opened", {"approval": "a-1", "digest": "d", "state": "pending"})
    log.append("s-1", "x-1", "hold.ended", {"approval": "a-1", "state": "approved", "by": ["mona"]})
    log.append("s-1", "x-1", "request.released", {"held": True})
    log.append("s-1", "x-1", "response.head", {"columns": [{"name": "a", "type": "text", "oid": 25, "format": "text"}]})
    body(log, "x-1", row("v") + complete("SELECT 1") + report("N", S="WARNING", C="01000", M="hm") + ready())
    ended(log, "x-1", rows=1, masked={"email": 1}, command="SELECT 1", bytes_out=40)
    log.close()
    document = read(folder, index).document()
    assert (document["number"], document["connection"], document["closed"]) == (1, "c-1", None)
    assert document["opened"]["user"] == "reader"
    [one] = document["statements"]
    holds = one.pop("hold")
    assert [hold["state"] for hold in holds] == ["pending", "approved"]
    assert one == {
        "exchange": "x-1", "number": 7, "began": NOW + 1, "protocol": "extended", "statement": "SELECT $1",
        "parameters": ["a", None, {"base64": "/w=="}],
        "decision": {"action": "hold", "reason": "", "rule": "sql.read", "revision": "1"},
        "released": True, "refused": None, "columns": ["a"], "rows": [["v"]], "command": "SELECT 1", "copy": None,
        "more": [], "copied": None, "row_count": 1, "whole": True, "error": None,
        "notices": [{"severity": "WARNING", "sqlstate": "01000", "message": "hm"}], "outcome": "released",
        "sqlstate": "", "duration_ms": 1.5, "masked": {"email": 1}, "problems": [],
    }  # fmt: skip


def test_a_statement_that_was_refused_before_it_was_understood_has_its_place(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    where = {"connection": "c-1", "number": 1, "statement": 4}
    refused = {"code": "statement_malformed", "status": 400, "reason": "no", "rule": "", "summary": "SELEC 1", **where}
    log.append("s-1", "x-1", "request.refused", refused)
    log.close()
    [one] = read(folder, index).document()["statements"]
    assert (one["statement"], one["number"], one["outcome"]) == ("SELEC 1", 4, "statement_malformed")
    assert (one["decision"], one["released"], one["refused"]["reason"]) == (None, False, "no")


def test_an_error_and_several_results_of_one_text(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    data = described(("a", 23)) + row("1") + complete("SELECT 1") + complete("INSERT 0 1")
    data += report("E", S="ERROR", C="22012", M="division by zero", H="do not") + ready("E")
    statement(log, "x-1", "SELECT 1; INSERT …; SELECT 1/0", data, sqlstate="22012")
    log.close()
    [one] = read(folder, index).document()["statements"]
    assert (one["columns"], one["rows"], one["command"]) == (["a"], [["1"]], "SELECT 1")
    assert one["more"] == [{"columns": [], "rows": [], "command": "INSERT 0 1", "copy": None}]
    assert one["error"] == {
        "severity": "ERROR", "sqlstate": "22012", "message": "division by zero", "hint": "do not",
    }  # fmt: skip
    assert one["sqlstate"] == "22012"


def test_what_was_copied_in_stands_beside_the_statement(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    attempt(log, "x-1", "COPY t FROM STDIN")
    body(log, "x-1", b"1\tx\n", kind="request.body", media_type="text/plain")
    ended(log, "x-1", bytes_in=4, command="COPY 1")
    log.close()
    [one] = read(folder, index).document()["statements"]
    assert one["copied"]["text"] == "1\tx\n"
    assert one["command"] == "COPY 1"  # known from the end, though nothing of the answer is recorded


def test_a_record_that_is_cut_or_only_counted_says_so(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    for name, limit, level in (("x-1", 100, "full"), ("x-2", 1 << 20, "metadata")):
        attempt(log, name, "SELECT * FROM customers")
        body(log, name, customers(50), limit=limit, level=level)
        ended(log, name, rows=50, command="SELECT 50")
    log.close()
    cut, counted = read(folder, index).document()["statements"]
    assert (cut["whole"], cut["row_count"], cut["command"], cut["problems"]) == (False, 50, "SELECT 50", [])
    assert 0 < len(cut["rows"]) < 50
    assert (counted["whole"], counted["row_count"], counted["rows"]) == (False, 50, [])


def test_connections_at_once_are_told_apart_over_workers(folder: Path, index: Index) -> None:
    first = SegmentLog(folder, "worker-0", clock=ticking(), deadline=1)
    second = SegmentLog(folder, "worker-1", clock=ticking(), deadline=1)
    opened(first, 1)
    opened(first, 2)
    opened(second, 3)
    for name, (number, log) in enumerate(((1, first), (2, first), (3, second), (1, first), (2, first))):
        statement(log, f"x-{name}", f"SELECT {number}", customers(number), number=number, rows=number)
    exchange(first, "s-1", "x-odd")
    closed(first, 1)
    first.close()
    second.close()
    for number in (1, 2, 3):
        found = read(folder, index, number)
        assert [one.text for one in found.statements] == [f"SELECT {number}"] * (1 if number == 3 else 2)
        assert found.opened is not None
        assert found.opened.connection == f"c-{number}"
    assert [one.text for one in read(folder, index, 0).statements] == ["GET /"]
    assert [row.number for row in index.connections("s-1")] == [1, 2, 3, 0]


def test_a_worker_that_was_killed_leaves_a_connection_without_an_end(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    attempt(log, "x-1", "SELECT 1")
    log.close()
    found = read(folder, index)
    assert found.closed is None
    assert [one.document()["outcome"] for one in found.statements] == [""]


def test_a_portal_that_is_read_in_parts_stays_one_statement(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    attempt(log, "x-1", "SELECT * FROM customers")
    log.append("s-1", "x-1", "response.head", {"columns": [{"name": "a", "oid": 23, "format": "text"}]})
    answer = sink(log, "x-1")
    answer.add(row("1") + message("s"))
    statement(log, "x-2", "SELECT 2", customers(1))
    answer.add(row("2") + message("s"))
    answer.close()
    ended(log, "x-1", rows=2, outcome="suspended")
    body(log, "x-1", b"late\n", kind="request.body", media_type="text/plain")
    statement(log, "x-3", "SELECT 3", customers(1))
    attempt(log, "x-4", "SELECT 4")
    closed(log)
    log.close()
    found = read(folder, index)
    assert [one.exchange.exchange for one in found.statements] == ["x-2", "x-1", "x-3", "x-4"]
    document = found.statements[1].document()
    assert (document["columns"], document["rows"], document["more"]) == (["a"], [["1"], ["2"]], [])
    assert document["copied"]["text"] == "late\n"
    assert document["problems"] == []
    assert found.closed is not None


def test_a_number_that_was_given_twice_keeps_both_connections(folder: Path, index: Index) -> None:
    log = open_log(folder)
    for name in ("x-1", "x-2"):
        opened(log)
        statement(log, name, name, customers(1))
        closed(log)
    log.close()
    index.update()
    kinds = [type(part) for part in read_connection(folder, index, "s-1", 1)]
    assert kinds == [Opened, Statement, Closed, Opened, Statement, Closed]


def test_statements_of_a_later_session_have_no_opening_there(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log, session="s-0")
    statement(log, "x-1", "SELECT 1", customers(1))
    log.close()
    found = read(folder, index)
    assert found.document()["connection"] == ""
    assert len(found.statements) == 1


def test_a_connection_is_no_exchange(folder: Path, index: Index) -> None:
    log = open_log(folder)
    opened(log)
    statement(log, "x-1", "SELECT 1", customers(1))
    closed(log)
    log.close()
    index.update()
    assert [one.exchange for one in replay(folder, index, "s-1")] == ["x-1"]


def test_odd_payloads_stop_nothing(folder: Path, index: Index) -> None:
    log = open_log(folder)
    log.append("s-1", "c-1", "connection.opened", {"number": 1})
    odd = {"operation": {"sql": [], "statement": "x"}, "number": 1, "summary": "odd"}
    log.append("s-1", "x-1", "request.attempt", odd)
    log.append("s-1", "x-1", "response.head", {"columns": {}})
    log.append("s-1", "x-1", "exchange.closed", {})
    log.append("s-1", "x-2", "request.attempt", {"operation": "none", "number": 1})
    log.close()
    first, second = read(folder, index).document()["statements"]
    assert (first["statement"], first["parameters"], first["number"]) == ("odd", [], 0)
    assert second["statement"] == ""
