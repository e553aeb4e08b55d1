"""
Messages of a PostgreSQL backend as they were released, read for people (PostgreSQL docs, "Message Formats").

Pure and forgiving: what is cut off or damaged becomes an `Unread` item, and nothing is raised.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from extproc.model import JSON
from extproc.record.binary import oid_of, text_of
from extproc.record.items import (
    Block,
    Column,
    Columns,
    CopyBegins,
    CopyData,
    Item,
    Notification,
    Parameter,
    Ready,
    Report,
    Result,
    Row,
    Suspended,
    Tag,
    Unread,
)

_FORMS: Final = {"text": 0, "0": 0, "binary": 1, "1": 1}
_FIELD: Final = struct.Struct(">IhIhih")  # table OID, attribute, type OID, size, modifier, format


def decode(data: bytes, heads: Iterable[Sequence[Column]] = ()) -> Iterator[Item]:
    """
    The messages in `data`, in order; those without content for people are left out.

    `heads` are the columns of the results in order: they serve for rows that no RowDescription stands before (an
    Execute without Describe); empty ones are of commands.
    """
    reader = _Reader([tuple(head) for head in heads if head])
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + 5], "big", signed=True)
        if len(data) - at >= 5 and length < 4:
            yield Unread("a message's length is damaged; what follows cannot be read")
            return
        if len(data) - at < 5 or at + 1 + length > len(data):
            yield Unread("the last message was not recorded whole")
            return
        yield from reader.message(chr(data[at]), data[at + 5 : at + 1 + length])
        at += 1 + length


def columns_of(head: Mapping[str, JSON]) -> tuple[Column, ...]:
    """The columns that a `response.head` names: `{name, type, oid, format}`. Odd ones are unknown."""
    found = head.get("columns")
    return tuple(_column(one) for one in found) if isinstance(found, list) else ()


def blocks(items: Iterable[Item], *, most: int | None = None) -> Iterator[Block]:
    """
    The items with each result put together, with its first `most` rows or copied lines; one that was cut off has no
    command. What is said on the way (notices, a portal that stops) comes before its result.
    """
    result: Result | None = None
    for item in items:
        if isinstance(item, Columns | Row | CopyBegins | CopyData | Tag):
            result = result or Result()
            result.take(item, most)
            if isinstance(item, Tag):
                yield result
                result = None
            continue
        by_the_way = isinstance(item, Suspended | Parameter | Notification) or (
            isinstance(item, Report) and not item.error
        )
        if result is not None and not by_the_way:
            yield result
            result = None
        yield item
    if result is not None:
        yield result


class _Reader:
    """Reads message by message; remembers the columns that rows belong to."""

    def __init__(self, heads: list[tuple[Column, ...]]) -> None:
        self._heads = heads
        self._columns: tuple[Column, ...] | None = None

    def message(self, kind: str, body: bytes) -> Iterator[Item]:
        read = _READERS.get(kind)
        if kind in _SILENT:
            return
        if read is None:
            yield Unread(f"a message of type {kind!r} is unknown")
            return
        try:
            items = list(read(self, body))
        except (ValueError, struct.error, IndexError):
            items = [Unread(f"a message of type {kind!r} cannot be read")]
        yield from items

    def row_description(self, body: bytes) -> Iterator[Item]:
        (count,) = struct.unpack_from(">H", body)
        columns, at = [], 2
        for _ in range(count):
            end = body.index(0, at)
            _, _, oid, _, _, form = _FIELD.unpack_from(body, end + 1)
            columns.append(Column(_text(body[at:end]), oid, form))
            at = end + 1 + _FIELD.size
        if self._heads:
            self._heads.pop(0)
        self._columns = tuple(columns)
        yield Columns(self._columns)

    def data_row(self, body: bytes) -> Iterator[Item]:
        if self._columns is None:
            self._columns = self._heads.pop(0) if self._heads else ()
            yield Columns(self._columns)
        (count,) = struct.unpack_from(">H", body)
        values, at = [], 2
        for number in range(count):
            (size,) = struct.unpack_from(">i", body, at)
            at += 4
            if size > len(body) - at:
                raise ValueError("longer than the row")
            column = self._columns[number] if number < len(self._columns) else Column("?")
            values.append(None if size < 0 else text_of(body[at : at + size], column.oid, column.form))
            at += max(size, 0)
        yield Row(tuple(values))

    def complete(self, body: bytes) -> Iterator[Item]:
        tag = _text(body.rstrip(b"\0"))
        if self._columns is None and self._heads and _gives_rows(tag):
            yield Columns(self._heads.pop(0))  # a result of no rows
        self._columns = None
        yield Tag(tag)

    def copy_in(self, body: bytes) -> Iterator[Item]:
        yield CopyBegins(to=False, binary=body[0] != 0)

    def copy_out(self, body: bytes) -> Iterator[Item]:
        yield CopyBegins(to=True, binary=body[0] != 0)

    def copy_data(self, body: bytes) -> Iterator[Item]:
        yield CopyData(body)

    def error(self, body: bytes) -> Iterator[Item]:
        self._columns = None
        yield Report(error=True, fields=_fields(body))

    def notice(self, body: bytes) -> Iterator[Item]:
        yield Report(error=False, fields=_fields(body))

    def parameter(self, body: bytes) -> Iterator[Item]:
        name, value, _ = body.split(b"\0")
        yield Parameter(_text(name), _text(value))

    def notification(self, body: bytes) -> Iterator[Item]:
        channel, payload, _ = body[4:].split(b"\0")
        yield Notification(int.from_bytes(body[:4], "big"), _text(channel), _text(payload))

    def suspended(self, _: bytes) -> Iterator[Item]:
        yield Suspended()

    def ready(self, body: bytes) -> Iterator[Item]:
        self._columns = None
        yield Ready(chr(body[0]))


_READERS: Final[dict[str, Callable[[_Reader, bytes], Iterator[Item]]]] = {
    "T": _Reader.row_description, "D": _Reader.data_row, "C": _Reader.complete, "I": _Reader.complete,
    "G": _Reader.copy_in, "H": _Reader.copy_out, "d": _Reader.copy_data, "E": _Reader.error, "N": _Reader.notice,
    "S": _Reader.parameter, "A": _Reader.notification, "s": _Reader.suspended, "Z": _Reader.ready,
}  # fmt: skip
# Parse, bind and close complete, no data, parameter description, copy done.
_SILENT: Final = frozenset("123ntc")


def _column(one: JSON) -> Column:
    if not isinstance(one, dict):
        return Column("?")
    oid = one.get("oid")
    if not isinstance(oid, int):
        oid = oid_of(str(one.get("type", "")))
    return Column(str(one.get("name", "?")), oid, _FORMS.get(str(one.get("format"))))


def _gives_rows(tag: str) -> bool:
    return tag.partition(" ")[0] in ("SELECT", "FETCH", "SHOW", "EXPLAIN", "INSERT", "UPDATE", "DELETE", "MERGE")


def _fields(body: bytes) -> dict[str, str]:
    return {chr(part[0]): _text(part[1:]) for part in body.split(b"\0") if part}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
