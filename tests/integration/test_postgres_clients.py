"""Real clients in front, PostgreSQL behind, where policy allows all: they notice nothing."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from sqlalchemy import orm

from tests.integration.cluster import BINARIES, available
from tests.integration.database import psql, running
from tests.integration.gateway import Gateway
from tests.integration.postgres import DATABASE, Server, serving

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(18) as made:
        made.create("grant create on schema public to app")
        yield made


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[Gateway]:
    with running(server) as made:
        yield made


def tool(gateway: Gateway, name: str, *arguments: str, version: int = 18) -> subprocess.CompletedProcess[str]:
    environ = {"PGPASSWORD": gateway.token(), "PGSSLMODE": "disable", "PATH": "/usr/bin:/bin"}
    command = [str(BINARIES[version] / name), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def where(gateway: Gateway) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(gateway.database_port), "-U", "job"]


def test_psql(gateway: Gateway) -> None:
    for binary in (BINARIES[version] / "psql" for version in BINARIES if available(version)):
        shown = psql(gateway, "select 1 as a, null, 'x'", "\\d customers", "select 1/0", "select 2", binary=str(binary))
        assert "1||x" in shown
        assert "card_number|text" in shown
        assert "22012" in shown
        assert "2\n" in shown


def test_psycopg(gateway: Gateway) -> None:
    with psycopg.connect(gateway.dsn(), row_factory=dict_row) as connection:
        for number in range(8):  # prepared on the server from the sixth time on
            found = connection.execute("select id, name from customers where id >= %s order by id", (1 + number % 2,))
            assert found.fetchone()
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("select 1/0")
        with connection.transaction(force_rollback=True):
            connection.execute("insert into customers (id, name) values (99, 'gone')")
        assert connection.execute("select * from customers where id = 99").fetchall() == []
        values = [None, True, 1.5, [1, 2], b"\0\xff", "ä"]
        names = "select %s::text a, %s b, %s::float8 c, %s::int[] d, %s e, %s f"
        row = connection.execute(names, values, binary=True).fetchone()
        assert row is not None
        assert list(row.values()) == values
        with connection.cursor("named") as cursor:
            cursor.execute("select generate_series(1, 1000) as n")
            assert len(cursor.fetchmany(10)) == 10
            assert len(cursor.fetchall()) == 990


def test_psycopg_in_a_pipeline_and_with_copy(gateway: Gateway) -> None:
    with psycopg.connect(gateway.dsn()) as connection:
        with connection.pipeline():
            cursors = [connection.execute("select %s::int", (number,)) for number in range(50)]
            assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            fail_in_a_pipeline(connection)
        connection.rollback()
        connection.execute("create temp table t (n int, text text)")
        with connection.cursor().copy("copy t from stdin") as copy:
            for number in range(5000):
                copy.write_row((number, "line\twith\\all"))
        with connection.cursor().copy("copy t to stdout (format binary)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows())[-1] == (4999, "line\twith\\all")
        with connection.cursor().copy("copy (select n from t order by n limit 2) to stdout csv") as copy:
            assert b"".join(bytes(piece) for piece in copy) == b"0\n1\n"


def fail_in_a_pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        for statement in ("select 1", "select 1/0", "select 2"):
            connection.execute(statement)


def test_psycopg_cancels(gateway: Gateway) -> None:
    async def go() -> None:
        async with await psycopg.AsyncConnection.connect(gateway.dsn()) as connection:
            running_query = asyncio.create_task(connection.execute("select pg_sleep(30)"))
            await asyncio.sleep(0.3)
            await connection.cancel_safe(timeout=10)
            with pytest.raises(psycopg.errors.QueryCanceled):
                await running_query

    asyncio.run(go())


def test_asyncpg(gateway: Gateway) -> None:
    async def go() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=gateway.database_port,
            user="job",
            password=gateway.token(),
            database=DATABASE,
            ssl=False,
        )
        assert [row["name"] for row in await connection.fetch("select name from customers where id = $1", 1)] == [
            "Ada Byron"
        ]
        async with connection.transaction():
            assert len([row async for row in connection.cursor("select generate_series(1, 500)")]) == 500
        await connection.execute("create temp table t (n int, text text)")
        await connection.executemany("insert into t values ($1, $2)", [(n, "x") for n in range(100)])
        await connection.copy_records_to_table("t", records=[(n, None) for n in range(100)])
        assert await connection.fetchval("select count(*) from t") == 200
        assert await connection.fetchval("select $1::int[] || $2::int", [1, 2], 3) == [1, 2, 3]
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("select 1 / $1::int", 0)
        await connection.reset()
        await connection.close()

    asyncio.run(go())


class Base(orm.DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    text: orm.Mapped[str]


@pytest.mark.parametrize("driver", ["psycopg"])
def test_sqlalchemy(gateway: Gateway, driver: str) -> None:
    url = sa.URL.create(
        f"postgresql+{driver}",
        "job",
        gateway.token(),
        "127.0.0.1",
        gateway.database_port,
        DATABASE,
        {"sslmode": "disable"},
    )
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Note(text="first"), Note(text="second")])
        session.commit()
        assert [note.text for note in session.scalars(sa.select(Note).order_by(Note.id))] == ["first", "second"]
    columns = sa.inspect(engine).get_columns("notes")
    assert [column["name"] for column in columns] == ["id", "text"]
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(gateway: Gateway, server: Server, mode: str) -> None:
    if not server.psql("select 1 from pg_tables where tablename = 'pgbench_accounts'").strip():
        made = tool(gateway, "pgbench", *where(gateway), "-i", "-q", DATABASE)
        assert made.returncode == 0, made.stderr
    ran = tool(gateway, "pgbench", *where(gateway), "-M", mode, "-c", "4", "-t", "25", DATABASE)
    assert ran.returncode == 0, ran.stderr
    assert "number of transactions actually processed: 100/100" in ran.stdout


def test_what_is_masked_in_a_copy_can_be_loaded_again(server: Server) -> None:
    policy = 'package extproc\n\ndecision := {"action": "allow", "redact": [{"columns": ["id", "ssn", "born"]}]}\n'
    with (
        running(server, policy=policy) as masking,
        psycopg.connect(masking.dsn()) as connection,
        connection.cursor().copy("copy customers to stdout") as copy,
    ):
        lines = b"".join(bytes(piece) for piece in copy)
    assert lines.startswith(b"0\tAda Byron")
    assert b"1970-01-01\n" in lines


def test_pg_dump_and_restore(gateway: Gateway, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    dumped = tool(gateway, "pg_dump", *where(gateway), "-Fc", "-t", "customers", "-f", str(file), DATABASE)
    assert dumped.returncode == 0, dumped.stderr
    server.create("create schema if not exists other")
    listed = tool(gateway, "pg_restore", "--data-only", "-f", "-", str(file))
    assert "Ada Byron" in listed.stdout
