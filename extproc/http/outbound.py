"""The response's side of an exchange: decided where policy asked for it, masked, recorded, let go."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from extproc.errors import Refusal
from extproc.http.body import decoder
from extproc.http.events import Command, Direction, PassBody, PassHeaders, PassTrailers
from extproc.http.inbound import RequestSide, record_masks, recorded_type
from extproc.http.response import ResponseHead, check_head, mask_head, read_head, stale_headers
from extproc.lane import Lane, recorded
from extproc.model import Headers, HttpResource
from extproc.pipeline import Permit, Release, Services, on_response
from extproc.redact.base import ByteFilter
from extproc.redact.plan import Chain, plan
from extproc.redact.secrets import SecretFilter
from extproc.redact.text import mask_document
from extproc.waits import Durable, Wait

Steps = Generator[Command | Wait, Any, None]
PIECE = 64 * 1024  # bytes
_RESERVE = 1024 * 1024  # bytes


class ResponseSide:
    """Nothing is given to the client that did not come through `lane`; the last bytes wait for the closing record."""

    def __init__(self, permit: Permit, services: Services, request: RequestSide) -> None:
        resource = permit.resource
        assert isinstance(resource, HttpResource)
        self._permit = permit
        self._resource = resource
        self._services = services
        self._request = request
        self._secrets = SecretFilter(permit.credential.secrets if permit.credential else ())
        self._lane: Lane | None = None
        self._masks: Chain | None = None
        self._release: Release | None = None
        self._began = services.clock()
        self._status = 0
        self._closed = False
        self._unreserved = 0  # bytes released that the session's counter does not know yet

    @property
    def resource(self) -> str:
        return self._resource.name

    @property
    def unread(self) -> bool:
        """A headers-only route: the body passes by, and Envoy tells no more of it."""
        return self._resource.bodies == "headers_only"

    @property
    def session(self) -> str:
        return self._permit.session.id

    def head(self, headers: Headers, *, end: bool) -> Steps:
        head = read_head(headers)
        self._status = head.status
        if head.status == 101 and not self._request.upgrade:
            # Nothing is masked after a switch of protocols, and nobody asked for one.
            raise Refusal("response_malformed", "the upstream switched protocols unasked")
        check_head(headers, self._resource, self._secrets)
        shown = mask_document(head.shown(), self._services.mask)
        release = yield from on_response(self._permit, head.facts(), shown, self._services)
        self._release = release
        self._lane = self._open_lane(head, release, end=end)
        if end or self.unread:
            self._lane_end()
            yield from self._close("released" if end else "unread")
        # An answer to HEAD has no body, but a digest or a length of the one that would have been masked.
        remove = stale_headers(headers) if release.rules or self._decoded else ()
        put = mask_head(headers, release.rules)
        if release.rules:
            put += ((b"cache-control", b"no-store"),)
        yield PassHeaders(Direction.RESPONSE, put, remove)

    def body(self, data: bytes, *, end: bool) -> Steps:
        if not end:
            yield from self._through(data, end=False)
            return
        # The last piece goes with the end of the stream: one message less for the usual small body.
        last = b""
        for step in self._through(data, end=True):
            if isinstance(step, PassBody):
                if last:
                    yield PassBody(Direction.RESPONSE, last, end=False)
                last = step.data
            else:
                yield step
        yield from self._close("released")
        yield PassBody(Direction.RESPONSE, last, end=True)

    def trailers(self, trailers: Headers) -> Steps:
        yield from self._through(b"", end=True)
        check_head(trailers, self._resource, self._secrets)
        yield from self._close("released")
        rules = self._release.rules if self._release else ()
        yield PassTrailers(Direction.RESPONSE, mask_head(trailers, rules), stale_headers(trailers) if rules else ())

    def abandon(self, outcome: str) -> None:
        """The exchange ends before its end: what was released is recorded. Never waits, never raises."""
        if self._closed:
            return
        try:
            self._request.abandon()
            if self._lane is not None:
                self._lane.close()
            self._record_end(outcome)
        except Refusal as refusal:
            self._services.meter.refused(self._resource.name, refusal.code.name)

    _decoded = False

    def _open_lane(self, head: ResponseHead, release: Release, *, end: bool) -> Lane:
        filters: list[ByteFilter] = []
        if not end and self._resource.bodies == "inspect" and head.status != 101:
            filters = self._filters(head, release)
        elif head.status == 101 and self._permit.credential:
            filters = [SecretFilter(self._permit.credential.secrets, conversation=True)]
        services = self._services
        masks = record_masks(head.media_type, services) if release.level == "redacted" else []
        unreadable = masks is None or (head.encodings and not self._decoded)
        sink = recorded(
            self._permit,
            "response.body",
            services,
            media_type=recorded_type(head.media_type, services),
            level="metadata" if unreadable else release.level,
        )
        return Lane(
            filters, sink, record_filters=masks or (), reserve=self._reserve, limit=release.limits.response_bytes
        )

    def _filters(self, head: ResponseHead, release: Release) -> list[ByteFilter]:
        """Decode → mask → look for the credential. A body that must be read and cannot be is refused."""
        filters: list[ByteFilter] = []
        if release.rules or self._permit.credential:
            decode = decoder(list(head.encodings))
            if decode is not None:
                self._decoded = True
                filters.append(decode)
        if release.rules:
            self._masks = Chain(plan(release.rules, head.media_type, key=self._services.mask_key))
            filters.append(self._masks)
        if self._permit.credential:
            filters.append(self._secrets)
        return filters

    def _reserve(self, count: int) -> None:
        """Counted before they are released: one by one under a limit, else by the megabyte."""
        limit = self._release.limits.session_bytes if self._release else None
        self._unreserved += count
        if limit is None and self._unreserved < _RESERVE:
            return
        count, self._unreserved = self._unreserved, 0
        total, _ = self._services.sessions.reserve(self._permit.session, size=count)
        if limit is not None and total > limit:
            raise Refusal("limit_exceeded", "the session's limit of bytes is used up")

    def _through(self, data: bytes, *, end: bool) -> Steps:
        if self._lane is None:
            raise Refusal("protocol_error")
        for step in self._lane.push(data, end=end):
            if isinstance(step, bytes):
                for start in range(0, len(step), PIECE):
                    yield PassBody(Direction.RESPONSE, step[start : start + PIECE], end=False)
            else:
                yield step

    def _lane_end(self) -> None:
        if self._lane is not None:
            self._lane.close()

    def _close(self, outcome: str) -> Steps:
        """The closing record is durable before the last `end_of_stream` (without a body: before the headers)."""
        # An answer may come before the request's body has ended.
        self._request.abandon()
        yield Durable(self._record_end(outcome))

    def _record_end(self, outcome: str) -> int:
        self._closed = True
        if self._unreserved:
            self._services.sessions.count(self._permit.session, size=self._unreserved)
            self._unreserved = 0
        payload = {
            "outcome": outcome,
            "status": self._status,
            "bytes_in": self._request.bytes_in,
            "bytes_out": self._lane.bytes_out if self._lane else 0,
            "masked": dict(self._masks.counts) if self._masks else {},
            "duration_ms": round((self._services.clock() - self._began) * 1000, 3),
        }
        return self._services.recorder.append(
            self._permit.session.id, self._permit.exchange, "exchange.closed", payload
        )
