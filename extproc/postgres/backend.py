"""A server's messages out of its bytes: rows in runs, everything else one by one."""

from __future__ import annotations

from typing import Final, NamedTuple

from extproc.postgres.framing import run
from extproc.postgres.wire import Message, ProtocolViolation

_ROWS: Final = frozenset(b"Dd")  # DataRow, CopyData


class Rows(NamedTuple):
    """Consecutive whole messages of one kind in `buffer`: the first begins at `start`, each ends at one of `ends`."""

    kind: int
    buffer: bytes
    start: int
    ends: list[int]

    def all(self) -> bytes:
        return self.buffer[self.start : self.ends[-1]]

    def first(self, count: int) -> Rows:
        return Rows(self.kind, self.buffer, self.start, self.ends[:count])


class Backend:
    """`limit` (bytes) bounds one message. Holds at most one incomplete message, and never copies it twice."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = b""
        self._at = 0
        self._parts: list[bytes] = []  # of a message that is larger than what has come so far
        self._held = 0

    def feed(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
            self._held += len(data)
        else:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0

    @property
    def empty(self) -> bool:
        return not self._parts and self._at == len(self._buffer)

    def rest(self) -> bytes:
        """What has come and was not read."""
        return b"".join(self._parts) or self._buffer[self._at :]

    def next(self) -> Message | Rows | None:
        """The next run or message; None where more bytes must come. Raises `ProtocolViolation`."""
        if self._parts and not self._gathered():
            return None
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 5:
            return None
        kind = buffer[at]
        length = int.from_bytes(buffer[at + 1 : at + 5], "big")
        if not 4 <= length <= self._limit:
            raise ProtocolViolation("a message of an impossible or too large length")
        end = at + 1 + length
        if end > len(buffer):
            self._parts, self._held = [buffer[at:]], len(buffer) - at
            self._buffer, self._at = b"", 0
            return None
        if kind in _ROWS:
            self._at, ends = run(buffer, at, kind, self._limit)
            return Rows(kind, buffer, at, ends)
        self._at = end
        return Message(buffer[at : at + 1], buffer[at + 5 : end])

    def _gathered(self) -> bool:
        """Whether the message in parts is whole; then it is joined, once."""
        head = self._parts[0]
        if len(head) < 5:
            self._parts = [b"".join(self._parts)]
            head = self._parts[0]
        if len(head) >= 5 and self._held < int.from_bytes(head[1:5], "big") + 1:
            return False
        self._buffer, self._at = b"".join(self._parts), 0
        self._parts, self._held = [], 0
        return True
