"""Catalogs that connections share: read from the server by whoever sees first that it holds something new."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from extproc.errors import Refusal
from extproc.postgres import wire
from extproc.postgres.backend import Backend, Rows
from extproc.postgres.channel import Channel, next_chunk
from extproc.postgres.database import introspect
from extproc.postgres.database.introspect import CatalogError, Part, Session
from extproc.postgres.reading import Reading
from extproc.postgres.wire import Message, ProtocolViolation, Reader
from extproc.remembered import Remembered

log = logging.getLogger("extproc.postgres")

_WITHIN: Final = 15.0  # seconds
_READINGS: Final = 64  # that are remembered; each connection keeps its own alive
_ROUNDS: Final = 3  # a database that changes while it is read is read again
_LARGEST: Final = 256 * 1024 * 1024  # bytes of a message

Table = list[list[str | None]]
Outside = Callable[[], Awaitable[Session]]
_ISOLATION: Final = "SELECT pg_catalog.current_setting('transaction_isolation')"


class Catalogs:
    """Of one database, as all roles see it."""

    def __init__(self) -> None:
        self._readings = Remembered[Session, Reading](_READINGS)
        self._own = Remembered[tuple[str, str, str], Part](_READINGS)
        self._built_in: dict[str, Part] = {}
        self._busy = asyncio.Lock()

    async def read(self, channel: Channel, outside: Outside, *, in_transaction: bool) -> Reading:
        """
        On an idle connection; `outside` looks from beside its transaction. Raises `Refusal`: upstream_unavailable, and
        statement_refused where a transaction's snapshot shows other definitions than the server would use.
        """
        try:
            async with asyncio.timeout(_WITHIN):
                for _ in range(_ROUNDS):
                    session = await look(channel)
                    if in_transaction and await _has_snapshot(channel):
                        _require_same(session, await outside())
                    if (known := self._readings.get(session)) is not None:
                        return known
                    async with self._busy:
                        found = await self._fetch(channel, session, in_transaction=in_transaction)
                    if found is not None:
                        return found
        except (CatalogError, ProtocolViolation, TimeoutError, EOFError) as error:
            log.warning("the catalog cannot be read: %s", type(error).__name__)
        raise Refusal("upstream_unavailable", "the database's catalog cannot be read")

    async def _fetch(self, channel: Channel, session: Session, *, in_transaction: bool) -> Reading | None:
        """None where the database has changed since `session` was seen."""
        if (known := self._readings.get(session)) is not None:
            return known  # somebody else has read it meanwhile
        own = self._own.get(session.key)
        if own is None:
            own = await self._part(channel, introspect.OWN, in_transaction=in_transaction)
            if own.session.key != session.key:
                return None
            self._own.put(session.key, own)
        built_in = self._built_in.get(session.release)
        if built_in is None:
            built_in = await self._part(channel, introspect.BUILT_IN, in_transaction=in_transaction)
            self._built_in = {session.release: built_in}
        return self._readings.put(session, Reading(await asyncio.to_thread(introspect.combine, session, built_in, own)))

    async def _part(self, channel: Channel, statements: Sequence[str], *, in_transaction: bool) -> Part:
        try:
            results = await _run(channel, introspect.within(statements) if in_transaction else statements)
        except CatalogError:  # somebody holds a lock, perhaps: the connection is left as it was
            await _run(channel, [introspect.WITHIN_FAILED if in_transaction else "ROLLBACK"])
            raise
        return await asyncio.to_thread(introspect.part, results)


async def look(channel: Channel) -> Session:
    """What the database holds, as a token. Raises `CatalogError`, `ProtocolViolation`, `EOFError`."""
    (rows,) = await _run(channel, [introspect.LOOK])
    return introspect.look(rows)


async def _has_snapshot(channel: Channel) -> bool:
    """From REPEATABLE READ on a transaction sees the catalog as it was, while the server looks names up as they are."""
    (rows,) = await _run(channel, [_ISOLATION])
    return rows != [["read committed"]]


def _require_same(inside: Session, outside: Session) -> None:
    if inside.key != outside.key:
        raise Refusal("statement_refused", "definitions changed since this transaction began: end it first")


async def _run(channel: Channel, statements: Sequence[str]) -> list[Table]:
    """The results of some statements, texts or None. What the server says by the way is left to be taken after it."""
    channel.send(wire.message(b"Q", "; ".join(statements).encode() + b"\0"))
    inbox, results, rows, aside, failed = Backend(_LARGEST), [], Table(), b"", False
    while True:
        found = inbox.next()
        if found is None:
            data = await next_chunk(channel)
            if not data:
                raise EOFError
            inbox.feed(data)
        elif isinstance(found, Rows):
            rows += _rows(found)
        elif found.kind == b"C":
            results.append(rows)
            rows = Table()
        elif found.kind in (b"S", b"A", b"N"):
            aside += wire.message(found.kind, found.body) if found.kind != b"N" else b""
        elif found.kind == b"E":
            failed = True
        elif found.kind == b"Z":
            channel.put_back(aside + inbox.rest())
            if failed:
                raise CatalogError("the server reported an error")
            return results
        elif found.kind not in (b"T", b"n", b"I"):
            raise ProtocolViolation("something that is no answer to a query")


def _rows(found: Rows) -> Table:
    table, start = Table(), found.start
    for end in found.ends:
        table.append(_row(Message(b"D", found.buffer[start + 5 : end])))
        start = end
    return table


def _row(row: Message) -> list[str | None]:
    reader = Reader(row.body)
    values: list[str | None] = []
    for _ in range(reader.count()):
        length = reader.int32()
        values.append(None if length < 0 else reader.take(length).decode("utf-8", "replace"))
    return values
