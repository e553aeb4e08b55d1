"""The way to the database: connect, TLS, log in, look at the catalog, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from extproc.credential.base import CertificateCredential, LoginProvider
from extproc.errors import Refusal
from extproc.model import PostgresResource
from extproc.postgres.channel import Channel, next_chunk
from extproc.postgres.database import login as start
from extproc.postgres.database.catalogs import Catalogs, look
from extproc.postgres.database.introspect import Session
from extproc.postgres.database.login import Channel as LoginChannel
from extproc.postgres.database.login import Login, LoginError, Opening, Ready
from extproc.postgres.events import Connect, Connected
from extproc.postgres.reading import Reading
from extproc.postgres.settings import PINNED
from extproc.postgres.tls import ClientTls

log = logging.getLogger("extproc.postgres")

_WITHIN: Final = 15.0  # seconds for all of a login
_CANCEL_WITHIN: Final = 5.0
_BUFFER: Final = 256 * 1024  # bytes of the kernel's, so that a read of rows is a large one


@dataclass(frozen=True, slots=True)
class Key:
    """What cancels a client's connection at the gateway: never the server's own."""

    process: int
    secret: bytes


class DatabaseConnection:
    """One client's own connection to the database. `own` is the key that its client was given."""

    def __init__(
        self, resource: PostgresResource, logins: LoginProvider, tls: ClientTls, catalogs: Catalogs, own: Key
    ) -> None:
        self.channel = Channel(lambda: None)
        self._resource = resource
        self._logins = logins
        self._tls = tls
        self._catalogs = catalogs
        self._own = own
        self._step: Connect | None = None
        self._ready: Ready | None = None
        self._context: ssl.SSLContext | None = None
        self._cancelling: set[asyncio.Task[None]] = set()

    async def connect(self, step: Connect, wake: Callable[[], None]) -> Connected:
        """Raises `Refusal` (upstream_unavailable, credential_unavailable)."""
        login, self._step = self._login(step), step
        try:
            async with asyncio.timeout(_WITHIN):
                channel = await self._open()
                ready = await self._log_in(login, channel)
        except LoginError as error:
            self.channel.abort()
            log.warning("login refused: %s", error, extra={"resource": self._resource.name})
            raise Refusal("upstream_unavailable", error.message) from None
        except (OSError, TimeoutError) as error:
            self.channel.abort()
            why = (
                type(error).__name__ if isinstance(error, TimeoutError) else str(error.strerror or type(error).__name__)
            )
            log.warning("database not reached: %s", why, extra={"resource": self._resource.name})
            raise Refusal("upstream_unavailable", "the database cannot be reached") from None
        except BaseException:  # the client left
            self.channel.abort()
            raise
        self._ready = ready
        self.channel.wake = wake
        return Connected(login.user, dict(ready.parameters), self._own.process, self._own.secret)

    def _login(self, step: Connect) -> Login:
        resource = self._resource
        credential = self._logins.login(step.credential)
        if isinstance(credential, CertificateCredential) or resource.upstream_tls != "disable":
            certificate = credential if isinstance(credential, CertificateCredential) else None
            try:
                self._context = self._tls.context(certificate)
            except OSError:
                raise Refusal("upstream_unavailable", "the database's CA file cannot be read") from None
        given = dict(step.parameters)
        pinned = {**PINNED, **resource.settings}
        if resource.search_path:
            pinned["search_path"] = ", ".join('"' + name.replace('"', '""') + '"' for name in resource.search_path)
        if resource.read_only:
            pinned["default_transaction_read_only"] = "on"
        name = given.pop("application_name", "")
        return Login(
            user=credential.username,
            database=resource.database,
            password="" if isinstance(credential, CertificateCredential) else credential.password,
            application_name=name or "extproc-gateway",
            parameters={**given, **pinned},
            certificate=isinstance(credential, CertificateCredential),
            least=resource.upstream_auth,
        )

    async def _open(self) -> LoginChannel:
        sock = await self._join(self.channel)
        if self._context is None:
            return LoginChannel(local=bool(self._resource.socket_dir) or _is_loopback(sock))
        certificate = self.channel.about("ssl_object").getpeercert(binary_form=True)
        return LoginChannel(certificate=certificate, local=False)

    async def _join(self, channel: Channel) -> socket.socket:
        """Open a connection for `channel`, over TLS where it must be. Raises `OSError`, `LoginError`."""
        loop, context = asyncio.get_running_loop(), self._context
        sock = await connected_socket(self._resource)
        try:
            if context is not None:
                await loop.sock_sendall(sock, start.ssl_request())
                start.require_tls(await loop.sock_recv(sock, 1))
            name = self._resource.host if context is not None else None
            await loop.create_connection(lambda: channel, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _log_in(self, login: Login, channel: LoginChannel) -> Ready:
        opening = Opening(login, channel)
        self.channel.send(opening.start())
        while opening.ready is None:
            data = await next_chunk(self.channel)
            if not data:
                raise LoginError("08006", "The database ended the connection")
            if answer := opening.receive(data):
                self.channel.send(answer)
        self.channel.put_back(opening.rest)
        return opening.ready

    async def read_catalog(self, *, in_transaction: bool) -> Reading:
        """Raises `Refusal`."""
        if self._cancelling:
            await asyncio.wait(self._cancelling)
        wake, self.channel.wake = self.channel.wake, lambda: None
        try:
            return await self._catalogs.read(self.channel, self._outside, in_transaction=in_transaction)
        finally:
            self.channel.wake = wake

    async def _outside(self) -> Session:
        """The database as a connection sees it that is in no transaction. Raises `Refusal`, `CatalogError`."""
        assert self._step is not None
        other = DatabaseConnection(self._resource, self._logins, self._tls, self._catalogs, self._own)
        await other.connect(self._step, lambda: None)
        try:
            return await look(other.channel)
        finally:
            other.close()

    def cancel(self) -> None:
        """Ask on a connection of its own, as the protocol has it; whether it helped is seen in the answer."""
        if self._ready is None or not self._ready.key:
            return
        task = asyncio.get_running_loop().create_task(self._cancel(self._ready))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelled)

    @property
    def cancelling(self) -> bool:
        """A request to cancel is on its way: it would hit whatever the server is given next."""
        return bool(self._cancelling)

    def _cancelled(self, task: asyncio.Task[None]) -> None:
        self._cancelling.discard(task)
        self.channel.wake()

    async def _cancel(self, ready: Ready) -> None:
        with contextlib.suppress(OSError, TimeoutError, LoginError):
            async with asyncio.timeout(_CANCEL_WITHIN):
                channel = Channel(lambda: None)
                await self._join(channel)
                channel.send(start.cancel_request(ready.process, ready.key))
                await next_chunk(channel)  # the server closes it
                channel.abort()

    def close(self) -> None:
        self.channel.send(b"X\0\0\0\4")  # Terminate
        self.channel.close()


async def connected_socket(resource: PostgresResource) -> socket.socket:
    """Raises `OSError`."""
    loop = asyncio.get_running_loop()
    if resource.socket_dir:
        sock = socket.socket(socket.AF_UNIX)
        address: Any = f"{resource.socket_dir}/.s.PGSQL.{resource.port}"
    else:
        found = await loop.getaddrinfo(resource.host, resource.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        sock = socket.socket(family)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_loopback(sock: socket.socket) -> bool:
    return str(sock.getpeername()[0]) in ("127.0.0.1", "::1")


def new_key(worker: int, version: tuple[int, int]) -> Key:
    """
    Unguessable. The process number says which worker holds the connection, so that the request to cancel finds it:
    6 bits of it, 25 random ones; the secret has 32 bits, or 256 from protocol 3.2 on.
    """
    return Key(worker << 25 | secrets.randbits(25), secrets.token_bytes(32 if version >= (3, 2) else 4))


def worker_of(process: int) -> int:
    return process >> 25
