"""The worker's side of approvals: exchanges open, wait and use; the store's blocking calls run on one thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from extproc.approval.base import ApprovalStore
from extproc.approval.moves import LAPSE
from extproc.errors import Refusal
from extproc.metrics import HELD
from extproc.model import Approval, ApprovalRequest

POLL: Final = 0.03  # seconds between two looks at the store's version; a decision is seen within 200 ms
RETRY_AFTER: Final = 5  # seconds, told to clients on a drain

_UNCLAIMED: Final = 30.0  # seconds within which an exchange that opened an approval begins to wait for it
_BROKEN_PAUSE: Final = 0.5  # seconds between two looks at a store that does not answer
_SIGN_OF_LIFE: Final = LAPSE / 3

log = logging.getLogger("extproc.approval")
T = TypeVar("T")


class Broker:
    """
    What the pipeline's waits on approvals do. Every call may raise `Refusal("approval_unavailable")`.

    An exchange counts as interested from `open` until its `wait` returns or `leave` is called; only when the last one
    of this worker has left is the store told, on the same thread as opens, so that neither overtakes the other.
    """

    def __init__(self, store: ApprovalStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="approvals")
        self._lock = threading.Lock()  # over `_interest`, which both the loop and the thread change
        self._interest: Counter[str] = Counter()
        self._expected: defaultdict[str, deque[asyncio.TimerHandle]] = defaultdict(deque)
        self._waiting: defaultdict[str, set[asyncio.Future[Approval | None]]] = defaultdict(set)
        self._poll: asyncio.Task[None] | None = None
        self._look = False  # somebody new waits: look at the rows even where nothing changed
        self._draining = False

    async def open(self, request: ApprovalRequest, now: float) -> Approval:
        """The approval to wait for, or a yes to use. While draining a pending one is kept, and refused with its id."""
        if self._draining:
            approval = await self._run(self._store.open, request, now)
            if approval.state == "pending":
                raise pending(approval.id)
            return approval
        job = self._thread.submit(self._open, request, now)
        try:
            approval = await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            job.add_done_callback(self._nobody_there)
            raise
        if approval.state == "pending":
            self._expect(approval.id)
        return approval

    async def wait(self, approval_id: str, until: float) -> Approval:
        """
        The approval once it is decided, or expired at `until` (epoch seconds).

        Raises `Refusal("approval_pending")` on a drain. Who cancels this calls `leave` too.
        """
        try:
            if not self._arrived(approval_id):
                self._interested(approval_id)
                await self._run(self._store.join, approval_id, self._me, self._clock())
            answer = None if self._draining else await self._answer(approval_id, until)
            if answer is None:
                raise pending(approval_id)
        except asyncio.CancelledError:
            self._expect(approval_id)  # to leave, or to wait again
            raise
        except Refusal:
            self._uninterested(approval_id)
            raise
        if answer.state == "pending":  # `until` lies before the approval's own end: only this exchange gives up
            self._left(approval_id)
            return replace(answer, state="expired")
        self._uninterested(approval_id)
        return answer

    async def use(self, approval_id: str) -> bool:
        """Use up a yes; durable when this returns."""
        return await self._run(self._store.use, approval_id, self._clock())

    def leave(self, approval_id: str) -> None:
        """A client has left. Never waits, and works while the loop is closing: called from a generator's end."""
        self._arrived(approval_id)
        self._left(approval_id)

    async def drain(self) -> None:
        """Everybody who waits is told to come again; what is pending stays pending."""
        self._draining = True
        for futures in list(self._waiting.values()):
            for future in futures:
                if not future.done():
                    future.set_result(None)
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
            self._poll = None

    def close(self) -> None:
        """Do what was begun, then stop the thread."""
        self._thread.shutdown()

    # --- on the thread

    def _open(self, request: ApprovalRequest, now: float) -> Approval:
        approval = self._store.open(request, now, self._me)
        if approval.state == "pending":
            self._interested(approval.id)
        return approval

    def _nobody_there(self, job: Future[Approval]) -> None:
        """The exchange ended while its approval was being opened."""
        if not job.cancelled() and job.exception() is None and job.result().state == "pending":
            self._left(job.result().id)

    def _leave(self, approval_id: str) -> None:
        with self._lock:
            if approval_id in self._interest or self._draining:
                return  # on a drain all were told to come again
        try:
            self._store.leave(approval_id, self._me, self._clock())
        except Refusal:
            log.warning("an approval that nobody waits for stays pending")

    def _expired(self, approval_id: str, until: float) -> Approval:
        # The loop's clock and the wall's are not the same: what was waited out is over.
        self._store.expire(max(self._clock(), until))
        approval = self._store.get(approval_id)
        if approval is None:
            raise Refusal("approval_unavailable")
        return approval

    # --- who is interested

    def _interested(self, approval_id: str) -> None:
        with self._lock:
            self._interest[approval_id] += 1

    def _uninterested(self, approval_id: str) -> None:
        with self._lock:
            self._interest[approval_id] -= 1
            if self._interest[approval_id] <= 0:
                del self._interest[approval_id]

    def _left(self, approval_id: str) -> None:
        self._uninterested(approval_id)
        # After the interpreter's end has begun nothing can be told; the waiter lapses by itself.
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._leave, approval_id)

    def _expect(self, approval_id: str) -> None:
        """Somebody must wait or leave soon; who does neither has left."""
        timer = asyncio.get_running_loop().call_later(_UNCLAIMED, self.leave, approval_id)
        self._expected[approval_id].append(timer)

    def _arrived(self, approval_id: str) -> bool:
        """One that was expected is here. Which of them does not matter: they are alike."""
        timers = self._expected.get(approval_id)
        if not timers:
            return False
        timers.popleft().cancel()
        if not timers:
            del self._expected[approval_id]
        return True

    # --- the one look for all who wait

    async def _answer(self, approval_id: str, until: float) -> Approval | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Approval | None] = loop.create_future()
        self._waiting[approval_id].add(future)
        self._watch()
        HELD.inc()
        try:
            async with asyncio.timeout(max(0.0, until - self._clock())):
                return await future
        except TimeoutError:
            return await self._run(self._expired, approval_id, until)
        finally:
            HELD.dec()
            self._waiting[approval_id].discard(future)
            if not self._waiting[approval_id]:
                del self._waiting[approval_id]

    def _watch(self) -> None:
        self._look = True
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._watch_while_waiting())

    async def _watch_while_waiting(self) -> None:
        seen: int | None = None
        alive = self._clock()
        while self._waiting:
            pause = POLL
            try:
                version = self._store.version()
                if version != seen or self._look:
                    self._look = False
                    await self._settle()
                    seen = version  # read before the rows were: a write in between is seen next time
                if abs(self._clock() - alive) > _SIGN_OF_LIFE:
                    alive = self._clock()
                    await self._run(self._store.touch, self._me, alive)
            except Refusal:
                self._look, pause = True, _BROKEN_PAUSE  # a store that comes back in time loses nobody's answer
            except Exception:
                log.exception("a look at the approvals failed")
                self._look, pause = True, _BROKEN_PAUSE
            await asyncio.sleep(pause)

    async def _settle(self) -> None:
        for approval in await self._run(self._store.settled, list(self._waiting)):
            for future in self._waiting.get(approval.id, ()):
                if not future.done():
                    future.set_result(approval)

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.wrap_future(self._thread.submit(partial(call, *arguments)))


def pending(approval_id: str) -> Refusal:
    return Refusal("approval_pending", approval=approval_id, retry_after=RETRY_AFTER)
