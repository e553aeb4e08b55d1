"""
One database's socket in one worker: Envoy's connections in, TLS ended, each driven by a connection of its own.

Everything before TLS is up is read byte by byte, exactly as much as is needed: what somebody else put into the stream
before it stays outside of it (CVE-2021-23214).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extproc.credential.base import LoginProvider
from extproc.errors import Refusal
from extproc.identity.base import PeerCertificate
from extproc.model import PostgresResource
from extproc.pipeline import Services
from extproc.postgres import problem, proxy, wire
from extproc.postgres.channel import Channel
from extproc.postgres.database.catalogs import Catalogs
from extproc.postgres.database.upstream import DatabaseConnection, Key, new_key, worker_of
from extproc.postgres.driver import Driver, Perform
from extproc.postgres.events import Hello
from extproc.postgres.handshake import Plain, receive_start
from extproc.postgres.session import Connection
from extproc.postgres.tls import ClientTls, ServerTls
from extproc.postgres.wire import ProtocolViolation

log = logging.getLogger("extproc.postgres")

_START_WITHIN: Final = 30.0  # seconds until a client has said who it is
_LOGIN_WITHIN: Final = 60.0  # seconds until it is logged in, as PostgreSQL's authentication_timeout
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a statement with its parameters, and of one message of the server's."""

    statement: int
    row: int


class PostgresRelay:
    """`socket_of(worker)` is the path of a worker's socket for this resource."""

    def __init__(
        self,
        resource: PostgresResource,
        services: Services,
        perform: Perform,
        logins: LoginProvider,
        *,
        worker: int,
        socket_of: Callable[[int], Path],
        limits: Limits,
        control_url: str = "",
    ) -> None:
        self._resource = resource
        self._services = services
        self._perform = perform
        self._logins = logins
        self._worker = worker
        self._socket_of = socket_of
        self._limits = limits
        self._control_url = control_url
        self._tls = ServerTls(resource.tls) if resource.tls is not None else None
        self._upstream_tls = ClientTls(resource)
        self._catalogs = Catalogs()
        self._drivers: dict[int, tuple[Key, Driver]] = {}
        self._empty = asyncio.Event()
        self._starting: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises `OSError`, also for a certificate that cannot be read: nothing is served without it."""
        if self._tls is not None:
            self._tls.context()
        path = self._socket_of(self._worker)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def refuse_new(self) -> None:
        """Envoy's health checks keep new connections away from now on."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            self._socket_of(self._worker).unlink(missing_ok=True)

    async def drain(self, grace: float) -> None:
        """Connections at rest end at once, others when they come to rest, all within `grace` seconds."""
        for _, driver in list(self._drivers.values()):
            driver.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace if self._drivers else 0):
                await self._empty.wait()
        for _, driver in list(self._drivers.values()):
            driver.stop()
        for task in list(self._starting):
            task.cancel()

    # --- a new connection

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError:
                log.exception("a connection could not be accepted")
                await asyncio.sleep(0.1)
                continue
            sock.setblocking(False)
            task = loop.create_task(self._begin(sock))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _begin(self, sock: socket.socket) -> None:
        channel: Channel | None = None
        try:
            async with asyncio.timeout(_START_WITHIN):
                channel = await self._greet(sock)
        except (OSError, TimeoutError, ProtocolViolation, EOFError) as error:
            log.info("a connection did not begin: %s", type(error).__name__, extra={"resource": self._resource.name})
        except Exception:
            log.exception("a connection did not begin")
        finally:
            if channel is None:
                sock.close()

    async def _greet(self, sock: socket.socket) -> Channel | None:
        plain = Plain(sock)
        try:
            head = await plain.take(proxy.HEAD)
        except EOFError:
            return None  # Envoy's health check: it connects, and that is all
        source = proxy.source_of(head, await plain.take(proxy.rest_of(head)))
        context = self._tls.context() if self._tls is not None else None
        secure = await plain.negotiate(offer_tls=context is not None)
        loop = asyncio.get_running_loop()
        channel = Channel(lambda: None)
        await loop.connect_accepted_socket(lambda: channel, sock, ssl=context if secure else None)
        channel.put_back(plain.head)
        try:
            body, rest = await receive_start(channel)
            channel.put_back(rest)
            await self._started(channel, body, source, direct=plain.direct)
        except BaseException:
            channel.abort()
            raise
        return channel

    async def _started(self, channel: Channel, body: bytes, source: str, *, direct: bool) -> None:
        tls: ssl.SSLObject | None = channel.about("ssl_object")
        if direct and (tls is None or tls.selected_alpn_protocol() is None):
            raise ProtocolViolation("direct TLS without ALPN")
        if int.from_bytes(body[:4], "big") == wire.CANCEL_REQUEST:
            await self._cancel(body)
            channel.close()
            return
        version, parameters = wire.startup(body)
        if version[0] != 3:
            raise ProtocolViolation("another version of the protocol")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        hello = Hello(
            version=version,
            parameters=parameters,
            source=source,
            tls=(tls.version() or "") if tls is not None else "",
            certificate=PeerCertificate(certificate, self._resource.name) if certificate else None,
        )
        self._drive(channel, hello)

    def _drive(self, channel: Channel, hello: Hello) -> None:
        if len(self._drivers) >= self._resource.connections:
            channel.send(problem.error(Refusal("overloaded", "too many connections to this resource")))
            channel.close()
            return
        key = new_key(self._worker, hello.version)
        while key.process in self._drivers:
            key = new_key(self._worker, hello.version)
        connection = Connection(
            "c-" + secrets.token_hex(8),
            self._resource,
            self._services,
            hello,
            lambda: "x-" + secrets.token_hex(8),
            statement_limit=self._limits.statement,
            row_limit=self._limits.row,
            control_url=self._control_url,
        )
        upstream = DatabaseConnection(self._resource, self._logins, self._upstream_tls, self._catalogs, key)
        driver = Driver(
            connection.run(),
            channel,
            upstream,
            self._perform,
            lambda: self._ended(key.process, connection),
            recorder=self._services.recorder,
            meter=self._services.meter,
        )
        self._drivers[key.process] = (key, driver)
        self._empty.clear()
        asyncio.get_running_loop().call_later(_LOGIN_WITHIN, self._too_late, connection, driver)
        driver.start()

    def _too_late(self, connection: Connection, driver: Driver) -> None:
        if not connection.ready:
            driver.stop()

    def _ended(self, process: int, connection: Connection) -> None:
        self._drivers.pop(process, None)
        if not self._drivers:
            self._empty.set()
        if connection.refusal is not None:
            names = {"exchange": connection.id, "resource": self._resource.name}
            log.info("connection refused", extra={**names, "code": connection.refusal.code.name})

    # --- cancelling

    async def _cancel(self, body: bytes) -> None:
        """By our key; of another worker's connection it is passed on. Never answered, as in PostgreSQL."""
        process, secret = int.from_bytes(body[4:8], "big"), body[8:]
        worker = worker_of(process)
        if worker != self._worker:
            with contextlib.suppress(OSError):
                await self._pass_on(worker, body)
            return
        key, driver = self._drivers.get(process, (None, None))
        if key is not None and driver is not None and hmac.compare_digest(key.secret, secret):
            driver.cancel()

    async def _pass_on(self, worker: int, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, str(self._socket_of(worker)))
            packet = (len(body) + 4).to_bytes(4, "big") + body
            await loop.sock_sendall(sock, proxy.LOCAL + packet)
