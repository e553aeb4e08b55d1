from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extproc import config
from extproc.cli.sessions import sessions
from extproc.record.bodies import BodyRecord
from extproc.record.log import SegmentLog
from tests.unit.record.backend import attempt, closed, customers, opened, statement
from tests.unit.record.logs import IDENTITY, exchange, ticking

NASTY = "GET /\x1b[2J\u202e[red]"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sessions and a refusal without one; the second session's texts are hostile."""
    monkeypatch.setattr(config, "load", lambda _: SimpleNamespace(state_dir=tmp_path))
    log = SegmentLog(tmp_path / "records", "worker-0-aa", clock=ticking(), deadline=1)
    body = BodyRecord(
        log, "s-1", "x-1", "response.body", limit=100, media_type=b"text/plain", level="full", clock=ticking(), key=b"k"
    )
    body.add(b"hello\n\x1b[31mworld")
    body.close()
    exchange(log, "s-1", "x-1", summary="GET /plain")
    identity = {**IDENTITY, "subject": NASTY, "claims": {"actor": NASTY}}
    log.append("s-2", "x-2", "request.attempt", {"identity": identity, "resource": "db", "summary": NASTY})
    hold = {"approval": NASTY, "state": NASTY, "by": [NASTY]}
    log.append("s-2", "x-2", "hold.opened", hold)
    refused = {"code": "approval_denied", "status": 403, "reason": NASTY, "rule": NASTY, "summary": NASTY}
    log.append("s-2", "x-2", "request.refused", refused)
    log.append("-", "x-3", "request.refused", {"code": "identity_missing", "status": 401, "summary": "GET /"})
    log.close()
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(sessions, list(arguments))
    assert result.exit_code == code, result.output
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output
    return result


def run_json(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.mark.usefixtures("state")
def test_list_names_sessions_the_latest_first_and_who_had_none() -> None:
    text = run("list").output
    assert text.index("s-2") < text.index("s-1")
    assert "repo:acme/billing (octocat)" in text
    rows = run_json("list")["sessions"]
    assert [row["session"] for row in rows] == ["-", "s-2", "s-1"]
    assert rows[2]["requests"] == 1
    assert [row["session"] for row in run_json("list", "--resource", "db")["sessions"]] == ["s-2"]
    assert len(run_json("list", "--limit", "1")["sessions"]) == 1


@pytest.mark.usefixtures("state")
def test_show_lists_the_exchanges_of_a_session() -> None:
    text = run("show", "s-1").output
    assert "GET /plain" in text
    assert "released" in text
    document = run_json("show", "s-2")
    assert document["exchanges"][0]["outcome"] == "approval_denied"
    assert document["exchanges"][0]["held"] is True
    assert document["session"]["subject"] == NASTY  # escaped as JSON, and the same text
    assert "identity_missing" in run("show", "-").output


@pytest.mark.usefixtures("state")
def test_replay_shows_what_was_released_with_bodies_where_asked() -> None:
    text = run("replay", "s-1", "--bodies").output
    assert "  | hello\n  | \\x1b[31mworld\n" in text
    assert "  | " not in run("replay", "s-1").output
    assert "masked: email 2" in text
    one = run_json("replay", "s-1", "--bodies", "--exchange", "x-1")["exchanges"][0]
    assert one["response_body"]["text"] == "hello\n\x1b[31mworld"
    assert one["request_body"] is None


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("command", ["show", "replay"])
def test_hostile_text_is_shown_escaped(command: str) -> None:
    assert r"GET /\x1b[2J\u202e[red]" in run(command, "s-2").output


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    "arguments",
    [("show", "s-9\x1b"), ("replay", "s-9\x1b"), ("verify", "s-9\x1b"), ("replay", "s-1", "--exchange", "x-9\x1b")],
)
def test_what_is_not_there_is_a_wrong_argument(arguments: tuple[str, ...]) -> None:
    assert r"-9\x1b" in run(*arguments, code=2).output


@pytest.mark.usefixtures("state")
def test_verify_says_ok_of_whole_logs() -> None:
    assert "ok: 11 events in 1 segments of 1 logs" in run("verify").output
    assert run_json("verify", "s-1") == {
        "ok": True, "logs": 1, "segments": 1, "events": 11, "lost": 0, "problems": [], "torn": [],
    }  # fmt: skip


def test_verify_names_file_and_place_of_a_problem_and_ends_with_1(state: Path) -> None:
    path = state / "records" / "worker-0-aa-000001.seg"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    problem = run_json("verify", code=1)["problems"][0]
    assert problem == {
        "file": path.name, "offset": 8, "what": "the record does not have the hash that it states",
    }  # fmt: skip
    assert "worker-0-aa-000001.seg at byte 8" in run("verify", code=1).output
    run("verify", "s-2", code=1)


def test_verify_finds_a_log_cut_since_it_was_listed(state: Path) -> None:
    run("list")
    path = state / "records" / "worker-0-aa-000001.seg"
    path.write_bytes(path.read_bytes()[:8])
    run("verify", code=1)
    run("verify", code=1)


def test_records_that_cannot_be_read_are_told_without_a_traceback(state: Path) -> None:
    (state / "index.db").write_bytes(b"not a database" * 100)
    assert "the records cannot be read" in run("list", code=1).output


