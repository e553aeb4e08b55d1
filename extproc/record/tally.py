"""
The session book of one process, which writes a little later where nobody looks.

To write for each request and each answer is a third of what a statement over a database's connection costs besides
(60 µs of 430). Policy seldom looks at the counters; where it does not, they are for people, who read them later.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from extproc.errors import Refusal
from extproc.model import Identity, Resource, Session
from extproc.record.sessions import SqliteSessionBook

BEHIND: Final = 0.25  # seconds that a count may wait; a killed process loses those of that time, the record has them


@dataclass(slots=True)
class _Behind:
    """What is not written yet. `seen` is the time of the last request."""

    requests: int = 0
    size: int = 0
    rows: int = 0
    seen: float = 0.0


class Tally:
    """
    The `SessionBook` in front of the one that all processes share.

    Where `exact()`, because policy sees the counters, every request is one write, as there. Totals that are asked for
    (`reserve`) are always exact.
    """

    def __init__(self, book: SqliteSessionBook, *, exact: Callable[[], bool]) -> None:
        self._book = book
        self._exact = exact
        # By the very object that the verifier remembers, kept here so that nobody else gets its place.
        self._known: dict[tuple[int, str], tuple[Identity, Session]] = {}
        self._behind: defaultdict[str, _Behind] = defaultdict(_Behind)  # by the session's key
        self._timer: asyncio.TimerHandle | None = None

    def open(self, identity: Identity, resource: Resource, now: float) -> Session:
        """Join or begin the identity's session on the resource and count one request in it."""
        known = self._known.get((id(identity), resource.name))
        if known is None or self._exact():
            session = self._book.open(identity, resource, now)
            if self._arm():
                self._known[id(identity), resource.name] = (identity, session)
            return session
        session = known[1]
        behind = self._behind[session.key]
        behind.requests, behind.seen = behind.requests + 1, max(now, behind.seen)
        return Session(
            session.id,
            session.key,
            session.generation,
            session.requests + behind.requests,
            session.bytes_out + behind.size,
            session.rows_out + behind.rows,
        )

    def open_connection(self, identity: Identity, resource: Resource, now: float) -> tuple[Session, int]:
        return self._book.open_connection(identity, resource, now)

    def reserve(self, session: Session, *, size: int = 0, rows: int = 0) -> tuple[int, int]:
        """Add bytes and rows, with those that were only counted, before they are released; the new totals."""
        behind = self._behind.get(session.key) or _Behind()
        totals = self._book.reserve(session, size=size + behind.size, rows=rows + behind.rows)
        behind.size = behind.rows = 0
        return totals

    def count(self, session: Session, *, size: int = 0, rows: int = 0) -> None:
        """Add bytes and rows whose totals nobody waits for."""
        if self._exact() or not self._arm():
            self.reserve(session, size=size, rows=rows)
            return
        behind = self._behind[session.key]
        behind.size, behind.rows = behind.size + size, behind.rows + rows

    def flush(self) -> None:
        """Write what is behind. What cannot be written stays; new requests meet the reason at the book itself."""
        self._known.clear()
        for key, behind in list(self._behind.items()):
            try:
                self._book.add(key, requests=behind.requests, size=behind.size, rows=behind.rows, seen=behind.seen)
            except Refusal:
                self._arm()
                return
            del self._behind[key]

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        self._book.close()

    def _arm(self) -> bool:
        """Whether what is counted now will be written."""
        if self._timer is not None:
            return True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._timer = loop.call_later(BEHIND, self._due)
        return True

    def _due(self) -> None:
        self._timer = None
        self.flush()
