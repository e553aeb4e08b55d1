"""asyncpg in front, where policy allows all: it looks at types itself, prepares everything, and speaks binary alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import io
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.integration.database import Opened

pytestmark = pytest.mark.envoy

Connection = Any  # asyncpg says little of its types
Test = Callable[[Connection], Awaitable[None]]


def run(opened: Opened, test: Test) -> None:
    async def go() -> None:
        connection = await asyncpg.connect(**opened.where, ssl=False)
        try:
            await test(connection)
        finally:
            await connection.close()

    asyncio.run(go())


VALUES: dict[str, list[Any]] = {
    "bool": [True, None],
    "int2": [-5],
    "int8": [2**62],
    "numeric": [decimal.Decimal("1e100"), decimal.Decimal("-0.001")],
    "float8": [1.5, float("inf")],
    "text": ["ünïcödé ✓", ""],
    "bytea": [b"\x00\xff", b""],
    "date": [dt.date(2026, 2, 28)],
    "timestamptz": [dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)],
    "interval": [dt.timedelta(days=3, seconds=5)],
    "uuid": [uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    "jsonb": ['{"a": [1, null]}'],
    "int4[]": [[1, None, 3], [], [[1, 2], [3, 4]]],
    "text[]": [["a", None, '"']],
    "int4range": [asyncpg.Range(1, 5)],
    "asyncpg_mood": ["sad", "it's fine"],
    "asyncpg_pair": [(1, "a"), (None, None)],
    "asyncpg_pair[]": [[(1, "a"), None]],
    "asyncpg_even": [4],
}
TYPES = """
DROP TYPE IF EXISTS asyncpg_pair, asyncpg_mood; DROP DOMAIN IF EXISTS asyncpg_even;
CREATE TYPE asyncpg_mood AS ENUM ('sad', 'it''s fine');
CREATE TYPE asyncpg_pair AS (a int, b text);
CREATE DOMAIN asyncpg_even AS int CHECK (VALUE % 2 = 0);
"""


def test_values_and_types_of_the_database(opened_database: Opened) -> None:
    async def test(connection: Connection) -> None:
        await connection.execute(TYPES)
        for kind, values in VALUES.items():
            for value in values:
                found = await connection.fetchval(f"SELECT $1::{kind}", value)
                assert found == value or tuple(found) == value, kind
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        assert await connection.fetchval("SELECT $1::jsonb", {"k": [1]}) == {"k": [1]}
        await connection.reload_schema_state()
        assert await connection.fetchval("SELECT 'sad'::asyncpg_mood") == "sad"

    run(opened_database, test)


def test_prepared_statements_and_cursors(opened_database: Opened) -> None:
    async def test(connection: Connection) -> None:
        statement = await connection.prepare("SELECT n, $2::text FROM generate_series(1, $1::int) n")
        assert [one.name for one in statement.get_parameters()] == ["int4", "text"]
        assert [one.name for one in statement.get_attributes()] == ["n", "text"]
        for count in range(1, 20):
            assert len(await statement.fetch(count, "x")) == count
        async with connection.transaction():
            assert [row["n"] async for row in statement.cursor(500, "y", prefetch=50)] == list(range(1, 501))
            cursor = await connection.cursor("SELECT generate_series(1, 100)")
            assert await cursor.forward(10) == 10
            assert [row[0] for row in await cursor.fetch(3)] == [11, 12, 13]
        for number in range(150):  # more than its cache holds: the oldest are closed
            assert await connection.fetchval(f"SELECT {number}") == number

    run(opened_database, test)


def test_many_rows_both_ways(opened_database: Opened) -> None:
    async def test(connection: Connection) -> None:
        await connection.execute("CREATE TEMP TABLE t (n int PRIMARY KEY, text text, at timestamptz)")
        now = dt.datetime.now(dt.UTC)
        records = [(n, None if n % 2 else "x" * (n % 50), now) for n in range(3000)]
        assert await connection.copy_records_to_table("t", records=records) == "COPY 3000"
        assert [tuple(row) for row in await connection.fetch("SELECT * FROM t ORDER BY n")] == records
        await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(n, "more") for n in range(3000, 3500)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany("INSERT INTO t VALUES ($1)", [(9000,), (0,), (9001,)])
        assert await connection.fetchval("SELECT count(*) FROM t") == 3500
        out = io.BytesIO()
        await connection.copy_from_query("SELECT n, text FROM t ORDER BY n LIMIT $1", 3, output=out, format="csv")
        assert out.getvalue() == b'0,""\n1,\n2,xx\n'
        await connection.copy_to_table("t", source=io.BytesIO(b"7000,csv,\n"), format="csv")
        assert await connection.fetchval("SELECT text FROM t WHERE n = 7000") == "csv"
        assert len(await connection.fetchval("SELECT repeat('z', 20000000)")) == 20_000_000

    run(opened_database, test)


def test_transactions_and_errors(opened_database: Opened) -> None:
    async def test(connection: Connection) -> None:
        await connection.execute("CREATE TEMP TABLE t (n int)")
        for error, statement in (
            (asyncpg.DivisionByZeroError, "SELECT 1/0"),
            (asyncpg.UndefinedTableError, "SELECT * FROM nowhere"),
            (asyncpg.PostgresSyntaxError, "SELEC 1"),
            (asyncpg.InsufficientPrivilegeError, "SELECT * FROM pg_authid"),
        ):
            with pytest.raises(error):
                await connection.fetch(statement)
        async with connection.transaction(isolation="serializable"):
            await connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(ZeroDivisionError):
                await fail(connection)
        async with connection.transaction(readonly=True):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("DELETE FROM customers")
        assert await connection.fetchval("SELECT array_agg(n) FROM t") == [1]
        script = "CREATE TEMP TABLE u (a int); INSERT INTO u VALUES (1), (2); SELECT * FROM u"
        assert await connection.execute(script) == "SELECT 2"

    run(opened_database, test)


async def fail(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (2)")
        raise ZeroDivisionError


def test_notifications_and_cancelled(opened_database: Opened) -> None:
    async def test(connection: Connection) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        logged: list[str] = []
        await connection.add_listener("news", lambda _connection, _pid, _channel, payload: heard.put_nowait(payload))
        connection.add_log_listener(lambda _connection, message: logged.append(message.message))
        await connection.execute("NOTIFY news, 'own'")
        other = await asyncpg.connect(**opened_database.where, ssl=False)
        await other.execute("SELECT pg_notify('news', 'of another')")
        await other.close()
        assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == ["own", "of another"]
        await connection.execute("DO $$BEGIN RAISE NOTICE 'noticed'; END$$")
        assert logged == ["noticed"]
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("SELECT pg_sleep(60)", timeout=0.2)
        assert await connection.fetchval("SELECT 1") == 1

    run(opened_database, test)


def test_a_pool_resets_its_connections(opened_database: Opened) -> None:
    async def go() -> None:
        async with asyncpg.create_pool(**opened_database.where, ssl=False, min_size=2, max_size=4) as pool:

            async def job(number: int) -> int:
                async with pool.acquire() as connection:
                    await connection.execute("SET statement_timeout = '30s'; CREATE TEMP TABLE IF NOT EXISTS x (a int)")
                    found: int = await connection.fetchval("SELECT $1::int", number)
                    return found

            assert await asyncio.gather(*map(job, range(40))) == list(range(40))
            async with pool.acquire() as connection:
                assert await connection.fetchval("SHOW statement_timeout") == "0"

    asyncio.run(go())
