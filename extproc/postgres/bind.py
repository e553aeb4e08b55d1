"""Bind (PostgreSQL documentation, "Message Formats"), read and written again under other names; what others name."""

from __future__ import annotations

from dataclasses import dataclass

from extproc.postgres import wire
from extproc.postgres.operation import Parameter
from extproc.postgres.wire import ProtocolViolation, Reader


@dataclass(frozen=True, slots=True)
class Bind:
    """`formats` are those of the parameters, `results` those of the result columns; `tail` is all behind the names."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    results: tuple[int, ...]
    tail: bytes

    def parameters(self, types: tuple[int, ...]) -> tuple[Parameter, ...]:
        """The values with their formats and, as far as `types` (OIDs) tells, their types."""
        return tuple(
            Parameter(value, self._binary(place), types[place] if place < len(types) else 0)
            for place, value in enumerate(self.values)
        )

    def _binary(self, place: int) -> bool:
        if not self.formats:
            return False
        return self.formats[0 if len(self.formats) == 1 else place] == 1


def read_bind(reader: Reader) -> Bind:
    """Raises `ProtocolViolation`, also for formats that do not exist or are not as many as the values."""
    portal, statement = reader.string(), reader.string()
    tail = reader.rest()
    fields = Reader(tail)
    formats = _formats(fields)
    values = tuple(_value(fields) for _ in range(fields.count()))
    results = _formats(fields)
    fields.end()
    if len(formats) not in (0, 1, len(values)):
        raise ProtocolViolation("another number of formats than of values")
    return Bind(portal, statement, formats, values, results, tail)


def _formats(reader: Reader) -> tuple[int, ...]:
    formats = tuple(reader.int16() for _ in range(reader.count()))
    if not {*formats} <= {0, 1}:
        raise ProtocolViolation("a format that does not exist")
    return formats


def _value(reader: Reader) -> bytes | None:
    length = reader.int32()
    if length < -1:
        raise ProtocolViolation("a value of an impossible length")
    return None if length == -1 else reader.take(length)


def write_bind(bind: Bind, portal: bytes, statement: bytes) -> bytes:
    return wire.message(b"B", wire.text(portal) + wire.text(statement) + bind.tail)


def read_target(reader: Reader) -> tuple[bytes, bytes]:
    """Of Describe and Close: S for a statement or P for a portal, and the name. Raises `ProtocolViolation`."""
    kind, name = reader.take(1), reader.string()
    reader.end()
    if kind not in (b"S", b"P"):
        raise ProtocolViolation("neither a statement nor a portal")
    return kind, name
