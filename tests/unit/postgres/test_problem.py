from __future__ import annotations

import re

import pytest

from extproc.errors import CODES, Refusal
from extproc.postgres import problem
from extproc.postgres.masking.notices import mask_fields
from extproc.postgres.wire import Reader
from tests.unit.postgres.talking import Heard, heard

# What drivers do with a class: 28 asks for another password, 08 and 57P0x connect again, 53 waits.
CLASSES = {
    "identity": {"28000", "57P03"},
    "policy": {"42501", "58000"},
    "approval": {"42501", "57P01", "58000"},
    "response": {"42501", "53400", "58000"},
    "record": {"58000"},
    "credential": {"58000"},
    "upstream": {"08006"},
}


def shown(refusal: Refusal, **more: str) -> Heard:
    (found,) = heard(problem.error(refusal, **more))
    return found


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_is_an_error_of_postgresql(code: str) -> None:
    fields = shown(Refusal(code), exchange="x-1").fields
    assert re.fullmatch("[0-9A-Z]{5}", fields["C"])
    assert fields["C"][:2] not in ("00", "01", "02")
    assert fields["C"] in CLASSES.get(code.partition("_")[0], {fields["C"]})
    assert fields["S"] == fields["V"]
    assert fields["S"] in ("FATAL", "ERROR")
    assert fields["M"] == CODES[code].title
    assert f"code {code}" in fields["D"]
    assert "exchange x-1" in fields["D"]


def test_fatal_is_what_ends_the_connection() -> None:
    fatal = {code for code in CODES if shown(Refusal(code)).fields["S"] == "FATAL"}
    assert fatal == problem.FATAL
    assert fatal <= CODES.keys()
    assert {"identity_expired", "protocol_error", "upstream_unavailable", "stopping", "plaintext_refused"} <= fatal
    # These must leave the connection and its transaction usable.
    usable = {"policy_denied", "limit_exceeded", "column_protected", "statement_cancelled", "approval_denied"}
    assert not fatal & usable


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("identity_missing", "28000"),
        ("policy_denied", "42501"),
        ("statement_cancelled", "57014"),
        ("statement_malformed", "42601"),
        ("limit_exceeded", "53400"),
        ("stopping", "57P01"),
        ("overloaded", "53300"),
        ("protocol_error", "08P01"),
        ("upstream_unavailable", "08006"),
        ("record_unavailable", "58000"),
    ],
)
def test_states_that_drivers_act_on(code: str, state: str) -> None:
    assert problem.sqlstate(code) == state


def test_a_statement_has_its_own_state_and_place() -> None:
    fields = shown(Refusal("statement_malformed", 'syntax error at or near "x"', sqlstate="42P05", position=8)).fields
    assert (fields["C"], fields["P"], fields["M"]) == ("42P05", "8", 'syntax error at or near "x"')


def test_it_says_where_to_look() -> None:
    refusal = Refusal("approval_pending", approval="a-1", rule="hold_copy")
    refusal.session = "s-1"
    fields = shown(refusal, exchange="x-9", control_url="https://control").fields
    assert fields["D"] == (
        "extproc-gateway: code approval_pending, rule hold_copy, session s-1, exchange x-9, approval a-1"
    )
    assert fields["H"].endswith("See https://control/v1/approvals/a-1")


def test_a_reason_cannot_add_fields() -> None:
    fields = shown(Refusal("policy_denied", "no\0C00000\0\n\ud800")).fields
    assert fields["C"] == "42501"
    assert fields["M"] == "noC00000\n?"


def test_a_notice() -> None:
    (found,) = heard(problem.notice("waiting", detail="approval a-1"))
    assert found.kind == "N"
    assert found.fields == {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": "waiting", "D": "approval a-1"}


def test_they_are_whole() -> None:
    """Whatever reads a server's errors reads ours."""
    for code in CODES:
        body = shown(Refusal(code)).body
        assert mask_fields(body, touched=False) == body
        reader = Reader(body)
        while reader.take(1) != b"\0":
            reader.string()
        reader.end()
