"""The order of things, for every protocol; no I/O, no clock of its own.

request:   identify → describe → decide → record the attempt → hold → attach the credential → record → let go
response:  decide → redact → record → let go

Both are generators: they yield only what truly waits (`extproc.waits`) and end with a result or a `Refusal`. Whoever
drives them cannot forward anything without the `Permit` or `Release` that they return.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import orjson

from extproc.approval.rules import digest_of
from extproc.budget import Budget
from extproc.credential.base import Credential, CredentialProvider
from extproc.errors import Refusal
from extproc.identity.base import IdentityVerifier, Proof
from extproc.identity.documents import document_of, masked_document_of
from extproc.metrics import Meter
from extproc.model import (
    JSON,
    Approval,
    ApprovalRequest,
    Decision,
    HoldTerms,
    Identity,
    Limits,
    MaskRule,
    Operation,
    RecordLevel,
    Resource,
    Session,
)
from extproc.policy.base import PolicyEngine
from extproc.policy.decision import read_decision
from extproc.record.base import Recorder, SessionBook
from extproc.redact.text import mask_document
from extproc.waits import AskPolicy, AwaitApproval, Durable, FetchKeys, OpenApproval, UseApproval, Wait

INPUT_VERSION = 1
_GIVEN_UP = frozenset({"statement_cancelled", "upstream_unavailable"})  # ends of a hold that leave nobody waiting


@dataclass(frozen=True, slots=True)
class Services:
    """What the pipeline works with. `mask` masks everything a detector finds in a text, for records and approvals."""

    verifier: IdentityVerifier
    engine: PolicyEngine
    recorder: Recorder
    sessions: SessionBook
    credentials: CredentialProvider
    meter: Meter
    mask: Callable[[str], str]
    leave_approval: Callable[[str], None]
    clock: Callable[[], float]
    mask_key: bytes = field(repr=False)
    body_cap: int = 8 * 1024 * 1024  # bytes of a request body that are read before deciding
    record_cap: int = 1024 * 1024  # bytes of a body that are recorded in full
    bodies: Budget = field(default_factory=lambda: Budget(256 * 1024 * 1024))  # all that are read, together
    hold_cap: float = 3500.0  # seconds; Envoy's idle timeouts lie above it
    development: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """One operation that asks to pass.

    `proof` is read late, so that its absence is a recorded refusal too. `read_body` gives the operation with its body,
    at most so many bytes long, where policy or a hold needs it; None where there is none that could be read.
    `long_wait` tells the protocol's peer that a wait of so many seconds begins, for the approval that it names.
    `look_again` is the protocol's own look at what may have changed while people were asked. `credential` is what the
    operation takes along, "" where nothing is to be attached to it.
    """

    exchange: str
    resource: Resource
    operation: Operation
    proof: Callable[[], Proof]
    source: dict[str, JSON]
    read_body: Callable[[int], Generator[Any, Any, Operation]] | None = None
    long_wait: Callable[[str, float], Generator[Any, Any, None]] | None = None
    credential: str = ""
    look_again: Callable[[], Generator[Any, Any, None]] | None = None
    connection: dict[str, JSON] = field(default_factory=dict)  # which one of its session, for protocols that keep one
    executes: bool = True  # False where it is only prepared: nothing happens, so nobody need say yes
    doubt: Refusal | None = None  # why the operation could not be read: refused once it is known who asks


@dataclass(frozen=True, slots=True)
class Release:
    """The only thing that opens the way back: what to mask, what to record, how much may pass."""

    decision: Decision
    rules: tuple[MaskRule, ...]
    limits: Limits
    level: RecordLevel


@dataclass(slots=True)
class Question:
    """What policy is asked about: grows on the way (the body, once read)."""

    arrival: Arrival
    identity: Identity
    session: Session
    operation: Operation
    body_read: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """The only thing that opens the way upstream."""

    question: Question
    decision: Decision
    credential: Credential | None
    held: bool

    @property
    def exchange(self) -> str:
        return self.question.arrival.exchange

    @property
    def session(self) -> Session:
        return self.question.session

    @property
    def resource(self) -> Resource:
        return self.question.arrival.resource

    @property
    def operation(self) -> Operation:
        return self.question.operation

    @property
    def level(self) -> RecordLevel:
        """What is recorded of bodies, by policy or else by the resource."""
        return self.decision.record or self.resource.recording


def on_request(arrival: Arrival, services: Services) -> Generator[Wait, Any, Permit]:
    """From an arrival to a permit. Raises `Refusal`; every refusal is recorded and counted here."""
    session, began = "", services.clock()
    try:
        identity = yield from identify(arrival, services)
        question = Question(arrival, identity, open_session(arrival, identity, services), arrival.operation)
        session = question.session.id
        require_readable(arrival, session)
        decision = yield from decide(question, services)
        ticket = record_attempt(question, decision, services)
        held = decision.action == "hold" and arrival.executes
        if held:
            yield Durable(ticket)
            decision = yield from hold(question, decision, services)
        credential = attach(arrival, services)
        yield Durable(append(services, question, "request.released", {"held": held}))
    except Refusal as refusal:
        refusal.session = session
        record_refusal(arrival, session, refusal, services)
        raise
    except BaseException as error:  # the client left, a deadline passed, something broke: accepted = recorded + refused
        code = "aborted" if isinstance(error, GeneratorExit) else "internal"
        record_refusal(arrival, session, Refusal(code), services)
        raise
    services.meter.verdict(arrival.resource.name, "hold_released" if held else "allow")
    services.meter.stage("held_request" if held else "request", services.clock() - began)
    return Permit(question, decision, credential, held)


def on_response(
    permit: Permit, facts: dict[str, JSON], shown: dict[str, JSON], services: Services
) -> Generator[Wait, Any, Release]:
    """From the head of a response to its release. `facts` go to policy, `shown` (masked) into the record."""
    decision, limits = permit.decision, permit.decision.limits
    if "response" in decision.inspect:
        document = response_document(permit, facts, services)
        decision = yield from ask(document, services)
        shown = {**shown, "decision": mask_document(decision_document(decision), services.mask)}
    services.recorder.append(permit.session.id, permit.exchange, "response.head", shown)
    if decision is not permit.decision:
        if decision.inspect or decision.action == "hold":
            raise Refusal("policy_unmet", "policy asked to hold or inspect a response")
        if decision.action == "deny":
            raise denied(decision)
        require_possible(permit.question, decision, services)
        # What the request's decision masks and limits stays so: the second answer can only add.
        decision_rules = permit.decision.redact + decision.redact
        limits = tighter(limits, decision.limits)
    else:
        decision_rules = decision.redact
    return Release(decision, decision_rules, limits, decision.record or permit.level)


# --- identify


def identify(arrival: Arrival, services: Services) -> Generator[Wait, Any, Identity]:
    """A verified identity, or no way on. Keys are fetched at most once for a token."""
    proof = arrival.proof()
    found = services.verifier.verify(proof, services.clock())
    if isinstance(found, FetchKeys):
        yield found
        found = services.verifier.verify(proof, services.clock())
        if isinstance(found, FetchKeys):
            raise Refusal("identity_unavailable")
    if found.kind != "job":
        raise Refusal("identity_invalid", "only a job's token opens a resource")
    return found


def require_readable(arrival: Arrival, session: str) -> None:
    if arrival.doubt is not None:
        arrival.doubt.session = session
        raise arrival.doubt


def open_session(arrival: Arrival, identity: Identity, services: Services) -> Session:
    session = services.sessions.open(identity, arrival.resource, services.clock())
    if session.requests == 1:
        payload = mask_document({"resource": arrival.resource.name}, services.mask)
        payload["identity"] = masked_document_of(identity, services.mask)
        services.recorder.append(session.id, arrival.exchange, "session.opened", payload)
    return session


# --- describe


def describe(question: Question, services: Services) -> dict[str, JSON]:
    """The policy input of the request phase (rego/schema/input.json). No token, no credential."""
    resource, session = question.arrival.resource, question.session
    return {
        "version": INPUT_VERSION,
        "phase": "request",
        "time": services.clock(),
        "identity": document_of(question.identity),
        "resource": {"name": resource.name, "kind": resource.kind, "labels": dict(resource.labels)},
        "source": question.arrival.source,
        "session": {
            "id": session.id,
            "requests": session.requests,
            "bytes_out": session.bytes_out,
            "rows_out": session.rows_out,
        },
        **question.operation.facts(),
    }


def response_document(permit: Permit, facts: dict[str, JSON], services: Services) -> dict[str, JSON]:
    return {**describe(permit.question, services), "phase": "response", **facts}


# --- decide


def ask(document: dict[str, JSON], services: Services) -> Generator[Wait, Any, Decision]:
    """One question, one decision. A plain call where the engine answers at once."""
    wanted = services.engine.reads
    if wanted is not None:
        document = {name: value for name, value in document.items() if name in wanted}
    try:
        body = orjson.dumps(document)
    except (TypeError, ValueError):
        raise Refusal("policy_error", "the policy input could not be written") from None
    began = services.clock()
    answer = services.engine.evaluate(body)
    if isinstance(answer, AskPolicy):
        answer = yield answer
    services.meter.stage("policy", services.clock() - began)
    return read_decision(*answer)


def decide(question: Question, services: Services) -> Generator[Wait, Any, Decision]:
    """The final decision; reads the body where policy or a hold needs it. Raises `Refusal` on deny."""
    decision = yield from ask(describe(question, services), services)
    if "request_body" in decision.inspect:
        yield from read_body(question, services)
        decision = yield from ask(describe(question, services), services)
        if "request_body" in decision.inspect:
            raise Refusal("policy_unmet", "policy asked for the request body twice")
    require_possible(question, decision, services)
    if decision.action == "hold" and not question.body_read and question.arrival.read_body is not None:
        yield from read_body(question, services)
    if decision.action == "deny":
        record_attempt(question, decision, services)
        raise denied(decision)
    return decision


def require_possible(question: Question, decision: Decision, services: Services) -> None:
    """A promise that policy relies on and this route cannot keep is an error, never silently dropped."""
    if decision.action == "deny":
        return
    question.operation.require_possible(decision)
    if decision.hold is not None and decision.hold.timeout > services.hold_cap:
        raise Refusal("policy_unmet", "policy asked to hold longer than this gateway does")


def tighter(first: Limits, second: Limits) -> Limits:
    def least(a: int | None, b: int | None) -> int | None:
        return min((x for x in (a, b) if x is not None), default=None)

    return Limits(
        least(first.response_bytes, second.response_bytes),
        least(first.rows, second.rows),
        least(first.session_bytes, second.session_bytes),
        least(first.seconds, second.seconds),
    )


def read_body(question: Question, services: Services) -> Generator[Wait, Any, None]:
    if question.arrival.read_body is None:
        raise Refusal("policy_unmet", "policy asked for a body where there is none to read")
    question.operation = yield from question.arrival.read_body(services.body_cap)
    question.body_read = True


def denied(decision: Decision) -> Refusal:
    return Refusal("policy_denied", decision.reason, rule=decision.rule, status=decision.status)


# --- record


def decision_document(decision: Decision) -> dict[str, JSON]:
    return {
        "action": decision.action,
        "reason": decision.reason,
        "rule": decision.rule,
        "revision": decision.revision,
    }


def append(services: Services, question: Question, kind: str, payload: dict[str, JSON]) -> int:
    return services.recorder.append(question.session.id, question.arrival.exchange, kind, payload)


def record_attempt(question: Question, decision: Decision, services: Services) -> int:
    """What was asked and what policy said, before anything happens."""
    operation = question.operation.shown()
    operation.pop("body", None)  # bodies have events of their own
    payload = {
        "resource": question.arrival.resource.name,
        "summary": question.operation.summary(),
        "operation": operation,
        **question.arrival.connection,
        "decision": decision_document(decision),
    }
    payload = mask_document(payload, services.mask)
    payload["identity"] = masked_document_of(question.identity, services.mask)
    return append(services, question, "request.attempt", payload)


def record_refusal(arrival: Arrival, session: str, refusal: Refusal, services: Services) -> None:
    """Refusals are recorded too. A record that cannot be written does not turn a refusal into anything else."""
    verdict = "deny" if refusal.code.name == "policy_denied" else "refuse"
    services.meter.verdict(arrival.resource.name, verdict)
    services.meter.refused(arrival.resource.name, refusal.code.name)
    payload = {
        "code": refusal.code.name,
        "status": refusal.status,
        "reason": refusal.reason,
        "rule": refusal.rule,
        "resource": arrival.resource.name,
        "summary": arrival.operation.summary(),
        **arrival.connection,
    }
    payload = mask_document(payload, services.mask)
    try:
        services.recorder.append(session or "-", arrival.exchange, "request.refused", payload)
    except Refusal:
        services.meter.refused(arrival.resource.name, "record_unavailable")


# --- hold


def hold(question: Question, decision: Decision, services: Services) -> Generator[Wait, Any, Decision]:
    """Wait for a yes on exactly this request. Returns the decision that holds at the moment of release."""
    terms = decision.hold
    if terms is None:
        raise Refusal("policy_malformed", "hold without terms")
    approval: Approval = yield OpenApproval(approval_request(question, decision, terms, services))
    opened = {"approval": approval.id, "digest": approval.request.digest, "state": approval.state}
    yield Durable(append(services, question, "hold.opened", opened))
    if approval.state == "pending":
        approval = yield from await_people(question, approval, services)
    ended = {"approval": approval.id, "state": approval.state, "by": list(approval.decided_by)}
    append(services, question, "hold.ended", ended)
    require_yes(approval)
    decision = yield from look_again(question, terms, services)
    if not (yield UseApproval(approval.id)):
        raise Refusal("approval_used", approval=approval.id)
    return decision


def await_people(question: Question, approval: Approval, services: Services) -> Generator[Wait, Any, Approval]:
    try:
        if question.arrival.long_wait is not None:
            yield from question.arrival.long_wait(approval.id, approval.expires_at - services.clock())
        answered: Approval = yield AwaitApproval(approval.id, approval.expires_at)
    except (GeneratorExit, Refusal) as end:
        if isinstance(end, Refusal) and end.code.name not in _GIVEN_UP:
            raise
        # The client left or gave up: nobody may say yes to a request that nobody waits for.
        services.leave_approval(approval.id)
        with contextlib.suppress(Refusal):
            append(services, question, "hold.ended", {"approval": approval.id, "state": "cancelled", "by": []})
        raise
    return answered


def require_yes(approval: Approval) -> None:
    by = ", ".join(approval.decided_by)
    if approval.state == "denied":
        raise Refusal("approval_denied", f"denied by {by}", approval=approval.id)
    if approval.state == "used":
        raise Refusal("approval_used", approval=approval.id)
    if approval.state != "approved":
        raise Refusal("approval_expired", approval=approval.id)


def look_again(question: Question, terms: HoldTerms, services: Services) -> Generator[Wait, Any, Decision]:
    """At release the token must still be good and policy must still say the same."""
    if question.identity.expires_at <= services.clock():
        raise Refusal("identity_expired", "the token expired while the request was held")
    if question.arrival.look_again is not None:
        yield from question.arrival.look_again()
    decision = yield from ask(describe(question, services), services)
    if decision.action == "deny":
        raise denied(decision)
    if decision.inspect - {"response"} or (decision.action == "hold" and decision.hold != terms):
        raise Refusal("policy_denied", "policy changed while the request was held")
    require_possible(question, decision, services)
    return decision


def approval_request(question: Question, decision: Decision, terms: HoldTerms, services: Services) -> ApprovalRequest:
    """One canonical object is hashed, shown and forwarded; what is shown is that object with secrets masked."""
    operation = question.operation.canonical()
    canonical = {
        "identity": {
            "issuer": question.identity.issuer,
            "subject": question.identity.subject,
            "claims": question.identity.stable_claims(),
        },
        "resource": question.arrival.resource.name,
        "operation": operation,
    }
    shown = mask_document({**canonical, "operation": question.operation.shown()}, services.mask)
    return ApprovalRequest(
        digest=digest_of(canonical, services.mask_key),
        session=question.session.id,
        exchange=question.arrival.exchange,
        identity=question.identity,
        resource=question.arrival.resource.name,
        summary=services.mask(question.operation.summary()),
        reason=decision.reason,
        rule=decision.rule,
        shown=shown,
        # Bytes that are no text are shown as base64, which nobody reads; in a string the quotes would be escaped.
        whole=shown == canonical and b'{"base64":' not in orjson.dumps(operation),
        terms=terms,
        revision=decision.revision,
        created_at=services.clock(),
    )


# --- attach


def attach(arrival: Arrival, services: Services) -> Credential | None:
    return services.credentials.get(arrival.credential) if arrival.credential else None
