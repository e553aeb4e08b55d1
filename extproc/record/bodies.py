"""Records a body as it was released, in pieces: each an event with a zstd-compressed blob."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

import zstandard

from extproc.errors import Refusal
from extproc.model import JSON, RecordLevel
from extproc.record.base import Recorder

PIECE: Final = 1024 * 1024  # bytes of a body in one event at most
EVERY: Final = 1.0  # seconds until released bytes are handed to the record
_LEVEL: Final = 3
_TEXT_TYPES: Final = frozenset({
    "application/graphql", "application/javascript", "application/json", "application/ndjson", "application/sql",
    "application/toml", "application/x-ndjson", "application/x-www-form-urlencoded", "application/x-yaml",
    "application/xml", "application/yaml",
})  # fmt: skip
# PostgreSQL's messages as they went to the client. No detector reads them here: they were masked row by row before.
BACKEND: Final = "application/vnd.postgresql.backend"
# ASCII keeps its bytes in these; in others (UTF-16) detectors are blind, so nothing of a body may be kept.
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"})
_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")  # RFC 6838, 4.2


class BodyRecord:
    """
    One body of an exchange: `add` the bytes that are released, `close` at its end, however it ends.

    Payload of each event: `{offset, size, media_type, encoding}`, where `size` bytes of the body, from `offset` on,
    are in the blob (`encoding` "zstd") or only counted ("none"). The last event has `total: {size, recorded, truncated,
    hmac}` too. Bytes beyond `limit`, binary types and the level "metadata" are only counted and hashed.

    The HMAC-SHA256 covers the whole body and names its exchange, so that two equal bodies cannot be told to be equal.
    """

    def __init__(
        self,
        recorder: Recorder,
        session: str,
        exchange: str,
        kind: str,
        *,
        limit: int,
        media_type: bytes,
        level: RecordLevel,
        clock: Callable[[], float],
        key: bytes,
    ) -> None:
        self._recorder = recorder
        self._names = (session, exchange, kind)
        self._clock = clock
        self._media_type = media_type_of(media_type)
        readable = is_text(media_type) or self._media_type == BACKEND
        self._limit = limit if level != "metadata" and readable else 0
        self._hmac = hmac.new(key, b"extproc.body.1\0" + repr(self._names).encode(), hashlib.sha256)
        self._kept = bytearray()  # released, to be recorded, not yet in an event
        self._counted = 0  # released behind them, only to be counted, not yet in an event
        self._offset = 0  # of what is not yet in an event
        self._size = 0
        self._recorded = 0
        self._written_at = clock()
        self._timer: asyncio.TimerHandle | None = None
        self._ticket: int | None = None

    def add(self, data: bytes) -> int | None:
        """
        Take bytes that are about to be released. A ticket says that they must be durable first.

        Raises `Refusal("record_unavailable")`.
        """
        if not data:
            return None
        self._hmac.update(data)
        self._size += len(data)
        keep = min(len(data), self._limit - self._recorded)
        self._kept += data[:keep] if keep < len(data) else data
        self._recorded += keep
        self._counted += len(data) - keep
        if len(self._kept) >= PIECE or self._clock() - self._written_at >= EVERY:
            return self._write()
        if self._timer is None:
            self._arm()
        return None

    def count_only(self) -> None:
        """From now on only count and hash: what comes cannot be masked for the record."""
        self._limit = self._recorded

    def close(self) -> int:
        """
        Write the last event and return its ticket, the same one again when called again; 0 for a body of no bytes.

        Raises `Refusal("record_unavailable")`.
        """
        if self._ticket is None:
            self._ticket = 0
            if self._timer is not None:
                self._timer.cancel()
            if self._size:
                self._ticket = self._write(last=True)
        return self._ticket

    def _write(self, *, last: bool = False) -> int:
        """Everything that is not yet in an event, in as many as it takes; the last one's ticket."""
        self._written_at = self._clock()
        ticket = 0
        while len(self._kept) > PIECE or (self._kept and self._counted):
            ticket = self._append(bytes(self._kept[:PIECE]), {})
            del self._kept[:PIECE]
        if last:
            ticket = self._append(bytes(self._kept), {"total": self._total()})
        elif self._kept or self._counted:
            ticket = self._append(bytes(self._kept), {})
        self._kept.clear()
        self._counted = 0
        return ticket

    def _append(self, kept: bytes, more: dict[str, JSON]) -> int:
        size = len(kept) or self._counted
        payload: dict[str, JSON] = {
            "offset": self._offset,
            "size": size,
            "media_type": self._media_type,
            "encoding": "zstd" if kept else "none",
            **more,
        }
        blob = _compress(kept) if kept else b""
        self._offset += size
        session, exchange, kind = self._names
        return self._recorder.append(session, exchange, kind, payload, blob)

    def _total(self) -> dict[str, JSON]:
        return {
            "size": self._size,
            "recorded": self._recorded,
            "truncated": self._recorded < self._size,
            "hmac": self._hmac.hexdigest(),
        }

    def _arm(self) -> None:
        """A body that stalls gets its bytes into the record too."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # driven without a loop: the next `add` or `close` writes
        self._timer = loop.call_later(EVERY, self._stalled)

    def _stalled(self) -> None:
        self._timer = None
        if self._ticket is None and (self._kept or self._counted):
            try:
                self._write()
            except Refusal:
                return  # the next `add` or `close` meets the same refusal


@functools.lru_cache(maxsize=256)
def media_type_of(header: bytes) -> str:
    """The type without parameters, lower case; empty where it is missing or no media type."""
    text = header.partition(b";")[0].strip().lower().decode("latin-1")
    return text if _TYPE.fullmatch(text) else ""


@functools.lru_cache(maxsize=256)
def is_text(header: bytes) -> bool:
    """Whether bodies of that Content-Type are recorded in full. Nothing that masking refuses may be among them."""
    name = media_type_of(header)
    parameters = (part.partition("=") for part in header.lower().decode("latin-1").split(";")[1:])
    charsets = {value.strip().strip("\"'") for key, _, value in parameters if key.strip() == "charset"}
    if not charsets <= _CHARSETS:
        return False
    return name.startswith("text/") or name in _TEXT_TYPES or name.endswith(("+json", "+xml"))


# One context for the process: bodies are recorded on the event loop's thread only.
_compress = zstandard.ZstdCompressor(level=_LEVEL).compress
