from __future__ import annotations

import pytest

from extproc.errors import Refusal
from tests.unit.playbook import Desk
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import (
    ALLOW,
    DENY,
    HOLD,
    approved,
    client,
    logged_in,
    names_of,
    prepared,
    server,
)
from tests.unit.postgres.talking import (
    BOUND,
    CLOSED,
    FLUSH,
    PARSED,
    SYNC,
    bind,
    close,
    complete,
    describe,
    description,
    execute,
    failure,
    of,
    parse,
    query,
    ready,
    result,
)

ID = of("customers", "id")


# --- names


def test_the_servers_names_are_the_gateways() -> None:
    play = prepared()
    said = play >> client(bind("s", "p"), describe("S", "s"), describe("P", "p"), execute("p"), close("P", "p"), SYNC)
    assert said.kinds == ">B >D >D >E >H"
    bound, statement, portal, run = said.server[:4]
    assert names_of(bound) == [b"extproc_2", b"extproc_1"]
    assert names_of(statement) == [b"extproc_1"]
    assert names_of(portal) == names_of(run) == [b"extproc_2"]


def test_what_is_unnamed_stays_so() -> None:
    said = logged_in() >> client(parse("SELECT 1"), bind(), execute(), SYNC)
    assert [names_of(one)[0] for one in said.server[:4]] == [b""] * 4


def test_text_types_and_values_go_as_they_are() -> None:
    play = logged_in()
    said = play >> client(parse("SELECT $1", "s", [25]), bind("s", "", [b"\xff", None], [1], [0]), execute("", 7), SYNC)
    parsed, bound, _, run, _ = said.server
    assert parsed.body == b"extproc_1\0SELECT $1\0\0\1\0\0\0\x19"
    assert bound.body == bind("extproc_1", "", [b"\xff", None], [1], [0])[5:]
    assert run.body == b"\0\0\0\0\7"


def test_a_name_that_stands_is_not_given_again() -> None:
    play = prepared()
    assert (play >> client(parse("SELECT 2", "s"), SYNC)).error["C"] == "42P05"
    play >> client(bind("s", "p"), FLUSH)
    play >> server(BOUND)
    assert (play >> client(bind("s", "p"))).error["C"] == "42P03"


def test_after_a_close_it_is() -> None:
    """Also where both come at once."""
    play = prepared()
    said = play >> client(close("S", "s"), parse("SELECT 2", "s"), bind("s"), execute(), SYNC)
    assert said.kinds == ">C >P >B >D >E >S"
    assert names_of(said.server[0]) == [b"extproc_1"]
    assert names_of(said.server[1])[0] == names_of(said.server[2])[1] == b"extproc_2"
    said = play >> server(CLOSED, PARSED, BOUND, result(["a"], ["2"]), ready())
    assert said.told == "312DCZ"


def test_what_does_not_exist() -> None:
    for messages, state in (
        (bind("none"), "26000"),
        (describe("S", "none"), "26000"),
        (describe("P", "none"), "34000"),
        (execute("none"), "34000"),
    ):
        play = logged_in()
        said = play >> client(messages, SYNC)
        assert said.kinds == "<E <Z"
        assert said.error["C"] == state
    assert (logged_in() >> client(close("S", "none"), close("P", ""), SYNC)).kinds == ">C >C >S"


def test_portals_end_with_the_transaction() -> None:
    play = prepared()
    play >> client(bind("s", "p"), SYNC)
    play >> server(BOUND, ready("T"))
    assert (play >> client(execute("p"), SYNC)).kinds == ">D >E >S"
    play >> server(description(ID), complete("SELECT 0"), ready("I"))
    assert (play >> client(execute("p"), SYNC)).error["C"] == "34000"


# --- an error in a pipeline (threats.md): what the server skipped never changes what a name means


def test_a_parse_that_the_server_skipped_means_nothing() -> None:
    play = prepared("SELECT id FROM customers")
    attack = (parse("SELECT 1/0", "x"), bind("x"), execute(), close("S", "s"), parse("DELETE FROM customers", "s"))
    assert (play >> client(*attack, SYNC)).kinds == ">P >B >D >E >H"
    said = play >> server(PARSED, BOUND, failure())
    assert (said.told, said.sent) == ("12E", "S")  # the rest is skipped here as it is there
    play >> server(ready())
    said = play >> client(bind("s"), execute(), SYNC)
    assert said.kinds == ">B >D >E >S"
    assert names_of(said.server[0])[1] == b"extproc_1"
    assert play.policy.asked[-1]["sql"]["statements"][0]["kind"] == "select"
    assert len(play.policy.asked) == 3


