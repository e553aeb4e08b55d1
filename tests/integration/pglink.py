"""A plain connection to a PostgreSQL server for tests: it logs in by `extproc.postgres.database.login` and runs simple queries."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from extproc.postgres import wire
from extproc.postgres.database.login import Channel, Login, Opening, Ready, require_tls, ssl_request
from tests.integration.postgres import Server

Row = tuple[str | None, ...]


class Link:
    def __init__(self, sock: socket.socket, ready: Ready, rest: bytes) -> None:
        self._socket = sock
        self._buffer = rest
        self.ready = ready
        self.reported: list[bytes] = []  # ParameterStatus

    def query(self, text: str) -> list[list[Row]]:
        """The rows of each statement, as text. AssertionError on an error."""
        self.send(text)
        return self.results()

    def send(self, text: str) -> None:
        self._socket.sendall(wire.message(b"Q", text.encode() + b"\0"))

    def results(self) -> list[list[Row]]:
        results: list[list[Row]] = []
        rows: list[Row] = []
        error = b""
        while True:
            kind, body = self._next()
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"C":
                results.append(rows)
                rows = []
            elif kind == b"S":
                self.reported.append(body)
            elif kind == b"E":
                error = body
            elif kind == b"Z":
                assert not error, error
                return results

    def _next(self) -> tuple[bytes, bytes]:
        while len(self._buffer) < 5 or len(self._buffer) <= (size := int.from_bytes(self._buffer[1:5], "big")):
            read = self._socket.recv(1 << 20)
            assert read
            self._buffer += read
        kind, body = self._buffer[:1], self._buffer[5 : size + 1]
        self._buffer = self._buffer[size + 1 :]
        return kind, body


def _row(body: bytes) -> Row:
    reader = wire.Reader(body)
    values = []
    for _ in range(reader.count()):
        length = reader.int32()
        values.append(None if length < 0 else reader.take(length).decode())
    return tuple(values)


@contextlib.contextmanager
def linked(server: Server, login: Login, *, tls: ssl.SSLContext | None = None, unix: bool = False) -> Iterator[Link]:
    """Over 127.0.0.1, or its unix socket. With `tls` as the relay does it. Raises `LoginError`."""
    sock = socket.socket(socket.AF_UNIX) if unix else socket.socket()
    sock.settimeout(10)
    try:
        sock.connect(str(server.socket) if unix else ("127.0.0.1", server.port))
        certificate = b""
        if tls is not None:
            sock.sendall(ssl_request())
            require_tls(sock.recv(1000))
            wrapped = tls.wrap_socket(sock, server_hostname="localhost")
            sock, certificate = wrapped, wrapped.getpeercert(binary_form=True) or b""
        opening = Opening(login, Channel(certificate, local=tls is None))
        sock.sendall(opening.start())
        while opening.ready is None:
            data = sock.recv(65536)
            assert data
            if answer := opening.receive(data):
                sock.sendall(answer)
        yield Link(sock, opening.ready, opening.rest)
    finally:
        sock.close()


def trusting(ca: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """TLS that verifies the server wholly, and shows a client certificate if there is one."""
    context = ssl.create_default_context(cafile=str(ca))
    if pair:
        context.load_cert_chain(*pair)
    return context
