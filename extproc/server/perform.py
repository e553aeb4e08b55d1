"""Performs what a pipeline waits for. The same for every transport and protocol."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Protocol

from extproc.errors import Refusal
from extproc.identity.base import KeyFetcher
from extproc.metrics import Meter
from extproc.model import Approval, ApprovalRequest
from extproc.policy.base import PolicyServer
from extproc.record.base import Recorder
from extproc.waits import AskPolicy, AwaitApproval, Durable, FetchKeys, OpenApproval, UseApproval, Wait

# What is timed under its own name; the pipeline times what it asks of policy.
_STAGES: Final = {Durable: "durable", FetchKeys: "keys", AwaitApproval: "approval"}


class ApprovalWaiter(Protocol):
    """The worker's side of approvals (approval/broker.py)."""

    async def open(self, request: ApprovalRequest, now: float) -> Approval: ...

    async def wait(self, approval_id: str, until: float) -> Approval: ...

    async def use(self, approval_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Performer:
    """`perform(wait)` gives the wait's result or raises `Refusal`; each part keeps its own deadline."""

    keys: KeyFetcher
    policy: PolicyServer | None
    recorder: Recorder
    approvals: ApprovalWaiter
    meter: Meter

    async def perform(self, wait: Wait) -> object:
        stage = _STAGES.get(type(wait))
        if stage is None:
            return await self._perform(wait)
        began = time.perf_counter()
        try:
            return await self._perform(wait)
        finally:
            self.meter.stage(stage, time.perf_counter() - began)

    async def _perform(self, wait: Wait) -> object:
        match wait:
            case Durable(ticket):
                if not self.recorder.is_durable(ticket):
                    await self.recorder.wait(ticket)
                return None
            case AskPolicy(document):
                if self.policy is None:
                    raise Refusal("policy_unavailable")
                return await self.policy.ask(document)
            case FetchKeys(issuer, kid):
                await self.keys.fetch(issuer, kid)
                return None
            case OpenApproval(request):
                return await self.approvals.open(request, request.created_at)
            case AwaitApproval(approval, until):
                return await self.approvals.wait(approval, until)
            case UseApproval(approval):
                return await self.approvals.use(approval)
            case _:
                raise Refusal("internal")
