"""
A worker's log: events are buffered, and everything appended so far is written by one group commit.

A group holds whatever came before its commit. The commit runs on the event loop while the disk is quick, for a
hand-over to a thread costs more than the sync and breaks up the groups that the transport forms; on a slow disk it runs
in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from extproc.errors import Refusal
from extproc.model import JSON
from extproc.record.chain import MAX_NAME, canonical
from extproc.record.pace import Pace
from extproc.record.writer import Entry, SegmentWriter

log = logging.getLogger("extproc.record")

MAX_UNFLUSHED: Final = 64 * 1024 * 1024  # bytes
MAX_EVENT: Final = 32 * 1024 * 1024  # bytes of a payload or blob
FLUSH_AFTER: Final = 0.5  # seconds an event waits that nobody waits for
_OVERHEAD: Final = 256  # bytes an event takes beside its texts
_MAX_GAPS: Final = 1024
_LOST: Final = -1  # a ticket that never becomes durable
_LAST_KINDS: Final = frozenset({b"exchange.closed", b"request.refused"})
_RESUMED: Final = "log.resumed"


@dataclass(frozen=True, slots=True)
class _Group:
    """Events with the tickets `first` to `last`, committed together."""

    first: int
    last: int
    entries: list[Entry]
    size: int


@dataclass(frozen=True, slots=True)
class _Flight:
    """A group that a thread is committing."""

    group: _Group
    written: Future[bool]


class _Waiter(NamedTuple):
    """`until` is in the loop's seconds."""

    ticket: int
    until: float
    written: asyncio.Future[bool]


