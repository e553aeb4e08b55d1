"""A database connection as it was: its opening, its statements one by one, its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from extproc.model import JSON, Event
from extproc.record.index import Index
from extproc.record.items import Block, Report, Result, Unread
from extproc.record.replay import Exchange, add, build, events
from extproc.record.transcript import blocks, columns_of, decode


@dataclass(frozen=True, slots=True)
class Opened:
    """`about` is the payload of `connection.opened`: {resource, number, identity, database, user, tls, …}."""

    connection: str
    time: float
    about: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Closed:
    """`about` is the payload of `connection.closed`: {number, statements, outcome, duration_ms}."""

    time: float
    about: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a connection, read from its exchange."""

    exchange: Exchange

    @property
    def operation(self) -> dict[str, JSON]:
        operation = self.exchange.attempt.get("operation")
        return operation if isinstance(operation, dict) else {}

    @property
    def text(self) -> str:
        """The statement's text; of one that was refused before it was understood, only its summary."""
        text = self._sql.get("text")
        return text if isinstance(text, str) else self.exchange.summary

    @property
    def parameters(self) -> list[JSON]:
        found = self._sql.get("parameters")
        return found if isinstance(found, list) else []

    @property
    def number(self) -> int:
        """Its place in its connection, 0 where unknown."""
        said = (self.exchange.attempt, self.exchange.refused, self.operation)
        return next((n for one in said if isinstance(n := one.get("statement"), int)), 0)

    def blocks(self, *, most: int | None = None) -> list[Block]:
        """What came back, each result with its first `most` rows."""
        body = self.exchange.response_body
        heads = [columns_of(head) for head in self.exchange.heads]
        found = list(blocks(decode(body.data, heads), most=most)) if body is not None else []
        if body is not None and body.truncated and found and isinstance(found[-1], Unread):
            found.pop()  # that it is not whole is told with how much is missing
        return found

    def document(self, *, most: int | None = None) -> dict[str, JSON]:
        """JSON, as `extproc sessions replay --help` describes it. Further results of one text stand in `more`."""
        exchange, found = self.exchange, self.blocks(most=most)
        first, *more = [block.document() for block in found if isinstance(block, Result)] or [Result().document()]
        reports = [block for block in found if isinstance(block, Report)]
        closed, body = exchange.closed, exchange.response_body
        return {
            "exchange": exchange.exchange,
            "number": self.number,
            "began": exchange.began,
            "protocol": str(self._sql.get("protocol") or ""),
            "statement": self.text,
            "parameters": self.parameters,
            "decision": exchange.attempt.get("decision"),
            "hold": exchange.holds,
            "released": exchange.released,
            "refused": exchange.refused or None,
            **first,
            "command": first["command"] or closed.get("command") or "",
            "more": more,
            "copied": exchange.request_body.document() if exchange.request_body else None,
            "row_count": closed.get("rows") or 0,
            "whole": body is None or (body.complete and not body.truncated),
            "error": next((report.document() for report in reports if report.error), None),
            "notices": [report.document() for report in reports if not report.error],
            "outcome": exchange.outcome,
            "sqlstate": closed.get("sqlstate") or "",
            "duration_ms": closed.get("duration_ms"),
            "masked": closed.get("masked") or {},
            "problems": exchange.problems + [block.what for block in found if isinstance(block, Unread)],
        }

    @property
    def _sql(self) -> dict[str, JSON]:
        sql = self.operation.get("sql")
        return sql if isinstance(sql, dict) else {}


@dataclass(slots=True)
class Connection:
    """A whole connection, for documents. `opened` is missing where that was in an earlier session."""

    session: str
    number: int
    opened: Opened | None = None
    closed: Closed | None = None
    statements: list[Statement] = field(default_factory=list)

    def document(self, *, most: int | None = None) -> dict[str, JSON]:
        return {
            "session": self.session,
            "number": self.number,
            "connection": self.opened.connection if self.opened else "",
            "opened": {"time": self.opened.time, **self.opened.about} if self.opened else None,
            "statements": [statement.document(most=most) for statement in self.statements],
            "closed": {"time": self.closed.time, **self.closed.about} if self.closed else None,
        }


Part = Opened | Statement | Closed


def read_connection(records_dir: Path, index: Index, session: str, number: int) -> Iterator[Part]:
    """
    A connection from its opening to its end, holding one statement at a time. Number 0 gives what belongs to no known
    connection. Raises `OSError`.
    """
    found = events(records_dir, index, session, connection=number)
    return _parts(found) if number else map(Statement, build(found))


def whole_connection(records_dir: Path, index: Index, session: str, number: int) -> Connection:
    """All of it at once. Raises `OSError`."""
    made = Connection(session, number)
    for part in read_connection(records_dir, index, session, number):
        match part:
            case Opened():
                made.opened = part
            case Closed():
                made.closed = part
            case Statement():
                made.statements.append(part)
    return made


def _parts(found: Iterable[Event]) -> Iterator[Part]:
    """
    A statement is given once it has ended and the next event is another's; those without an end come last. A portal
    that is read in parts ends behind statements that began later.
    """
    going: dict[str, Exchange] = {}
    last = ""  # the exchange whose end was just read
    end: list[Part] = []
    for event in found:
        if last and event.exchange != last:
            yield Statement(going.pop(last))
            last = ""
        match event.kind:
            case "connection.opened":
                # A number comes twice where the counters lost their last moments in a power cut.
                yield from (*_left(going), *end)
                end.clear()
                yield Opened(event.exchange, event.time, event.payload)
            case "connection.closed":
                end = [Closed(event.time, event.payload)]
            case _:
                add(going, event)
                if event.kind in ("exchange.closed", "request.refused"):
                    last = event.exchange
    yield from (*_left(going), *end)


def _left(going: dict[str, Exchange]) -> list[Statement]:
    left = [Statement(going[name]) for name in sorted(going, key=lambda name: going[name].began)]
    going.clear()
    return left
