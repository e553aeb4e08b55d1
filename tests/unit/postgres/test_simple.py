from __future__ import annotations

from typing import Any

import orjson
import pytest

from extproc.errors import Refusal
from extproc.model import Approval
from extproc.postgres.events import ReadCatalog
from extproc.waits import Durable, UseApproval
from tests.unit.playbook import Desk
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import ALLOW, DENY, HOLD, MASK, approved, client, logged_in, server
from tests.unit.postgres.talking import (
    EMPTY,
    SSN,
    bind,
    complete,
    description,
    execute,
    failure,
    notice,
    of,
    parameter,
    parse,
    query,
    ready,
    result,
    rows,
)


def test_a_statement_is_decided_then_sent_as_it_is() -> None:
    play = logged_in()
    text = "SELECT id -- comment\n FROM customers;"
    said = play >> client(query(text))
    assert said.kinds == ">Q"
    assert said.server[0].body == text.encode() + b"\0"
    (asked,) = play.policy.asked
    assert asked["sql"]["statements"][0]["tables"] == ["public.customers"]
    assert (asked["sql"]["protocol"], asked["sql"]["step"]) == ("simple", "execute")
    assert play.recorder.kinds()[-3:] == ["session.opened", "request.attempt", "request.released"]


def test_nothing_goes_before_the_record_is_durable() -> None:
    play = logged_in()
    seen = []

    def look(wait: Any) -> None:
        if isinstance(wait, Durable):
            seen.append(play.recorder.kinds()[-1])

    play.wait_for = look
    play >> client(query("SELECT 1"))
    assert seen == ["request.released"]


def test_results_go_back_as_they_came() -> None:
    play = logged_in()
    play >> client(query("SELECT id, name FROM customers"))
    answer = result(of("customers", "id", "name"), ["1", "Ada"], ["2", None])
    said = play >> server(answer, ready("T"))
    assert said.kinds == "<T <D <D <C <Z"
    assert said.rows == [[b"1", b"Ada"], [b"2", None]]
    assert said.client[-1].body == b"T"


