"""The request's side of an exchange that has its permit: headers, body and trailers on their way upstream."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from extproc.errors import Refusal
from extproc.http.canonical import REQUEST_IDS, STRIPPED_WHEN_READ, HttpOperation, stripped
from extproc.http.events import Command, Direction, PassBody, PassHeaders, PassTrailers
from extproc.lane import Lane, recorded
from extproc.model import Headers, MaskRule
from extproc.pipeline import Permit, Services
from extproc.redact.base import ByteFilter
from extproc.redact.detectors import DETECTORS
from extproc.redact.plan import plan
from extproc.waits import Wait

Steps = Generator[Command | Wait, Any, None]
PIECE = 64 * 1024  # bytes; Envoy's own flow control works below its buffer limit of 1 MiB

ALL_DETECTORS = (MaskRule(detect=tuple(DETECTORS)),)


class RequestSide:
    """Lets the request go on: exactly what was decided about, with the resource's credential in place of the job's."""

    def __init__(self, permit: Permit, operation: HttpOperation, services: Services) -> None:
        self._permit = permit
        self._operation = operation
        self._services = services
        self.upgrade = operation.upgrade()
        self._lane: Lane | None = None  # most requests have no body

    @property
    def bytes_in(self) -> int:
        return self._lane.bytes_in if self._lane else 0

    def forget_body(self) -> HttpOperation:
        self._operation = self._operation.with_body(None)
        return self._operation

    def abandon(self) -> None:
        if self._lane is not None:
            self._lane.close()

    def _open_lane(self) -> Lane:
        services, permit, operation = self._services, self._permit, self._operation
        media_type = operation.media_type().encode("latin-1")
        masks = record_masks(media_type, services)
        sink = recorded(
            permit,
            "request.body",
            services,
            media_type=recorded_type(media_type, services),
            level="metadata" if operation.encoded() or masks is None else permit.level,
        )
        return Lane([], sink, record_filters=masks or ())

    def release(self, *, end: bool, trailers: Headers | None) -> Steps:
        """Headers first; then, where it was read before the decision, the whole body: the very bytes that were seen."""
        yield self.headers()
        body = self._operation.body
        if body is not None and not end:
            yield from self._through(body, end=True)
            yield PassBody(Direction.REQUEST, b"", end=True) if trailers is None else without(trailers)

    def headers(self) -> PassHeaders:
        present = {name for name, _ in self._operation.headers}
        permit = self._permit
        drop = set(stripped(self._operation.headers))
        if not self._operation.unread:
            drop |= {b"accept-encoding", b"sec-websocket-extensions"}  # what is compressed cannot be searched
        if permit.decision.redact or permit.credential is not None or "response" in permit.decision.inspect:
            drop |= STRIPPED_WHEN_READ
        if permit.held:
            drop |= REQUEST_IDS | STRIPPED_WHEN_READ  # what is not in the canonical object is not forwarded
        put: tuple[tuple[bytes, bytes], ...] = ()
        if permit.credential is not None:
            put = ((permit.credential.header, permit.credential.value),)
            drop.discard(permit.credential.header)
        return PassHeaders(Direction.REQUEST, put, tuple(sorted(drop & present)))

    def body(self, data: bytes, *, end: bool) -> Steps:
        yield from self._through(data, end=end)
        if end:
            yield PassBody(Direction.REQUEST, b"", end=True)

    def trailers(self, trailers: Headers) -> Steps:
        """Request trailers were not decided about: none goes on."""
        yield from self._through(b"", end=True)
        yield without(trailers)

    def _through(self, data: bytes, *, end: bool) -> Steps:
        self._lane = self._lane or self._open_lane()
        for step in self._lane.push(data, end=end):
            if isinstance(step, bytes):
                for start in range(0, len(step), PIECE):
                    yield PassBody(Direction.REQUEST, step[start : start + PIECE], end=False)
            else:
                yield step


def without(trailers: Headers) -> PassTrailers:
    return PassTrailers(Direction.REQUEST, remove=tuple(sorted({name for name, _ in trailers})))


def recorded_type(media_type: bytes, services: Services) -> bytes:
    """A Content-Type for the record: whoever writes it can write a secret there, and then it is no media type."""
    return services.mask(media_type.decode("latin-1")).encode("latin-1", "replace")


def record_masks(media_type: bytes, services: Services) -> list[ByteFilter] | None:
    """What stands between a body and its record: every detector. None where they cannot read that type: such a body
    is only counted, whatever else would say that it is text.
    """
    try:
        return list(plan(ALL_DETECTORS, media_type, key=services.mask_key))
    except Refusal:
        return None
