"""One HTTP exchange as a state machine without I/O: events in, commands and waits out.

Each direction has its own states. An event that the table does not name is illegal: it raises `IllegalEvent`, which the
transport turns into an abort (Envoy fails closed on a non-OK end, and open on an OK one).

    request    AWAITED ─headers→ DECIDING ⇄ READING (headers withheld) ─permit→ RELEASED ─end→ DONE
    response   AWAITED ─headers→ STREAMING ─end→ DONE
    both       ─refusal→ ANSWERED
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from enum import Enum
from typing import Any, Final

from extproc.errors import Refusal
from extproc.http.authorization import token_of
from extproc.http.canonical import HttpOperation, read_request, unread
from extproc.http.events import (
    BodyArrived,
    Command,
    Direction,
    Event,
    ExtendTimeout,
    HeadersArrived,
    PassBody,
    PassHeaders,
    PassTrailers,
    TrailersArrived,
)
from extproc.http.inbound import RequestSide
from extproc.http.outbound import ResponseSide
from extproc.http.problem import problem
from extproc.model import Headers, HttpResource
from extproc.pipeline import Arrival, Permit, Services, on_request
from extproc.waits import NextEvent, Wait

Steps = Generator[Command | Wait, Any, None]
ResourceOf = Callable[[str], HttpResource | None]


class State(Enum):
    AWAITED = "awaited"
    DECIDING = "deciding"
    READING = "reading"
    RELEASED = "released"
    STREAMING = "streaming"
    DONE = "done"
    ANSWERED = "answered"


# (direction, event) → the states of that direction in which it may come.
TABLE: Final[dict[tuple[Direction, type], frozenset[State]]] = {
    (Direction.REQUEST, HeadersArrived): frozenset({State.AWAITED}),
    (Direction.REQUEST, BodyArrived): frozenset({State.READING, State.RELEASED}),
    (Direction.REQUEST, TrailersArrived): frozenset({State.READING, State.RELEASED}),
    (Direction.RESPONSE, HeadersArrived): frozenset({State.AWAITED}),
    (Direction.RESPONSE, BodyArrived): frozenset({State.STREAMING}),
    (Direction.RESPONSE, TrailersArrived): frozenset({State.STREAMING}),
}
# While the request is in one of these, nothing has been forwarded: a response can only be Envoy's own local reply.
NOTHING_FORWARDED: Final = frozenset({State.AWAITED, State.READING})


class IllegalEvent(Exception):  # noqa: N818 - named for what happened
    """An event that the table does not name. The stream must be aborted."""


class _LocalReply(Exception):  # noqa: N818
    """Envoy answered the client itself while the request was still withheld."""

    def __init__(self, event: HeadersArrived) -> None:
        self.event = event
        super().__init__("local reply")


class Exchange:
    """`run()` is the whole exchange: give it events where it yields `NextEvent`, perform its waits, send its commands.

    It ends only when the client has its answer (`done`). Closing it early records how the exchange ended.
    """

    def __init__(self, exchange: str, services: Services, resource_of: ResourceOf, control_url: str = "") -> None:
        self.id = exchange
        self.request = State.AWAITED
        self.response = State.AWAITED
        self._services = services
        self._resource_of = resource_of
        self._control_url = control_url
        self._inbound: RequestSide | None = None
        self._outbound: ResponseSide | None = None
        self._asked = False
        self.refusal: Refusal | None = None
        self.resource = ""
        self._taken = 0  # bytes of the worker's budget
        self._trailers: Headers | None = None  # request trailers that came while the body was read

    @property
    def done(self) -> bool:
        """True when the client has a whole answer: the only state in which a stream may end well."""
        return self.response in (State.DONE, State.ANSWERED)

    @property
    def unread(self) -> bool:
        """Done, but Envoy may keep the stream open as long as a body passes by unread."""
        return self.response is State.DONE and self._outbound is not None and self._outbound.unread

    def run(self) -> Steps:
        """Raises `IllegalEvent`."""
        try:
            yield from self._exchange()
        except Refusal as refusal:
            self.refusal = refusal
            refusal.session = refusal.session or (self._outbound.session if self._outbound else "")
            if self._outbound is not None:
                refusal.retry_after = 0  # the upstream has the request: sending it again is not safe
            self._count(refusal)
            self._abandon(refusal.code.name)
            yield problem(refusal, exchange=self.id, control_url=self._control_url, dev=self._services.development)
            self.request = self.response = State.ANSWERED
        finally:
            self._give_back()
            self._abandon("aborted")

    # --- the order of an exchange

    def _exchange(self) -> Steps:
        first = yield from self._next()
        if first.direction is Direction.RESPONSE:
            yield from self._local_reply(first)
            return
        try:
            permit, operation = yield from self._decide(first)
        except _LocalReply as local:
            yield from self._local_reply(local.event)
            return
        self._inbound = RequestSide(permit, operation, self._services)
        self._outbound = ResponseSide(permit, self._services, self._inbound)
        yield from self._inbound.release(end=first.end, trailers=self._trailers)
        self.request = State.DONE if first.end or operation.body is not None else State.RELEASED
        if "response" not in permit.decision.inspect:
            self._forget_body(permit, self._inbound)
        while not self.done:
            event = yield from self._next()
            if event.direction is Direction.REQUEST:
                yield from self._request_event(self._inbound, event)
            else:
                yield from self._response_event(self._outbound, event)

    def _decide(self, first: HeadersArrived) -> Generator[Command | Wait, Any, tuple[Permit, HttpOperation]]:
        self.request = State.DECIDING
        arrival = self._arrive(first)
        self._asked = True  # from here on the pipeline records and counts refusals itself
        permit = yield from on_request(arrival, self._services)
        operation = permit.operation
        assert isinstance(operation, HttpOperation)
        return permit, operation

    def _request_event(self, side: RequestSide, event: Event) -> Steps:
        match event:
            case BodyArrived(_, data, end):
                yield from side.body(data, end=end)
                self.request = State.DONE if end else State.RELEASED
            case TrailersArrived(_, trailers):
                yield from side.trailers(trailers)
                self.request = State.DONE

    def _response_event(self, side: ResponseSide, event: Event) -> Steps:
        match event:
            case HeadersArrived(_, headers, end):
                self.response = State.STREAMING
                yield from side.head(headers, end=end)
                end = end or side.unread
            case BodyArrived(_, data, end):
                yield from side.body(data, end=end)
            case TrailersArrived(_, trailers):
                end = True
                yield from side.trailers(trailers)
        if end:
            self.response = State.DONE

    def _local_reply(self, event: HeadersArrived) -> Steps:
        """Envoy's own answer (a 404, a 408): its fixed texts, nothing of an upstream. Passed on as it is."""
        self.response = State.STREAMING
        yield PassHeaders(Direction.RESPONSE)
        end = event.end
        while not end:
            match (yield from self._next()):
                case BodyArrived(Direction.RESPONSE, data, end):
                    yield PassBody(Direction.RESPONSE, data, end)
                case TrailersArrived(Direction.RESPONSE):
                    yield PassTrailers(Direction.RESPONSE)
                    end = True
                case _:
                    raise IllegalEvent("a request after a local reply")
        self.response = State.DONE

    # --- events

    def _next(self) -> Generator[Wait, Any, Any]:
        event = yield NextEvent()
        direction = event.direction
        state = self.request if direction is Direction.REQUEST else self.response
        if state not in TABLE[direction, type(event)]:
            raise IllegalEvent(f"{direction.value} {type(event).__name__} in {state.value}")
        return event

    # --- what the pipeline needs of HTTP

    def _arrive(self, event: HeadersArrived) -> Arrival:
        resource = self._resource_of(event.route)
        if resource is None:
            raise Refusal("unknown_resource")
        self.resource = resource.name
        headers, unreadable = event.headers, None
        try:
            operation = open_request(read_request(headers), resource, end=event.end)
        except Refusal as refusal:
            operation, unreadable = unread(headers), refusal

        def proof() -> str:
            return token_of(headers)

        def read_body(cap: int) -> Generator[Any, Any, HttpOperation]:
            return operation.with_body(b"" if event.end else (yield from self._read(cap)))

        def long_wait(_approval: str, seconds: float) -> Generator[Any, Any, None]:
            # A FULL_DUPLEX_STREAMED direction has no message timeout, and counts an override as ignored.
            if resource.bodies == "headers_only":
                yield ExtendTimeout(max(1.0, seconds + 5))

        return Arrival(
            self.id,
            resource,
            operation,
            proof,
            {"address": event.source},
            read_body if resource.bodies == "inspect" else None,
            long_wait,
            resource.credential,
            doubt=unreadable,
        )

    def _read(self, cap: int) -> Generator[Any, Any, bytes]:
        """Collect the request body while its headers are withheld. Trailers end it and are not forwarded."""
        self.request = State.READING
        body = bytearray()
        while True:
            event = yield from self._next()
            if event.direction is Direction.RESPONSE:
                raise _LocalReply(event)
            if isinstance(event, TrailersArrived):
                self._trailers = event.trailers
                break
            if len(body) + len(event.data) > cap:
                raise Refusal("body_too_large", f"at most {cap} bytes may be read before deciding")
            self._services.bodies.take(len(event.data))
            self._taken += len(event.data)
            body += event.data
            if event.end:
                break
        self.request = State.DECIDING
        return bytes(body)

    def _forget_body(self, permit: Permit, side: RequestSide) -> None:
        """It is on its way and nobody asks for it again: a slow answer need not keep it in memory."""
        permit.question.operation = side.forget_body()
        self._give_back()

    def _give_back(self) -> None:
        self._services.bodies.give(self._taken)
        self._taken = 0

    def _count(self, refusal: Refusal) -> None:
        if self._outbound is not None:
            self._services.meter.refused(self._outbound.resource, refusal.code.name)
        elif not self._asked:
            self._services.meter.refused("", refusal.code.name)

    def _abandon(self, outcome: str) -> None:
        if self._outbound is not None and not self.done:
            self._outbound.abandon(outcome)


def open_request(operation: HttpOperation, resource: HttpResource, *, end: bool) -> HttpOperation:
    """What a resource's configuration opens, before anybody is asked. Raises `Refusal`."""
    if operation.method not in resource.methods or operation.method in ("CONNECT", "TRACE"):
        raise Refusal("method_refused")
    upgrade = operation.upgrade()
    if upgrade and upgrade not in resource.upgrades:
        raise Refusal("upgrade_refused")
    if resource.bodies == "headers_only" and not end:
        raise Refusal("body_refused")
    unread = resource.bodies == "headers_only"
    return dataclasses.replace(operation, maskable=not upgrade and not unread, unread=unread)
