"""HTTP by hand, on both ends of the gateway: nothing here normalises, completes or refuses what is sent."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
Pairs = Iterable[tuple[str, str]]
CLOSE: Final = "close"
RESET: Final = "reset"
EARLY: Final = "early"  # stands first in a script: answer before the request's body was read
Script = tuple[bytes | float | str, ...]


def request(
    target: bytes | str, *headers: tuple[str, str], method: str = "GET", token: str = "", body: bytes = b""
) -> bytes:
    """One request that ends its connection. `headers` may name what stands here already: then it is sent twice."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    pairs = [("host", "app.localhost"), ("connection", "close"), *headers]
    if token:
        pairs.append(("authorization", f"Bearer {token}"))
    if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        pairs.append(("content-length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + body


def chunked(*chunks: bytes, trailers: Pairs = ()) -> bytes:
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n"


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def read_all(connection: socket.socket, within: float = 6.0, *, one: bool = False) -> bytes:
    """Everything until the other end closes, says nothing within so many seconds, or has given `one` whole answer."""
    connection.settimeout(within)
    data = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := connection.recv(65536):
            data += piece
            if one and Reply.read(data).complete:
                break
    return data


def talk(url: str, *parts: bytes | float, within: float = 6.0, one: bool = False) -> bytes:
    """Send the parts (a number is a pause in seconds) on one connection: every byte that comes back."""
    with connect(url) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                if isinstance(part, bytes):
                    connection.sendall(part)
                else:
                    time.sleep(part)
        return read_all(connection, within, one=one)


def ask(url: str, *parts: bytes | float, within: float = 6.0) -> Reply:
    """The first answer. It is not waited for the end of the connection, which Envoy delays after errors."""
    return Reply.read(talk(url, *parts, within=within, one=True))


def ask_all(url: str, requests: Mapping[K, bytes]) -> dict[K, Reply]:
    """Each request on a connection of its own, all at once: where Envoy closes without a word it takes a second."""
    with ThreadPoolExecutor(32) as pool:
        return dict(zip(requests, pool.map(lambda data: ask(url, data), requests.values()), strict=True))


class Reply(NamedTuple):
    """The first final answer on a connection, its chunks put together; `early` has the 1xx heads before it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]
    complete: bool
    early: bytes
    raw: bytes

    @classmethod
    def read(cls, raw: bytes) -> Reply:
        early, rest = b"", raw
        while True:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/1.1 ") else 0
            if status // 100 != 1 or status == 101:
                break
            early += head
        headers = _pairs(head.split(b"\r\n")[1:])
        body, trailers, complete = _body(dict(headers), rest)
        return cls(status, headers, body, trailers, complete, early, raw)

    @property
    def refused(self) -> bool:
        """An error of the client's, or a connection that was closed without a word (Envoy, over broken framing)."""
        return 400 <= self.status < 500 or not self.raw

    @property
    def code(self) -> str:
        """The last part of a problem document's type."""
        found = re.search(rb"urn:extproc-gateway:problem:([a-z_]+)", self.body)
        return found[1].decode() if found else ""

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def everything(self) -> bytes:
        """All that a client could read, chunk sizes taken out."""
        pairs = "".join(f"{name}: {value}\n" for name, value in [*self.headers, *self.trailers])
        return self.early + pairs.encode("latin-1") + self.body


def _pairs(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    parts = (line.decode("latin-1").partition(":") for line in lines if line)
    return [(name.lower(), value.strip()) for name, _, value in parts]


def _body(headers: dict[str, str], rest: bytes) -> tuple[bytes, list[tuple[str, str]], bool]:
    if headers.get("transfer-encoding") != "chunked":
        if "content-length" not in headers:
            return rest, [], False  # until the connection ends
        length = int(headers["content-length"])
        return rest[:length], [], len(rest) >= length
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not size:
            return body, [], False
        count = int(size.split(b";")[0], 16)
        if count == 0:
            return body, _pairs(rest.split(b"\r\n")), rest == b"\r\n" or rest.endswith(b"\r\n\r\n")
        body, rest = body + rest[:count], rest[count + 2 :]


@dataclass
class Evil:
    """An upstream that says exactly the bytes it is told to, and keeps every byte it was sent."""

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)  # raw: with chunk sizes and trailers
    connections: int = 0
    script: Script = ()
    port: int = 0
    _listener: socket.socket | None = None

    def start(self) -> Evil:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def says(self, *script: bytes | float | str) -> None:
        """From now on: bytes are sent, a number is a pause in seconds, CLOSE and RESET end the connection."""
        self.heads.clear()
        self.bodies.clear()
        self.connections = 0
        self.script = script

    def targets(self) -> list[bytes]:
        return [head.split(b" ")[1] for head in self.heads]

    def names(self) -> set[str]:
        """Names of all headers that arrived, in lower case."""
        return {name for head in self.heads for name, _ in _pairs(head.split(b"\r\n")[1:])}

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while head := _head(stream):
                self.heads.append(head)
                script = self.script
                if script[:1] == (EARLY,):
                    script = script[1:]
                    _perform(connection, script)
                    self.bodies.append(_read_body(head, stream))
                else:
                    self.bodies.append(_read_body(head, stream))
                    _perform(connection, script)


def _head(stream: BinaryIO) -> bytes:
    head = b""
    while line := stream.readline():
        if line == b"\r\n":
            return head
        head += line
    return b""


def _read_body(head: bytes, stream: BinaryIO) -> bytes:
    headers = dict(_pairs(head.split(b"\r\n")[1:]))
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    body = b""
    while True:
        size = stream.readline()
        body += size
        if not size:
            raise ConnectionError
        if int(size, 16) == 0:
            while (line := stream.readline()) not in (b"\r\n", b""):
                body += line
            return body
        body += stream.read(int(size, 16) + 2)


def _perform(connection: socket.socket, script: Script) -> None:
    for part in script:
        if isinstance(part, bytes):
            connection.sendall(part)
        elif isinstance(part, str):
            if part == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        else:
            time.sleep(part)


def answer(body: bytes, *headers: tuple[str, str], status: str = "200 OK", kind: str = "text/plain") -> bytes:
    """A response with its length; no content-type where `kind` is empty."""
    pairs = [("content-length", str(len(body))), *([("content-type", kind)] if kind else []), *headers]
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body
