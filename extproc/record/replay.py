"""A session as it was released: its exchanges in order, with what was asked, decided, held and answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zstandard

from extproc.model import JSON, Event
from extproc.record.index import Index
from extproc.record.items import text_or_base64
from extproc.record.segment import Record, read_segment, segments

_MAX_PIECE: Final = 32 * 1024 * 1024  # bytes a piece may unpack to; ours are 1 MiB


@dataclass(slots=True)
class Body:
    """
    A body as far as it was recorded. `truncated`: more was released than `data` holds. `size` and `hmac` are known at
    its end (`complete`); until then `size` is what the record has seen.
    """

    media_type: str = ""
    data: bytes = b""
    size: int = 0
    truncated: bool = False
    complete: bool = False
    hmac: str = ""

    def document(self) -> dict[str, JSON]:
        """JSON; the data as `text` where it is UTF-8, else as `base64`."""
        shown = text_or_base64(self.data)
        data = {"text": shown} if isinstance(shown, str) else shown
        about = {"media_type": self.media_type, "size": self.size, "recorded": len(self.data)}
        return {**about, "truncated": self.truncated, "complete": self.complete, "hmac": self.hmac, **data}


@dataclass(slots=True)
class Exchange:
    """
    One exchange. The objects are the payloads of its events (see pipeline.py), empty where there was none; `problems`
    tells of what its record cannot show. `outcome` as in the index.
    """

    session: str
    exchange: str
    began: float
    ended: float
    attempt: dict[str, JSON] = field(default_factory=dict)
    holds: list[dict[str, JSON]] = field(default_factory=list)
    released: bool = False
    refused: dict[str, JSON] = field(default_factory=dict)
    heads: list[dict[str, JSON]] = field(default_factory=list)
    closed: dict[str, JSON] = field(default_factory=dict)
    request_body: Body | None = None
    response_body: Body | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The request line."""
        return str(self.attempt.get("summary") or self.refused.get("summary") or "")

    @property
    def response(self) -> dict[str, JSON]:
        """The last of `heads`."""
        return self.heads[-1] if self.heads else {}

    @property
    def outcome(self) -> str:
        return str(self.closed.get("outcome") or self.refused.get("code") or "")

    def document(self, *, bodies: bool) -> dict[str, JSON]:
        document: dict[str, JSON] = {
            "session": self.session,
            "exchange": self.exchange,
            "began": self.began,
            "ended": self.ended,
            "summary": self.summary,
            "outcome": self.outcome,
            "released": self.released,
            "attempt": self.attempt,
            "holds": self.holds,
            "refused": self.refused,
            "response": self.response,
            "closed": self.closed,
            "problems": self.problems,
        }
        if bodies:
            document["request_body"] = self.request_body.document() if self.request_body else None
            document["response_body"] = self.response_body.document() if self.response_body else None
        return document


def replay(records_dir: Path, index: Index, session: str, exchange: str | None = None) -> list[Exchange]:
    """The exchanges of a session, in the order in which they began; all of them or one. Raises `OSError`."""
    return build(events(records_dir, index, session, exchange))


def events(
    records_dir: Path, index: Index, session: str, exchange: str | None = None, *, connection: int | None = None
) -> Iterator[Event]:
    """
    The events of a session, of one exchange or of a connection (by number) as the logs hold them, log by log. Damaged
    records are left out: `verify` tells of them.
    """
    wanted = None if exchange is None else frozenset({exchange})
    if connection is not None:
        wanted = index.exchanges_of(session, connection)
    found = segments(records_dir)
    for span in index.spans(session, exchange, connection=connection):
        for number, path in found.get(span.log, []):
            if not span.first[0] <= number <= span.last[0]:
                continue
            for item in read_segment(path, span.first[1] if number == span.first[0] else 0):
                if (number, item.offset) > span.last:
                    break
                if isinstance(item, Record) and _wanted(item.event, session, wanted):
                    yield item.event


def _wanted(event: Event, session: str, exchanges: Collection[str] | None) -> bool:
    return event.session == session and (exchanges is None or event.exchange in exchanges)


def build(found: Iterable[Event]) -> list[Exchange]:
    """Exchanges from their events. A connection's own events belong to none."""
    exchanges: dict[str, Exchange] = {}
    for event in found:
        if not event.kind.startswith("connection."):
            add(exchanges, event)
    return sorted(exchanges.values(), key=lambda e: (e.began, e.exchange))


def add(exchanges: dict[str, Exchange], event: Event) -> Exchange:
    """Give the event to its exchange, the first one to a new one."""
    exchange = exchanges.get(event.exchange)
    if exchange is None:
        exchange = exchanges[event.exchange] = Exchange(event.session, event.exchange, event.time, event.time)
    exchange.ended = max(exchange.ended, event.time)
    _take(exchange, event)
    return exchange


def _take(exchange: Exchange, event: Event) -> None:
    payload = dict(event.payload)
    match event.kind:
        case "request.attempt":
            exchange.attempt = payload
        case "hold.opened" | "hold.ended":
            exchange.holds.append({"kind": event.kind, "time": event.time, **payload})
        case "request.released":
            exchange.released = True
        case "request.refused":
            exchange.refused = payload
        case "response.head":
            exchange.heads.append(payload)
        case "exchange.closed":
            exchange.closed = payload
        case "request.body":
            exchange.request_body = exchange.request_body or Body()
            _add_piece(exchange, exchange.request_body, payload, event.blob)
        case "response.body":
            exchange.response_body = exchange.response_body or Body()
            _add_piece(exchange, exchange.response_body, payload, event.blob)


def _add_piece(exchange: Exchange, body: Body, payload: dict[str, JSON], blob: bytes) -> None:
    size = payload.get("size")
    if not isinstance(size, int) or size < 0:
        exchange.problems.append("a piece of a body has no size")
        return
    body.media_type = str(payload.get("media_type", ""))
    body.size += size
    if payload.get("encoding") == "zstd":
        data = _unpack(blob)
        if data is None or len(data) != size or payload.get("offset") != len(body.data):
            exchange.problems.append("a piece of a body is missing or cannot be read")
            body.truncated = True
        else:
            body.data += data
    elif size:
        body.truncated = True
    total = payload.get("total")
    if isinstance(total, dict):
        body.complete = True
        body.hmac = str(total.get("hmac", ""))
        if total.get("size") != body.size:
            exchange.problems.append("pieces of a body are missing")
            body.truncated = True


def _unpack(blob: bytes) -> bytes | None:
    try:
        if not 0 <= zstandard.frame_content_size(blob) <= _MAX_PIECE:
            return None
        return zstandard.ZstdDecompressor().decompress(blob)
    except zstandard.ZstdError:
        return None
