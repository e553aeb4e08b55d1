from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.postgres.events import ReadCatalog
from extproc.waits import Durable
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import ALLOW, GONE, MASK, Play, client, logged_in, server
from tests.unit.postgres.talking import (
    BOUND,
    COPIED,
    PARSED,
    SSN,
    SYNC,
    bind,
    complete,
    copy_data,
    copying,
    description,
    execute,
    failure,
    of,
    parse,
    query,
    ready,
    result,
    rows,
)

TEXT = "SELECT id, ssn FROM customers"
COLUMNS = of("customers", "id", "ssn")


def asked(text: str = TEXT, *answers: dict[str, Any]) -> Play:
    play = logged_in(*answers or (MASK,))
    assert (play >> client(query(text))).kinds == ">Q"
    return play


def in_extended(text: str = TEXT, *answers: dict[str, Any]) -> Play:
    play = logged_in(*answers or (MASK,))
    assert (play >> client(parse(text), bind(), execute(), SYNC)).kinds == ">P >B >D >E >S"
    assert (play >> server(PARSED, BOUND)).kinds == "<1 <2"
    return play


# --- what may come


@pytest.mark.parametrize(
    "data",
    [
        message(b"R", bytes(4)),
        message(b"K", bytes(8)),
        message(b"V", b"\0\0\0\1a"),
        message(b"W", b"\0\0\0"),
        message(b"v", bytes(8)),
        message(b"1", b""),
        message(b"2", b""),
        message(b"n", b""),
        message(b"t", b"\0\0"),
        message(b"?", b""),
        message(b"\0", b""),
    ],
)
def test_what_no_statement_causes_cuts_the_connection(data: bytes) -> None:
    for play in (asked(), in_extended()):
        if play.policy.asked[0]["sql"]["protocol"] == "extended":
            play >> server(description(COLUMNS))
        said = play >> server(data, complete("SELECT 1"), ready())
        assert said.kinds == "<E"
        assert said.error["C"] == "08006"
        assert play.over
        assert [one["outcome"] for one in play.closings] == ["aborted"]


def test_a_second_description_is_of_a_further_result() -> None:
    play = asked()
    play >> server(description(COLUMNS), rows(["1", SSN]))
    said = play >> server(description(of("customers", "ssn", "id")), rows([SSN, "1"]), complete("SELECT 2"), ready())
    # The columns are not those that the statement promised.
    assert [one.fields["C"] for one in said.client if one.kind == "E"] == ["42501"]
    assert said.rows == []


def test_an_execution_has_none() -> None:
    play = in_extended()
    said = play >> server(description(COLUMNS), rows(["1", SSN]), description(COLUMNS))
    assert said.kinds == "<D <E"
    assert play.over


def test_more_results_than_statements_are_not_let_go_unmasked() -> None:
    play = asked("SELECT id FROM customers")
    answer = result(of("customers", "id"), ["1"])
    said = play >> server(answer, result(of("customers", "ssn"), [SSN]), ready())
    assert said.rows == [[b"1"]]
    assert said.error["C"] == "42501"


def test_rows_without_a_description() -> None:
    play = asked()
    said = play >> server(rows(["1", SSN]), complete("SELECT 1"), ready())
    assert said.kinds == "! <E"
    assert play.closings[0]["outcome"] == "protocol_error"
    assert play.over


@pytest.mark.parametrize(
    "data",
    [
        rows(["1"]),  # fewer fields
        rows(["1", SSN, SSN]),
        message(b"D", b"\0\2\0\0\0\1a\0\0\0\x7fb"),  # a length that lies
        message(b"D", b""),
        copy_data(b"1\t078-05-1120\n"),
    ],
)
def test_rows_of_another_shape(data: bytes) -> None:
    for play in (asked(), in_extended()):
        said = play >> server(description(COLUMNS), data, complete("SELECT 1"), ready())
        assert said.cancels
        assert said.told.endswith("EZ")
        assert SSN.encode() not in b"".join(one.body for one in said.client)
        assert not play.over


