"""
Backend messages in whole reads (PostgreSQL documentation, "Message Formats"): found, not copied.

A message is a type byte, an int32 length that counts itself, and a body. Results are many small messages in large
reads, so what is found here are the ends of a run of one kind (0.1 µs each), and who needs a body looks into the read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from extproc.postgres.wire import ProtocolViolation

_HEADER: Final = struct.Struct("!BI")


class Whole(NamedTuple):
    """A whole message: `kind` is its type byte; offsets of all of it, header included."""

    kind: int
    start: int
    end: int


def run(buffer: bytes, at: int, kind: int, cap: int) -> tuple[int, list[int]]:
    """
    The consecutive whole messages of one kind from `at` on: where the last one ends, and the end of each.

    `cap` (bytes) is the most that a length field may say. Raises `ProtocolViolation`.
    """
    ends: list[int] = []
    append, unpack, end = ends.append, _HEADER.unpack_from, at
    try:
        while True:
            found, length = unpack(buffer, end)
            if found != kind:
                break
            if not 4 <= length <= cap:
                raise _impossible()
            end += length + 1
            append(end)
    except struct.error:
        pass  # the read ends inside a header
    if end > len(buffer):
        ends.pop()
    return (ends[-1] if ends else at), ends


def messages(buffer: bytes, at: int, cap: int) -> Iterator[Whole]:
    """The whole messages from `at` on, of any kind; what stands behind the last one is not. Raises as `run` does."""
    size = len(buffer)
    while at + _HEADER.size <= size:
        kind, length = _HEADER.unpack_from(buffer, at)
        if not 4 <= length <= cap:
            raise _impossible()
        end = at + 1 + length
        if end > size:
            return
        yield Whole(kind, at, end)
        at = end


def _impossible() -> ProtocolViolation:
    return ProtocolViolation("a message of an impossible or too large length")
