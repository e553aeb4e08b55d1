from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from extproc.credential.base import PasswordCredential
from extproc.errors import Refusal
from extproc.model import PostgresResource
from extproc.postgres.database.catalogs import Catalogs
from extproc.postgres.database.upstream import DatabaseConnection, Key, new_key, worker_of
from extproc.postgres.events import Connect
from extproc.postgres.settings import PINNED
from extproc.postgres.tls import ClientTls
from extproc.postgres.wire import startup
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.talking import failure, parameter, ready

pytestmark = pytest.mark.asyncio

OWN = Key(41, b"own-key!")
STEP = Connect("shop", (("application_name", "job"), ("datestyle", "ISO")), 1)


class Logins:
    def login(self, name: str) -> PasswordCredential:
        assert name == "shop"
        return PasswordCredential("ci", "planted", (b"planted",))


class Database:
    """Logs anybody in by a cleartext password. `login` False: it never answers. `keys`: the cancel requests that came."""

    def __init__(self, *, login: bool = True, refuse: bytes = b"") -> None:
        self.login, self.refuse = login, refuse
        self.parameters: dict[str, str] = {}
        self.keys: list[bytes] = []
        self.open = 0
        self.hold = asyncio.Event()  # of the answer to a cancel request
        self.changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            body = await _packet(reader)
            if body[:4] == (80877102).to_bytes(4, "big"):
                self.keys.append(body[4:])
                self.changed.set()
                await self.hold.wait()
                return
            _, self.parameters = startup(body)
            self.changed.set()
            if self.login:
                writer.write(message(b"R", b"\0\0\0\3"))
                await reader.readexactly(1)
                await _packet(reader)
                pinned = b"".join(parameter(name, value) for name, value in PINNED.items())
                writer.write(self.refuse or message(b"R", bytes(4)) + pinned + message(b"K", b"\0\0\0\7key!") + ready())
            await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            self.open -= 1
            self.changed.set()
            writer.close()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return await reader.readexactly(size - 4)


@contextlib.asynccontextmanager
async def served(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[Database, DatabaseConnection]]:
    database = Database(**options)
    resource = PostgresResource(
        "shop", "postgres", "unix", credential="shop", database="shop", socket_dir=str(tmp_path), upstream_tls="disable",
        upstream_auth="password", read_only=True, search_path=("app", 'odd"one'),
    )  # fmt: skip
    server = await asyncio.start_unix_server(database.serve, tmp_path / ".s.PGSQL.5432")
    connection = DatabaseConnection(resource, Logins(), ClientTls(resource), Catalogs(), OWN)
    async with server:
        yield database, connection
        connection.channel.abort()
        database.hold.set()
        await database.until(lambda: not database.open)


async def test_it_logs_in_with_what_is_pinned(tmp_path: Path) -> None:
    async with served(tmp_path) as (database, connection):
        connected = await connection.connect(STEP, lambda: None)
        assert (connected.user, connected.process, connected.key) == ("ci", 41, b"own-key!")
        given = database.parameters
        assert {name: given[name] for name in PINNED} == PINNED
        assert (given["user"], given["database"], given["application_name"]) == ("ci", "shop", "job")
        assert (given["datestyle"], given["default_transaction_read_only"]) == ("ISO", "on")
        assert given["search_path"] == '"app", "odd""one"'


async def test_what_a_job_asks_for_does_not_win_over_what_is_pinned(tmp_path: Path) -> None:
    async with served(tmp_path) as (database, connection):
        step = Connect("shop", (("default_transaction_read_only", "off"), ("client_encoding", "LATIN1")), 1)
        await connection.connect(step, lambda: None)
        assert database.parameters["default_transaction_read_only"] == "on"
        assert database.parameters["client_encoding"] == "UTF8"


async def test_a_login_that_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path, refuse=failure("28P01", "password of ci is planted")) as (_, connection):
        with pytest.raises(Refusal) as refused:
            await connection.connect(STEP, lambda: None)
        assert refused.value.code.name == "upstream_unavailable"
        assert "planted" not in refused.value.reason


async def test_no_database(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, connection):
        (tmp_path / ".s.PGSQL.5432").unlink()
        with pytest.raises(Refusal, match="the database cannot be reached"):
            await connection.connect(STEP, lambda: None)


async def test_a_client_that_leaves_during_the_login_leaves_no_connection_behind(tmp_path: Path) -> None:
    async with served(tmp_path, login=False) as (database, connection):
        connecting = asyncio.create_task(connection.connect(STEP, lambda: None))
        await database.until(lambda: database.parameters)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await database.until(lambda: not database.open)


async def test_a_request_to_cancel_is_over_once_the_server_has_taken_it(tmp_path: Path) -> None:
    woken: list[bool] = []
    over = asyncio.Event()

    def wake() -> None:
        woken.append(connection.cancelling)
        over.set()

    async with served(tmp_path) as (database, connection):
        connection.cancel()
        seen = [connection.cancelling]  # there is nothing to cancel yet
        await connection.connect(STEP, wake)
        connection.cancel()
        await database.until(lambda: database.keys)
        assert database.keys == [b"\0\0\0\7key!"]
        assert [*seen, connection.cancelling] == [False, True]
        database.hold.set()
        async with asyncio.timeout(5):
            await over.wait()
        assert woken == [False]


async def test_terminate_is_said(tmp_path: Path) -> None:
    async with served(tmp_path) as (database, connection):
        await connection.connect(STEP, lambda: None)
        connection.close()
        await database.until(lambda: not database.open)


async def test_keys_say_which_worker_and_nothing_else() -> None:
    for worker in (0, 1, 63):
        keys = [new_key(worker, (3, 0)) for _ in range(20)]
        assert {worker_of(key.process) for key in keys} == {worker}
        assert all(0 <= key.process < 1 << 31 for key in keys)
        assert len({key.process for key in keys}) > 15
        assert len({key.secret for key in keys}) == 20
        assert {len(key.secret) for key in keys} == {4}
    assert len(new_key(1, (3, 2)).secret) == 32
    assert len(new_key(1, (3, 9999)).secret) == 32
