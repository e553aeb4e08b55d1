"""Masked values against a real server and real drivers: each is one that the server takes, and would send itself."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest
from psycopg.pq import Format

from extproc.model import Strategy
from extproc.postgres.catalog import Type
from extproc.postgres.masking.values import TypeInfo, masked, type_info
from tests.integration.postgres import SUPERUSER, Server

KEY = b"k" * 32
TYPES = {
    "text": "abc", "varchar(3)": "abc", "varchar": "abcdefghij", "bpchar(5)": "abc", "name": "abc", '"char"': "a",
    "xml": "<a>b</a>", "json": '{"a":"jane"}', "jsonb": '"a \\" string"', "int2": "7", "int4": "7", "int8": "7",
    "numeric": "12.50", "numeric(12,2)": "12.50", "float4": "1.5", "float8": "1.5", "bool": "t", "oid": "7",
    "money": "12.50", "bytea": "\\x6162", "date": "2024-02-29", "time": "10:11:12", "timetz": "10:11:12+02",
    "timestamp": "2024-02-29 10:11:12.5", "timestamptz": "2024-02-29 10:11:12.5+02", "interval": "1 year 2 days",
    "uuid": "11111111-2222-3333-4444-555555555555", "inet": "10.1.2.3/8", "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03", "macaddr8": "08:00:2b:01:02:03:04:05", "refcursor": "c",
    "text[]": "{a,b}", "int4[]": "{1,2}", "int8[]": "{1,2}", "numeric[]": "{1.5}", "json[]": '{"{}"}', "jsonb[]": '{"{}"}',
    "uuid[]": "{}", "bytea[]": "{}", "date[]": "{}", "timestamptz[]": "{}", "bool[]": "{t}", "varchar[]": "{a}",
    "inet[]": "{}", "interval[]": "{}", '"char"[]': "{a}", "point[]": "{}", "int4range[]": "{}", "text[][]": "{{a},{b}}",
    "mood[]": "{sad}", "word": "abc", "word[]": "{abc}", "pair[]": "{}", "whole": "7",
}  # fmt: skip
NULLED = {
    "mood": "sad", "pair": "(1,a)", "int4range": "[1,2)", "point": "(1,2)", "bit(3)": "101", "varbit": "101", "tsvector": "a b",
    "pg_lsn": "0/1", "int2vector": "1 2", "oidvector": "1 2", "xid": "7", "regclass": "pg_class", "jsonpath": "$.a",
    "int4multirange": "{[1,2)}",
}  # fmt: skip
STRATEGIES: tuple[Strategy, ...] = ("mask", "partial", "hash", "token")


# What a value's type says beyond its kind is not checked again on the wire.
UNBOUND = {"varchar(3)": "varchar", "bpchar(5)": "bpchar", "numeric(12,2)": "numeric"}


@pytest.fixture(scope="module", params=["postgres18", "postgres15"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running: Server = request.getfixturevalue(request.param)
    running.create("CREATE DATABASE typed")
    running.create(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text);"
        "CREATE DOMAIN word AS text; CREATE DOMAIN sure AS int; CREATE DOMAIN whole AS sure;",
        "typed",
    )
    yield running
    running.create("DROP DATABASE typed WITH (FORCE)")


@pytest.fixture
def connection(server: Server) -> Iterator[psycopg.Connection]:
    options = "-c timezone=UTC"
    with psycopg.connect(
        host=str(server.home), port=server.port, user=SUPERUSER, dbname="typed", options=options, autocommit=True
    ) as connected:
        yield connected


def catalog(connection: psycopg.Connection) -> dict[int, Type]:
    query = "SELECT oid, '', typname, typtype, typcategory, typelem, typbasetype, typrelid FROM pg_type"
    return {row[0]: Type(*row) for row in connection.execute(query)}


def has_xml(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def described(connection: psycopg.Connection, name: str) -> TypeInfo:
    """As RowDescription tells it, which a domain does not stand in."""
    cursor = connection.execute(f"SELECT NULL::{name}")
    assert cursor.description is not None
    return type_info(cursor.description[0].type_code, catalog(connection))


def copied(connection: psycopg.Connection, name: str, value: bytes, binary: int) -> bytes | None:
    """What the server sends for a value once it has read it."""
    connection.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (v {name})")
    with connection.cursor() as cursor:
        if binary:
            with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
                row = struct.pack("!hi", 1, len(value)) + value
                copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + row + b"\xff\xff")
        else:
            with cursor.copy("COPY t FROM STDIN (DELIMITER '|')") as copy:
                copy.write(value.replace(b"\\", b"\\\\") + b"\n")
    with connection.cursor(binary=bool(binary)) as cursor:
        cursor.execute("SELECT v FROM t")
        assert cursor.pgresult is not None
        assert cursor.pgresult.fformat(0) == (Format.BINARY if binary else Format.TEXT)
        return cursor.pgresult.get_value(0, 0)


@pytest.mark.parametrize("binary", [0, 1])
@pytest.mark.parametrize(("name", "value"), TYPES.items())
def test_the_server_takes_a_masked_value_and_would_send_it(
    connection: psycopg.Connection, name: str, value: str, binary: int
) -> None:
    if name == "xml" and not has_xml(connection):
        pytest.skip("this PostgreSQL is built without XML")
    info = described(connection, name)
    with connection.cursor(binary=bool(binary)) as cursor:
        cursor.execute(f"SELECT '{value}'::{name}")
        assert cursor.pgresult is not None
        original = cursor.pgresult.get_value(0, 0)
    assert original is not None
    for strategy in STRATEGIES:
        new = masked(strategy, original, info, binary, KEY)
        assert new is not None
        assert new != original or original in (b"{}", bytes(8) + original[8:])
        sent = copied(connection, UNBOUND.get(name, name), new, binary)
        if name != "money" or binary:  # whose text is the locale's
            assert sent == new
    assert masked("drop", original, info, binary, KEY) is None


@pytest.mark.parametrize("binary", [0, 1])
@pytest.mark.parametrize("name", NULLED)
def test_what_has_no_neutral_value_becomes_null(connection: psycopg.Connection, name: str, binary: int) -> None:
    info = described(connection, name)
    assert [masked(strategy, b"x", info, binary, KEY) for strategy in STRATEGIES] == [None] * len(STRATEGIES)


@pytest.mark.parametrize("binary", [0, 1])
def test_psycopg_reads_masked_values(connection: psycopg.Connection, binary: int) -> None:
    from psycopg.adapt import Transformer

    for name in TYPES:
        info = described(connection, name)
        new = masked("mask", b"x" * 12, info, binary, KEY)
        assert new is not None
        loader = Transformer(connection).get_loader(info.oid, Format(binary))
        loader.load(new)


def test_asyncpg_reads_masked_values(server: Server, connection: psycopg.Connection) -> None:
    """Its codecs are for binary values alone, and take only what a server sends: so the server sends it."""

    async def read(name: str) -> object:
        connected = await asyncpg.connect(
            host=str(server.home), port=server.port, user=SUPERUSER, database="typed", statement_cache_size=0
        )
        try:
            return await connected.fetchval("SELECT v FROM t")
        finally:
            await connected.close()

    for name in (
        "text",
        "jsonb",
        "int8",
        "numeric",
        "date",
        "timestamptz",
        "interval",
        "uuid",
        "inet",
        "text[]",
        "bytea",
    ):
        new = masked("mask", b"x" * 12, described(connection, name), 1, KEY)
        assert new is not None
        assert copied(connection, name, new, 1) == new
        assert asyncio.run(read(name)) is not None
