"""
The few things a pipeline waits for, as plain data.

Protocol code yields one of these; whoever drives it (a gRPC handler, a PostgreSQL relay, a test) performs it and sends
the result back, or throws a `Refusal` in. Each names the type of its result.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.model import ApprovalRequest


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """An issuer's signing keys are not known yet, or a token names a new one. Result: None (keys are refreshed)."""

    issuer: str
    kid: str


@dataclass(frozen=True, slots=True)
class AskPolicy:
    """A policy server must be asked. Result: `(answer: bytes, revision: str)`, the answer as JSON."""

    document: bytes


@dataclass(frozen=True, slots=True)
class NextEvent:
    """The protocol needs its next event. Result: that event (of the protocol's own types)."""


@dataclass(frozen=True, slots=True)
class Durable:
    """Wait until the event with this ticket is on disk. Result: None."""

    ticket: int


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """Find the approval this request may join or use, or open a new one. Result: `Approval`."""

    request: ApprovalRequest


@dataclass(frozen=True, slots=True)
class AwaitApproval:
    """
    Wait for people, until `until` (epoch seconds). Result: `Approval` (decided or expired).

    A drain ends it with `Refusal("approval_pending")`.
    """

    approval: str
    until: float


@dataclass(frozen=True, slots=True)
class UseApproval:
    """Use up a yes, durably. Result: bool, False where somebody else used it."""

    approval: str


Wait = FetchKeys | AskPolicy | NextEvent | Durable | OpenApproval | AwaitApproval | UseApproval
