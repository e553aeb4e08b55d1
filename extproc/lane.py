"""The way of a body's bytes in one direction: filter → count → record → let go. Push-driven, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from extproc.errors import Refusal
from extproc.model import RecordLevel
from extproc.pipeline import Permit, Services
from extproc.record.bodies import BodyRecord
from extproc.redact.base import ByteFilter
from extproc.waits import Durable


class BodySink(Protocol):
    """Where released bytes are recorded (record/bodies.py)."""

    def add(self, data: bytes) -> int | None: ...

    def count_only(self) -> None: ...

    def close(self) -> int: ...


def recorded(permit: Permit, kind: str, services: Services, *, media_type: bytes, level: RecordLevel) -> BodyRecord:
    """The record of what passes in one direction: `kind` is the event's, request.body or response.body."""
    return BodyRecord(
        services.recorder,
        permit.session.id,
        permit.exchange,
        kind,
        limit=services.record_cap,
        media_type=media_type,
        level=level,
        clock=services.clock,
        key=services.mask_key,
    )


class Lane:
    """Feeds chunks through filters and gives what may go on, with a `Durable` where the record must catch up first.

    `record_filters` see what is released and give what is recorded (masking of request bodies, which go on as they
    came). `reserve` is told of bytes before they are released and may refuse.
    """

    def __init__(
        self,
        filters: Sequence[ByteFilter],
        sink: BodySink,
        *,
        record_filters: Sequence[ByteFilter] = (),
        reserve: Callable[[int], None] | None = None,
        limit: int | None = None,
    ) -> None:
        self._filters = list(filters)
        self._record_filters = list(record_filters)
        self._sink = sink
        self._reserve = reserve
        self._limit = limit
        self._ended = False
        self.bytes_in = 0
        self.bytes_out = 0

    def push(self, data: bytes, *, end: bool) -> Iterator[bytes | Durable]:
        """The bytes that may go on now. After `end` everything has been given and the record's last event written."""
        self.bytes_in += len(data)
        for piece in _through(self._filters, data, end=end):
            if not piece:
                continue
            self.bytes_out += len(piece)
            if self._limit is not None and self.bytes_out > self._limit:
                raise Refusal("response_too_large")
            if self._reserve is not None:
                self._reserve(len(piece))
            ticket = self._record(piece, end=False)
            if ticket is not None:
                yield Durable(ticket)
            yield piece
        if end:
            self.close()

    def close(self) -> None:
        """It ends here, early or not: record what was released so far."""
        if not self._ended:
            self._ended = True
            self._record(b"", end=True)
        self._sink.close()

    def _record(self, piece: bytes, *, end: bool) -> int | None:
        ticket = None
        try:
            for recorded in _through(self._record_filters, piece, end=end):
                ticket = self._sink.add(recorded) or ticket
        except Refusal as refusal:
            if refusal.code.name == "record_unavailable":
                raise
            # What masks for the record cannot read these bytes: they may pass, but only their size is kept.
            self._record_filters = []
            self._sink.count_only()
            ticket = self._sink.add(piece)
        return ticket


def _through(filters: Sequence[ByteFilter], data: bytes, *, end: bool) -> Iterator[bytes]:
    """Run `data` through the filters in order, lazily, so that one small chunk can become many without piling up."""
    if not filters:
        yield data
        return
    head, rest = filters[0], filters[1:]
    for piece in head.feed(data, end=end):
        yield from _through(rest, piece, end=False)
    if end:
        yield from _through(rest, b"", end=True)
