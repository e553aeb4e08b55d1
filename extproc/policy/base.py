"""The seam to a policy engine."""

from __future__ import annotations

from typing import Protocol

from extproc.waits import AskPolicy


class PolicyEngine(Protocol):
    """Evaluates `data.extproc.decision` for one input document (JSON bytes)."""

    def evaluate(self, document: bytes) -> tuple[bytes, str] | AskPolicy:
        """
        Answer at once with `(answer JSON, revision)`, or say that a server must be asked.

        Raises `Refusal` (policy_undefined, policy_error).
        """

    @property
    def reads(self) -> frozenset[str] | None:
        """The first names under `input` that the policy can refer to (None: any); the rest need not be given."""

    @property
    def revision(self) -> str:
        """The revision in force, as far as known."""


class PolicyServer(Protocol):
    """Performs `AskPolicy`."""

    async def ask(self, document: bytes) -> tuple[bytes, str]:
        """Raises `Refusal` (policy_undefined, policy_error, policy_timeout, policy_unavailable)."""
