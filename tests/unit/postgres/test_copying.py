from __future__ import annotations

from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.waits import Durable
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import ALLOW, GONE, Play, client, logged_in, server
from tests.unit.postgres.talking import (
    BOUND,
    COPY_DONE,
    FLUSH,
    NO_DATA,
    PARSED,
    SYNC,
    bind,
    complete,
    copy_data,
    copy_fail,
    copying,
    execute,
    failure,
    notice,
    parameter,
    parse,
    query,
    ready,
    rows,
)

COPY = "COPY orders (note) FROM STDIN"
IN = copying("G")


def simple(*answers: dict[str, Any], text: str = COPY) -> Play:
    play = logged_in(*answers or (ALLOW,))
    assert (play >> client(query(text))).kinds == ">Q"
    assert (play >> server(IN)).kinds == "<G"
    return play


def extended(*answers: dict[str, Any], text: str = COPY) -> Play:
    play = logged_in(*answers or (ALLOW,))
    assert (play >> client(parse(text), bind(), execute())).kinds == ">P >B >D >E >H"
    assert (play >> server(PARSED, BOUND, NO_DATA, IN)).kinds == "<1 <2 <G"
    return play


BOTH = pytest.mark.parametrize("begin", [simple, extended])


@BOTH
def test_data_goes_as_it_is(begin: Any) -> None:
    play = begin()
    said = play >> client(copy_data(b"one\n"), copy_data(b"two\nthr"))
    assert [one.body for one in said.server] == [b"one\n", b"two\nthr"]
    assert (play >> client(copy_data(b"ee\n"), COPY_DONE)).sent == ("dcH" if begin is extended else "dc")
    if begin is extended:
        assert (play >> server(complete("COPY 3"))).told == "C"
        assert (play >> client(SYNC)).kinds == ">S"
        assert (play >> server(ready())).told == "Z"
    else:
        assert (play >> server(complete("COPY 3"), ready())).told == "CZ"
    closed = play.closings[-1]
    assert (closed["outcome"], closed["command"], closed["bytes_in"]) == ("released", "COPY 3", 14)


@BOTH
def test_it_is_recorded_with_everything_masked_that_a_detector_finds(begin: Any) -> None:
    play = begin()
    play >> client(copy_data(b"mail to jane@exam"), copy_data(b"ple.com\n"), COPY_DONE)
    play >> server(complete("COPY 1"))
    (body,) = play.said("request.body")
    assert body["total"]["size"] > 0
    assert b"jane@example.com" not in play.recorder.text()


@pytest.mark.parametrize("text", ["COPY orders FROM STDIN (FORMAT binary)"])
def test_binary_data_is_counted(text: str) -> None:
    play = simple(text=text)
    play >> client(copy_data(b"PGCOPY\n\xff\r\n\0"), COPY_DONE)
    (body,) = play.said("request.body")
    assert (body["encoding"], body["total"]["recorded"]) == ("none", 0)


@BOTH
def test_the_client_may_give_up(begin: Any) -> None:
    play = begin()
    said = play >> client(copy_data(b"one\n"), copy_fail("no more"))
    assert said.sent[:2] == "df"
    assert said.server[1].body == b"no more\0"
    said = play >> server(failure("57014"), *([] if begin is extended else [ready()]))
    assert said.told == ("E" if begin is extended else "EZ")


@BOTH
def test_sync_and_flush_are_ignored_there_as_the_server_does(begin: Any) -> None:
    play = begin()
    assert (play >> client(copy_data(b"1\n"), SYNC, FLUSH, copy_data(b"2\n"))).sent == "dd"


def test_a_sync_that_came_with_the_execution_is_ignored_too() -> None:
    """As libpq sends it; a further one comes after the data."""
    play = logged_in()
    assert (play >> client(parse(COPY), bind(), execute(), SYNC)).kinds == ">P >B >D >E >H"
    assert (play >> server(PARSED, BOUND, NO_DATA, IN)).told == "12G"
    assert (play >> client(copy_data(b"1\n"), COPY_DONE, SYNC)).sent == "dcH"
    said = play >> server(complete("COPY 1"))
    assert (said.told, said.sent) == ("C", "S")


# --- the error path: nothing that follows runs undecided (threats.md)


@BOTH
def test_after_an_error_of_the_server_its_data_is_dropped(begin: Any) -> None:
    play = begin()
    play >> client(copy_data(b"bad\n"))
    said = play >> server(failure("22P04"), *([ready()] if begin is simple else []))
    assert said.told == ("EZ" if begin is simple else "E")
    # The client did not know yet.
    assert (play >> client(copy_data(b"more\n"), copy_data(b"more\n"), COPY_DONE)).kinds == ""
    if begin is extended:
        assert (play >> client(SYNC)).kinds == ">S"
        assert (play >> server(ready())).told == "Z"
    said = play >> client(query("DELETE FROM customers"))
    assert said.kinds == ">Q"
    assert play.policy.asked[-1]["sql"]["statements"][0]["kind"] == "delete"
    assert play.closings[0]["sqlstate"] == "22P04"


