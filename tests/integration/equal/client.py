"""
A client that speaks the protocol in bytes: one conversation at a time, in whatever pieces, and all that comes back.

What comes back is compared byte by byte. Normalised are only, and nothing else:
- BackendKeyData: the gateway gives keys of its own, so that nobody cancels past it.
- The process in a NotificationResponse: it differs from server to server.
- The number in `pg_temp_7` of an error's context: it is that of the place which the server has for the connection.
- The order of ParameterStatus in the greeting: the server sends them as its hash table has them.
What differs must be listed, with the reason, in `different.py`.
"""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.unit.postgres import talking

_WITHIN = 30  # seconds without a byte
_PLACE = re.compile(rb"pg_temp_\d+")


class Message(NamedTuple):
    kind: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.kind} {self.body[:300]!r}"


@dataclass(frozen=True, slots=True)
class Talk:
    """What a client sends, and how often ReadyForQuery must come back. `about` is shown where something differs."""

    about: str
    data: bytes
    readies: int = 1


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self.greeting: list[Message] = []
        sock.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    def close(self) -> None:
        self._selector.close()
        self._socket.close()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Each piece in a write of its own. Reads what comes meanwhile, so that neither side waits for the other."""
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
                    self._read()
                    self._selector.modify(self._socket, selectors.EVENT_READ)

    def answers(self, readies: int) -> list[Message]:
        """Up to so many ReadyForQuery, or the end of the connection."""
        found: list[Message] = []
        while readies:
            message = self._next()
            if message is None:
                found.append(Message("(end)", b""))
                break
            found.append(message)
            readies -= message.kind == "Z"
        return found

    def talk(self, talk: Talk, pieces: Sequence[bytes] | None = None) -> list[Message]:
        self.send([talk.data] if pieces is None else pieces)
        return self.answers(talk.readies)

    def _next(self) -> Message | None:
        while True:
            length = int.from_bytes(self._buffer[1:5], "big") if len(self._buffer) >= 5 else 0
            if length and len(self._buffer) > length:
                kind, body = chr(self._buffer[0]), self._buffer[5 : length + 1]
                self._buffer = self._buffer[length + 1 :]
                return Message(kind, body)
            if not self._read():
                return None

    def _read(self) -> bool:
        """Whether the connection lives. AssertionError where nothing happens for too long."""
        ready = self._selector.select(_WITHIN)
        assert ready, "nothing came back"
        if ready[0][1] & selectors.EVENT_READ:
            data = self._socket.recv(1 << 20)
            self._buffer += data
            return bool(data)
        return True


def connect(
    port: int,
    *,
    user: str,
    password: str = "",
    split: Callable[[bytes], Iterable[bytes]] | None = None,
    **parameters: str,
) -> Client:
    """Over 127.0.0.1; the password goes as clear text where it is asked for."""
    cut = split or (lambda data: [data])
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = Client(sock)
    client.send(cut(talking.startup((3, 0), user=user, database="app", client_encoding="UTF8", **parameters)))
    first = client._next()
    if first == Message("R", b"\0\0\0\x03"):
        client.send(cut(talking.password(password)))
        first = client._next()
    assert first is not None
    client.greeting = [first, *client.answers(1)]
    assert client.greeting[-1].kind == "Z", client.greeting
    return client


def comparable(messages: Iterable[Message]) -> list[Message]:
    return [_comparable(one) for one in messages]


def _comparable(message: Message) -> Message:
    if message.kind == "K":
        return Message("K", b"")
    if message.kind == "A":
        return Message("A", b"\0\0\0\0" + message.body[4:])
    if message.kind in "EN":
        return Message(message.kind, _PLACE.sub(b"pg_temp", message.body))
    return message
