"""psycopg 3 in front, where policy allows all: each way in which it talks to a server."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from tests.integration.database import Opened

pytestmark = pytest.mark.envoy

VALUES: list[Any] = [
    None,
    True,
    7,
    2**40,
    decimal.Decimal("12345678901234567890.123"),
    1.5,
    "ünïcödé ✓ ' \\ \t",
    b"\x00\xff\\",
    dt.date(2026, 2, 28),
    dt.time(23, 59, 59, 999999),
    dt.datetime(2026, 1, 2, 3, 4, 5, 678901),  # noqa: DTZ001 - a timestamp without time zone
    dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    dt.timedelta(days=3, seconds=7),
    uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ipaddress.ip_address("2001:db8::1"),
    [None, "NULL", ""],
    [["a", "b,c"], ['"', "\\"]],
    Range(1, 5),
]


@pytest.fixture
def connection(opened_database: Opened) -> Iterator[psycopg.Connection]:
    with psycopg.connect(opened_database.gateway.dsn(), autocommit=True) as made:
        yield made


def table(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TEMP TABLE t (n int PRIMARY KEY, text text)")


@pytest.mark.parametrize("binary", [False, True])
def test_values_come_back_as_they_went(connection: psycopg.Connection, binary: bool) -> None:
    for value in VALUES:
        cursor = connection.cursor(binary=binary)
        shown = "%b" if binary else "%s"
        kind = {list: "::text[]", Range: "::int4range"}.get(type(value), "")
        assert cursor.execute(f"SELECT {shown}{kind}", (value,)).fetchone() == (value,)
    row = connection.execute("SELECT %s -> 'a', %s::jsonb", (Jsonb({"a": [1, None]}), Jsonb("x"))).fetchone()
    assert row == ([1, None], "x")


def test_statements_are_prepared_and_deallocated(connection: psycopg.Connection) -> None:
    """Its cache holds two here: one that falls out is deallocated, by Close or by SQL as libpq has it."""
    connection.prepare_threshold, connection.prepared_max = 2, 2
    for turn in range(4):
        for number in range(5):
            for _ in range(3):
                row = connection.execute(f"SELECT {number} + %s", (turn,), prepare=True).fetchone()
                assert row == (number + turn,)
    connection.execute("PREPARE by_sql AS SELECT 5")
    assert connection.execute("EXECUTE by_sql").fetchone() == (5,)
    connection.execute("DEALLOCATE ALL")
    assert connection.execute("SELECT %s", ("after",), prepare=True).fetchone() == ("after",)


def test_errors_have_their_sqlstate_and_position(connection: psycopg.Connection) -> None:
    for statement, error in (
        ("SELECT 1/0", errors.DivisionByZero),
        ("SELECT nothing", errors.UndefinedColumn),
        ("SELEC 1", errors.SyntaxError),
        ("SELECT * FROM pg_authid", errors.InsufficientPrivilege),
        ("SELECT 'x'::int", errors.InvalidTextRepresentation),
    ):
        with pytest.raises(error) as raised:
            connection.execute(statement)
        assert raised.value.diag.severity == "ERROR"
    with pytest.raises(errors.UndefinedTable) as raised:
        connection.execute("SELECT * FROM nowhere WHERE a = %s", (1,))
    assert raised.value.diag.statement_position == "15"
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_transactions(connection: psycopg.Connection) -> None:
    table(connection)
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(errors.UniqueViolation), connection.transaction():  # a savepoint
            connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (2)")
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO t VALUES (3)")
    assert connection.execute("SELECT array_agg(n ORDER BY n) FROM t").fetchone() == ([1, 2],)
    connection.autocommit = False
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = True
    with pytest.raises(errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM customers")
    connection.rollback()


def test_two_phases(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE IF EXISTS two; CREATE TABLE two (a int)")
    connection.autocommit = False
    for number, end in enumerate((connection.tpc_commit, connection.tpc_rollback)):
        name = connection.xid(1, f"both-{number}", "branch")
        connection.tpc_begin(name)
        connection.execute("INSERT INTO two VALUES (%s)", (number,))
        connection.tpc_prepare()
        end()
    connection.autocommit = True
    assert connection.execute("SELECT array_agg(a) FROM two").fetchone() == ([0],)
    connection.execute("DROP TABLE two")


def test_many_at_once(connection: psycopg.Connection) -> None:
    table(connection)
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(n, None) for n in range(300)])
        assert cursor.rowcount == 300
        with pytest.raises(errors.UniqueViolation):
            cursor.executemany("INSERT INTO t VALUES (%s)", [(1000,), (0,), (1001,)])
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (300,)


def test_a_pipeline(connection: psycopg.Connection) -> None:
    table(connection)
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("INSERT INTO t VALUES (%s) RETURNING n", (n,)) for n in range(100)]
        pipeline.sync()
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES (5)").fetchone()
        with pytest.raises(errors.PipelineAborted):
            connection.execute("SELECT 1").fetchone()
        pipeline.sync()
        last = connection.execute("SELECT count(*) FROM t")
    assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(100)]
    assert last.fetchone() == (100,)


def test_cursors_on_the_server(connection: psycopg.Connection) -> None:
    connection.autocommit = False
    with connection.cursor("of a name", scrollable=True) as cursor:
        cursor.itersize = 40
        cursor.execute("SELECT n, repeat('x', n) FROM generate_series(1, %s) n", (200,))
        assert cursor.description is not None
        assert [one.name for one in cursor.description] == ["n", "repeat"]
        assert cursor.fetchone() == (1, "x")
        cursor.scroll(98)
        assert cursor.fetchmany(2) == [(n, "x" * n) for n in (100, 101)]
        cursor.scroll(0, mode="absolute")
        assert sum(1 for _ in cursor) == 200
    with connection.cursor("kept", withhold=True, binary=True) as kept:
        kept.execute("SELECT generate_series(1, 10)")
        connection.commit()
        assert len(kept.fetchall()) == 10


def test_streams_and_large_results(connection: psycopg.Connection) -> None:
    with connection.cursor(binary=True) as cursor:
        rows = cursor.stream("SELECT n, repeat('y', 500) FROM generate_series(1, 20000) n")
        assert sum(row[0] for row in rows) == 20000 * 20001 // 2
    row = connection.execute("SELECT repeat('z', 20000000)").fetchone()
    assert row is not None
    assert len(row[0]) == 20_000_000


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_copy_both_ways(connection: psycopg.Connection, form: str) -> None:
    connection.execute("CREATE TEMP TABLE c (n int, text text, raw bytea)")
    rows = [(n, None if n % 3 == 0 else 'tab\t\\ \n "q" ü', b"\0\xff") for n in range(2000)]
    with connection.cursor() as cursor:
        if form == "csv":
            with cursor.copy("COPY c (n, text) FROM STDIN (FORMAT csv)") as copy:
                copy.write("".join(f'{n},"a ""b"", c"\n' for n in range(2000)))
        else:
            with cursor.copy(f"COPY c FROM STDIN (FORMAT {form})") as copy:
                copy.set_types(["int4", "text", "bytea"])
                for row in rows:
                    copy.write_row(row)
        assert cursor.rowcount == 2000
        if form == "binary":
            with cursor.copy("COPY c TO STDOUT (FORMAT binary)") as copy:
                copy.set_types(["int4", "text", "bytea"])
                assert list(copy.rows()) == rows
        else:
            with cursor.copy(f"COPY (SELECT * FROM c ORDER BY n LIMIT 3) TO STDOUT (FORMAT {form})") as copy:
                shown = b"".join(map(bytes, copy))
                assert shown.count(b"\n") == 3
        with pytest.raises(errors.BadCopyFileFormat), cursor.copy("COPY c FROM STDIN") as copy:
            copy.write_row((1, "too few"))
        with pytest.raises(psycopg.ProgrammingError), cursor.copy("COPY c FROM STDIN") as copy:
            copy.write_row((1, object(), b"b"))  # it gives up: CopyFail
    assert connection.execute("SELECT count(*) FROM c").fetchone() == (2000,)


def test_notices_and_notifications(connection: psycopg.Connection) -> None:
    seen: list[str | None] = []
    connection.add_notice_handler(lambda diag: seen.append(diag.message_primary))
    connection.execute("DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END$$")
    assert seen == ["one", "two"]
    connection.execute("LISTEN news")
    connection.execute("NOTIFY news, 'own'")
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as other:
        other.execute("SELECT pg_notify('news', 'of another')")
    heard = [notify.payload for notify in connection.notifies(timeout=10, stop_after=2)]
    assert heard == ["own", "of another"]
    connection.execute("UNLISTEN *")


def test_asynchronous_and_cancelled(opened_database: Opened) -> None:
    async def go() -> None:
        async with await psycopg.AsyncConnection.connect(opened_database.gateway.dsn()) as connection:
            asleep = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
            await asyncio.sleep(0.3)
            await connection.cancel_safe(timeout=10)
            with pytest.raises(errors.QueryCanceled):
                await asleep
            await connection.rollback()
            async with connection.cursor("named") as cursor:
                await cursor.execute("SELECT generate_series(1, 1000)")
                assert len([row async for row in cursor]) == 1000
            async with connection.pipeline():
                cursors = [await connection.execute("SELECT %s::int", (n,)) for n in range(20)]
                assert [await cursor.fetchone() for cursor in cursors] == [(n,) for n in range(20)]

    asyncio.run(go())


def test_a_statement_timeout_is_the_servers(connection: psycopg.Connection) -> None:
    connection.execute("SET statement_timeout = 50")
    with pytest.raises(errors.QueryCanceled, match="statement timeout"):
        connection.execute("SELECT pg_sleep(60)")
    assert connection.execute("RESET statement_timeout").statusmessage == "RESET"