@pytest.mark.parametrize(
    "data",
    [
        message(b"T", b"\0\1a\0"),
        message(b"T", b"\xff\xff"),
        message(b"E", b"no end"),
        message(b"N", b"Mno end"),
        message(b"S", b"x"),
    ],
)
def test_what_cannot_be_read_is_the_servers_fault(data: bytes) -> None:
    play = asked()
    said = play >> server(data, message(b"T", b""))
    assert said.error["C"] == "08006"
    assert play.over


def test_columns_from_elsewhere_than_the_statement_says() -> None:
    for play in (asked("SELECT name FROM customers"), in_extended("SELECT name FROM customers")):
        lying = [replace(one, name="name") for one in of("customers", "ssn")]
        said = play >> server(result(lying, [SSN]), ready())
        assert said.rows == []
        assert said.error["C"] == "42501"
        assert not play.over


# --- how much


@pytest.mark.parametrize("most", [0, 1, 2, 3])
@pytest.mark.parametrize("split", [True, False])
def test_a_limit_of_rows_cuts_exactly(most: int, split: bool) -> None:
    limited = {"action": "allow", "limits": {"rows": most}}
    values = [["1", "x"], ["2", "y"], ["3", "z"]]
    for play in (asked(TEXT, limited), in_extended(TEXT, limited)):
        said = [play >> server(description(COLUMNS))]
        said += [play >> server(rows(one)) for one in values] if split else [play >> server(rows(*values))]
        said += [play >> server(complete("SELECT 3"), ready())]
        found = [row for one in said for row in one.rows]
        assert found == [[value.encode() for value in row] for row in values[:most]]
        assert any(one.cancels for one in said) == (most < 3)
        assert "".join(one.told for one in said)[-2:] == ("EZ" if most < 3 else "CZ")
        assert play.closings[0]["rows"] == most
        assert not play.over


def test_limits_hold_for_a_query_string_as_a_whole() -> None:
    play = asked("SELECT id FROM customers; SELECT id FROM customers", {"action": "allow", "limits": {"rows": 3}})
    answer = result(of("customers", "id"), ["1"], ["2"])
    said = play >> server(answer, answer, ready())
    assert len(said.rows) == 3
    assert said.error["C"] == "53400"


@pytest.mark.parametrize("name", ["response_bytes", "session_bytes"])
def test_a_limit_of_bytes_lets_nothing_beyond_it_go(name: str) -> None:
    answer = description(COLUMNS), rows(["1", "x"]), complete("SELECT 1")
    for most in range(sum(map(len, answer[1:]))):
        limited = {"action": "allow", "limits": {name: most}}
        for play in (asked(TEXT, limited), in_extended(TEXT, limited)):
            said = play >> server(*answer, ready())
            own = [one for one in said.client if one.kind not in "EZ"]
            assert sum(len(one.body) + 5 for one in own) <= most
            assert said.error["C"] == "53400"
            assert said.kinds.endswith("<Z")
            assert not play.over
            assert (play >> client(query("SELECT 1"))).kinds == ">Q"


# --- what is dropped


def test_what_is_dropped_was_done_all_the_same() -> None:
    """Names and settings are as the server has them, whether the client was told or not."""
    limited = {"action": "allow", "limits": {"rows": 0}}
    text = "SELECT 1; DEALLOCATE x; PREPARE x AS SELECT ssn FROM customers; SET search_path = hr; CREATE TABLE t ()"
    play = logged_in(ALLOW, limited, ALLOW)
    play >> client(query("PREPARE x AS SELECT id FROM customers"))
    play >> server(complete("PREPARE"), ready())
    play >> client(query(text))
    tags = [complete(tag) for tag in ("DEALLOCATE", "PREPARE", "SET", "CREATE TABLE")]
    said = play >> server(result(["a"], ["1"]), *tags, ready())
    assert said.kinds == "! <T <E <Z"
    reads = sum(isinstance(step, ReadCatalog) for step in play.steps)
    play >> client(query("EXECUTE x"))
    assert sum(isinstance(step, ReadCatalog) for step in play.steps) == reads + 1
    columns = [one["columns"] for one in play.policy.asked[-1]["sql"]["statements"]]
    assert columns[-1] == [{"table": "public.customers", "column": "ssn", "uses": ["project"]}]