def test_what_stands_in_the_way_of_the_data_is_decided_or_cut() -> None:
    """After the error the server takes a query for one; before it, it is none."""
    play = simple(ALLOW, {"action": "deny"})
    play >> server(failure("22P04"), ready())
    said = play >> client(copy_data(b"x"), query("DELETE FROM customers"), copy_data(b"x"))
    assert (said.told, said.sent) == ("EZ", "")


@BOTH
@pytest.mark.parametrize(
    "data",
    [
        query("DELETE FROM customers"),
        parse("DELETE FROM customers"),
        bind(),
        execute(),
        message(b"X", b""),
        message(b"p", b"x\0"),
        message(b"F", bytes(10)),
        message(b"c", b"x"),
        message(b"f", b"no end"),
        message(b"?", b""),
    ],
)
def test_anything_else_cuts_the_connection(begin: Any, data: bytes) -> None:
    play = begin()
    said = play >> client(copy_data(b"1\n"), data)
    assert said.sent in ("", "d")
    assert said.error["C"] == "08P01"
    assert play.over
    assert play.closings[-1]["outcome"] == "aborted"


@BOTH
def test_an_error_while_the_data_is_still_coming(begin: Any) -> None:
    """The server speaks between two reads of the client's."""
    play = begin()
    for _ in range(3):
        play >> client(copy_data(b"x" * 1000))
    said = play >> server(notice("by the way"), parameter("TimeZone", "UTC"), failure())
    assert said.told == "NSE"


@BOTH
@pytest.mark.parametrize("data", [rows(["1"]), ready(), complete("COPY 1"), IN, message(b"d", b"x")])
def test_a_server_that_answers_before_the_end(begin: Any, data: bytes) -> None:
    play = begin()
    said = play >> server(data)
    assert said.error["C"] == "08006"
    assert play.over


@BOTH
def test_a_server_that_leaves(begin: Any) -> None:
    play = begin()
    assert (play >> GONE).error["C"] == "08006"
    assert play.closings[-1]["outcome"] == "aborted"


@BOTH
def test_a_client_that_leaves(begin: Any) -> None:
    play = begin()
    play >> client(copy_data(b"1\n"))
    play.leave()
    assert play.closings[-1]["outcome"] == "aborted"
    assert play.said("request.body")[-1]["total"]["size"] == 2


# --- what is refused on the way


@BOTH
def test_a_record_that_fails_ends_the_copy(begin: Any) -> None:
    play = begin()
    play.recorder.broken = True
    play.now += 2
    said = play >> client(copy_data(b"x" * 10_000_000))
    assert said.sent == ("fH" if begin is extended else "f")
    assert said.cancels
    assert (play >> server(failure("57014"), *([ready()] if begin is simple else []))).told == (
        "Z" if begin is simple else ""
    )
    assert not play.over
    play.recorder.broken = False
    assert (play >> client(copy_data(b"y"), COPY_DONE, SYNC)).sent == ("S" if begin is extended else "")


def test_a_copy_that_may_not_begin() -> None:
    """What policy says of the response comes when the server is waiting for data already."""
    play = logged_in({"action": "allow", "inspect": ["response"]}, {"action": "deny", "reason": "no"})
    play >> client(query(COPY))
    said = play >> server(IN)
    assert (said.told, said.sent) == ("E", "f")
    assert (play >> server(failure("57014"), ready())).told == "Z"


@BOTH
@pytest.mark.parametrize("code", ["stopping", "upstream_unavailable"])
def test_what_ends_the_connection_ends_the_copy(begin: Any, code: str) -> None:
    play = begin()
    play >> client(copy_data(b"1\n"))
    said = play.throw(code)
    assert said.error["S"] == "FATAL"
    assert play.over
    assert "c" not in said.sent


def test_a_wait_for_the_record() -> None:
    play = simple()
    waits = []

    def look(wait: Any) -> None:
        if isinstance(wait, Durable):
            waits.append(wait)
            raise Refusal("statement_cancelled")

    play.wait_for = look
    play.now += 2
    said = play >> client(copy_data(b"x" * 2_000_000))
    assert waits
    assert said.sent == "f"
    assert said.error["C"] == "57014"


def test_much_data_goes_in_pieces() -> None:
    play = simple()
    said = play >> client(*[copy_data(b"x" * 1000)] * 200)
    assert said.sent == "d" * 200


def test_masked_errors() -> None:
    play = simple({"action": "allow", "redact": [{"columns": ["note"], "uses": ["write"]}]})
    said = play >> server(failure("22P04", "bad: 078-05-1120"), ready())
    assert "078-05-1120" not in said.error["M"]
