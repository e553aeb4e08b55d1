"""The seam to the record."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping
from typing import Protocol

from extproc.model import JSON, Identity, Resource, Session


class Recorder(Protocol):
    """Appends events; an event is promised only once its ticket is durable."""

    def append(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes = b"") -> int:
        """Append one event (already masked) and return its ticket. Raises `Refusal("record_unavailable")`."""

    def is_durable(self, ticket: int) -> bool: ...

    async def wait(self, ticket: int) -> None:
        """Return when the ticket's event is on disk. Raises `Refusal("record_unavailable")` when it cannot be."""

    def written(self, ticket: int) -> Future[bool]:
        """The same without a task: done with True when the event is on disk, with False when it cannot be."""


class SessionBook(Protocol):
    """Sessions and their counters, shared by all workers of a machine."""

    def open(self, identity: Identity, resource: Resource, now: float) -> Session:
        """Join or begin the identity's session on the resource and reserve one request in it."""

    def open_connection(self, identity: Identity, resource: Resource, now: float) -> tuple[Session, int]:
        """Join or begin the session as `open` does, counting no request; the connection's number in it, from 1."""

    def reserve(self, session: Session, *, size: int = 0, rows: int = 0) -> tuple[int, int]:
        """Add bytes and rows to the session before they are released; both new totals, in one write."""

    def count(self, session: Session, *, size: int = 0, rows: int = 0) -> None:
        """Add bytes and rows whose totals nobody waits for; they may be written a little later."""
