"""The grpc.aio transport: one handler per ext_proc stream, one writer, and no way to end but with a verdict.

Envoy treats a normal return (status OK) before it is done as "let everything through", even with
`failure_mode_allow: false`. So a stream ends with OK only when Envoy ended it and the exchange is done; every other end
is an abort, whatever happened: return, exception, cancellation, deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from extproc.errors import Refusal
from extproc.http import wire
from extproc.http.events import Answer, Command, Event, ExtendTimeout, PassBody, PassHeaders, PassTrailers
from extproc.http.exchange import Exchange, IllegalEvent
from extproc.server.health import Health
from extproc.server.watchdog import Watchdog
from extproc.waits import AwaitApproval, NextEvent, Wait

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
METHOD = "Process"
_COMMANDS = (PassHeaders, PassBody, PassTrailers, Answer, ExtendTimeout)
# After our own answer Envoy closes the stream at once; a peer that does not is not Envoy.
_LINGER = 5.0  # seconds

log = logging.getLogger("extproc.server")

Perform = Callable[[Wait], Awaitable[object]]
Context = grpc.aio.ServicerContext[bytes, bytes]


class StreamEnded(Exception):  # noqa: N818
    """Envoy ended the stream."""


class ExchangeFactory(Protocol):
    def __call__(self) -> Exchange: ...


class GrpcTransport:
    """Serves ext_proc on a unix socket. `step` and `idle` (seconds) bound our steps and Envoy's silence."""

    def __init__(
        self, address: str, exchanges: ExchangeFactory, perform: Perform, *, step: float = 10.0, idle: float = 300.0
    ) -> None:
        self._address = address
        self._exchanges = exchanges
        self._perform = perform
        self._watchdog = Watchdog(step=step, idle=idle)
        self._server: grpc.aio.Server | None = None
        self._health = Health()

    async def start(self) -> None:
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 16 * 1024 * 1024),
                ("grpc.max_concurrent_streams", 1_000_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 1000),
                ("grpc.http2.max_ping_strikes", 0),
            ]
        )
        # Raw bytes: no (de)serializer.
        handler: Any = grpc.stream_stream_rpc_method_handler(self._process)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        server.add_generic_rpc_handlers((self._health.handler(),))
        server.add_insecure_port(self._address)
        await server.start()
        self._health.serving = True
        self._server = server
        self._watchdog.start()

    async def refuse_new(self) -> None:
        """Envoy's health checks keep new streams away from now on."""
        self._health.serving = False

    async def drain(self, grace: float) -> None:
        """What is held must have been answered before (broker.drain); then let the rest end, then abort it."""
        if self._server is not None:
            await self._server.stop(grace)
        self._watchdog.stop()

    async def _process(self, _requests: Any, context: Context) -> None:
        """The whole of a stream. Never returns normally unless Envoy ended it with the exchange done."""
        code, text = grpc.StatusCode.INTERNAL, "extproc: ended early"
        task = asyncio.current_task()
        assert task is not None
        exchange = self._exchanges()
        try:
            with self._watchdog.watch(task) as watch:
                try:
                    await self._drive(exchange, context, watch)
                except StreamEnded:
                    if exchange.done:
                        return
                    text = "extproc: the stream ended too early"
                except (wire.WireError, IllegalEvent) as error:
                    code, text = grpc.StatusCode.INVALID_ARGUMENT, "extproc: protocol error"
                    log.warning("protocol error: %s", error, extra={"exchange": exchange.id})
                except asyncio.CancelledError:
                    if context.cancelled() and not watch.expired:
                        raise  # Envoy cancelled: nobody is left who could read a status
                    # Cancelled from within: grpc.aio would send no status at all, and Envoy would wait for ever.
                    task.uncancel()
                    code, text = grpc.StatusCode.DEADLINE_EXCEEDED, "extproc: deadline"
        except Exception:
            log.exception("exchange failed", extra={"exchange": exchange.id})
        await context.abort(code, text)

    async def _drive(self, exchange: Exchange, context: Context, watch: Any) -> None:
        steps = exchange.run()
        try:
            step = next(steps)
            while True:
                result: object = None
                if isinstance(step, _COMMANDS):
                    await self._send(step, context, watch)
                elif isinstance(step, NextEvent):
                    result = await self._receive(context, watch)
                else:
                    try:
                        result = await self._wait(step, watch)
                    except Refusal as refusal:
                        step = steps.throw(refusal)
                        continue
                step = steps.send(result)
        except StopIteration:
            pass
        finally:
            steps.close()  # records how the exchange ended; never waits
            _log_refusal(exchange)  # here, as Envoy may end the stream at once when it has our answer
        await self._linger(exchange, context, watch)

    async def _send(self, command: Command, context: Context, watch: Any) -> None:
        # A peer that reads slowly is not late with our step.
        watch.idle()
        await context.write(wire.write(command))
        watch.step()

    async def _receive(self, context: Context, watch: Any) -> Event:
        watch.idle()
        raw: Any = await context.read()
        watch.step()
        if raw is grpc.aio.EOF:
            raise StreamEnded
        return wire.read(raw)

    async def _wait(self, wait: Wait, watch: Any) -> object:
        if isinstance(wait, AwaitApproval):
            watch.off()  # bounded by the approval's own deadline
        try:
            return await self._perform(wait)
        finally:
            watch.step()

    async def _linger(self, exchange: Exchange, context: Context, watch: Any) -> None:
        """The exchange is done: it is Envoy's turn to end the stream. What it had sent before our answer is dropped."""
        if exchange.unread:
            watch.off()
        else:
            watch.idle(_LINGER)
        while True:
            raw: Any = await context.read()
            if raw is grpc.aio.EOF:
                raise StreamEnded


def _log_refusal(exchange: Exchange) -> None:
    """What was refused is worth a line; the record has the rest."""
    if exchange.refusal is not None:
        names = {"exchange": exchange.id, "session": exchange.refusal.session or None, "resource": exchange.resource}
        log.info("refused", extra={**names, "code": exchange.refusal.code.name})
