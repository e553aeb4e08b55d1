"""
The upstream side of a connection's start, without I/O: from nothing to a server that is ready for queries.

PostgreSQL documentation, "Message Flow: Start-up". `Opening` takes bytes and gives bytes:

    opening = Opening(login, channel)
    send(opening.start())
    while opening.ready is None:
        send(opening.receive(read()))
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Final

from extproc.postgres.database import authentication
from extproc.postgres.database.authentication import METHODS, OK, Channel, Method
from extproc.postgres.database.login_error import LoginError, of_server, violation
from extproc.postgres.wire import (
    CANCEL_REQUEST,
    MAX_STARTUP,
    SSL_REQUEST,
    Message,
    ProtocolViolation,
    Reader,
    text,
)

__all__ = ["ALPN", "Channel", "Login", "LoginError", "Opening", "Ready", "build_startup", "cancel_request"]

ALPN: Final = "postgresql"  # what TLS without an SSLRequest must agree on (PostgreSQL 17 and later)
MAX_MESSAGE: Final = 64 * 1024  # bytes of one message before the server is ready
MAX_TOTAL: Final = 1024 * 1024  # of all of them
# Statements would be understood in another way otherwise. Some poolers swallow startup parameters.
_MUST_BE_REPORTED: Final = ("client_encoding", "standard_conforming_strings")
_OWN: Final = frozenset({"user", "database", "application_name"})


@dataclass(frozen=True, slots=True)
class Login:
    """
    Who logs in and how. `parameters` go into the startup message: any setting may stand there, and a RESET goes back to
    it. `least` is the weakest method that the server may ask for; a client's `certificate` that TLS has presented
    stands for any. `protocol` is (3, 0) or (3, 2).
    """

    user: str
    database: str
    password: str = field(default="", repr=False)
    application_name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    protocol: tuple[int, int] = (3, 0)
    least: Method = "scram-sha-256"
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """
    A connection that may be used. `parameters` is what the server reported, `process` and `key` are for cancelling (an
    empty key: it cannot be cancelled), `notices` the bodies of its NoticeResponses.
    """

    protocol: tuple[int, int]
    method: Method
    parameters: Mapping[str, str]
    process: int
    key: bytes = field(repr=False)
    notices: tuple[bytes, ...] = ()


def ssl_request() -> bytes:
    return (8).to_bytes(4, "big") + SSL_REQUEST.to_bytes(4, "big")


def require_tls(answer: bytes) -> None:
    """
    Takes all that was read after an SSLRequest, one byte. Anything behind it came in plain text from whoever stands in
    between (CVE-2021-23222); an error's text would, too (CVE-2024-10977). Raises `LoginError`.
    """
    if answer == b"N":
        raise LoginError("08P01", "The database does not speak TLS")
    if answer != b"S":
        raise violation("did not answer the request for TLS as it must")


def build_startup(login: Login) -> bytes:
    """Raises `LoginError` for a value that cannot stand there, and ValueError for parameters that stand elsewhere."""
    if _OWN & login.parameters.keys():
        raise ValueError("user, database and application_name are fields of Login")
    given = {"user": login.user, "database": login.database, **login.parameters}
    if login.application_name:
        given["application_name"] = login.application_name
    try:
        body = b"".join(text(part.encode()) for pair in given.items() for part in pair) + b"\0"
    except (ProtocolViolation, UnicodeEncodeError):
        raise LoginError("08P01", "A startup parameter cannot be sent") from None
    if len(body) + 8 > MAX_STARTUP or not all(given):
        raise LoginError("08P01", "A startup parameter cannot be sent")
    major, minor = login.protocol
    return (len(body) + 8).to_bytes(4, "big") + (major << 16 | minor).to_bytes(4, "big") + body


def _can_be_sent(password: str) -> bool:
    return "\0" not in password and not any("\ud800" <= one <= "\udfff" for one in password)


def cancel_request(process: int, key: bytes) -> bytes:
    body = CANCEL_REQUEST.to_bytes(4, "big") + process.to_bytes(4, "big") + key
    return (len(body) + 4).to_bytes(4, "big") + body


class Opening:
    """One login. `rest` is what came behind ReadyForQuery, in whatever state of completeness."""

    def __init__(self, login: Login, channel: Channel, *, nonce: str | None = None) -> None:
        self.ready: Ready | None = None
        self.rest = b""
        self._steps = _Course(login, channel, nonce).run()
        self._buffer = b""
        self._total = 0

    def start(self) -> bytes:
        return next(self._steps)

    def receive(self, data: bytes) -> bytes:
        """What to send now. Raises `LoginError`; the connection is then of no use."""
        self._total += len(data)
        if self._total > MAX_TOTAL:
            raise violation("sent too much before it was ready")
        self._buffer += data
        answers = b""
        while self.ready is None and (received := self._next()):
            try:
                answers += self._steps.send(received)
            except StopIteration as end:
                self.ready = end.value
                self.rest, self._buffer = self._buffer, b""
            except ProtocolViolation:
                raise violation("sent a message that cannot be read") from None
        return answers

    def _next(self) -> Message | None:
        if len(self._buffer) < 5:
            return None
        length = int.from_bytes(self._buffer[1:5], "big")
        if not 4 <= length <= MAX_MESSAGE:
            raise violation("sent a message of an impossible or too large length")
        if len(self._buffer) <= length:
            return None
        received = Message(self._buffer[:1], self._buffer[5 : length + 1])
        self._buffer = self._buffer[length + 1 :]
        return received


_Taking = Generator[bytes, Message, Message]


class _Course:
    """The order of things: the version, who is asking, what the server has to say, ready."""

    def __init__(self, login: Login, channel: Channel, nonce: str | None) -> None:
        self._login = login
        self._channel = channel
        self._nonce = nonce
        self._notices: list[bytes] = []

    def run(self) -> Generator[bytes, Message, Ready]:
        received = yield from self._take(build_startup(self._login))
        protocol = self._login.protocol
        if received.kind == b"v":
            protocol = self._negotiated(received.body)
            received = yield from self._take(b"")
        method = yield from self._authenticate(received)
        return (yield from self._collect(protocol, method))

    def _take(self, out: bytes) -> _Taking:
        """The next message that is neither a notice nor an error."""
        received = yield out
        while received.kind == b"N":
            self._notices.append(received.body)
            received = yield b""
        if received.kind == b"E":
            raise of_server(received.body)
        return received

    def _negotiated(self, body: bytes) -> tuple[int, int]:
        """NegotiateProtocolVersion: an older server says what it speaks; parameters with `_pq_.` were not asked for."""
        reader = Reader(body)
        version, unknown = reader.uint32(), reader.uint32()
        minor = version & 0xFFFF  # servers send it with the major version or without
        if version >> 16 not in (0, 3) or minor >= self._login.protocol[1] or unknown:
            raise violation("speaks another version of the protocol")
        return 3, minor

    def _authenticate(self, received: Message) -> Generator[bytes, Message, Method]:
        """Ends with AuthenticationOk taken."""
        asked = authentication.request(received)
        method = authentication.method_of(asked, self._channel)
        self._require(method)
        if method == "trust":
            return method
        steps = self._method(method, asked)
        out = next(steps)
        while True:
            received = yield from self._take(out)
            try:
                out = steps.send(received)
            except StopIteration:
                break
        if authentication.request(received).code != OK:
            raise violation("asks for more than one way to authenticate")
        return method

    def _require(self, method: Method) -> None:
        if method == "trust" and self._login.certificate:
            return
        if METHODS.index(method) < METHODS.index(self._login.least):
            raise LoginError("28000", "The database asks for a weaker login than the gateway is configured for")
        if method in ("password", "md5") and not self._channel.private:
            raise LoginError("28000", "The database asks for a password that others could read on the way")
        if method != "trust" and not self._login.password:
            raise LoginError("28000", "The database asks for a password, and the gateway has none for it")
        if not _can_be_sent(self._login.password):
            raise LoginError("28000", "The gateway's password cannot be sent")

    def _method(self, method: Method, asked: authentication.Request) -> authentication.Steps:
        login = self._login
        if method == "password":
            return authentication.by_password(login.password)
        if method == "md5":
            return authentication.by_md5(login.user, login.password, asked)
        return authentication.by_scram(login.password, asked, self._channel, self._nonce)

    def _collect(self, protocol: tuple[int, int], method: Method) -> Generator[bytes, Message, Ready]:
        parameters: dict[str, str] = {}
        process, key = 0, b""
        while (received := (yield from self._take(b""))).kind != b"Z":
            reader = Reader(received.body)
            if received.kind == b"S":
                name = reader.string().decode("ascii", "replace")
                parameters[name] = reader.string().decode("utf-8", "replace")
                reader.end()
            elif received.kind == b"K" and not key:
                process, key = reader.uint32(), reader.rest()
                if not 4 <= len(key) <= (4 if protocol < (3, 2) else 256):
                    raise violation("sent a cancel key of a wrong length")
            else:
                raise violation("sent something else before it was ready")
        if received.body != b"I":
            raise violation("begins in the middle of a transaction")
        self._check(parameters)
        return Ready(protocol, method, parameters, process, key, tuple(self._notices))

    def _check(self, reported: Mapping[str, str]) -> None:
        for name in _MUST_BE_REPORTED:
            wanted = self._login.parameters.get(name)
            if wanted is not None and reported.get(name) != wanted:
                raise violation("did not take the settings that the gateway must rely on")
