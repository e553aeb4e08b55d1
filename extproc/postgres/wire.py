"""
The frontend/backend protocol, version 3 (PostgreSQL documentation, "Message Formats"): messages read and written.

A message is a type byte, an int32 length that counts itself, and a body.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("!cI")
SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
MAX_STARTUP: Final = 10_000  # bytes, as in PostgreSQL (MAX_STARTUP_PACKET_LENGTH)
_SMALL: Final = 16 * 1024  # bytes of a message that carries names alone
# What a client may send once it is connected; all else is a broken protocol.
_SMALL_KINDS: Final = frozenset(b"CDEHSXcf")
_STATEMENT_KINDS: Final = frozenset(b"QPBF")
_MAX_COPY: Final = 16 * 1024 * 1024  # bytes of a CopyData message


class ProtocolViolation(Exception):  # noqa: N818 - what happened, not an error of ours
    """The peer does not speak the protocol. Nothing of the message may go on."""


class Message(NamedTuple):
    kind: bytes
    body: bytes


class Inbox:
    """A client's messages out of its bytes. `limit` (bytes) bounds statements with their parameters."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0

    @property
    def waiting(self) -> int:
        """Bytes that are not read yet."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Message | None:
        """The next whole message. Raises `ProtocolViolation`: for one that is too large before its body is there."""
        if self.waiting < 5:
            return None
        kind, length = _HEADER.unpack_from(self._buffer, self._at)
        self._check(kind[0], length)
        end = self._at + 1 + length
        if end > len(self._buffer):
            return None
        body = bytes(self._buffer[self._at + 5 : end])
        self._at = end
        return Message(kind, body)

    @property
    def first(self) -> bytes:
        """The kind of what comes next, as soon as its first byte is there."""
        return bytes(self._buffer[self._at : self._at + 1])

    def peek(self) -> bytes:
        """The kind of the next whole message, empty where there is none."""
        if self.waiting < 5:
            return b""
        kind, length = _HEADER.unpack_from(self._buffer, self._at)
        self._check(kind[0], length)
        return bytes(kind) if self._at + 1 + length <= len(self._buffer) else b""

    def _check(self, kind: int, length: int) -> None:
        if kind in _SMALL_KINDS or kind == 0x70:  # p: a password, hence a token
            most = _SMALL if kind != 0x70 else 2 * _SMALL
        elif kind in _STATEMENT_KINDS:
            most = self._limit
        elif kind == 0x64:  # d
            most = _MAX_COPY
        else:
            raise ProtocolViolation("a message of an unknown type")
        if length > most + 4 and kind in _STATEMENT_KINDS:
            raise ProtocolViolation(f"a statement of {length - 4} bytes with its parameters, where {most} are open")
        if not 4 <= length <= most + 4:
            raise ProtocolViolation("a message of an impossible or too large length")


class Reader:
    """Reads a body field by field. Raises `ProtocolViolation` beyond its end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def string(self) -> bytes:
        """A string that ends with a zero byte, without it."""
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise ProtocolViolation("a string without an end")
        value = self._body[self._at : end]
        self._at = end + 1
        return value

    def take(self, count: int) -> bytes:
        if count < 0 or self._at + count > len(self._body):
            raise ProtocolViolation("a field beyond the end of its message")
        value = self._body[self._at : self._at + count]
        self._at += count
        return value

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big", signed=True)

    def count(self) -> int:
        """An int16 that counts; PostgreSQL reads it unsigned where it counts parameters."""
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def rest(self) -> bytes:
        value = self._body[self._at :]
        self._at = len(self._body)
        return value

    def end(self) -> None:
        if self._at != len(self._body):
            raise ProtocolViolation("bytes behind the last field of a message")


def message(kind: bytes, body: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(body) + 4) + body


def text(value: bytes) -> bytes:
    if b"\0" in value:
        raise ProtocolViolation("a zero byte in a string")
    return value + b"\0"


def fields(kind: bytes, values: Mapping[str, str]) -> bytes:
    """ErrorResponse ("E") or NoticeResponse ("N") by field codes ("S", "C", "M" …); empty values are left out."""
    body = b"".join(
        code.encode() + value.replace("\0", "").encode("utf-8", "replace") + b"\0"
        for code, value in values.items()
        if value
    )
    return message(kind, body + b"\0")


def ready(status: bytes) -> bytes:
    """ReadyForQuery: I idle, T in a transaction, E in a failed one."""
    return message(b"Z", status)


def startup(body: bytes) -> tuple[tuple[int, int], dict[str, str]]:
    """Version and parameters of a StartupMessage (its body, without the length). Raises `ProtocolViolation`."""
    reader = Reader(body)
    version = reader.uint32()
    parameters: dict[str, str] = {}
    while name := reader.string():
        try:
            key, value = name.decode("ascii"), reader.string().decode()
        except UnicodeDecodeError:
            raise ProtocolViolation("a startup parameter that is not UTF-8") from None
        if key in parameters:
            raise ProtocolViolation("a startup parameter that stands twice")
        parameters[key] = value
    reader.end()
    return (version >> 16, version & 0xFFFF), parameters


def sqlstate_of(body: bytes) -> str:
    """The SQLSTATE of an ErrorResponse or NoticeResponse body; "XX000" where it has none."""
    for part in body.split(b"\0"):
        if part[:1] == b"C":
            return part[1:].decode("ascii", "replace")
    return "XX000"
