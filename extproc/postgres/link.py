"""The two ends of a connection: bytes in, messages out, and what a server may say without being asked."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any, Final

from extproc.postgres import settings, wire
from extproc.postgres.backend import Backend, Rows
from extproc.postgres.events import (
    ClientSent,
    Command,
    Connect,
    ReadCatalog,
    Receive,
    ServerClosed,
    ServerSent,
    Side,
    ToClient,
)
from extproc.postgres.masking.notices import mask_fields
from extproc.postgres.wire import Inbox, Message, ProtocolViolation, Reader
from extproc.redact.text import mask
from extproc.waits import Wait

Steps = Generator[Command | Receive | Connect | ReadCatalog | Wait, Any, None]
_ENOUGH: Final = 64 * 1024  # bytes for the client that are worth a write of their own


class ServerGone(Exception):  # noqa: N818 - named for what happened
    """The server ended the connection, or said what it must not."""


@contextlib.contextmanager
def of_server() -> Iterator[None]:
    """What is read here was sent by the server: that it cannot be read is not the client's doing."""
    try:
        yield
    except ProtocolViolation as error:
        raise ServerGone(f"the server sent {error}") from None


@of_server()
def masked(body: bytes, *, touched: bool) -> bytes:
    """A server's ErrorResponse or NoticeResponse without what it must not tell. Raises `ServerGone`."""
    return mask_fields(body, touched=touched)


class Link:
    """
    `say` collects what goes to the client; it goes when it is enough, or before the connection waits for anything.

    `parameters` are the server's settings as last reported.
    """

    def __init__(self, *, statement_limit: int, row_limit: int) -> None:
        self.client = Inbox(statement_limit)
        self.server = Backend(row_limit)
        self.parameters: dict[str, str] = {}
        self._out: list[bytes] = []
        self._size = 0

    def say(self, data: bytes) -> None:
        self._out.append(data)
        self._size += len(data)

    def unsay(self) -> None:
        """What has not gone yet does not go."""
        self._out, self._size = [], 0

    def flush(self) -> Steps:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out, self._size = [], 0
            yield ToClient(data)

    def relieve(self) -> Steps:
        """Let go what has come together, if it is much."""
        if self._size >= _ENOUGH:
            yield from self.flush()

    def from_client(self) -> Generator[Any, Any, Message]:
        """The client's next message, while the server is idle. Raises `ProtocolViolation`, `ServerGone`."""
        self.unasked()  # what came together with the end of an answer
        while (found := self.client.next()) is None:
            yield from self.flush()
            event = yield Receive(Side.BOTH)
            if isinstance(event, ClientSent):
                self.client.feed(event.data)
            else:
                self._server_event(event)
                self.unasked()
        return found

    def from_server(self) -> Generator[Any, Any, Message | Rows]:
        """The server's next messages. Raises `ServerGone`."""
        while (found := self._next()) is None:
            yield from self.flush()
            self._server_event((yield Receive(Side.SERVER)))
        return found

    def from_either(self) -> Generator[Any, Any, Message | None]:
        """The client's next message; None where the server said something (COPY FROM STDIN)."""
        while (found := self.client.next()) is None:
            yield from self.flush()
            event = yield Receive(Side.BOTH)
            if not isinstance(event, ClientSent):
                self._server_event(event)
                return None
            self.client.feed(event.data)
        return found

    def server_next(self) -> Message | Rows | None:
        return self._next()

    def unasked(self) -> None:
        """What an idle server says: notices, changed settings, notifications, its end."""
        while (found := self._next()) is not None:
            self.by_the_way(found)

    def until(self, kind: bytes) -> Generator[Any, Any, Message]:
        """The server's next message of that kind, where nothing else can come but by the way. Raises `ServerGone`."""
        while True:
            found = yield from self.from_server()
            if isinstance(found, Message) and found.kind == kind:
                return found
            self.by_the_way(found)

    def by_the_way(self, found: Message | Rows) -> None:
        """What a server may say at any time. Raises `ServerGone` for anything else."""
        if isinstance(found, Rows) or not self.asynchronous(found):
            raise ServerGone("the server spoke out of turn")

    @of_server()
    def asynchronous(self, message: Message) -> bool:
        """Take a message that may come at any time (PostgreSQL documentation, "Asynchronous Operations")."""
        match message.kind:
            case b"N":
                self.say(wire.message(b"N", mask_fields(message.body, touched=True)))
            case b"S":
                self._parameter(message.body)
            case b"A":
                self._notification(message.body)
            case b"E":
                # Why it ends is the server's own fixed text (class 57, and 25P03 for idle transactions).
                own = wire.sqlstate_of(message.body).startswith(("57", "25P03"))
                self.say(wire.message(b"E", mask_fields(message.body, touched=not own)))
                raise ServerGone("the server ended the connection")
            case _:
                return False
        return True

    def _parameter(self, body: bytes) -> None:
        """A setting that was changed. What would change how statements are read ends the connection."""
        reader = Reader(body)
        name, value = reader.string().decode("utf-8", "replace"), reader.string().decode("utf-8", "replace")
        if settings.is_fixed(name) and self.parameters.get(name, value) != value:
            raise ServerGone(f"the server changed {name}")
        self.parameters[name] = value
        if name in settings.REPORTED:
            # A function may have put anything there (set_config).
            self.say(wire.message(b"S", name.encode() + b"\0" + mask(value).encode() + b"\0"))

    def _notification(self, body: bytes) -> None:
        """Whoever may NOTIFY chose the text: detectors look at it."""
        reader = Reader(body)
        process = reader.take(4)
        channel, payload = (reader.string().decode("utf-8", "replace") for _ in range(2))
        text = mask(channel).encode() + b"\0" + mask(payload).encode() + b"\0"
        self.say(wire.message(b"A", process + text))

    def _server_event(self, event: object) -> None:
        if isinstance(event, ServerClosed):
            raise ServerGone("the server closed the connection")
        assert isinstance(event, ServerSent)
        self.server.feed(event.data)

    def _next(self) -> Message | Rows | None:
        try:
            return self.server.next()
        except ProtocolViolation as error:
            raise ServerGone(f"the server sent {error}") from None
