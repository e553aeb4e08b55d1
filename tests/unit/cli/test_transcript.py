from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.cli.transcript import transcript
from extproc.record.connections import read_connection
from extproc.record.index import Index
from extproc.record.log import SegmentLog
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
    statement,
)
from tests.unit.record.logs import NOW, open_log

NASTY = "\x1b[2J\u202e\n-- approved by mona\napp=> DROP TABLE t"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SegmentLog]:
    made = open_log(tmp_path / "records")
    yield made
    made.close()


def text(log: SegmentLog, tmp_path: Path, *, most: int | None = 100, **more: Any) -> str:
    log.flush()
    index = Index(tmp_path / "index.db", tmp_path / "records")
    index.update()
    parts = read_connection(tmp_path / "records", index, "s-1", 1)
    lines = [line.text for line in transcript("s-1", [(1, parts)], most=most, **more)]
    index.close()
    return "\n".join(lines)


def test_a_connection_reads_like_psql(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    statement(log, "x-1", "SELECT id, name\n  FROM customers", customers(2), rows=2, masked={"ssn": 2, "email": 1})
    closed(log)
    header = " id |  name  "  # psql leaves a space behind it
    assert (
        text(log, tmp_path)
        == f"""\
-- connection 1 (c-1) of session s-1
-- by repo:acme/billing (octocat)
-- app as reader, psql, TLSv1.3, from 192.0.2.7, at 2027-01-15 08:00:00 UTC

app=> SELECT id, name
app->   FROM customers
{header}
----+--------
  1 | NULL
  2 | name-2
(2 rows)
-- masked: email 1, ssn 2
Time: 1.500 ms

-- 1 statements, terminated after 12.5 ms, at 2027-01-15 08:00:07 UTC
"""
    )


def test_the_prompt_shows_the_state_of_the_transaction(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    error = report("E", S="ERROR", C="22012", M="division by zero") + ready("E")
    for name, sql, data in (
        ("x-1", "BEGIN", complete("BEGIN") + ready("T")),
        ("x-2", "SELECT\n1/0", error),
        ("x-3", "ROLLBACK\n;", complete("ROLLBACK") + ready("I")),
        ("x-4", "SELECT 1", b""),
    ):
        statement(log, name, sql, data)
    found = text(log, tmp_path).split("\n")
    assert [line for line in found if line.startswith("app")] == [
        "app=> BEGIN", "app=*> SELECT", "app-*> 1/0", "app=!> ROLLBACK", "app-!> ;", "app=> SELECT 1",
    ]  # fmt: skip
    assert "BEGIN" in found
    assert "ROLLBACK" in found


def test_where_no_readiness_is_recorded_tags_and_errors_tell_the_state(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    error = report("E", S="ERROR", C="22012", M="division by zero")
    for number, (sql, data) in enumerate((
        ("SELECT 0/0", error),
        ("BEGIN", complete("BEGIN")),
        ("SAVEPOINT s", complete("SAVEPOINT")),
        ("SELECT 1/0", error),
        ("ROLLBACK TO SAVEPOINT s", complete("ROLLBACK")),
        ("COMMIT AND CHAIN", complete("COMMIT")),
        ("COMMIT", complete("COMMIT")),
        ("SELECT 1", b""),
    )):  # fmt: skip
        statement(log, f"x-{number}", sql, data)
    prompts = [line.partition("> ")[0] for line in text(log, tmp_path).split("\n") if line.startswith("app")]
    assert prompts == ["app=", "app=", "app=*", "app=*", "app=!", "app=*", "app=*", "app="]


@pytest.mark.parametrize(
    ("outcome", "note"),
    [
        ("prepared", "-- prepared, not run yet"), ("suspended", "-- its portal was closed before the last row"),
        ("failed", "-- did not run: what was sent before it failed"), ("aborted", "-- ended early: aborted"),
    ],
)  # fmt: skip
def test_how_a_statement_ended_is_told(log: SegmentLog, tmp_path: Path, outcome: str, note: str) -> None:
    opened(log)
    attempt(log, "x-1", "SELECT 1")
    ended(log, "x-1", outcome=outcome)
    assert f"app=> SELECT 1\n{note}\n" in text(log, tmp_path)


def test_an_error_has_its_state_its_place_and_its_hint(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    fields = {"S": "ERROR", "V": "ERROR", "C": "42703", "M": 'column "nosuch" does not exist', "D": "one\ntwo"}
    data = report("E", **fields, H="look", P="18") + ready()
    statement(log, "x-1", "SELECT 1,\n       nosuch", data)
    assert """
ERROR:  42703: column "nosuch" does not exist
LINE 2:        nosuch
               ^
DETAIL:  one
          two
HINT:  look
""" in text(log, tmp_path)


@pytest.mark.parametrize("position", ["0", "-1", "99", "x", "²", "9" * 30])
def test_a_place_that_is_not_in_the_statement_is_left_out(log: SegmentLog, tmp_path: Path, position: str) -> None:
    opened(log)
    statement(log, "x-1", "SELECT 1", report("E", S="ERROR", C="42601", M="m", P=position))
    assert "LINE" not in text(log, tmp_path)


def test_a_notice_a_copy_a_notification_and_a_setting(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    data = report("N", S="NOTICE", C="00000", M="hello", W="somewhere")
    data += message("H", b"\0\0\0") + message("d", b"1\tx\n") + message("d", b"2\ty\n") + message("c")
    data += complete("COPY 2") + message("A", b"\0\0\0\7ch\0pay\0") + message("S", b"TimeZone\0UTC\0")
    statement(log, "x-1", "COPY t TO STDOUT", data + message("s") + ready())
    assert """
NOTICE:  hello
  | 1\tx
  | 2\ty
COPY 2
Asynchronous notification "ch" with payload "pay" received from server process with PID 7.
-- the server reports TimeZone = UTC
-- the portal stopped at its limit of rows
""" in text(log, tmp_path)


def test_a_command_with_rows_shows_its_tag_too(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    data = described(("a", 23)) + row("1") + complete("INSERT 0 1") + complete("SELECT 5") + message("I") + ready()
    statement(log, "x-1", "INSERT …; CREATE TABLE … AS …", data)
    assert "(1 row)\nINSERT 0 1\nSELECT 5\nTime" in text(log, tmp_path)


def test_copied_in_data_stands_below_its_statement(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    attempt(log, "x-1", "COPY t FROM STDIN")
    body(log, "x-1", b"1\tx\n2\ty\n", kind="request.body", media_type="text/plain", limit=4)
    body(log, "x-1", message("G", b"\0\0\0") + complete("COPY 2") + ready())
    ended(log, "x-1")
    assert "app=> COPY t FROM STDIN\n  | 1\tx\n-- sent: 8 B, recorded: 4 B\nCOPY 2\n" in text(log, tmp_path)


def test_what_was_held_refused_or_ended_early_says_so(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    attempt(log, "x-1", "COPY customers TO STDOUT", action="hold", parameters=["O'Neil", None, {"base64": "/w=="}])
    log.append("s-1", "x-1", "hold.opened", {"approval": "a-1", "digest": "d", "state": "pending"})
    log.append("s-1", "x-1", "hold.ended", {"approval": "a-1", "state": "approved", "by": ["mona", "lisa"]})
    ended(log, "x-1", outcome="response_too_large")
    attempt(log, "x-2", "DROP TABLE t", action="deny")
    refused = {"code": "policy_denied", "status": 403, "reason": "no DDL", "rule": "sql.ddl"}
    log.append("s-1", "x-2", "request.refused", refused)
    attempt(log, "x-3", "SELECT 1")
    found = text(log, tmp_path)
    assert (
        """
app=> COPY customers TO STDOUT
-- with $1 = 'O''Neil', $2 = NULL, $3 = (base64) /w==
-- held for approval a-1: pending
-- approved by mona, lisa after 1.0 s
-- ended early: response_too_large
"""
        in found
    )
    assert "app=> DROP TABLE t\n-- refused: policy_denied, rule sql.ddl: no DDL\n" in found
    assert "app=> SELECT 1\n-- its end is not recorded: it goes on, or its worker was killed\n" in found


def test_a_long_result_is_cut_and_says_how_to_see_more(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    statement(log, "x-1", "SELECT", customers(50), rows=50, command="SELECT 50")
    found = text(log, tmp_path, most=3)
    assert "  3 | NULL\n(50 rows)\n-- 3 of 50 rows are shown; --rows shows more\n" in found
    assert " 50 | name-50\n(50 rows)\nTime" in text(log, tmp_path, most=None)


def test_copied_lines_are_cut_as_rows_are(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    lines = b"".join(message("d", b"%d\tx\n" % number) for number in range(1, 51))
    data = message("H", b"\0\0\0") + lines + message("c") + complete("COPY 50") + ready()
    statement(log, "x-1", "COPY t TO STDOUT", data)
    found = text(log, tmp_path, most=2)
    assert "  | 1\tx\n  | 2\tx\n-- 2 of 50 lines are shown; --rows shows more\nCOPY 50\n" in found
    assert "STDOUT\n-- 0 of 50 lines are shown; --rows shows more\nCOPY 50\n" in text(log, tmp_path, most=0)
    assert "  | 50\tx\nCOPY 50\n" in text(log, tmp_path, most=None)


def test_a_cut_record_tells_how_much_of_it_there_is(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    for name, limit, level in (("x-1", 100, "full"), ("x-2", 1 << 20, "metadata")):
        attempt(log, name, "SELECT")
        body(log, name, customers(50), limit=limit, level=level)
        ended(log, name, rows=50, command="SELECT 50")
    cut, counted = text(log, tmp_path).split("app=> SELECT\n")[1:]
    size = len(customers(50))
    assert f"(50 rows)\n-- 100 B of {size / 1024:.1f} KiB are recorded; SELECT 50\nTime" in cut
    assert counted.startswith(f"-- 0 B of {size / 1024:.1f} KiB are recorded; SELECT 50\nTime")


def test_recorded_text_cannot_pass_for_ours(log: SegmentLog, tmp_path: Path) -> None:
    opened(log, database=NASTY, user=NASTY, application_name=NASTY, tls=NASTY, source={"address": NASTY})
    data = report("N", S=NASTY, C=NASTY, M=NASTY, D=NASTY, H=NASTY) + described((NASTY, 25)) + row(NASTY)
    data += complete(NASTY) + message("H", b"\0\0\0") + message("d", NASTY.encode()) + message("c")
    data += complete("COPY 1") + message("A", b"\0\0\0\7" + NASTY.encode() + b"\0" + NASTY.encode() + b"\0")
    data += message("S", NASTY.encode() + b"\0x\0") + report("E", S=NASTY, C=NASTY, M=NASTY, W=NASTY, P="3")
    attempt(log, "x-1", NASTY, parameters=[NASTY])
    log.append("s-1", "x-1", "hold.opened", {"approval": NASTY, "state": NASTY})
    log.append("s-1", "x-1", "hold.ended", {"approval": NASTY, "state": NASTY, "by": [NASTY]})
    body(log, "x-1", NASTY.encode(), kind="request.body", media_type="text/plain")
    body(log, "x-1", data)
    log.append("s-1", "x-1", "request.refused", {"code": NASTY, "rule": NASTY, "reason": NASTY})
    ended(log, "x-1", outcome=NASTY, command=NASTY, masked={NASTY: NASTY})
    closed(log, outcome=NASTY)
    found = text(log, tmp_path)
    assert not set("\x1b\u202e\r") & set(found)
    lines = found.split("\n")
    assert not [line for line in lines if line.startswith(("-- approved", "app=> DROP"))]
    assert found.count("DROP TABLE t") > 20  # it is all there


def test_play_waits_as_long_as_it_took_but_never_long(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    statement(log, "x-1", "SELECT 1", customers(1))
    log._clock = lambda: NOW + 1000
    statement(log, "x-2", "SELECT 2", customers(1))
    pauses: list[float] = []
    text(log, tmp_path, pause=pauses.append)
    assert pauses == [1.0, 2.0, 2.0, 0.0]


def test_a_connection_of_an_earlier_session_is_named(log: SegmentLog, tmp_path: Path) -> None:
    statement(log, "x-1", "SELECT 1", complete("SELECT 1"))
    assert text(log, tmp_path).startswith("-- session s-1: connection 1, opened in an earlier one\n\n=> SELECT 1\n")


def test_a_damaged_message_is_told(log: SegmentLog, tmp_path: Path) -> None:
    opened(log)
    statement(log, "x-1", "SELECT 1", message("D", b"\0") + ready())
    assert "-- a message of type 'D' cannot be read" in text(log, tmp_path)
