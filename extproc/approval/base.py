"""The seam to stored approvals."""

from __future__ import annotations

from typing import Protocol

from extproc.model import Approval, ApprovalRequest, ApprovalState, Identity


class ApprovalStore(Protocol):
    """Approvals, durable. Blocking calls: run them off the event loop. Raise `Refusal("approval_unavailable")`."""

    def open(self, request: ApprovalRequest, now: float) -> Approval:
        """
        Join the pending approval for the same digest, find an unused yes (or a window grant whose scope, identity
        and resource match), else store a new pending one.
        """

    def get(self, approval_id: str) -> Approval | None: ...

    def list(self, state: ApprovalState | None = None) -> list[Approval]: ...

    def decide(self, approval_id: str, person: Identity, *, approve: bool, justification: str, now: float) -> Approval:
        """Count one person's answer. Raises `ApprovalError` where that person may not answer, or it is too late."""

    def use(self, approval_id: str, now: float) -> bool:
        """Use up a yes: True exactly once (or within a window). Durable before it returns."""

    def cancel(self, approval_id: str, now: float) -> None:
        """The last client that waited has left: nobody may say yes any more."""

    def expire(self, now: float) -> int:
        """Mark what is overdue; how many."""

    def version(self) -> int:
        """Changes whenever another connection has written (cheap: PRAGMA data_version)."""


class ApprovalError(Exception):
    """An approver's answer that was not taken: `code` is stable, the text says why."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)
