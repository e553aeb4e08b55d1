"""Playbooks of whole exchanges: events in, commands out, no sockets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from extproc.budget import Budget
from extproc.errors import Refusal
from extproc.http.events import Answer, ExtendTimeout, HeadersArrived, PassBody, PassHeaders, PassTrailers
from extproc.http.exchange import IllegalEvent
from extproc.model import Approval, ApprovalState, Headers
from extproc.waits import AwaitApproval, Durable, Wait
from tests.unit.playbook import (
    NOW,
    REQUEST,
    RESOURCE,
    RESPONSE,
    SECRET,
    Desk,
    Play,
    Policy,
    ask,
    body,
    reply,
    trailers,
)

HOLD = {"action": "hold", "reason": "big", "rule": "export", "hold": {"approvers": ["owners"], "timeout": "60s"}}
MASK = {"action": "allow", "redact": [{"detect": ["ssn", "email"]}]}


def code_of(commands: Sequence[object]) -> str:
    (answer,) = commands
    assert isinstance(answer, Answer)
    document = orjson.loads(answer.body)
    assert document["status"] == answer.status
    return str(document["type"]).rpartition(":")[2]


def body_of(commands: Sequence[object], direction: object = RESPONSE) -> bytes:
    return b"".join(c.data for c in commands if isinstance(c, PassBody) and c.direction is direction)


def test_an_allowed_get_goes_on_with_the_resources_credential_in_place_of_the_jobs() -> None:
    play = Play()
    (passed,) = play >> ask()
    assert isinstance(passed, PassHeaders)
    assert passed.put == ((b"authorization", b"Bearer " + SECRET),)
    assert b"authorization" not in passed.remove
    assert play.recorder.kinds() == ["session.opened", "request.attempt", "request.released"]


def test_the_jobs_own_authorization_is_removed_where_there_is_no_credential() -> None:
    play = Play(resource=replace(RESOURCE, credential=""))
    (passed,) = play >> ask()
    assert isinstance(passed, PassHeaders)
    assert b"authorization" in passed.remove


def test_a_masked_response_ends_only_after_its_closing_record() -> None:
    play = Play(Policy(MASK))
    play >> ask()
    (head,) = play >> reply(content_type="application/json", etag='"1"', content_length="30")
    assert isinstance(head, PassHeaders)
    assert {b"etag", b"content-length"} <= set(head.remove)
    first = play >> body(RESPONSE, b'{"ssn":"123-45')
    last = play >> body(RESPONSE, b'-6789","a":"x@example.com"}', end=True)
    text = body_of(first) + body_of(last)
    assert b"123-45" not in text
    assert b"x@example.com" not in text
    assert [step.end for step in last if isinstance(step, PassBody)] == [True]
    assert isinstance(play.desk.waits[-1], Durable)
    assert play.exchange.done
    assert play.recorder.kinds()[-1] == "exchange.closed"
    assert b"123-45-6789" not in play.recorder.text()


def test_deny_answers_and_the_upstream_gets_nothing() -> None:
    play = Play(Policy({"action": "deny", "reason": "not today", "rule": "r", "status": 403}))
    assert code_of(play >> ask()) == "policy_denied"
    assert play.exchange.done
    assert play.recorder.kinds()[-2:] == ["request.attempt", "request.refused"]


@pytest.mark.parametrize("code", ["policy_undefined", "policy_error", "policy_timeout", "policy_unavailable"])
def test_whatever_is_wrong_with_policy_is_503_with_a_code_of_its_own(code: str) -> None:
    play = Play(Policy(Refusal(code)))
    (answer,) = play >> ask()
    assert isinstance(answer, Answer)
    assert (answer.status, code_of([answer])) == (503, code)


@pytest.mark.parametrize("answer", [{}, {"action": "maybe"}, {"action": "allow", "extra": 1}, {"action": "hold"}])
def test_a_malformed_decision_denies(answer: dict[str, object]) -> None:
    assert code_of(Play(Policy(answer)) >> ask()) == "policy_malformed"


def test_no_token_no_question() -> None:
    play = Play()
    assert code_of(play >> ask(authorization="")) == "identity_missing"
    assert play.policy.asked == []


def test_a_record_that_cannot_be_written_refuses() -> None:
    play = Play()
    play.recorder.broken = True
    assert code_of(play >> ask()) == "record_unavailable"


def test_inspect_withholds_the_headers_until_the_body_is_read() -> None:
    play = Play(Policy({"action": "deny", "inspect": ["request_body"]}, {"action": "allow"}))
    assert play >> ask(method="POST", content_type="application/json", end=False) == []
    assert play >> body(REQUEST, b'{"a":') == []
    commands = play >> body(REQUEST, b"1}", end=True)
    assert isinstance(commands[0], PassHeaders)
    assert body_of(commands, REQUEST) == b'{"a":1}'
    assert commands[-1] == PassBody(REQUEST, b"", end=True)
    assert play.policy.asked[1]["request"]["body"]["json"] == {"a": 1}


def test_a_body_over_the_cap_is_refused_before_anything_goes_on() -> None:
    play = Play(Policy({"action": "allow", "inspect": ["request_body"]}, {"action": "allow"}))
    play >> ask(method="POST", end=False)
    assert code_of(play >> body(REQUEST, b"x" * 1001)) == "body_too_large"


def test_asking_for_the_body_twice_is_an_error() -> None:
    play = Play(Policy({"action": "allow", "inspect": ["request_body"]}))
    assert code_of(play >> ask(method="POST")) == "policy_unmet"


def test_trailers_of_a_request_that_was_read_are_not_forwarded() -> None:
    play = Play(Policy({"action": "allow", "inspect": ["request_body"]}, {"action": "allow"}))
    play >> ask(method="POST", end=False)
    play >> body(REQUEST, b"abc")
    commands = play >> trailers(REQUEST, x_evil="1")
    assert commands[-1] == PassTrailers(REQUEST, remove=(b"x-evil",))


# --- holds


def approved(approval: Approval) -> Approval:
    return replace(approval, state="approved", decided_by=("dana",))


def test_a_yes_lets_the_held_request_go_once() -> None:
    play = Play(Policy(HOLD), desk=Desk(approve=approved))
    commands = play >> ask(x_request_id="1", traceparent="00-1")
    assert isinstance(commands[0], PassHeaders)
    assert {b"x-request-id", b"traceparent"} <= set(commands[0].remove)
    assert play.recorder.kinds() == [
        "session.opened",
        "request.attempt",
        "hold.opened",
        "hold.ended",
        "request.released",
    ]


@pytest.mark.parametrize(
    ("state", "code"), [("denied", "approval_denied"), ("expired", "approval_expired"), ("used", "approval_used")]
)
def test_anything_but_a_yes_refuses(state: ApprovalState, code: str) -> None:
    desk = Desk(approve=lambda a: dataclasses.replace(a, state=state))
    assert code_of(Play(Policy(HOLD), desk=desk) >> ask()) == code


def test_a_yes_that_somebody_else_used_refuses() -> None:
    assert code_of(Play(Policy(HOLD), desk=Desk(approve=approved, usable=False)) >> ask()) == "approval_used"


def test_policy_is_looked_at_again_at_release() -> None:
    play = Play(Policy(HOLD, {"action": "deny", "reason": "changed"}), desk=Desk(approve=approved))
    assert code_of(play >> ask()) == "policy_denied"


def test_other_terms_at_release_are_not_what_was_approved() -> None:
    other = {**HOLD, "hold": {"approvers": ["owners"], "min": 2, "timeout": "60s"}}
    assert code_of(Play(Policy(HOLD, other), desk=Desk(approve=approved)) >> ask()) == "policy_denied"


def test_a_client_that_leaves_cancels() -> None:
    class GoneError(Exception): ...

    def leave(_: Approval) -> Approval:
        raise GoneError

    play = Play(Policy(HOLD), desk=Desk(approve=leave))
    with pytest.raises(GoneError):
        play >> ask()
    play.steps.close()
    assert play.left == ["a-1"]
    assert play.recorder.kinds()[-2:] == ["hold.ended", "request.refused"]


def test_the_digest_covers_what_goes_on_and_nothing_that_differs_between_two_sendings() -> None:
    def digest(**named: Any) -> str:
        desk = Desk(approve=approved)
        Play(Policy(HOLD), desk=desk) >> ask(**named)
        assert desk.approval is not None
        return desk.approval.request.digest

    assert digest(x_request_id="1") == digest(x_request_id="2")
    assert digest(cookie="a") != digest(cookie="b")
    assert digest(path="/a") != digest(path="/b")


def test_what_is_shown_to_approvers_hides_secrets_and_says_so() -> None:
    desk = Desk(approve=approved)
    Play(Policy(HOLD), desk=desk) >> ask(cookie="session=abcdef", path="/?mail=jane@example.com")
    assert desk.approval is not None
    assert not desk.approval.request.whole
    shown = orjson.dumps(desk.approval.request.shown)
    assert b"abcdef" not in shown
    assert b"jane@example.com" not in shown


def test_on_a_headers_only_route_a_hold_extends_envoys_timeout_once() -> None:
    resource = replace(RESOURCE, bodies="headers_only", credential="")
    commands = Play(Policy(HOLD), resource, Desk(approve=approved)) >> ask()
    assert isinstance(commands[0], ExtendTimeout)
    assert commands[0].seconds == pytest.approx(65)


# --- what a resource does not open


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_methods_are_an_allow_list(method: str) -> None:
    assert code_of(Play() >> ask(method=method)) == "method_refused"


def test_upgrades_are_named_or_refused() -> None:
    assert code_of(Play() >> ask(upgrade="websocket")) == "upgrade_refused"
    assert isinstance(
        (Play(resource=replace(RESOURCE, upgrades=frozenset({"websocket"}))) >> ask(upgrade="websocket"))[0],
        PassHeaders,
    )


def test_headers_only_routes_refuse_bodies_and_masks() -> None:
    resource = replace(RESOURCE, bodies="headers_only", credential="")
    assert code_of(Play(resource=resource) >> ask(end=False)) == "body_refused"
    assert code_of(Play(Policy(MASK), resource) >> ask()) == "policy_unmet"


def test_an_unknown_route_is_nobodys() -> None:
    assert code_of(Play() >> ask(route="")) == "unknown_resource"


@pytest.mark.parametrize(
    "path", ["//a", "/a/../b", "/a%2fb", "/a%5cb", "/a%00", "/%ff", "/a%252e", "/a\\b", "a", "/a;b?x=1;y=2", "/?a=%ff"]
)
def test_what_could_be_read_in_two_ways_is_refused(path: str) -> None:
    assert code_of(Play() >> ask(path=path)) == "request_malformed"


# --- what came back


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"content_encoding": "br", "content_type": "text/plain"}, "response_unreadable"),
        ({"content_type": "image/png"}, "response_unmaskable"),
        ({"content_type": "text/plain", "x_debug": "upstream-secret-value"}, "response_leaks_credential"),
        ({"content_type": "text/plain", "location": "http://evil.example/"}, "location_refused"),
    ],
)
def test_responses_that_cannot_be_let_go_are_refused(named: dict[str, Any], code: str) -> None:
    play = Play(Policy(MASK))
    play >> ask()
    assert code_of(play >> reply(**named)) == code
    assert play.exchange.done


def test_the_credential_split_over_chunks_never_leaves() -> None:
    play = Play()
    play >> ask()
    play >> reply(content_type="text/plain")
    given = []
    for byte in b"x" + SECRET:
        given += play >> body(RESPONSE, bytes([byte]))
        if play.exchange.done:
            break
    assert code_of([given[-1]]) == "response_leaks_credential"
    assert body_of(given) == b"x"


def test_policy_may_look_at_the_response_and_only_add_masks() -> None:
    first = {**MASK, "inspect": ["response"]}
    play = Play(Policy(first, {"action": "allow", "redact": [{"detect": ["credit_card"]}]}))
    play >> ask()
    play >> reply(content_type="text/plain")
    text = body_of(play >> body(RESPONSE, b"123-45-6789 and 4111111111111111\n", end=True))
    assert b"6789" not in text
    assert b"1111" not in text
    assert play.policy.asked[1]["phase"] == "response"


def test_response_limits() -> None:
    play = Play(Policy({"action": "allow", "limits": {"response_bytes": 10}}))
    play >> ask()
    play >> reply(content_type="text/plain")
    assert code_of([(play >> body(RESPONSE, b"x" * 11 + b"\n"))[-1]]) == "response_too_large"


# --- order


def test_a_stream_with_only_response_headers_is_envoys_own_reply() -> None:
    play = Play()
    assert play >> reply("404") == [PassHeaders(RESPONSE)]
    assert play >> body(RESPONSE, b"no", end=True) == [PassBody(RESPONSE, b"no", end=True)]
    assert play.exchange.done


def test_envoys_own_reply_while_the_body_is_read_passes_and_decides_nothing() -> None:
    play = Play(Policy({"action": "allow", "inspect": ["request_body"]}))
    play >> ask(method="POST", end=False)
    assert play >> reply("408", end=True) == [PassHeaders(RESPONSE)]
    assert play.exchange.done


@pytest.mark.parametrize(
    "events",
    [
        [body(REQUEST, b"x")],
        [body(RESPONSE, b"x")],
        [trailers(REQUEST)],
        [ask(), ask()],
        [ask(), body(REQUEST, b"x")],
        [ask(), reply(), reply()],
        [ask(), body(RESPONSE, b"x")],
        [reply("404"), ask()],
    ],
)
def test_events_that_the_table_does_not_name_are_illegal(events: Sequence[object]) -> None:
    play = Play()

    def give_all() -> None:
        for event in events:
            play >> event  # type: ignore[operator]

    with pytest.raises(IllegalEvent):
        give_all()
    assert not play.exchange.done


def test_an_exchange_that_ends_early_is_recorded_as_such() -> None:
    play = Play()
    play >> ask()
    play >> reply(content_type="text/plain")
    play >> body(RESPONSE, b"half\n")
    play.steps.close()
    kind, payload, _ = play.recorder.events[-1]
    assert (kind, payload["outcome"]) == ("exchange.closed", "aborted")
    assert NOW


def test_a_request_body_that_cannot_be_masked_for_the_record_is_only_counted() -> None:
    play = Play(resource=replace(RESOURCE, credential=""))
    play >> ask(end=False, content_type="text/plain")
    said = play >> body(REQUEST, b"123-45-6789 \0 secret-after-nul", end=True)
    assert b"".join(step.data for step in said if isinstance(step, PassBody)) == b"123-45-6789 \0 secret-after-nul"
    assert b"6789" not in play.recorder.text()
    assert b"secret-after-nul" not in play.recorder.text()
    assert [payload["size"] for kind, payload, _ in play.recorder.events if kind == "request.body"] == [30]


# --- found by reading against the grain


@pytest.mark.parametrize("charset", ["utf-8\xa0", "utf-8\x85", "utf-16", "x"])
def test_a_body_that_detectors_do_not_read_is_never_recorded_in_clear(charset: str) -> None:
    play = Play(resource=replace(RESOURCE, credential=""))
    typed = (b"content-type", b"text/plain; charset=" + charset.encode("latin-1"))
    first = ask(end=False)
    play >> replace(first, headers=Headers((*first.headers.pairs, typed)))
    play >> body(REQUEST, b"ssn 123-45-6789", end=True)
    (payload, blob) = next((p, b) for kind, p, b in play.recorder.events if kind == "request.body")
    assert (payload["encoding"], blob) == ("none", b"")


def test_a_headers_only_response_ends_with_its_head() -> None:
    play = Play(resource=replace(RESOURCE, credential="", bodies="headers_only"))
    play >> ask()
    play >> reply(content_type="text/plain")
    assert play.exchange.done
    assert play.exchange.unread
    play.steps.close()
    assert [p["outcome"] for kind, p, _ in play.recorder.events if kind == "exchange.closed"] == ["unread"]


def test_bytes_count_for_the_session_however_the_response_ends() -> None:
    play = Play(resource=replace(RESOURCE, credential=""))
    play >> ask()
    play >> reply(content_type="text/plain")
    play >> body(RESPONSE, b"x" * 3_000_000)
    assert play.sessions.total == 3_000_000
    play >> body(RESPONSE, b"x" * 500)
    play.steps.close()
    assert play.sessions.total == 3_000_500


def test_no_retry_after_once_the_upstream_has_the_request() -> None:
    policy = Policy({"action": "allow", "inspect": ["response"]}, Refusal("policy_unavailable", retry_after=1))
    play = Play(policy)
    play >> ask(method="POST")
    (answer,) = play >> reply()
    assert isinstance(answer, Answer)
    assert answer.status == 503
    assert b"retry-after" not in dict(answer.headers)


def test_an_early_answer_leaves_the_request_bodys_record_whole() -> None:
    play = Play(resource=replace(RESOURCE, credential=""))
    play >> ask(end=False, content_type="text/plain")
    play >> body(REQUEST, b"the first part")
    play >> reply("413")
    play >> body(RESPONSE, b"no", end=True)
    kinds = play.recorder.kinds()
    assert kinds.index("request.body") < kinds.index("exchange.closed")
    assert next(p for kind, p, _ in play.recorder.events if kind == "request.body")["total"]["size"] == 14


def held_until_people() -> Play:
    play = Play(Policy(HOLD))
    step = play.steps.send(ask())
    while not isinstance(step, AwaitApproval):
        step = play.steps.send(play.desk.perform(step) if isinstance(step, Wait) else None)
    return play


def test_a_client_may_leave_while_nothing_can_be_recorded() -> None:
    play = held_until_people()
    play.recorder.broken = True
    play.steps.close()
    assert play.left == ["a-1"]


def test_what_ends_before_its_decision_is_recorded_as_such() -> None:
    reading = Play(Policy({"action": "allow", "inspect": ["request_body"]}))
    reading >> ask(end=False, method="POST")
    reading.steps.close()
    assert reading.recorder.events[-1][1]["code"] == "aborted"
    releasing = Play()
    assert isinstance(releasing.steps.send(ask()), Durable)
    releasing.steps.close()
    assert releasing.recorder.events[-1][1]["code"] == "aborted"


def test_the_second_decision_is_recorded_whatever_it_says() -> None:
    for second in ({"action": "deny", "rule": "late", "reason": "no"}, {"action": "allow", "rule": "late"}):
        play = Play(Policy({"action": "allow", "inspect": ["response"]}, second))
        play >> ask()
        play >> reply(content_type="text/plain")
        head = next(p for kind, p, _ in play.recorder.events if kind == "response.head")
        assert (head["decision"]["action"], head["decision"]["rule"]) == (second["action"], "late")


def test_masking_one_of_several_headers_keeps_the_others() -> None:
    play = Play(Policy({"action": "allow", "redact": [{"detect": ["credit_card"]}]}))
    play >> ask()
    pairs = (
        (b":status", b"200"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"m=4111111111111111"),
        (b"set-cookie", b"z=1"),
    )
    (head,) = play >> HeadersArrived(RESPONSE, Headers(pairs), end=True)
    assert isinstance(head, PassHeaders)
    assert [value for name, value in head.put if name == b"set-cookie"] == [b"a=1", b"m=****", b"z=1"]


def test_bytes_that_differ_have_digests_that_differ() -> None:
    def digest(value: bytes) -> str:
        desk = Desk(approve=approved)
        first = ask()
        Play(Policy(HOLD), desk=desk) >> replace(first, headers=Headers((*first.headers.pairs, (b"x-v", value))))
        assert desk.approval is not None
        assert desk.approval.request.whole is (value == b"caf\xc3\xa9")
        return desk.approval.request.digest

    assert digest(b"caf\xc3\xa9") != digest(b"caf\xe9")


def test_bodies_that_are_read_share_one_budget_and_give_it_back() -> None:
    reading = {"action": "allow", "inspect": ["request_body"]}
    plays = [Play(Policy(reading, {"action": "allow"})) for _ in range(2)]
    budget = Budget(1500)
    for play in plays:
        play.share(budget)
    plays[0] >> ask(end=False, method="POST")
    plays[0] >> body(REQUEST, b"x" * 900)
    plays[1] >> ask(end=False, method="POST")
    assert code_of(plays[1] >> body(REQUEST, b"x" * 900)) == "overloaded"
    plays[0] >> body(REQUEST, b"", end=True)
    budget.take(1500)  # released: the upstream has it, and nobody asks for it again