@pytest.mark.parametrize("status", "ITE")
def test_a_denied_statement_never_reaches_the_server_and_the_transaction_stays(status: str) -> None:
    play = logged_in(ALLOW, DENY, ALLOW)
    play >> client(query("SELECT 1"))
    play >> server(result(["a"], ["1"]), ready(status))
    said = play >> client(query("DELETE FROM customers"))
    assert said.kinds == "<E <Z"
    assert said.client[-1].body == status.encode()
    assert (said.error["S"], said.error["C"], said.error["M"]) == ("ERROR", "42501", "not on a Friday")
    assert "rule fridays" in said.error["D"]
    assert (play >> client(query("SELECT 1"))).kinds == ">Q"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("SELEC 1", "42601"),
        ("SELECT 'open", "42601"),
        ("EXECUTE nothing", "26000"),
        ("FETCH FROM nothing", "34000"),
        ("SET role postgres", "42501"),
        ("SELECT (" + "(" * 5000, "54001"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_recorded(text: str, state: str) -> None:
    play = logged_in()
    said = play >> client(query(text))
    assert said.kinds == "<E <Z"
    assert said.error["C"] == state
    assert play.policy.asked == []
    (found,) = play.said("request.refused")
    assert found["statement"] == 1


def test_a_syntax_error_has_its_place() -> None:
    said = logged_in() >> client(query("SELECT 1 FRO x"))
    assert said.error["P"] == "14"


@pytest.mark.parametrize("data", [b"Q\0\0\0\6\xff\0", message(b"Q", b"SELECT 1"), message(b"Q", b"SELECT 1\0more\0")])
def test_a_query_that_can_be_read_in_two_ways_cuts_the_connection(data: bytes) -> None:
    play = logged_in()
    said = play >> client(data)
    assert said.kinds == "<E"
    assert said.error["C"] == "08P01"
    assert play.over


def test_an_empty_query() -> None:
    play = logged_in()
    play >> client(query(""))
    assert (play >> server(EMPTY, ready())).kinds == "<I <Z"
    assert play.closings[0]["outcome"] == "released"


def test_an_error_of_the_server() -> None:
    play = logged_in()
    play >> client(query("SELECT 1/0"))
    said = play >> server(failure(), ready("E"))
    assert said.kinds == "<E <Z"
    assert said.error["M"] == "division by zero"
    assert play.closings[0]["sqlstate"] == "22012"


def test_errors_of_what_touches_masked_columns_tell_no_text() -> None:
    play = logged_in(MASK)
    play >> client(query("SELECT ssn FROM customers"))
    said = play >> server(notice(f"it was {SSN}"), failure("22P02", f"bad value {SSN}"), ready())
    assert said.kinds == "<N <E <Z"
    assert SSN not in said.client[0].text + said.client[1].text
    assert said.error["C"] == "22P02"


def test_several_statements_are_decided_as_one_and_masked_each_by_itself() -> None:
    play = logged_in(MASK)
    said = play >> client(query("SELECT ssn FROM customers; SELECT id FROM customers"))
    assert said.kinds == ">Q"
    assert len(play.policy.asked) == 1
    said = play >> server(result(of("customers", "ssn"), [SSN]), result(of("customers", "id"), ["1"]), ready())
    assert said.kinds == "<T <D <C <T <D <C <Z"
    assert said.rows == [[b"****"], [b"1"]]
    (closed,) = play.closings
    assert (closed["rows"], closed["masked"]) == (2, {"column:customers.ssn": 1})


def test_statements_one_after_the_other() -> None:
    """Both are there: the second waits for the first to be over."""
    play = logged_in()
    assert (play >> client(query("SELECT 1"), query("SELECT 2"))).kinds == ">Q"
    said = play >> server(result(["a"], ["1"]), ready())
    assert sorted(said.kinds.split()) == ["<C", "<D", "<T", "<Z", ">Q"]
    assert said.server[0].text == "SELECT 2"


def test_a_hold_tells_the_client_why_nothing_comes_and_asks_again_afterwards() -> None:
    play = logged_in(HOLD, desk=Desk(approve=approved))
    said = play >> client(query("SELECT 1"))
    assert said.kinds == "<N >Q"
    fields = said.client[0].fields
    assert fields["M"] == "waiting for approval"
    assert fields["D"].startswith("approval a-1, at most ")
    assert fields["H"] == "See http://control/v1/approvals/a-1"
    assert len(play.policy.asked) == 2
    assert [type(step) for step in play.steps[-5:]].count(UseApproval) == 1
    request = play.desk.approval
    assert request is not None
    assert request.request.shown["operation"] == {
        "sql": {
            "text": "SELECT 1", "parameters": [], "protocol": "simple", "database": "shop", "user": "ci",
            "search_path": ["pg_catalog", "public"], "definitions": "shop",
        }
    }  # fmt: skip


@pytest.mark.parametrize("code", ["statement_cancelled", "upstream_unavailable", "approval_pending"])
def test_a_hold_that_ends_without_a_yes(code: str) -> None:
    def end(approval: Approval) -> Approval:
        raise Refusal(code)

    play = logged_in(HOLD, desk=Desk(approve=end))
    said = play >> client(query("SELECT 1"))
    assert ">Q" not in said.kinds
    assert said.kinds == ("<N <E" if code == "upstream_unavailable" else "<N <E <Z")
    assert play.over == (code == "upstream_unavailable")
    assert bool(play.left) == (code != "approval_pending")


def test_a_client_that_leaves_while_it_waits() -> None:
    def leave(approval: Approval) -> Approval:
        raise GeneratorExit

    play = logged_in(HOLD, desk=Desk(approve=leave))
    with pytest.raises(GeneratorExit):
        play >> client(query("SELECT 1"))


def test_definitions_that_change_while_a_statement_is_held() -> None:
    from tests.unit.postgres.test_talk import changed

    play = logged_in(HOLD, desk=Desk(approve=approved))

    def look(wait: Any) -> Any:
        return changed() if isinstance(wait, ReadCatalog) else None

    play.wait_for = look
    said = play >> client(query("SELECT 1"))
    assert said.kinds == "<N <E <Z"
    assert said.error["M"] == "definitions changed while the statement was held"


def test_a_function_call_message_is_refused_and_recorded() -> None:
    play = logged_in()
    said = play >> client(message(b"F", b"\0\0\0\1" + bytes(6)))
    assert said.kinds == "<E <Z"
    assert said.error["C"] == "0A000"
    assert play.said("request.refused")[0]["code"] == "statement_refused"


def test_a_query_ends_what_was_unnamed() -> None:
    play = logged_in()
    play >> client(parse("SELECT id FROM customers"), bind(), execute("", 1))
    play >> server(*[message(kind, b"") for kind in (b"1", b"2")], description(of("customers", "id")), rows(["1"]))
    play >> server(message(b"s", b""))
    play >> client(query("SELECT 1"))
    play >> server(result(["a"], ["1"]), ready("T"))
    assert (play >> client(execute(""))).error["C"] == "34000"
    assert [one["outcome"] for one in play.closings] == ["suspended", "released"]


def test_a_setting_that_a_statement_changes_is_told_in_its_place() -> None:
    play = logged_in()
    play >> client(query("SET TimeZone = 'UTC'"))
    assert (play >> server(complete("SET"), parameter("TimeZone", "UTC"), ready())).kinds == "<C <S <Z"


def test_the_record_of_a_statement() -> None:
    play = logged_in(MASK)
    play >> client(query("SELECT id, ssn FROM customers"))
    play >> server(result(of("customers", "id", "ssn"), ["1", SSN], ["2", None]), ready())
    kinds = play.recorder.kinds()
    order = ["request.attempt", "request.released", "response.head", "response.body", "exchange.closed"]
    assert kinds[-5:] == order
    (closed,) = play.closings
    assert {name: closed[name] for name in ("outcome", "rows", "masked", "command", "sqlstate", "bytes_in")} == {
        "outcome": "released",
        "rows": 2,
        "masked": {"column:customers.ssn": 1},
        "command": "SELECT 2",
        "sqlstate": "",
        "bytes_in": 0,
    }
    (attempt,) = play.said("request.attempt")
    assert (attempt["connection"], attempt["number"], attempt["statement"]) == ("c-1", 1, 1)
    assert attempt["operation"]["sql"]["text"] == "SELECT id, ssn FROM customers"
    assert SSN.encode() not in orjson.dumps([payload for _, payload, _ in play.recorder.events])
