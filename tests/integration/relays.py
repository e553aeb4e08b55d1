"""Relays in the test's own event loop, with a stand-in for Envoy in front and a real PostgreSQL server behind."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from extproc.credential.base import PasswordCredential
from extproc.errors import Refusal
from extproc.identity.base import PeerCertificate, Proof
from extproc.model import Identity, PostgresResource, TlsFiles
from extproc.postgres import proxy
from extproc.postgres.relay import Limits, PostgresRelay
from tests.integration.certificates import Authority
from tests.integration.postgres import DATABASE, PASSWORDS, Server
from tests.unit.playbook import JOB, Desk, MemoryRecorder, Meter, Policy, services

ADDRESSES = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + (5555).to_bytes(2, "big") + (5432).to_bytes(2, "big")
Connection = psycopg.AsyncConnection[Any]


class Logins:
    def login(self, name: str) -> PasswordCredential:
        password = PASSWORDS["app"]
        return PasswordCredential("app", password, (password.encode(),))


@dataclass
class Verifier:
    """The token is "good", a certificate is anybody's that TLS has verified."""

    shown: list[Proof] = field(default_factory=list)

    def verify(self, proof: Proof, now: float) -> Identity:
        self.shown.append(proof)
        if proof != "good" and not isinstance(proof, PeerCertificate):
            raise Refusal("identity_invalid")
        return JOB


@dataclass
class Relays:
    """Two workers' relays; `next` is the one that the next connection comes to."""

    server: Server
    home: Path
    resource: PostgresResource
    authority: Authority
    policy: Policy
    desk: Desk = field(default_factory=Desk)
    next: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self.recorder, self.meter, self.verifier = MemoryRecorder(), Meter(), Verifier()
        with_real_time = services(
            self.policy, verifier=self.verifier, recorder=self.recorder, meter=self.meter, clock=time.time
        )
        self.relays = [
            PostgresRelay(
                self.resource, with_real_time, self._perform, Logins(), worker=worker, socket_of=self.socket_of,
                limits=Limits(1 << 20, 64 << 20),
            )
            for worker in (0, 1)
        ]  # fmt: skip
        self._pumps: set[asyncio.Task[None]] = set()

    def socket_of(self, worker: int) -> Path:
        return self.home / f"{worker}.sock"

    async def _perform(self, wait: Any) -> object:
        return self.desk.perform(wait)

    def dsn(self, **options: Any) -> str:
        base = {"host": "localhost", "port": self.port, "user": "job", "password": "good", "dbname": DATABASE}
        base |= {"sslmode": "disable" if self.resource.tls is None else "require", "gssencmode": "disable"}
        return " ".join(f"{name}={value}" for name, value in {**base, **options}.items())

    async def connect(self, **options: Any) -> Connection:
        return await psycopg.AsyncConnection.connect(self.dsn(**options), autocommit=True)

    # --- what Envoy does

    async def front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_unix_connection(self.socket_of(self.next))
        except OSError:
            writer.close()
            return
        forth.write(proxy.SIGNATURE + b"\x21\x11\x00\x0c" + ADDRESSES)
        for one, other in ((reader, forth), (back, writer)):
            pump = asyncio.create_task(_pump(one, other))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def relaying(
    server: Server, *, tls: bool = False, clients: bool = False, policy: Policy | None = None, **resource: Any
) -> AsyncIterator[Relays]:
    """`tls`: with a certificate for localhost; `clients`: those of clients are asked for."""
    with tempfile.TemporaryDirectory(prefix="xr-") as name:
        home, authority = Path(name), Authority()
        if tls:
            (home / "ca.crt").write_bytes(authority.pem)
            authority.issue("localhost", "localhost").write(home / "tls.crt", home / "tls.key")
            ca = str(home / "ca.crt") if clients else ""
            resource["tls"] = TlsFiles(str(home / "tls.crt"), str(home / "tls.key"), ca)
        made = PostgresResource(
            "db", "postgres", "there", credential="db", database=DATABASE, host="127.0.0.1", port=server.port,
            upstream_tls="disable", **resource,
        )  # fmt: skip
        relays = Relays(server, home, made, authority, policy or Policy())
        for relay in relays.relays:
            await relay.start()
        front = await asyncio.start_server(relays.front, "127.0.0.1", 0)
        relays.port = front.sockets[0].getsockname()[1]
        try:
            async with front:
                yield relays
        finally:
            for relay in relays.relays:
                await relay.refuse_new()
                await relay.drain(0)
            await asyncio.sleep(0)
