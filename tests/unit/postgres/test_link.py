from __future__ import annotations

from typing import Any

import pytest

from extproc.postgres.events import ClientSent, Receive, ServerClosed, ServerSent, Side, ToClient
from extproc.postgres.link import Link, ServerGone
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import GONE, client, server
from tests.unit.postgres.talking import (
    SSN,
    Heard,
    complete,
    copying,
    description,
    failure,
    heard,
    notice,
    notification,
    parameter,
    query,
    ready,
    rows,
)

IDLE_ONLY = {
    "a row": rows(["1"]),
    "a description": description(["a"]),
    "a completion": complete("SELECT 1"),
    "ready": ready(),
    "copied data": message(b"d", b"1\n"),
    "copy in": copying("G"),
    "copy out": copying("H"),
    "copy both": copying("W"),
    "authentication": message(b"R", bytes(4)),
    "a key": message(b"K", bytes(8)),
    "a function's result": message(b"V", b"\0\0\0\1a"),
    "parsed": message(b"1", b""),
    "an unknown one": message(b"?", b""),
}


def link(**parameters: str) -> Link:
    made = Link(statement_limit=1000, row_limit=1000)
    made.parameters.update(parameters)
    return made


def run(generator: Any, *events: ClientSent | ServerSent | ServerClosed) -> tuple[Any, bytes, list[Side]]:
    """What it gives, what went to the client, and which sides it waited for."""
    out, given, value = b"", list(events), None
    sides: list[Side] = []
    while True:
        try:
            step = generator.send(value)
        except StopIteration as end:
            return end.value, out, sides
        value = None
        if isinstance(step, ToClient):
            out += step.data
        else:
            assert isinstance(step, Receive)
            sides.append(step.side)
            if not given:
                return None, out, sides
            value = given.pop(0)


def told(made: Link, *messages: bytes) -> list[Heard]:
    """What an idle client hears of what the server says."""
    _, out, _ = run(made.from_client(), server(*messages))
    return list(heard(out))


def test_what_was_said_goes_before_anything_is_waited_for() -> None:
    made = link()
    made.say(b"one")
    made.say(b"two")
    found, out, sides = run(made.from_client(), client(query("SELECT 1")))
    assert (found, out, sides) == ((b"Q", b"SELECT 1\0"), b"onetwo", [Side.BOTH])


def test_what_is_unsaid_does_not_go() -> None:
    made = link()
    made.say(b"one")
    made.unsay()
    assert run(made.flush())[1] == b""


def test_much_goes_at_once() -> None:
    made = link()
    made.say(b"x")
    assert run(made.relieve())[1] == b""
    made.say(b"x" * 70_000)
    assert len(run(made.relieve())[1]) == 70_001


@pytest.mark.parametrize("data", IDLE_ONLY.values(), ids=IDLE_ONLY.keys())
def test_an_idle_server_says_nothing_that_was_not_asked_for(data: bytes) -> None:
    with pytest.raises(ServerGone):
        told(link(), data)


def test_nor_behind_the_end_of_an_answer() -> None:
    """It came together with what was read before: nobody waits for a further read to look at it."""
    made = link()
    made.server.feed(rows(["1"]))
    with pytest.raises(ServerGone):
        run(made.from_client())


def test_what_may_be_said_at_any_time_is_not_kept_waiting() -> None:
    made = link()
    made.server.feed(notification("channel", "hello"))
    _, out, _ = run(made.from_client())
    assert [one.kind for one in heard(out)] == ["A"]


def test_a_notice_that_nobody_asked_for_tells_no_text() -> None:
    (found,) = told(link(), notice(f"ssn is {SSN}", D=SSN))
    assert found.kind == "N"
    assert SSN.encode() not in found.body


def test_a_notification_is_looked_at() -> None:
    (found,) = told(link(), notification("jobs", f"mail to jane@example.com and {SSN}"))
    assert found.kind == "A"
    assert found.body.startswith(b"\0\0\0\7jobs\0mail to ")
    assert b"jane@example.com" not in found.body
    assert b"jane@example.com" not in told(link(), notification("jane@example.com", ""))[0].body


def test_a_changed_setting_is_told_and_looked_at() -> None:
    made = link(TimeZone="UTC")
    (found,) = told(made, parameter("TimeZone", "Europe/Berlin"))
    assert (found.kind, found.text) == ("S", "TimeZone Europe/Berlin")
    assert made.parameters["TimeZone"] == "Europe/Berlin"
    (found,) = told(made, parameter("application_name", "jane@example.com"))
    assert b"jane@example.com" not in found.body


def test_settings_that_are_not_known_are_not_told() -> None:
    assert told(link(), parameter("my.secret", "x")) == []


@pytest.mark.parametrize(
    "name", ["client_encoding", "standard_conforming_strings", "session_authorization", "is_superuser"]
)
def test_a_setting_that_must_stay_ends_the_connection(name: str) -> None:
    made = link(**{name: "on"})
    assert [one.kind for one in told(made, parameter(name, "on"))] == ["S"]
    with pytest.raises(ServerGone, match=name):
        told(made, parameter(name, "off"))


@pytest.mark.parametrize(
    ("state", "told_why"),
    [("57P01", True), ("57P05", True), ("25P03", True), ("XX000", False), ("25P02", False), ("22012", False)],
)
def test_the_last_words_of_a_server_are_told_where_they_are_its_own(state: str, told_why: bool) -> None:
    made = link()
    with pytest.raises(ServerGone):
        told(made, failure(state, f"terminating {SSN}", "FATAL"))
    (found,) = heard(run(made.flush())[1])
    assert found.fields["C"] == state
    assert SSN not in found.text
    assert ("terminating" in found.text) == told_why


@pytest.mark.parametrize(
    "data",
    [
        message(b"S", b"no end"),
        message(b"A", b"\0\0"),
        message(b"N", b"Sno end"),
        message(b"E", b"no end"),
        b"S\0\0\0\0",
        b"D\x7f\xff\xff\xff",
    ],
)
def test_what_cannot_be_read_is_the_servers_fault(data: bytes) -> None:
    with pytest.raises(ServerGone):
        told(link(), data)


@pytest.mark.parametrize("way", [Link.from_client, Link.from_server, Link.from_either])
def test_a_server_that_ends_the_connection(way: Any) -> None:
    with pytest.raises(ServerGone):
        run(way(link()), GONE)


def test_while_data_is_on_its_way_either_side_may_speak() -> None:
    found, _, sides = run(link().from_either(), client(query("x")))
    assert (found, sides) == ((b"Q", b"x\0"), [Side.BOTH])
    made = link()
    found, _, _ = run(made.from_either(), server(failure()))
    assert found is None
    said = made.server_next()
    assert said is not None
    assert said[0] == b"E"
