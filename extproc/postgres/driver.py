"""
Drives one connection: gives it what came, sends what it says, performs what it waits for.

It goes on in the callbacks of the event loop as far as nothing has to be waited for: no task and no switch for a read
of rows, nor for the disk, which each statement waits for twice (a task for each wait: 35 µs of 400 per statement). Only
a longer wait (a policy server, people, the database's login) becomes a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from extproc.errors import Refusal
from extproc.metrics import Meter
from extproc.postgres.channel import Channel
from extproc.postgres.events import (
    CancelServer,
    ClientSent,
    Connect,
    Connected,
    Deadline,
    ReadCatalog,
    Receive,
    ServerClosed,
    ServerSent,
    Side,
    ToClient,
    ToServer,
)
from extproc.postgres.link import Steps
from extproc.postgres.reading import Reading
from extproc.record.base import Recorder
from extproc.waits import Durable, Wait

log = logging.getLogger("extproc.postgres")

_LINGER: Final = 10.0  # seconds for a client to take the last bytes

Perform = Callable[[Wait], Awaitable[object]]


class Upstream(Protocol):
    """The way to the database (upstream.py)."""

    channel: Channel

    @property
    def cancelling(self) -> bool: ...

    async def connect(self, step: Connect, wake: Callable[[], None]) -> Connected: ...

    async def read_catalog(self, *, in_transaction: bool) -> Reading: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Driver:
    """`ended` is called once, when all is over."""

    def __init__(
        self,
        steps: Steps,
        client: Channel,
        upstream: Upstream,
        perform: Perform,
        ended: Callable[[], None],
        *,
        recorder: Recorder,
        meter: Meter,
    ) -> None:
        self._steps = steps
        self._client = client
        self._upstream = upstream
        self._perform = perform
        self._ended = ended
        self._recorder = recorder
        self._meter = meter
        self._waiting: Any = None  # the step that is waited for
        self._task: asyncio.Future[Any] | None = None  # of a true wait
        self._connected = False
        self._unsent = b""  # for the server, until what cancels its last statement has got there
        self._deadline: asyncio.TimerHandle | None = None  # of what the server runs
        self._running = False
        self._stopping = False
        self._cancelled = False  # once the catalog is read
        self.over = False
        client.wake = self.wake

    def start(self) -> None:
        self._resume(lambda: next(self._steps))

    def wake(self) -> None:
        """Something came, there is room again, or somebody left."""
        if self.over or self._running:
            return
        if self._client.gone:
            self.stop()
        elif self._task is not None:
            if self._connected and self._upstream.channel.gone:
                self._interrupt(Refusal("upstream_unavailable", "the database ended the connection"))
        elif self._waiting is not None and (ready := self._result(self._waiting)) is not None:
            self._resume(lambda: self._steps.send(ready[0]))

    def cancel(self) -> None:
        """The client asks to cancel what runs: a wait of ours ends at once, the server is asked to end its own."""
        if isinstance(self._waiting, ReadCatalog):
            self._cancelled = True  # what the server says to a question of our own is for nobody else to hear
        elif self._task is not None:
            self._interrupt(Refusal("statement_cancelled"))
        elif self._connected and not self.over:
            self._upstream.cancel()

    def stop(self) -> None:
        """The client is gone, or must go: what it asked for is not done any more."""
        if self.over:
            return
        busy = self._connected and not self.at_rest
        if self._task is not None:
            self._task.cancel()
            self._task = None
        with contextlib.suppress(Exception):
            self._steps.close()
        self._finish(cancel=busy)

    def drain(self) -> None:
        """End it at the next moment in which nothing is under way."""
        self._stopping = True
        if self.at_rest:
            self._interrupt(Refusal("stopping"))

    @property
    def at_rest(self) -> bool:
        """It waits for the client, and nothing that came is left to be looked at."""
        waiting = self._waiting
        return isinstance(waiting, Receive) and waiting.side is not Side.SERVER and self._task is None

    # --- going on

    def _resume(self, go: Callable[[], Any]) -> None:
        self._running = True
        try:
            step = go()
            while True:
                result = self._do(step)
                if result is None:
                    self._waiting = step
                    return
                self._waiting = None
                step = self._steps.send(result[0])
        except StopIteration:
            self._finish(cancel=False)
        except Exception:
            log.exception("a connection failed")
            self._finish(cancel=True)
        finally:
            self._running = False
        # What happened while it was running was not looked at.
        if not self.over and self._client.gone:
            self.stop()

    def _do(self, step: Any) -> tuple[Any] | None:
        """Begin a step: its result in a tuple, or None where it has to be waited for."""
        match step:
            case ToClient(data):
                self._client.send(data)
            case ToServer(data):
                self._unsent = data
            case CancelServer():
                self._upstream.cancel()
            case Deadline(seconds):
                self._set_deadline(seconds)
            case Receive():
                pass
            case Durable(ticket):
                if not self._recorder.is_durable(ticket):
                    self._begin_disk(ticket)
                    return None
            case _:
                self._begin(step)
                return None
        return self._result(step)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, self._upstream.cancel) if seconds is not None else None

    def _result(self, step: Any) -> tuple[Any] | None:
        if isinstance(step, Receive):
            return self._event(step.side)
        if isinstance(step, ToClient):
            return None if self._client.full else (None,)
        if isinstance(step, ToServer):
            channel = self._upstream.channel
            if self._unsent:
                if self._upstream.cancelling:
                    return None
                channel.send(self._unsent)
                self._unsent = b""
            # A server that is not read from may not read either: what it says has to be looked at first.
            return None if channel.full and not channel.choked else (None,)
        return (None,)

    def _event(self, side: Side) -> tuple[Any] | None:
        if side is not Side.CLIENT and self._connected:
            channel = self._upstream.channel
            if (data := channel.take()) is not None:
                return (ServerSent(data),)
            if channel.gone:
                return (ServerClosed(),)
        if side is not Side.SERVER:
            if (data := self._client.take()) is not None:
                return (ClientSent(data),)
            if self._stopping and side is Side.BOTH:
                asyncio.get_running_loop().call_soon(self.drain)
        return None

    # --- true waits

    def _begin(self, step: Any) -> None:
        self._task = asyncio.get_running_loop().create_task(self._wait_for(step))

    def _begin_disk(self, ticket: int) -> None:
        began = time.perf_counter()
        self._task = self._recorder.written(ticket)
        self._task.add_done_callback(lambda written: self._on_disk(written, began))

    def _on_disk(self, written: asyncio.Future[bool], began: float) -> None:
        if self._task is not written:
            return  # whoever ended the wait has gone on
        self._task = None
        self._meter.stage("durable", time.perf_counter() - began)
        if written.result():
            self._resume(lambda: self._steps.send(None))
        else:
            self._resume(lambda: self._steps.throw(Refusal("record_unavailable")))

    async def _wait_for(self, step: Any) -> None:
        try:
            result = await self._performed(step)
        except asyncio.CancelledError:
            return  # whoever cancelled it goes on
        except Refusal as refusal:
            self._task, error = None, refusal
            self._resume(lambda: self._steps.throw(error))
        except Exception:
            log.exception("a wait failed")
            self._task = None
            self._resume(lambda: self._steps.throw(Refusal("internal")))
        else:
            self._task = None
            self._resume(lambda: self._steps.send(result))

    async def _performed(self, step: Any) -> object:
        if isinstance(step, Connect):
            connected = await self._upstream.connect(step, self.wake)
            self._connected = True
            return connected
        if isinstance(step, ReadCatalog):
            reading = await self._upstream.read_catalog(in_transaction=step.in_transaction)
            if self._cancelled:
                self._cancelled = False
                raise Refusal("statement_cancelled")
            return reading
        return await self._perform(step)

    def _interrupt(self, refusal: Refusal) -> None:
        """End what is waited for with a refusal."""
        if self.over or self._running:
            return
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._resume(lambda: self._steps.throw(refusal))

    # --- the end

    def _finish(self, *, cancel: bool) -> None:
        if self.over:
            return
        self.over = True
        self._waiting = None
        if self._deadline is not None:
            self._deadline.cancel()
        if self._connected:
            if cancel:
                self._upstream.cancel()
            self._upstream.close()
        self._client.finish(_LINGER)
        self._ended()
