"""A client in bytes, for tests of what happens when things break: it keeps everything that reached it."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import ClassVar

from tests.integration.gateway import Gateway
from tests.integration.postgres import DATABASE
from tests.unit.postgres.talking import bind, execute, parse, password, startup


def run(text: str) -> bytes:
    """Parse, Bind, Execute of one statement."""
    return parse(text) + bind() + execute()


class RawClient:
    """`seen` is every byte that came after the greeting. `close_all` ends every one that was opened."""

    opened: ClassVar[list[RawClient]] = []

    def __init__(self, gateway: Gateway, token: str | None = None) -> None:
        secret = password(token or gateway.token())
        self.sock = socket.create_connection(("127.0.0.1", gateway.database_port))
        self.sock.settimeout(20)
        self.opened.append(self)
        self.seen = b""
        self.sock.sendall(startup(user="job", database=DATABASE))
        self.until(b"R")
        self.sock.sendall(secret)
        key = next(body for kind, body in self.until(b"Z") if kind == b"K")
        self.process, self.key = int.from_bytes(key[:4], "big"), key[4:]
        self.seen = b""

    def send(self, *messages: bytes) -> RawClient:
        self.sock.sendall(b"".join(messages))
        return self

    def until(self, kind: bytes, count: int = 1) -> list[tuple[bytes, bytes]]:
        """The messages from the start of `seen` once `count` of a kind are there; AssertionError where it ends before."""
        while True:
            found = self.messages()
            if sum(one == kind for one, _ in found) >= count:
                return found
            data = self.sock.recv(65536)
            assert data, f"ended, with {[one for one, _ in found]}, and at last {found[-1:]}"
            self.seen += data

    def to_the_end(self) -> list[tuple[bytes, bytes]]:
        """Everything up to the end of the connection."""
        try:
            while data := self.sock.recv(65536):
                self.seen += data
        except ConnectionError:
            pass
        return self.messages()

    def quiet(self, seconds: float = 0.3) -> bytes:
        """What comes within a time, and no more."""
        self.sock.settimeout(seconds)
        try:
            while data := self.sock.recv(65536):
                self.seen += data
        except TimeoutError:
            pass
        finally:
            self.sock.settimeout(20)
        return self.seen

    def messages(self) -> list[tuple[bytes, bytes]]:
        found, at = [], 0
        while at + 5 <= len(self.seen):
            end = at + 1 + int.from_bytes(self.seen[at + 1 : at + 5], "big")
            if end > len(self.seen):
                break
            found.append((self.seen[at : at + 1], self.seen[at + 5 : end]))
            at = end
        return found

    def error(self) -> dict[str, str]:
        """The fields of the last ErrorResponse."""
        body = [body for kind, body in self.messages() if kind == b"E"][-1]
        return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}

    def close(self) -> None:
        self.sock.close()

    @classmethod
    def close_all(cls) -> None:
        while cls.opened:
            cls.opened.pop().close()


def cancel(gateway: Gateway, process: int, key: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.database_port), timeout=5) as sock:
        body = (80877102).to_bytes(4, "big") + process.to_bytes(4, "big") + key
        sock.sendall((len(body) + 4).to_bytes(4, "big") + body)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""


def wait_for(condition: object, within: float = 10.0) -> None:
    """Until `condition()` is true."""
    assert callable(condition)
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