@pytest.mark.parametrize("failing", range(4))
def test_wherever_the_error_is_what_came_before_it_counts_and_what_follows_does_not(failing: int) -> None:
    play = logged_in()
    play >> client(parse("SELECT 1", "a"), parse("SELECT 2", "b"), bind("a", "p"), parse("SELECT 3", "c"), SYNC)
    answers = [PARSED, PARSED, BOUND, PARSED]
    said = play >> server(*answers[:failing], failure(), ready("T"))
    assert said.told == "112"[:failing] + "EZ"
    exist = [not (play >> client(bind(name), SYNC)).kinds.startswith("<E") or None for name in "a"]
    assert exist == [True if failing > 0 else None]


def test_a_parse_that_was_denied_means_nothing() -> None:
    play = prepared("SELECT id FROM customers", ALLOW, DENY, ALLOW)
    said = play >> client(parse("DELETE FROM customers", "t"), SYNC)
    assert said.kinds == "<E <Z"
    assert (play >> client(bind("t"), SYNC)).error["C"] == "26000"


def test_what_a_name_ran_is_what_policy_was_asked_about() -> None:
    play = prepared("SELECT id FROM customers", name="a")
    play >> client(parse("DELETE FROM orders", "b"), SYNC)
    play >> server(PARSED, ready())
    said = play >> client(bind("b"), execute(), SYNC)
    assert names_of(said.server[0])[1] == b"extproc_2"
    assert play.policy.asked[-1]["sql"]["statements"][0]["kind"] == "delete"


# --- what is decided


def test_an_execution_is_decided_with_its_parameters() -> None:
    play = logged_in()
    play >> client(parse("SELECT $1::int", "", [23]), bind("", "", [b"\0\0\0\7"], [1]), execute(), SYNC)
    (asked,) = play.policy.asked
    assert (asked["sql"]["protocol"], asked["sql"]["step"], asked["sql"]["parameters"]) == ("extended", "execute", 1)
    (attempt,) = play.said("request.attempt")
    assert attempt["operation"]["sql"]["parameters"] == ["7"]


def test_a_statement_that_is_only_parsed_is_decided_as_that() -> None:
    play = prepared()
    assert [one["sql"]["step"] for one in play.policy.asked] == ["prepare"]
    assert play.closings == [{"outcome": "prepared"}]


def test_a_portal_that_is_only_bound_is_decided_as_its_execution() -> None:
    """Planning runs immutable functions."""
    play = prepared()
    assert (play >> client(bind("s", "p"), SYNC)).kinds == ">B >S"
    assert [one["sql"]["step"] for one in play.policy.asked] == ["prepare", "execute"]
    play >> server(BOUND, ready("T"))
    assert (play >> client(execute("p"), SYNC)).kinds == ">D >E >S"
    assert len(play.policy.asked) == 2  # once is enough
    play >> server(description(ID), complete("SELECT 0"), ready("I"))
    assert [one["outcome"] for one in play.closings] == ["prepared", "released"]


def test_one_that_is_never_executed_is_recorded_too() -> None:
    play = prepared()
    play >> client(bind("s", "p"), SYNC)
    play >> server(BOUND, ready("I"))
    assert [one["outcome"] for one in play.closings] == ["prepared", "prepared"]


def test_every_execution_is_decided_anew() -> None:
    play = prepared("SELECT id FROM customers", ALLOW, ALLOW, DENY)
    play >> client(bind("s"), execute(), SYNC)
    play >> server(BOUND, result(ID, ["1"]), ready())
    said = play >> client(bind("s"), execute(), SYNC)
    assert said.kinds == "<E <Z"
    assert said.error["M"] == "not on a Friday"


def test_nothing_of_a_group_goes_where_one_of_it_is_denied() -> None:
    play = logged_in(ALLOW, DENY)
    said = play >> client(parse("SELECT 1"), bind("", "p"), parse("DELETE FROM customers", "x"), execute("p"), SYNC)
    assert said.kinds == "<E <Z"


def test_what_cannot_be_read_is_refused_at_parse() -> None:
    play = logged_in()
    said = play >> client(parse("SELEC 1"), bind(), execute(), SYNC)
    assert said.kinds == "<E <Z"
    assert said.error["C"] == "42601"
    assert play.said("request.refused")[0]["code"] == "statement_malformed"


