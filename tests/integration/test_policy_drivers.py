"""What clients ask on their own: psql's backslash commands, drivers' introspection. The default policy lets it through."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo
from sqlalchemy.dialects.postgresql.base import PGInspector

from extproc.model import Decision
from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine
from extproc.postgres.catalog import Catalog
from extproc.postgres.database.login import Login
from extproc.postgres.sql.analyse import analyse
from tests.integration.cluster import BINARIES
from tests.integration.gateway import ROOT
from tests.integration.pglink import linked
from tests.integration.postgres import PASSWORDS, Server
from tests.integration.sql_questions import question
from tests.integration.test_postgres_catalog import catalog_of
from tests.unit.postgres.sql import shop

DATABASE = "drivers"
READER = Login("reader", DATABASE, PASSWORDS["reader"])
LISTING = (
    "d", "dt", "dv", "di", "ds", "dm", "dn", "dn+", "du", "dg", "l", "dT", "dT+", "dD", "do", "dp", "dx", "dy", "dC", "dc",
    "dO", "dL", "dd", "ddp", "dF", "df", "df+", "da", "dAc", "dP", "db", "des", "dew", "det", "dRp", "dX", "drds",
    "encoding", "conninfo",
)  # fmt: skip
NAMED = (
    r"\d customers", r"\d+ customers", r"\d orders", r"\d contacts", r"\d+ contacts", r"\d cities", r"\d events", r"\d numbers",
    r"\df double", r"\sf double", r"\sv contacts", r"\dt public.*", r"\d pg_class", r"\d+ hr.staff",
)  # fmt: skip


@dataclass(frozen=True)
class Behind:
    server: Server
    catalog: Catalog

    @property
    def url(self) -> str:
        return f"postgresql://reader:{PASSWORDS['reader']}@127.0.0.1:{self.server.port}/{DATABASE}"

    def seen(self, act: Callable[[], object]) -> list[str]:
        """What reached the server from the client meanwhile, each text once."""
        self.server.clear_log()
        act()
        return list(dict.fromkeys(self.server.statements("reader") + self.server.parsed("reader")))


@pytest.fixture(scope="module", params=["postgres18", "postgres15"])
def behind(request: pytest.FixtureRequest) -> Iterator[Behind]:
    server: Server = request.getfixturevalue(request.param)
    server.create(f"CREATE DATABASE {DATABASE}")
    server.create(shop.SCHEMA, DATABASE)
    server.create("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", DATABASE)
    server.create("CREATE INDEX ON customers (city); CREATE STATISTICS two ON city, name FROM customers", DATABASE)
    with linked(server, READER) as link:
        catalog = catalog_of(link)
    yield Behind(server, catalog)
    server.create(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(ROOT / "rego" / "policy")


def decide(engine: EmbeddedEngine, text: str, catalog: Catalog) -> Decision:
    document = question(json.loads(analyse(text, catalog).facts))
    return read_decision(*engine.evaluate(json.dumps(document).encode()))


def refused(engine: EmbeddedEngine, texts: list[str], catalog: Catalog) -> dict[str, str]:
    decisions = {text: decide(engine, text, catalog) for text in texts}
    return {text: f"{one.rule}: {one.reason}" for text, one in decisions.items() if one.action != "allow"}


def psql(behind: Behind, *commands: str) -> None:
    binary = str(BINARIES[behind.server.version] / "psql")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(
        [binary, "-X", "-f", "-", behind.url],
        input="\n".join(commands),
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_psqls_own_statements_pass(behind: Behind, engine: EmbeddedEngine) -> None:
    texts = behind.seen(lambda: psql(behind, *(f"\\{name}" for name in LISTING), *NAMED))
    assert len(texts) > 80
    assert refused(engine, texts, behind.catalog) == {}


@pytest.mark.parametrize(
    ("command", "rule"),
    [(r"\dt+", "sql.function"), (r"\d+", "sql.function"), (r"\l+", "sql.function"), (r"\dRs", "sql.table")],
)
def test_psqls_statements_that_show_sizes_or_secrets_do_not(
    behind: Behind, engine: EmbeddedEngine, command: str, rule: str
) -> None:
    texts = behind.seen(lambda: psql(behind, command))
    assert {said.partition(":")[0] for said in refused(engine, texts, behind.catalog).values()} == {rule}


def psycopg_at_work(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT id, name FROM customers WHERE id = %s", (1,)).fetchall()
        CompositeInfo.fetch(connection, "address")
        EnumInfo.fetch(connection, "mood")
        TypeInfo.fetch(connection, "email_address")
        with connection.transaction(), connection.cursor(name="few") as cursor:
            cursor.execute("SELECT id FROM customers WHERE id > 0")
            cursor.fetchmany(2)
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        connection.execute("SELECT 1", prepare=True)


async def asyncpg_at_work(url: str) -> None:
    pool = await asyncpg.create_pool(url, min_size=1, max_size=1, ssl=False)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        async for _ in connection.cursor("SELECT id FROM customers WHERE id > $1", 0):
            pass
        await connection.fetch("SELECT id, city FROM customers WHERE city = ANY($1)", ["a"])
    async with pool.acquire() as connection:  # it was reset in between
        await connection.fetch("SELECT id FROM customers WHERE id = $1", 1)
        await connection.fetch("SELECT typname FROM pg_type WHERE oid = $1", 16)
    await pool.close()


def pool_at_work(url: str) -> None:
    asyncio.run(asyncpg_at_work(url))


async def asyncpg_looks_types_up(url: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    await connection.fetch("SELECT home, feeling, mail FROM people WHERE id = $1", 1)
    await connection.close()


def sqlalchemy_at_work(url: str) -> None:
    made = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with made.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    inspector = sqlalchemy.inspect(made)
    assert isinstance(inspector, PGInspector)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)  # it does not know types of the database's own
        sqlalchemy.MetaData().reflect(made, views=True)
    assert inspector.get_view_definition("contacts")
    inspector.get_enums(), inspector.get_schema_names(), inspector.get_sequence_names()
    made.dispose()


@pytest.mark.parametrize(
    "work", [psycopg_at_work, pool_at_work, sqlalchemy_at_work], ids=["psycopg", "asyncpg", "sqlalchemy"]
)
def test_drivers_own_statements_pass(behind: Behind, engine: EmbeddedEngine, work: Callable[[str], None]) -> None:
    texts = behind.seen(lambda: work(behind.url))
    assert len(texts) > 5
    assert refused(engine, texts, behind.catalog) == {}


def test_asyncpg_may_look_types_up(behind: Behind, engine: EmbeddedEngine) -> None:
    """It turns `jit` off for that and sets it again by a parameter, which the analysis may take for unsure."""
    texts = behind.seen(lambda: asyncio.run(asyncpg_looks_types_up(behind.url)))
    assert any("WITH RECURSIVE typeinfo_tree" in text for text in texts)
    assert any("set_config('jit', 'off', false)" in text for text in texts)
    said = refused(engine, texts, behind.catalog)
    assert {" ".join(text.split()) for text in said if "people" not in text} <= {"SELECT set_config('jit', $1, false)"}


# What drivers that are not installed here send when they start, reset or are asked for metadata: our own wording.
OTHERS = (
    "",
    "-- ping",
    "SET extra_float_digits = 3",
    "SET application_name = 'PostgreSQL JDBC Driver'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "show standard_conforming_strings",
    "select pg_catalog.version()",
    "select current_schema()",
    "SELECT CURRENT_DATABASE(), CURRENT_USER, SESSION_USER, current_setting('server_version_num')",
    "SET client_min_messages TO warning; SET standard_conforming_strings = on; SET TIME ZONE 'UTC'",
    "BEGIN; SAVEPOINT a; RELEASE SAVEPOINT a; SAVEPOINT b; ROLLBACK TO b; COMMIT",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
    "DISCARD ALL",
    "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
    (
        "SELECT n.nspname, c.relname, a.attname, a.atttypid, a.attnotnull, a.atttypmod, pg_catalog.pg_get_expr(d.adbin, d.adrelid),"
    " row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) FROM pg_catalog.pg_namespace n"
    " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    " LEFT JOIN pg_catalog.pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
    " WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public'"
    ),
    (
        "SELECT result.attname, (result.keys).x, (result.keys).n FROM (SELECT a.attname,"
    " information_schema._pg_expandarray(i.indkey) AS keys FROM pg_catalog.pg_attribute a"
    " JOIN pg_catalog.pg_index i ON a.attrelid = i.indrelid) result"
    ),
    "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_index_keys'",
    "SELECT oid, typname, typelem, typtype FROM pg_type ORDER BY oid",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
    "SELECT constraint_name FROM information_schema.key_column_usage",
)  # fmt: skip


@pytest.mark.parametrize("text", OTHERS)
def test_what_other_drivers_send_passes(behind: Behind, engine: EmbeddedEngine, text: str) -> None:
    assert refused(engine, [text], behind.catalog) == {}
