"""The messages of both sides for tests: built from their fields, and read again in the plainest way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.unit.postgres.backendmessages import message, row
from tests.unit.postgres.sql.shop import shop

Value = bytes | str | None
SSN = "078-05-1120"  # of whoever is asked for

# --- what a client sends

SYNC, FLUSH, TERMINATE = message(b"S", b""), message(b"H", b""), message(b"X", b"")
COPY_DONE = message(b"c", b"")


def password(token: str = "good") -> bytes:
    return message(b"p", token.encode() + b"\0")


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(text: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    return message(b"P", _names(name, text) + _count(types, "!I"))


def bind(
    statement: str = "",
    portal: str = "",
    values: Sequence[Value] = (),
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    fields = b"".join(_sized(one) for one in values)
    tail = _count(formats, "!h") + struct.pack("!H", len(values)) + fields + _count(results, "!h")
    return message(b"B", _names(portal, statement) + tail)


def describe(kind: str, name: str = "") -> bytes:
    return message(b"D", kind.encode() + _names(name))


def execute(portal: str = "", most: int = 0) -> bytes:
    return message(b"E", _names(portal) + struct.pack("!i", most))


def close(kind: str, name: str = "") -> bytes:
    return message(b"C", kind.encode() + _names(name))


def copy_data(*chunks: bytes) -> bytes:
    return b"".join(message(b"d", one) for one in chunks)


def copy_fail(why: str = "no more") -> bytes:
    return message(b"f", _names(why))


def startup(version: tuple[int, int] = (3, 0), **parameters: str) -> bytes:
    """With its length in front, as it is sent."""
    pairs = b"".join(_names(name, value) for name, value in parameters.items()) + b"\0"
    body = struct.pack("!HH", *version) + pairs
    return struct.pack("!I", len(body) + 4) + body


# --- what a server sends

PARSED, BOUND, CLOSED = message(b"1", b""), message(b"2", b""), message(b"3", b"")
NO_DATA, EMPTY, SUSPENDED = message(b"n", b""), message(b"I", b""), message(b"s", b"")
COPIED = message(b"c", b"")


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    table: int = 0
    number: int = 0
    type: int = 25
    format: int = 0


def ready(status: str = "I") -> bytes:
    return message(b"Z", status.encode())


def of(table: str, *names: str) -> list[Column]:
    """Columns of the shop's tables as RowDescription names them."""
    relation = shop().relations["public", table]
    known = {one.name: one for one in relation.columns}
    return [Column(name, relation.oid, known[name].number, known[name].type) for name in names]


def description(columns: Iterable[Column | str]) -> bytes:
    made = [Column(one) if isinstance(one, str) else one for one in columns]
    fields = b"".join(
        _names(one.name) + struct.pack("!IhIhih", one.table, one.number, one.type, -1, -1, one.format) for one in made
    )
    return message(b"T", struct.pack("!H", len(made)) + fields)


def parameter_types(*types: int) -> bytes:
    return message(b"t", _count(types, "!I"))


def rows(*values: Sequence[Value]) -> bytes:
    return b"".join(row(one.encode() if isinstance(one, str) else one for one in each) for each in values)


def complete(tag: str) -> bytes:
    return message(b"C", _names(tag))


def result(columns: Iterable[Column | str], *values: Sequence[Value]) -> bytes:
    return description(columns) + rows(*values) + complete(f"SELECT {len(values)}")


def failure(sqlstate: str = "22012", text: str = "division by zero", severity: str = "ERROR", **more: str) -> bytes:
    return message(b"E", _fields({"S": severity, "V": severity, "C": sqlstate, "M": text, **more}))


def notice(text: str, **more: str) -> bytes:
    return message(b"N", _fields({"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": text, **more}))


def parameter(name: str, value: str) -> bytes:
    return message(b"S", _names(name, value))


def notification(channel: str, payload: str, process: int = 7) -> bytes:
    return message(b"A", struct.pack("!I", process) + _names(channel, payload))


def copying(kind: str, columns: int = 1, overall: int = 0) -> bytes:
    """CopyInResponse (G), CopyOutResponse (H), CopyBothResponse (W)."""
    return message(kind.encode(), struct.pack("!b", overall) + _count([overall] * columns, "!h"))


# --- read again


@dataclass(frozen=True, slots=True)
class Heard:
    """A message: `kind` is its letter."""

    kind: str
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Of an error or notice."""
        assert self.kind in "EN", self
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode() for part in parts}

    @property
    def values(self) -> list[bytes | None]:
        """Of a DataRow."""
        assert self.kind == "D", self
        found: list[bytes | None] = []
        at = 2
        for _ in range(int.from_bytes(self.body[:2], "big")):
            size = int.from_bytes(self.body[at : at + 4], "big", signed=True)
            found.append(None if size < 0 else self.body[at + 4 : at + 4 + size])
            at += 4 + max(size, 0)
        assert at == len(self.body)
        return found

    @property
    def text(self) -> str:
        """The strings in it, separated by blanks."""
        return self.body.rstrip(b"\0").replace(b"\0", b" ").decode()


def heard(data: bytes) -> Iterator[Heard]:
    """Whole messages; fails where one is cut."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 5], "big")
        assert size >= 4
        assert at + 1 + size <= len(data)
        yield Heard(chr(data[at]), data[at + 5 : at + 1 + size])
        at += 1 + size


def _names(*names: str) -> bytes:
    return b"".join(name.encode() + b"\0" for name in names)


def _count(values: Sequence[int], form: str) -> bytes:
    return struct.pack("!H", len(values)) + b"".join(struct.pack(form, one) for one in values)


def _sized(value: Value) -> bytes:
    if value is None:
        return struct.pack("!i", -1)
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!i", len(data)) + data


def _fields(values: dict[str, str]) -> bytes:
    return b"".join(code.encode() + value.encode() + b"\0" for code, value in values.items()) + b"\0"
