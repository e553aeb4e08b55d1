"""What a real server returns never contradicts what the analysis says that it may return."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq

from extproc.postgres.catalog import Catalog
from extproc.postgres.database.introspect import BUILT_IN, LOOK, OWN, combine, look, part
from extproc.postgres.sql.analyse import analyse, origins_of
from extproc.postgres.sql.model import Analysis, OutputColumn
from tests.integration.lineage_statements import FIXED, OTHER, ROWS, Random
from tests.integration.postgres import Server
from tests.unit.postgres.sql.shop import SCHEMA

SEEDS = 1000
MARK = re.compile(r"<([a-z_]+\.[a-z_ ]+)>", re.IGNORECASE)
SECRET = ("public.customers", "ssn")


class Database:
    def __init__(self, server: Server, name: str) -> None:
        self.connection = psycopg.connect(
            host=str(server.home), port=server.port, user="postgres", dbname=name, autocommit=True
        )
        self.run("SET statement_timeout = '2s'; SET jit = off")

    def run(self, text: str) -> pq.abc.PGresult:
        return self.connection.pgconn.exec_(text.encode())

    def undone(self, text: str) -> pq.abc.PGresult:
        self.run("BEGIN")
        result = self.run(text)
        self.run("ROLLBACK")
        return result

    def described(self, text: str) -> list[tuple[str, int, int]] | None:
        """Name, table and attribute of each column; None where the server refuses the text."""
        connection = self.connection.pgconn
        if connection.prepare(b"s", text.encode()).status != pq.ExecStatus.COMMAND_OK:
            return None
        found = connection.describe_prepared(b"s")
        self.run("DEALLOCATE s")
        return fields(found)

    def catalog(self) -> Catalog:
        def rows(statement: str) -> list[list[str | None]]:
            result = self.run(statement)
            assert result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK), result.error_message
            return [[text(result, row, column) for column in range(result.nfields)] for row in range(result.ntuples)]

        own, built_in = (part([rows(one) for one in statements]) for statements in (OWN, BUILT_IN))
        return combine(look(rows(LOOK)), built_in, own)


def text(result: pq.abc.PGresult, row: int, column: int) -> str | None:
    value = result.get_value(row, column)
    return None if value is None else value.decode()


def fields(result: pq.abc.PGresult) -> list[tuple[str, int, int]]:
    return [
        ((result.fname(at) or b"").decode(), result.ftable(at), result.ftablecol(at)) for at in range(result.nfields)
    ]


@pytest.fixture(scope="module", params=["postgres18", "postgres15"])
def databases(request: pytest.FixtureRequest) -> Iterator[tuple[Database, Database]]:
    """Two that differ in `customers.ssn` alone."""
    server: Server = request.getfixturevalue(request.param)
    server.create("CREATE DATABASE lineage")
    server.create(SCHEMA + ROWS, "lineage")
    server.create("CREATE DATABASE lineage2 TEMPLATE lineage")
    server.create(OTHER, "lineage2")
    found = Database(server, "lineage"), Database(server, "lineage2")
    yield found
    for one in found:
        one.connection.close()
    for name in ("lineage", "lineage2"):
        server.create(f"DROP DATABASE {name} WITH (FORCE)")


def output_of(analysis: Analysis, described: list[tuple[str, int, int]]) -> tuple[OutputColumn, ...]:
    (step,) = analysis.steps
    assert step.output_sure
    assert all(one.sure for one in analysis.statements)
    output = step.output or ()
    assert [one.name for one in output] == [name for name, _, _ in described]
    return output


def assert_agrees(catalog: Catalog, output: tuple[OutputColumn, ...], described: list[tuple[str, int, int]]) -> None:
    for column, (_, table, number) in zip(output, described, strict=True):
        if table:
            said = origins_of(catalog, table, number)
            assert said is not None
            assert said <= column.origins
        assert column.sure


def test_row_description_never_contradicts_the_lineage(databases: tuple[Database, Database]) -> None:
    database, _ = databases
    catalog = database.catalog()
    taken = 0
    for statement in FIXED:
        described = database.described(statement)
        if described is None:  # newer than this server
            continue
        taken += 1
        assert_agrees(catalog, output_of(analyse(statement, catalog), described), described)
    assert taken > (125 if catalog.server_version >= 180000 else 110)


def test_a_value_comes_from_where_the_lineage_says(databases: tuple[Database, Database]) -> None:
    """Each cell tells by a mark which columns are in it. One that comes as it is holds that of one column."""
    database, _ = databases
    catalog = database.catalog()
    taken = 0
    for statement in (*FIXED, *(Random(seed).statement() for seed in range(SEEDS))):
        result = database.undone(statement)
        if result.status != pq.ExecStatus.TUPLES_OK:
            continue
        taken += 1
        output = output_of(analyse(statement, catalog), fields(result))
        assert_agrees(catalog, output, fields(result))
        for at, column in enumerate(output):
            marks = marked(result, at)
            known = {f"{one.table.partition('.')[2]}.{one.column}".lower() for one in column.origins}
            assert {one for found in marks for one in found} <= known, statement
            assert not column.direct or all(len(set(found)) <= 1 for found in marks), statement
    assert taken > SEEDS * 0.75


def marked(result: pq.abc.PGresult, column: int) -> list[list[str]]:
    values = (text(result, row, column) or "" for row in range(result.ntuples))
    return [[one.lower() for one in MARK.findall(value)] for value in values]


def test_a_column_that_is_only_projected_changes_nothing_else(databases: tuple[Database, Database]) -> None:
    """What comes from `ssn` aside, both databases give the same rows."""
    database, other = databases
    catalog = database.catalog()
    taken = 0
    for seed in range(SEEDS):
        statement = Random(seed).statement()
        analysis = analyse(statement, catalog)
        uses = {
            use
            for one in analysis.statements
            for found in one.columns
            if (found.table, found.column) == SECRET
            for use in found.uses
        }
        if not uses <= {"project"}:
            continue
        results = database.undone(statement), other.undone(statement)
        assert results[0].status == results[1].status, statement
        if results[0].status != pq.ExecStatus.TUPLES_OK:
            continue
        taken += 1
        kept = [
            at
            for at, column in enumerate(analysis.steps[0].output or ())
            if not any((one.table, one.column) == SECRET for one in column.origins)
        ]
        first, second = (
            sorted(repr([text(result, row, at) for at in kept]) for row in range(result.ntuples)) for result in results
        )
        assert first == second, statement
    assert taken > SEEDS * 0.25
