from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import orjson
import pytest

from extproc.errors import Refusal
from extproc.model import HoldTerms, MaskRule
from extproc.policy.decision import read_decision
from extproc.postgres.sql.model import Use
from extproc.redact.detectors import DETECTORS

SCHEMA = json.loads((Path(__file__).parents[3] / "rego/schema/decision.json").read_text())

GOOD: list[dict[str, Any]] = [
    {"action": "allow"},
    {"action": "deny", "reason": "no", "rule": "x", "status": 451},
    {"action": "hold", "hold": {"approvers": ["group:owners"]}},
    {
        "action": "hold",
        "hold": {"approvers": ["a"], "min": 2, "timeout": "1h", "grant": "2h", "scope": "s", "justify": True},
    },
    {"action": "allow", "inspect": ["request_body", "response"]},
    {
        "action": "allow",
        "redact": [{"detect": ["ssn"], "strategy": "hash"}, {"fields": ["email"], "columns": ["email"]}],
    },
    {"action": "allow", "redact": [{"columns": ["public.customers.ssn"], "uses": ["predicate", "join"]}]},
    {"action": "allow", "limits": {"rows": 1000}},
    {"action": "allow", "limits": {"response_bytes": 0, "session_bytes": 10}, "record": "metadata"},
]
BAD: list[Any] = [
    None,
    [],
    "allow",
    {},
    {"action": "permit"},
    {"action": "allow", "extra": 1},
    {"action": "allow", "status": 200},
    {"action": "allow", "reason": 5},
    {"action": "allow", "inspect": ["everything"]},
    {"action": "allow", "redact": [{"detect": ["no_such_detector"]}]},
    {"action": "allow", "redact": [{}]},
    {"action": "allow", "redact": [{"detect": ["ssn"], "strategy": "rot13"}]},
    {"action": "allow", "redact": [{"columns": ["ssn"], "uses": ["project"]}]},
    {"action": "allow", "redact": [{"columns": ["ssn"], "uses": "order"}]},
    {"action": "allow", "redact": [{"uses": ["order"]}]},
    {"action": "allow", "redact": [{"detect": ["ssn"], "uses": ["order"]}]},
    {"action": "allow", "limits": {"response_bytes": -1}},
    {"action": "allow", "limits": {"request_bytes": 1}},
    {"action": "allow", "hold": {"approvers": ["a"]}},
    {"action": "hold"},
    {"action": "hold", "hold": {"approvers": []}},
    {"action": "hold", "hold": {"approvers": ["a"], "timeout": "soon"}},
    {"action": "hold", "hold": {"approvers": ["a"], "timeout": 30}},
    {"action": "hold", "hold": {"approvers": ["a"], "min": 0}},
    {"action": "allow", "record": "some"},
    {"action": True},
]


@pytest.mark.parametrize("answer", GOOD)
def test_what_follows_the_contract_is_read(answer: dict[str, Any]) -> None:
    decision = read_decision(orjson.dumps(answer), "r1")
    assert decision.action == answer["action"]
    assert decision.revision == "r1"


@pytest.mark.parametrize("answer", BAD)
def test_whatever_does_not_follow_the_contract_is_a_refusal(answer: Any) -> None:
    with pytest.raises(Refusal) as caught:
        read_decision(orjson.dumps(answer), "r1")
    assert caught.value.code.name == "policy_malformed"


@pytest.mark.parametrize("answer", [b"", b"{", b"\xff", b'{"action":"allow"', b'{"action":"allow"}{}'])
def test_what_is_no_json_is_a_refusal(answer: bytes) -> None:
    with pytest.raises(Refusal, match="policy_malformed"):
        read_decision(answer, "r1")


def test_the_schema_and_the_reader_agree() -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [answer for answer in GOOD if not validator.is_valid(answer)] == []
    assert [
        answer for answer in BAD if validator.is_valid(answer) and answer != {"action": "allow", "redact": [{}]}
    ] == []


def test_the_schema_names_every_detector() -> None:
    named = SCHEMA["properties"]["redact"]["items"]["properties"]["detect"]["items"]["enum"]
    assert sorted(named) == sorted(DETECTORS)


def test_durations_are_seconds() -> None:
    answer = {"action": "hold", "hold": {"approvers": ["a"], "timeout": "90s", "grant": "2h", "scope": "s"}}
    assert read_decision(orjson.dumps(answer), "").hold == HoldTerms(("a",), 1, 90.0, 7200.0, "s")


def test_a_window_needs_a_scope() -> None:
    with pytest.raises(Refusal, match="scope"):
        read_decision(orjson.dumps({"action": "hold", "hold": {"approvers": ["a"], "grant": "1h"}}), "")


def test_mask_rules_keep_their_strategy() -> None:
    answer = {"action": "allow", "redact": [{"detect": ["ssn"], "strategy": "token"}, {"fields": ["a"]}]}
    assert read_decision(orjson.dumps(answer), "").redact == (
        MaskRule(("ssn",), strategy="token"),
        MaskRule(fields=("a",)),
    )


def test_mask_rules_keep_what_a_column_may_be_used_for() -> None:
    answer = {"action": "allow", "redact": [{"columns": ["ssn"], "uses": ["join", "group"]}, {"columns": ["email"]}]}
    assert read_decision(orjson.dumps(answer), "").redact == (
        MaskRule(columns=("ssn",), uses=("join", "group")),
        MaskRule(columns=("email",)),
    )


def test_every_use_of_a_column_but_coming_back_can_be_opened() -> None:
    named = SCHEMA["properties"]["redact"]["items"]["properties"]["uses"]["items"]["enum"]
    assert {*named, "project"} == set(get_args(Use))


def test_a_complaint_quotes_no_value() -> None:
    with pytest.raises(Refusal) as caught:
        read_decision(b'{"action": "super-secret-value"}', "")
    assert "super-secret" not in caught.value.reason