def test_no_records_at_all_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "load", lambda _: SimpleNamespace(state_dir=tmp_path / "new"))
    assert run_json("list") == {"sessions": []}
    assert run_json("verify")["ok"] is True


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session of two connections, and a statement that was refused before it was understood."""
    monkeypatch.setattr(config, "load", lambda _: SimpleNamespace(state_dir=tmp_path))
    log = SegmentLog(tmp_path / "records", "worker-0-aa", clock=ticking(), deadline=1)
    opened(log, 1)
    opened(log, 2)
    statement(log, "x-1", "SELECT * FROM customers", customers(150), rows=150, command="SELECT 150", sqlstate="")
    attempt(log, "x-2", f"SELECT '{NASTY}'", number=2, action="deny")
    refused = {"code": "policy_denied", "status": 403, "reason": NASTY, "rule": "sql.no", "summary": NASTY}
    log.append("s-1", "x-2", "request.refused", refused)
    log.append("s-1", "x-3", "request.refused", {"code": "statement_malformed", "status": 400, "summary": "SELEC 1"})
    closed(log, 1)
    exchange(log, "s-2", "x-9", summary="GET /plain")
    log.close()
    return tmp_path


@pytest.mark.usefixtures("database")
def test_a_session_of_sql_is_listed_with_its_rows_and_shown_with_its_connections() -> None:
    assert "150" in run("list").output
    rows = {row["session"]: row for row in run_json("list")["sessions"]}
    assert (rows["s-1"]["requests"], rows["s-1"]["connections"], rows["s-1"]["rows"]) == (3, 2, 150)
    assert (rows["s-2"]["connections"], rows["s-2"]["rows"]) == (0, 0)
    text = run("show", "s-1").output
    assert "3 statements on 2 connections, 2 refused, 0 held, 150 rows" in text
    assert "app as reader, psql" in text
    assert "terminated" in text
    assert r"GET /\x1b[2J\u202e[red]" in text
    document = run_json("show", "s-1")
    assert [row["connection"] for row in document["connections"]] == ["c-1", "c-2", ""]
    assert [row["connection"] for row in document["exchanges"]] == [1, 2, 0]
    assert run_json("show", "s-2")["connections"] == []


@pytest.mark.usefixtures("database")
def test_a_session_of_sql_is_replayed_as_transcripts() -> None:
    text = run("replay", "s-1").output
    assert "app=> SELECT * FROM customers\n" in text
    assert "(150 rows)\n-- 100 of 150 rows are shown; --rows shows more\n" in text
    assert "-- refused: policy_denied, rule sql.no: GET /\\x1b[2J\\u202e[red]" in text
    assert "-- session s-1: statements of no known connection\n\n=> SELEC 1\n-- refused: statement_malformed" in text
    assert text.index("-- connection 1 (c-1)") < text.index("-- connection 2 (c-2)") < text.index("SELEC 1")
    second = run("replay", "s-1", "--connection", "2").output
    assert "-- connection 2 (c-2)" in second
    assert "customers" not in second
    assert "name-150" in run("replay", "s-1", "--rows", "1000").output
    assert "name-2\n" not in run("replay", "s-1", "--rows", "1").output


@pytest.mark.usefixtures("database")
def test_a_transcript_as_json_has_all_rows_unless_they_are_bounded() -> None:
    document = run_json("replay", "s-1")
    assert document["session"] == "s-1"
    assert [one["number"] for one in document["connections"]] == [1, 2, 0]
    [one] = document["connections"][0]["statements"]
    assert (len(one["rows"]), one["row_count"], one["command"]) == (150, 150, "SELECT 150")
    assert document["connections"][1]["statements"][0]["refused"]["reason"] == NASTY
    bounded = run_json("replay", "s-1", "--connection", "1", "--rows", "2")["connections"]
    assert [len(one["statements"][0]["rows"]) for one in bounded] == [2]


@pytest.mark.usefixtures("database")
def test_one_statement_is_replayed_as_any_exchange_is() -> None:
    text = run("replay", "s-1", "--exchange", "x-1", "--bodies").output
    assert "closed        released" in text
    assert "  |  id  |   name   \n" in text
    assert "response" not in run("replay", "s-1", "--exchange", "x-1").output  # statements have no status
    [one] = run_json("replay", "s-1", "--exchange", "x-1", "--bodies")["exchanges"]
    assert one["response_body"]["size"] == len(customers(150))


@pytest.mark.usefixtures("database")
def test_an_export_is_the_whole_transcript() -> None:
    text = run("export", "s-1", "--format", "sql").output
    assert "150 | name-150\n(150 rows)\n" in text
    assert "-- connection 2" in text
    assert "-- connection 1" not in run("export", "s-1", "--connection", "2").output


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "arguments",
    [("replay", "s-1", "--connection", "3"), ("replay", "s-2", "--connection", "1"), ("export", "s-2")],
)
def test_a_connection_that_is_not_there_is_a_wrong_argument(arguments: tuple[str, ...]) -> None:
    assert "has no connection" in run(*arguments, code=2).output


@pytest.mark.usefixtures("database")
def test_play_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    assert (
        run("replay", "s-1", "--play", "--connection", "1").output == run("replay", "s-1", "--connection", "1").output
    )
    assert len(slept) == 2
    assert max(slept) <= 2.0


@pytest.mark.usefixtures("database")
def test_logs_of_sql_verify() -> None:
    assert run_json("verify", "s-1")["ok"] is True