class SegmentLog:
    """
    The `Recorder` of one process. All calls come from the thread of its event loop.

    A ticket is durable only if every earlier event of its exchange is: once one of them was lost, later events of that
    exchange are still written, but their tickets fail. `deadline` bounds a wait, in seconds; `clock` gives epoch
    seconds. Raises `OSError` where `records_dir` cannot be made: without a record nothing starts.
    """

    def __init__(self, records_dir: Path, log_name: str, *, clock: Callable[[], float], deadline: float) -> None:
        self._writer = SegmentWriter(records_dir, log_name)
        self._clock = clock
        self._deadline = deadline
        self._entries: list[Entry] = []
        self._size = 0  # bytes in _entries
        self._flying = 0  # bytes in _flight
        self._ticket = 0  # the last one given out
        self._settled = 0  # up to here every event is durable or lost
        self._gaps: list[tuple[int, int]] = []  # tickets that were lost
        self._floor = 0  # gaps up to here are forgotten: nothing there counts as durable
        self._damaged: set[bytes] = set()  # exchanges that lost an event
        self._void: set[int] = set()  # tickets of events that still wait, of exchanges that lost an earlier one
        self._lost = 0  # events lost since the last commit that succeeded
        self._waiters: list[_Waiter] = []
        self._watch: asyncio.TimerHandle | None = None
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._flight: _Flight | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pace = Pace()
        self._closed = False

    def append(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes = b"") -> int:
        """Buffer one event and return its ticket. Raises `Refusal("record_unavailable")`."""
        entry = self._entry(session, exchange, kind, payload, blob)
        damaged = bool(self._damaged) and self._is_damaged(entry)
        size = len(entry.payload) + len(blob) + _OVERHEAD
        if self._closed or self._size + self._flying + size > MAX_UNFLUSHED:
            raise Refusal("record_unavailable")
        self._entries.append(entry)
        self._size += size
        self._ticket += 1
        if self._timer is None:
            self._arm()
        return _LOST if damaged else self._ticket

    def is_durable(self, ticket: int) -> bool:
        """Whether the event is on disk. Ticket 0 stands for no event at all."""
        if ticket == 0:
            return True
        if not self._floor < ticket <= self._settled:
            return False
        return not self._gaps or not self._in_gap(ticket)

    async def wait(self, ticket: int) -> None:
        """Return when the event is on disk. Raises `Refusal("record_unavailable")` when it is lost or late."""
        if not self.is_durable(ticket) and not await self.written(ticket):
            raise Refusal("record_unavailable")

    def written(self, ticket: int) -> asyncio.Future[bool]:
        """Done when the event is on disk (True), or known to be lost or late (False)."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()
        if self._settled < ticket <= self._ticket:
            self._waiters.append(_Waiter(ticket, loop.time() + self._deadline, written))
            if self._watch is None:
                self._watch = loop.call_later(self._deadline, self._look_for_late, loop)
            self._schedule(loop)
        else:
            written.set_result(self.is_durable(ticket))
        return written

    def _look_for_late(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all that wait: to set one for each costs as much as the rest of a wait."""
        self._watch = None
        now = loop.time()
        late = [one for one in self._waiters if one.until <= now]
        self._waiters = [one for one in self._waiters if one.until > now]
        for one in late:
            _answer(one, durable=False)
        if self._waiters:
            first = min(one.until for one in self._waiters)
            self._watch = loop.call_at(first, self._look_for_late, loop)

    def flush(self) -> None:
        """Write and sync everything appended so far, blocking. Raises `Refusal("record_unavailable")`."""
        last = self._ticket
        if self._flight is not None:
            with contextlib.suppress(TimeoutError):
                self._flight.written.result(timeout=self._deadline)
            if not self._flight.written.done():
                raise Refusal("record_unavailable")
            self._land(self._flight)
        if self._entries:
            self._run(self._take())
        if last and not self.is_durable(last):
            raise Refusal("record_unavailable")

    def close(self) -> None:
        """Write what is left, and refuse from now on. Never raises: what cannot be written was promised to nobody."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Refusal):
            self.flush()
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        if self._flight is None:  # else a thread that hangs still writes to that file
            self._writer.close()

    # --- when to commit

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Commit once, after everything that is ready to run now has appended its events, and what came in meanwhile too:
        one more turn of the loop halves the commits (8 connections: 0.3 for each statement instead of 0.55).
        """
        if not self._due and self._flight is None:
            self._due = True
            loop.call_soon(loop.call_soon, self._commit)

    def _arm(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # without a loop the caller flushes
        self._timer = loop.call_later(FLUSH_AFTER, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._commit()
        if self._entries:
            self._arm()

    def _commit(self) -> None:
        self._due = False
        if self._flight is not None or not self._entries:
            return  # a landing group schedules the next one
        group = self._take()
        if self._pace.inline(time.monotonic()):
            self._run(group)
        else:
            self._launch(group)

    # --- one commit

    def _take(self) -> _Group:
        group = _Group(self._settled + 1, self._ticket, self._entries, self._size)
        if self._lost:
            note = self._entry("-", "-", _RESUMED, {"lost": self._lost}, b"")
            group.entries.insert(0, note)
        self._entries = []
        self._due = False
        self._flying, self._size = self._size, 0
        return group

    def _run(self, group: _Group) -> None:
        written = False
        try:
            written = self._write(group, inline=True)
        finally:
            self._settle(group, written=written)

    def _launch(self, group: _Group) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "record")
        loop = asyncio.get_running_loop()
        flight = _Flight(group, self._pool.submit(self._write, group, inline=False))
        self._flight = flight

        def landed(_: Future[bool]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: `close` has seen to it
                loop.call_soon_threadsafe(self._land, flight)

        flight.written.add_done_callback(landed)

    def _write(self, group: _Group, *, inline: bool) -> bool:
        began = time.perf_counter()
        try:
            self._writer.commit(group.entries)
        except Exception:
            if not self._lost:  # once for an outage
                log.exception("records cannot be written", extra={"code": "record_unavailable"})
            written = False
        else:
            written = True
        self._pace.took(time.perf_counter() - began, inline=inline)
        return written

    def _land(self, flight: _Flight) -> None:
        if self._flight is flight:
            self._flight = None
            self._settle(flight.group, written=flight.written.result())

    def _settle(self, group: _Group, *, written: bool) -> None:
        self._flying = 0
        self._settled = group.last
        if written:
            self._keep()
        else:
            self._lose(group)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.ticket > group.last:
                self._waiters.append(waiter)
            else:
                _answer(waiter, durable=self.is_durable(waiter.ticket))
        if self._waiters:
            self._schedule(self._waiters[0].written.get_loop())

    def _keep(self) -> None:
        for ticket in sorted(self._void):
            self._add_gap(ticket, ticket)
        self._void.clear()
        if self._lost:
            self._lost = 0
            log.info("records are written again")

    def _lose(self, group: _Group) -> None:
        self._lost += group.last - group.first + 1
        self._void.clear()
        self._add_gap(group.first, group.last)
        for entry in group.entries:
            if entry.kind in _LAST_KINDS:
                self._damaged.discard(entry.exchange)
            elif entry.exchange != b"-":
                self._damaged.add(entry.exchange)
        for ticket, entry in enumerate(self._entries, group.last + 1):
            if self._is_damaged(entry):
                self._void.add(ticket)

    def _is_damaged(self, entry: Entry) -> bool:
        """Whether the event's exchange has lost an event. The last event of an exchange ends the remembering."""
        if entry.exchange not in self._damaged:
            return False
        if entry.kind in _LAST_KINDS:
            self._damaged.discard(entry.exchange)
        return True

    def _add_gap(self, first: int, last: int) -> None:
        if self._gaps and self._gaps[-1][1] == first - 1:
            self._gaps[-1] = (self._gaps[-1][0], last)
        else:
            self._gaps.append((first, last))
        if len(self._gaps) > _MAX_GAPS:
            self._floor = self._gaps.pop(0)[1]

    def _in_gap(self, ticket: int) -> bool:
        at = bisect_left(self._gaps, ticket, key=lambda gap: gap[1])
        return at < len(self._gaps) and self._gaps[at][0] <= ticket

    def _entry(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes) -> Entry:
        try:
            text = canonical(payload if isinstance(payload, dict) else dict(payload))
            names = (session.encode(), exchange.encode(), kind.encode())
        except (TypeError, ValueError):
            raise Refusal("record_unavailable", "the event is not JSON") from None
        if max(map(len, names)) > MAX_NAME or max(len(text), len(blob)) > MAX_EVENT:
            raise Refusal("record_unavailable", "the event is too large")
        return Entry(self._clock(), *names, text, blob)


def _answer(waiter: _Waiter, *, durable: bool) -> None:
    if not waiter.written.done():  # else nobody waits any more
        waiter.written.set_result(durable)