def test_a_setting_that_changes_while_a_result_is_dropped_ends_the_connection_if_it_must_stay() -> None:
    play = asked(TEXT, {"action": "allow", "limits": {"rows": 0}})
    play >> server(description(COLUMNS), rows(["1", "x"]))
    said = play >> server(message(b"S", b"standard_conforming_strings\0off\0"), complete("SELECT 1"), ready())
    assert said.error["C"] == "08006"
    assert play.over


def test_a_copy_that_begins_while_results_are_dropped_is_ended() -> None:
    """The server waits for data that the client will not send."""
    play = asked("SELECT 1; COPY orders FROM STDIN", {"action": "allow", "limits": {"rows": 0}})
    assert (play >> server(result(["a"], ["1"]))).kinds == "! <T <E"
    assert (play >> server(copying("G"))).kinds == ">f"
    assert (play >> server(failure("57014"), ready())).kinds == "<Z"


# --- the record


@pytest.mark.parametrize("extended", [True, False])
@pytest.mark.parametrize("at", range(5))
def test_a_record_that_fails_lets_nothing_further_go(at: int, extended: bool) -> None:
    play = in_extended() if extended else asked()
    parts = [description(COLUMNS), rows(["1", SSN]), rows(["2", SSN]), complete("SELECT 2"), ready()]
    told = ""
    for place, part in enumerate(parts):
        play.now += 2  # so that each is recorded by itself
        play.recorder.broken = place >= at
        told += (play >> server(part)).told
    assert not play.over
    # Of an execution the last bytes are its completion, of a query they are ReadyForQuery.
    before = "DDC"[: max(at - 1, 0)] if extended else "TDDC"[:at]
    assert told == before + ("Z" if extended and at == 4 else "EZ")
    play.recorder.broken = False
    assert (play >> client(query("SELECT 1"))).kinds == ">Q"


@pytest.mark.parametrize("extended", [True, False])
@pytest.mark.parametrize("code", ["statement_cancelled", "upstream_unavailable"])
@pytest.mark.parametrize("place", range(3))
def test_a_wait_that_is_ended(place: int, code: str, extended: bool) -> None:
    """The client cancels, or the server is gone, while the record catches up."""
    play = in_extended() if extended else asked()
    play >> server(description(COLUMNS))
    waits = 0

    def end(wait: Any) -> None:
        nonlocal waits
        if isinstance(wait, Durable):
            waits += 1
            if waits == place + 1:
                raise Refusal(code)

    play.wait_for = end
    parts = [rows(["1", "x"]), rows(["2", "y"]), complete("SELECT 2"), ready()]
    said = []
    for part in parts:
        play.now += 2  # so that each is recorded by itself
        if not play.over:
            said.append(play >> server(part))
    errors = [one.fields for each in said for one in each.client if one.kind == "E"]
    assert len(errors) == 1
    assert f"code {code}" in errors[0]["D"]
    assert play.over == (code == "upstream_unavailable")
    assert len(play.closings) == 1


def test_the_closing_record_is_durable_before_the_last_bytes() -> None:
    for play in (asked(), in_extended()):
        order: list[str] = []

        def look(wait: Any, play: Play = play, order: list[str] = order) -> None:
            if isinstance(wait, Durable):
                order.append(play.recorder.kinds()[-1])

        play.wait_for = look
        said = play >> server(description(COLUMNS), rows(["1", SSN]), complete("SELECT 1"), ready())
        assert order[-1] == "exchange.closed"
        assert said.kinds.endswith("<C <Z")


