"""The relay's sockets, without Envoy: TLS, certificates, cancel requests, caps, deadlines, drain."""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import Any

import psycopg
import pytest
from psycopg import errors

from extproc.identity.base import PeerCertificate
from extproc.postgres import relay as relay_module
from tests.integration.postgres import Server
from tests.integration.relays import Connection, Relays, relaying
from tests.unit.playbook import Policy
from tests.unit.postgres.talking import TERMINATE, startup

pytestmark = pytest.mark.asyncio

SSL, GSS = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
START = startup(user="job", database="app")
SLEEP = "SELECT pg_sleep(30)"


@pytest.fixture
def server(postgres18: Server) -> Server:
    return postgres18


async def one(connection: Connection, text: str = "SELECT 1") -> Any:
    row = await (await connection.execute(text)).fetchone()
    assert row is not None
    return row[0]


async def until(server: Server, sql: str, wanted: str) -> None:
    for _ in range(200):
        if await asyncio.to_thread(server.psql, sql) == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(sql)


def running(state: str = "active") -> str:
    return f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = '{state}'"


async def raw(relays: Relays, *parts: bytes) -> tuple[bytes, bytes]:
    """What each part is answered with, the last to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relays.port)
    try:
        answers = b""
        for part in parts[:-1]:
            writer.write(part)
            answers += await reader.readexactly(1)
        writer.write(parts[-1])
        async with asyncio.timeout(10):
            return answers, await reader.read()
    finally:
        writer.close()


# --- TLS


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "require"},
        {"sslmode": "verify-full"},
        {"sslmode": "require", "sslnegotiation": "direct"},
        {"sslmode": "verify-full", "sslnegotiation": "direct"},
        {"sslmode": "require", "gssencmode": "prefer"},
        {"sslmode": "require", "max_protocol_version": "3.2"},
        {"sslmode": "require", "ssl_max_protocol_version": "TLSv1.2"},
    ],
)
async def test_clients_of_libpq_over_tls(server: Server, options: dict[str, str]) -> None:
    async with relaying(server, tls=True) as relays:
        if options["sslmode"] == "verify-full":
            options = {**options, "sslrootcert": str(relays.home / "ca.crt")}
        async with await relays.connect(**options) as connection:
            assert await one(connection) == 1
        (opened,) = [payload for kind, payload, _ in relays.recorder.events if kind == "connection.opened"]
        assert opened["tls"] == options.get("ssl_max_protocol_version", "TLSv1.3")
        assert opened["source"] == {"address": "192.0.2.7:5555"}
        assert opened["protocol"] == options.get("max_protocol_version", "3.0")
        assert relays.verifier.shown[0] == "good"


async def test_a_client_that_trusts_another_authority_goes_away(server: Server) -> None:
    async with relaying(server, tls=True) as relays:
        (relays.home / "other.crt").write_bytes(server.ca.pem)
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            await relays.connect(sslmode="verify-full", sslrootcert=relays.home / "other.crt")
        assert relays.verifier.shown == []


async def test_over_clear_text_no_password_is_asked_for(server: Server) -> None:
    async with relaying(server, tls=True) as relays:
        with pytest.raises(psycopg.OperationalError, match="A token is taken over TLS only"):
            await relays.connect(sslmode="disable")
        assert relays.verifier.shown == []
        _, answer = await raw(relays, START)
        assert answer[:1] == b"E"
        answers, rest = await raw(relays, GSS, START)
        assert (answers, rest[:1]) == (b"N", b"E")


async def test_where_no_tls_is_spoken_it_is_refused_politely(server: Server) -> None:
    async with relaying(server) as relays:
        for options in ({"sslmode": "prefer"}, {"sslmode": "disable", "gssencmode": "prefer"}):
            async with await relays.connect(**options) as connection:
                assert await one(connection) == 1
        assert await raw(relays, b"\x16\x03\x01\x02\x00\x01") == (b"", b"")


@pytest.mark.parametrize("data", [SSL + START, SSL + b"\x16\x03\x01", GSS + START, SSL + SSL])
async def test_bytes_before_tls_is_up_are_refused(server: Server, data: bytes) -> None:
    async with relaying(server, tls=True) as relays:
        assert await raw(relays, data) == (b"", b"")


async def test_bytes_in_the_middle_of_the_handshake_are_none_of_the_conversation(server: Server) -> None:
    async with relaying(server, tls=True) as relays:
        answers, rest = await raw(relays, SSL, START + TERMINATE)
        assert answers == b"S"
        assert rest[:1] in (b"", b"\x15")  # a TLS alert
        assert relays.recorder.events == []


async def test_direct_tls_needs_its_name(server: Server) -> None:
    """ALPN: else a client of another protocol could be led here."""
    async with relaying(server, tls=True) as relays:
        context = ssl.create_default_context(cafile=str(relays.home / "ca.crt"))
        for names, answered in (([], False), (["postgresql"], True)):
            if names:
                context.set_alpn_protocols(names)
            reader, writer = await asyncio.open_connection("localhost", relays.port, ssl=context)
            writer.write(START)
            try:
                data = await reader.read(1)
            except OSError:
                data = b""
            assert (data == b"R") == answered
            writer.close()


async def test_a_certificate_that_is_written_anew_is_shown(server: Server) -> None:
    async with relaying(server, tls=True) as relays:
        pair = relays.authority.issue("localhost", "localhost")
        pair.write(relays.home / "tls.crt", relays.home / "tls.key")
        context = ssl.create_default_context(cafile=str(relays.home / "ca.crt"))
        context.set_alpn_protocols(["postgresql"])
        _, writer = await asyncio.open_connection("localhost", relays.port, ssl=context)
        assert writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == pair.der
        writer.close()
        (relays.home / "tls.key").write_bytes(b"half a ke")
        async with await relays.connect() as connection:
            assert await one(connection) == 1


# --- client certificates


async def test_a_client_certificate_is_a_proof(server: Server) -> None:
    async with relaying(server, tls=True, clients=True) as relays:
        pair = relays.authority.issue("runner")
        pair.write(relays.home / "runner.crt", relays.home / "runner.key")
        own = {"sslcert": relays.home / "runner.crt", "sslkey": relays.home / "runner.key", "password": "unused"}
        async with await relays.connect(**own) as connection:
            assert await one(connection) == 1
        assert {*map(type, relays.verifier.shown)} == {PeerCertificate}
        assert relays.verifier.shown[0] == PeerCertificate(pair.der, "db")
        async with await relays.connect() as connection:  # none at all: the token, as ever
            assert await one(connection) == 1


async def test_one_of_another_authority_is_not(server: Server) -> None:
    async with relaying(server, tls=True, clients=True) as relays:
        server.ca.issue("runner").write(relays.home / "runner.crt", relays.home / "runner.key")
        own = {"sslcert": relays.home / "runner.crt", "sslkey": relays.home / "runner.key"}
        with pytest.raises(psycopg.OperationalError):
            await relays.connect(**own)
        assert relays.verifier.shown == []


# --- cancelling


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("other", [0, 1])
@pytest.mark.parametrize("version", ["3.0", "3.2"])
async def test_a_cancel_request_finds_its_connection(server: Server, tls: bool, other: int, version: str) -> None:
    """Also where it comes to another worker."""
    async with (
        relaying(server, tls=tls) as relays,
        await relays.connect(max_protocol_version=version) as connection,
    ):
        relays.next = other
        sleeping = asyncio.create_task(connection.execute(SLEEP))
        await until(server, running(), "1")
        await connection.cancel_safe(timeout=5)
        with pytest.raises(errors.QueryCanceled):
            await sleeping
        assert await one(connection) == 1


async def test_it_never_hits_the_next_statement(server: Server) -> None:
    async with relaying(server) as relays, await relays.connect() as connection:
        for _ in range(30):
            await connection.execute("SELECT 1")
            await connection.cancel_safe(timeout=5)
            assert await one(connection, "SELECT 1 FROM pg_sleep(0.02)") == 1


async def test_neither_does_one_of_the_gateways_own(server: Server) -> None:
    policy = Policy({"action": "allow", "limits": {"rows": 1}})
    async with relaying(server, policy=policy) as relays, await relays.connect() as connection:
        for _ in range(30):
            with pytest.raises(psycopg.Error, match="policy allows 1 rows"):
                await connection.execute("SELECT generate_series(1, 3)")
            assert await one(connection, "SELECT 1 FROM pg_sleep(0.02)") == 1


async def test_a_key_that_is_guessed_cancels_nothing(server: Server) -> None:
    async with relaying(server) as relays, await relays.connect() as connection:
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(0.5)"))
        await until(server, running(), "1")
        process = connection.pgconn.backend_pid
        for body in (
            struct.pack("!II", process, 0),
            struct.pack("!I", process) + bytes(32),
            struct.pack("!II", process ^ 1, 0),
            struct.pack("!II", 5 << 25, 0),  # of a worker that does not exist
            struct.pack("!I", process),
        ):
            packet = struct.pack("!II", 8 + len(body), 80877102) + body
            assert await raw(relays, packet) == (b"", b"")
        await sleeping


async def test_a_client_that_leaves_ends_what_it_asked_for(server: Server) -> None:
    async with relaying(server) as relays:
        connection = await relays.connect()
        sleeping = asyncio.create_task(connection.execute(SLEEP))
        await until(server, running(), "1")
        sleeping.cancel()
        await connection.close()
        await asyncio.gather(sleeping, return_exceptions=True)
        await until(server, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", "0")


# --- caps and deadlines


async def test_so_many_connections_and_no_more(server: Server) -> None:
    async with relaying(server, connections=2) as relays:
        async with await relays.connect(), await relays.connect():
            with pytest.raises(psycopg.OperationalError, match="too many connections to this resource"):
                await relays.connect()
        async with asyncio.timeout(5):
            while True:
                try:
                    async with await relays.connect() as connection:
                        assert await one(connection) == 1
                    break
                except psycopg.OperationalError:
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("sent", [b"", b"\0\0", SSL[:6], SSL, START[:20]])
async def test_who_does_not_say_who_it_is_is_cut_off(
    server: Server, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_START_WITHIN", 0.3)
    async with relaying(server, tls=True) as relays:
        answers, rest = await raw(relays, sent)
        assert answers + rest in (b"", b"S")


async def test_who_does_not_log_in_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relaying(server) as relays:
        await (await relays.connect()).close()  # the catalog is known now
        monkeypatch.setattr(relay_module, "_LOGIN_WITHIN", 0.4)
        _, answer = await raw(relays, START)
        assert answer == b"R\0\0\0\x08\0\0\0\3"
        async with await relays.connect() as connection:
            await asyncio.sleep(0.5)
            assert await one(connection) == 1


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", startup((2, 0), user="job"), startup((4, 0)), START[:-1] + b"x\0", b"\0\0\x27\x11"],
)
async def test_what_is_no_startup_message_is_cut_off(server: Server, data: bytes) -> None:
    async with relaying(server) as relays:
        assert await raw(relays, data + bytes(8)) == (b"", b"")


# --- a drain


async def test_a_drain_ends_what_is_at_rest_and_waits_for_what_runs(server: Server) -> None:
    async with relaying(server) as relays:
        idle, busy = await relays.connect(), await relays.connect()
        sleeping = asyncio.create_task(one(busy, "SELECT 'done' FROM pg_sleep(0.5)"))
        await until(server, running(), "1")
        relay = relays.relays[0]
        await relay.refuse_new()
        assert not relays.socket_of(0).exists()
        await relay.drain(10)
        assert await sleeping == "done"
        for connection in (idle, busy):
            with pytest.raises((errors.AdminShutdown, psycopg.OperationalError)):
                await connection.execute("SELECT 1")
            await connection.close()
        with pytest.raises(psycopg.OperationalError):
            await relays.connect()
        outcomes = [payload["outcome"] for kind, payload, _ in relays.recorder.events if kind == "connection.closed"]
        assert outcomes == ["stopping", "stopping"]


async def test_but_not_for_ever(server: Server) -> None:
    async with relaying(server) as relays:
        connection = await relays.connect()
        sleeping = asyncio.create_task(connection.execute(SLEEP))
        await until(server, running(), "1")
        await relays.relays[0].drain(0.2)
        with pytest.raises(psycopg.OperationalError):
            await sleeping
        await connection.close()
        await until(server, running(), "0")