def test_a_hold() -> None:
    play = logged_in(HOLD, desk=Desk(approve=approved))
    assert (play >> client(parse("SELECT 1"), bind(), execute(), SYNC)).kinds == "<N >P >B >D >E >S"


def test_to_prepare_needs_nobodys_yes() -> None:
    play = logged_in(HOLD)
    assert (play >> client(parse("SELECT 1", "s"), describe("S", "s"), SYNC)).kinds == ">P >D >S"


def test_a_hold_must_be_the_first_after_a_sync() -> None:
    play = logged_in(ALLOW, HOLD, desk=Desk(approve=approved))
    play >> client(parse("SELECT 1"), bind(), execute(), FLUSH)
    play >> server(PARSED, BOUND, result(["a"], ["1"]))
    said = play >> client(parse("DELETE FROM orders"), bind(), execute())
    assert said.error["M"] == "a statement that is held must be the first after a Sync"


# --- Sync, Flush


def test_a_sync_without_anything_is_answered_here() -> None:
    assert (logged_in() >> client(SYNC, SYNC)).kinds == "<Z <Z"


def test_after_an_error_everything_is_skipped_up_to_sync() -> None:
    play = logged_in()
    assert (play >> client(parse("SELECT 1/0"), bind(), execute(), FLUSH)).kinds == ">P >B >D >E >H"
    assert (play >> server(PARSED, BOUND, failure())).kinds == "<1 <2 <E"
    skipped = parse("DELETE FROM customers", "x"), bind("x"), execute(), query("DELETE FROM customers"), FLUSH
    assert (play >> client(*skipped, message(b"F", b""))).kinds == ""
    assert (play >> client(SYNC)).kinds == ">S"
    assert (play >> server(ready())).kinds == "<Z"
    assert len(play.policy.asked) == 1


def test_an_execution_goes_alone() -> None:
    """Lockstep: the next one is not sent before this one has been answered."""
    play = logged_in()
    three = [each for number in range(3) for each in (parse(f"SELECT {number}"), bind(), execute())]
    assert (play >> client(*three, SYNC)).kinds == ">P >B >D >E >H"
    said = play >> server(PARSED, BOUND, result(["a"], ["0"]))
    assert sorted(said.kinds.split()) == sorted(["<1", "<2", "<D", "<C", ">P", ">B", ">D", ">E", ">H"])
    play >> server(PARSED, BOUND, result(["a"], ["1"]))
    said = play >> server(PARSED, BOUND, result(["a"], ["2"]))
    assert (said.told, said.sent) == ("12DC", "S")
    assert (play >> server(ready())).kinds == "<Z"


def test_much_that_is_not_asked_to_be_answered_is_sent_all_the_same() -> None:
    """What waits here is bounded."""
    play = logged_in()
    said = play >> client(*(parse("SELECT 1", f"s{number}") for number in range(2000)))
    assert said.kinds.endswith(">P >H")
    count = len(said.server) - 1
    assert count < 2000
    long = "SELECT '" + "x" * 50_000 + "'"
    play = logged_in()
    said = play >> client(*(parse(long) for _ in range(100)))
    assert sum(len(one.body) for one in said.server) < 2 * 1024 * 1024


@pytest.mark.parametrize(
    "data",
    [
        message(b"P", b"s\0SELECT 1\0\0\1"),
        message(b"P", b"s\0SELECT \xff\0\0\0"),
        message(b"P", b"s\0SELECT 1\0\0\0more"),
        message(b"B", b"\0\0\0\0\0\1"),
        message(b"D", b"Xs\0"),
        message(b"D", b"Ss\0more"),
        message(b"C", b""),
        message(b"E", b"\0\0\0"),
        message(b"E", b"\0\0\0\0\0more"),
        message(b"H", b"x"),
    ],
)
def test_what_cannot_be_read_cuts_the_connection(data: bytes) -> None:
    play = logged_in()
    said = play >> client(parse("SELECT 1", "s"), bind("s"), data, SYNC)
    assert said.kinds == "<E"
    assert said.error["C"] == "08P01"
    assert play.over


def test_a_refusal_that_ends_the_connection_sends_nothing() -> None:
    play = prepared()
    play.services.verifier.verify = lambda *_: (_ for _ in ()).throw(Refusal("identity_invalid"))  # type: ignore[method-assign]
    said = play >> client(bind("s"), execute(), SYNC)
    assert said.kinds == "<E"
    assert play.over