def test_a_server_that_leaves_in_the_middle() -> None:
    for play in (asked(), in_extended()):
        play >> server(description(COLUMNS), rows(["1", SSN]))
        said = play >> GONE
        assert said.error["C"] == "08006"
        assert play.over
        assert [one["outcome"] for one in play.closings] == ["aborted"]


def test_a_client_that_leaves_in_the_middle() -> None:
    for play in (asked(), in_extended()):
        play >> server(description(COLUMNS), rows(["1", SSN]))
        play.leave()
        (closed,) = play.closings
        assert (closed["outcome"], closed["rows"]) == ("aborted", 1)
        assert play.recorder.kinds()[-1] == "connection.closed"


# --- COPY OUT


def test_copied_lines_are_masked_by_the_lineage_of_their_columns() -> None:
    for play in (asked("COPY customers (id, ssn) TO STDOUT"), in_extended("COPY customers (id, ssn) TO STDOUT")):
        if play.policy.asked[0]["sql"]["protocol"] == "extended":
            play >> server(message(b"n", b""))
        said = play >> server(
            copying("H", 2), copy_data(b"1\t078-05-1120\n"), copy_data(b"2\t\\N\n"), COPIED, complete("COPY 2"), ready()
        )
        assert said.kinds == "<H <d <d <c <C <Z"
        assert [one.body for one in said.client if one.kind == "d"] == [b"1\t****\n", b"2\t\\N\n"]
        assert play.closings[0]["rows"] == 2


@pytest.mark.parametrize("text", ["COPY customers TO STDOUT (FORMAT binary)", "COPY unheard_of TO STDOUT"])
def test_what_cannot_be_masked_is_not_copied(text: str) -> None:
    play = logged_in({"action": "allow", "redact": [{"detect": ["email"]}]})
    play >> client(query(text))
    said = play >> server(copying("H", 9), copy_data(b"PGCOPY"), COPIED, complete("COPY 1"), ready())
    assert "d" not in said.told
    assert said.told.endswith("EZ")
    assert said.cancels


def test_copied_data_that_ends_inside_a_line() -> None:
    play = asked("COPY customers (id, ssn) TO STDOUT")
    said = play >> server(copying("H", 2), copy_data(b"1\t078"), COPIED, complete("COPY 1"), ready())
    assert said.kinds == "! <H <E <Z"
    assert not play.over


# --- the response's own policy


def test_policy_may_look_at_the_columns_first() -> None:
    first = {"action": "allow", "inspect": ["response"]}
    play = asked(TEXT, first, {"action": "deny", "reason": "no ssn"})
    said = play >> server(description(COLUMNS), rows(["1", SSN]), complete("SELECT 1"), ready())
    assert said.kinds == "! <E <Z"
    assert said.error["M"] == "no ssn"
    columns = play.policy.asked[1]["response"]["columns"]
    assert [(one["name"], one["type"]) for one in columns] == [("id", "int4"), ("ssn", "text")]


def test_what_policy_adds_then_holds() -> None:
    first = {"action": "allow", "inspect": ["response"]}
    play = asked(TEXT, first, {"action": "allow", "redact": [{"columns": ["ssn"]}], "limits": {"rows": 1}})
    said = play >> server(description(COLUMNS), rows(["1", SSN], ["2", SSN]), complete("SELECT 2"), ready())
    assert said.rows == [[b"1", b"****"]]
    assert said.error["C"] == "53400"


@pytest.mark.parametrize("second", [{"record": "metadata"}, {"limits": {"response_bytes": 10}}])
def test_terms_that_differ_for_a_further_result_cannot_be_kept(second: dict[str, Any]) -> None:
    first = {"action": "allow", "inspect": ["response"]}
    play = asked("SELECT id FROM customers; SELECT ssn FROM customers", first, ALLOW, {**ALLOW, **second})
    said = play >> server(result(of("customers", "id"), ["1"]), result(of("customers", "ssn"), [SSN]), ready())
    assert said.rows == [[b"1"]]
    assert "code policy_unmet" in said.error["D"]
