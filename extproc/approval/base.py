"""The seam to stored approvals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from extproc.model import Approval, ApprovalRequest, ApprovalState, Identity


class ApprovalStore(Protocol):
    """
    Approvals, durable. Blocking calls, from any thread: run them off the event loop (`version` alone may run on it).

    Every call may raise `Refusal("approval_unavailable")`. Times are epoch seconds.
    """

    def open(self, request: ApprovalRequest, now: float, waiter: str = "") -> Approval:
        """
        An unused yes for the same digest and terms, or a window grant whose scope, identity, resource and terms match;
        else the pending approval for the same digest and terms; else a new one. `waiter` joins what is pending.
        """

    def get(self, approval_id: str) -> Approval | None: ...

    def list(self, state: ApprovalState | None = None) -> list[Approval]:
        """The newest first."""

    def settled(self, approval_ids: Collection[str]) -> Sequence[Approval]:
        """Those that are not pending any more; cheap where nearly all still are."""

    def changes(self, since: int) -> tuple[int, Sequence[Approval]]:
        """What changed after `since`, oldest change first, and the number to go on with."""

    def position(self) -> int:
        """The number of the latest change."""

    def decide(self, approval_id: str, person: Identity, *, approve: bool, justification: str, now: float) -> Approval:
        """Count one person's answer. Raises `ApprovalError` where that person may not answer, or it is too late."""

    def use(self, approval_id: str, now: float) -> bool:
        """Use up a yes: True exactly once (or within a window). Durable before it returns."""

    def cancel(self, approval_id: str, now: float) -> None:
        """Pending becomes cancelled: nobody may say yes any more. A yes that was given stays."""

    def join(self, approval_id: str, waiter: str, now: float) -> None:
        """`waiter` (one worker since its start) has a client that waits."""

    def leave(self, approval_id: str, waiter: str, now: float) -> None:
        """The last client of `waiter` has left; cancels where no other waiter is left."""

    def touch(self, waiter: str, now: float) -> None:
        """A sign of life of `waiter`: one that gives none for `LAPSE` seconds keeps nothing from being cancelled."""

    def expire(self, now: float) -> int:
        """Mark what is overdue; how many."""

    def version(self) -> int:
        """Changes whenever anybody has written (cheap: PRAGMA data_version)."""


class ApprovalError(Exception):
    """
    An approver's answer that was not taken: `code` is stable, the text says why.

    Codes: not_found, not_a_person, not_an_approver, own_request, already_answered, justification_required, too_late.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)
