from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import zstandard

from extproc.postgres.answer import fields_of
from extproc.postgres.link import ServerGone
from extproc.postgres.plan import Field
from extproc.record.bodies import BACKEND
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import RESOURCE, Play, client, logged_in, server
from tests.unit.postgres.talking import (
    SSN,
    Column,
    complete,
    description,
    failure,
    heard,
    notice,
    of,
    query,
    ready,
    result,
    rows,
)

TEXT = "SELECT id, ssn FROM customers"
COLUMNS = of("customers", "id", "ssn")


def asked(text: str = TEXT, *answers: dict[str, Any], **options: Any) -> Play:
    play = logged_in(*answers or ({"action": "allow"},), **options)
    assert (play >> client(query(text))).sent == "Q"
    return play


def recorded(play: Play) -> bytes:
    """The bodies of responses as the record has them."""
    return b"".join(
        zstandard.decompress(blob, 1 << 20)
        for kind, _, blob in play.recorder.events
        if kind == "response.body" and blob
    )


def test_what_a_description_says() -> None:
    columns = [Column("a", 16400, 7, 25, 1), Column("ä")]
    assert fields_of(description(columns)[5:]) == (
        Field("a", 16400, 7, 25, binary=True),
        Field("ä", 0, 0, 25, binary=False),
    )
    assert fields_of(b"\0\0") == ()


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\1", b"\0\1a\0", description(["a"])[5:-1], description(["a"])[5:] + b"x"]
)
def test_one_that_cannot_be_read_is_the_servers_fault(body: bytes) -> None:
    with pytest.raises(ServerGone):
        fields_of(body)


def test_the_record_has_what_went_to_the_client() -> None:
    play = asked(TEXT, {"action": "allow", "redact": [{"columns": ["ssn"]}]})
    said = play >> server(result(COLUMNS, ["1", SSN]), ready())
    assert list(heard(recorded(play))) == said.client[:-1]
    (body,) = play.said("response.body")
    assert body["media_type"] == BACKEND


@pytest.mark.parametrize(("level", "shown"), [("full", True), ("redacted", False)])
def test_levels(level: str, shown: bool) -> None:
    mail = "jane@example.com"
    play = asked(TEXT, {"action": "allow", "record": level})
    said = play >> server(result(COLUMNS, ["1", mail]), notice(f"by {mail}"), ready())
    assert said.rows == [[b"1", mail.encode()]]
    assert (mail.encode() in recorded(play)) == shown
    assert [one.kind for one in heard(recorded(play))] == ["T", "D", "C", "N"]


def test_metadata_has_no_rows() -> None:
    play = asked(TEXT, {"action": "allow", "record": "metadata"})
    play >> server(result(COLUMNS, ["1", SSN]), ready())
    assert recorded(play) == b""
    assert play.closings[0]["rows"] == 1


def test_rows_that_cannot_be_masked_for_the_record_are_counted_there() -> None:
    play = asked(TEXT, {"action": "allow", "record": "redacted"})
    lying = message(b"D", b"\0\2\0\0\0\x7fjane@example.com")
    said = play >> server(description(COLUMNS), lying, complete("SELECT 1"), ready())
    assert said.told == "TDCZ"
    assert b"jane@example.com" not in recorded(play)


def test_counts() -> None:
    play = asked(TEXT, {"action": "allow", "redact": [{"columns": ["ssn"]}, {"detect": ["email"]}]})
    said = play >> server(result(COLUMNS, ["1", SSN], ["2", None], ["3", SSN]), ready())
    (closed,) = play.closings
    assert closed["bytes_out"] == sum(len(one.body) + 5 for one in said.client[:-1])
    assert (closed["rows"], closed["masked"]) == (3, {"column:customers.ssn": 2})
    assert play.sessions.total == closed["bytes_out"]
    assert play.sessions.rows == 3


def test_what_was_masked_counts_over_all_results() -> None:
    text = "SELECT ssn FROM customers; SELECT ssn FROM customers"
    play = asked(text, {"action": "allow", "redact": [{"columns": ["ssn"]}]})
    one = result(of("customers", "ssn"), [SSN])
    play >> server(one, one, ready())
    assert play.closings[0]["masked"] == {"column:customers.ssn": 2}


def test_detectors_look_at_every_column() -> None:
    play = asked("SELECT 1", {"action": "allow", "redact": [{"detect": ["email"]}]})
    said = play >> server(result(["x"], ["to jane@example.com"]), ready())
    assert b"jane@example.com" not in said.rows[0][0] if said.rows[0][0] else False


def test_the_sessions_bytes_are_counted_under_a_limit_before_they_go() -> None:
    play = asked(TEXT, {"action": "allow", "limits": {"session_bytes": 1_000_000}})
    play.sessions.total = 999_990
    said = play >> server(result(COLUMNS, ["1", "x"]), ready())
    assert said.told == "EZ"
    assert said.error["M"] == "the session's limit of bytes is used up"


def test_without_one_by_the_megabyte_and_at_the_end() -> None:
    play = asked()
    play >> server(description(COLUMNS))
    assert play.sessions.total == 0
    play >> server(rows(["1", "x" * 100]))
    assert play.sessions.total == 0
    play >> server(*[rows(["1", "x" * 100_000])] * 11)
    assert play.sessions.total > 1_000_000
    play >> server(complete("SELECT 12"), ready())
    assert play.sessions.total == play.closings[0]["bytes_out"]


def test_what_was_let_go_is_counted_if_the_client_leaves() -> None:
    play = asked()
    play >> server(description(COLUMNS), rows(["1", "x"]))
    play.leave()
    assert play.sessions.total == play.closings[0]["bytes_out"] > 0


def test_errors_are_masked_only_where_anything_is_masked() -> None:
    text = f"bad: jane@example.com {SSN}"
    for rule, hidden in (
        (None, []),
        ({"detect": ["email"]}, ["jane@example.com"]),
        ({"columns": ["name"]}, ["jane@example.com"]),  # not touched: what detectors find
        ({"columns": ["ssn"]}, ["jane@example.com", SSN]),
    ):
        play = asked(TEXT, {"action": "allow", "redact": [rule] if rule else []})
        said = play >> server(failure("22P02", text), ready())
        for value in hidden:
            assert value not in said.error["M"]
        assert ("bad" in said.error["M"]) == (SSN not in hidden)


def test_an_error_of_what_is_not_sure_is_masked_whole() -> None:
    play = asked("SELECT 1", {"action": "allow", "redact": [{"columns": ["ssn"]}]})
    play >> server(result(["a"], ["1"]), ready())
    play = logged_in(
        {"action": "allow", "inspect": ["response"]}, {"action": "allow", "redact": [{"columns": ["ssn"]}]}
    )
    play >> client(query("SELECT ssn FROM customers"))
    said = play >> server(failure("22P02", f"bad {SSN}"), ready())
    assert SSN not in said.error["M"]


def test_the_resources_level_holds_where_policy_has_none() -> None:
    play = asked(resource=replace(RESOURCE, recording="metadata"))
    play >> server(result(COLUMNS, ["1", SSN]), ready())
    assert recorded(play) == b""
