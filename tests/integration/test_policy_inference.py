"""
Databases that differ in the masked columns alone: whatever the default policy lets through, the rest of the answer is the
same byte by byte. What is masked is left out here: that masks hide it is for other tests.

How long values are decides how many pages a table has, and that which plan is taken: rows that no ORDER BY puts in order come as
they come then, and a LIMIT takes some of them. So databases with longer values are held to the same rows, in any order.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from extproc.errors import Refusal
from extproc.model import Decision
from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine
from extproc.postgres.catalog import Catalog
from extproc.postgres.database.login import Login
from extproc.postgres.operation import SqlOperation
from extproc.postgres.plan import ColumnRules
from extproc.postgres.sql.analyse import analyse
from extproc.postgres.sql.model import Analysis, OutputColumn, SqlError
from tests.integration.gateway import ROOT
from tests.integration.pglink import linked
from tests.integration.postgres import PASSWORDS, Server
from tests.integration.sql_curious import statements
from tests.integration.sql_questions import question
from tests.integration.test_postgres_catalog import catalog_of
from tests.unit.postgres.sql import shop

Databases = list[psycopg.Connection]

VIEWS = ("contacts", "secrets", "tails", "berlin", "spend", "cities")
FEW, MANY = 3000, 20_000
NAMES = ("first", "second", "longer")
EMPTY = "empty"
OPEN_ORDER = re.compile(r"LIMIT|row_number|FETCH FIRST")  # what comes back may depend on the order of rows
# The same people; what is masked has other values, of other lengths and in another order.
ROWS = """
INSERT INTO customers SELECT n, 'name ' || n % 97, {email}, '+1-202-' || n, (ARRAY['Berlin', 'Paris', 'Rome'])[n % 3 + 1],
    {card}, {ssn}, n * 1.5, date '1970-01-01' + n FROM generate_series(1, 400) n;
INSERT INTO orders SELECT n, n % 400 + 1, 'thing', n, 'note', timestamptz '2026-01-01' FROM generate_series(1, 900) n;
REFRESH MATERIALIZED VIEW cities;
ANALYZE;
"""
MORE = """
CREATE INDEX ON customers (city);
CREATE INDEX ON customers (ssn);
CREATE STATISTICS two ON city, ssn FROM customers;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
"""
VALUES = (
    {
        "email": "lpad(n::text, 20, 'a') || '@example.com'",
        "card": "(4111111111111111 + n)::text",
        "ssn": "'078-05-' || (1000 + n)",
    },
    {
        "email": "rpad('x', 20, 'y') || '@example.com'",
        "card": "lpad((400 - n)::text, 16, '9')",
        "ssn": "lpad((n % 4)::text, 11, 'z')",
    },
    {
        "email": "repeat('a', n % 50 + 90)",
        "card": "CASE WHEN n % 7 > 0 THEN (400 - n)::text END",
        "ssn": "(ARRAY['1', 'zzz', '078-05-1001', '5'])[n % 4 + 1]",
    },
)


@pytest.fixture(scope="module")
def databases(postgres18: Server) -> Iterator[Databases]:
    postgres18.create(f"CREATE DATABASE {EMPTY}")
    postgres18.create(shop.SCHEMA + MORE, EMPTY)
    for name, values in zip(NAMES, VALUES, strict=True):
        postgres18.create(f"CREATE DATABASE {name} TEMPLATE {EMPTY}")  # the same OIDs in both
        postgres18.create(ROWS.format(**values), name)
    url = f"postgresql://reader:{PASSWORDS['reader']}@127.0.0.1:{postgres18.port}"
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(f"{url}/{name}", autocommit=True)) for name in NAMES]
    for name in (*NAMES, EMPTY):
        postgres18.create(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def catalog(postgres18: Server, databases: object) -> Catalog:
    with linked(postgres18, Login("reader", NAMES[0], PASSWORDS["reader"])) as link:
        return catalog_of(link)


def verdict(engine: EmbeddedEngine, analysis: Analysis, text: str) -> Decision:
    """As the gateway has it: policy's decision, then what it refuses itself. Raises `Refusal`."""
    document = question(json.loads(analysis.facts))
    decision = read_decision(*engine.evaluate(json.dumps(document).encode()))
    if decision.action == "deny":
        raise Refusal("policy_denied", rule=decision.rule)
    SqlOperation(text, analysis, "simple", "execute", "shop", "reader", (), "").require_possible(decision)
    return decision


def left(decision: Decision, output: tuple[OutputColumn, ...]) -> list[int]:
    """The places of the columns that come back as they are."""
    rules = ColumnRules(decision.redact)
    return [
        place
        for place, column in enumerate(output)
        if column.sure
        and rules.named(column.name) is None
        and not any(rules.for_column(origin.table, origin.column) for origin in column.origins)
    ]


def answer(connection: psycopg.Connection, text: str, places: list[int]) -> tuple[object, ...]:
    """Rows, tag or error, without the masked columns."""
    with connection.cursor() as cursor:
        try:
            if text.startswith("COPY"):
                with cursor.copy(text) as copy:
                    copied = [bytes(line).rstrip(b"\n").split(b"\t") for line in copy]
                return ("copied", [[row[place] for place in places] for row in copied])
            cursor.execute(text)
        except psycopg.Error as error:
            return ("error", error.sqlstate, str(error))
        if cursor.description is None or cursor.pgresult is None:
            return ("done", cursor.statusmessage)
        result = cursor.pgresult
        name = connection.info.dbname.encode()
        values = [[result.get_value(row, place) for place in places] for row in range(result.ntuples)]
        rows = [[b"its name" if value == name else value for value in row] for row in values]
        return ("rows", [cursor.description[place].name for place in places], rows, cursor.statusmessage)


def in_any_order(found: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(sorted(map(repr, part)) if isinstance(part, list) else part for part in found)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedEngine:
    """The default policy, with the views opened as well."""
    folder = tmp_path_factory.mktemp("policy") / "policy"
    shutil.copytree(ROOT / "rego" / "policy", folder)
    data = json.loads((folder / "data.json").read_text())
    data["extproc"]["tables"] += [f"public.{name}" for name in VIEWS]
    (folder / "data.json").write_text(json.dumps(data))
    return EmbeddedEngine(folder)


def compare(count: int, databases: Databases, catalog: Catalog, engine: EmbeddedEngine) -> Counter[str]:
    seen: Counter[str] = Counter()
    for text in statements(count):
        try:
            analysis = analyse(text, catalog)
            decision = verdict(engine, analysis, text)
        except SqlError:
            seen["not SQL"] += 1
            continue
        except Refusal as refusal:
            seen[refusal.rule or refusal.code.name] += 1
            continue
        (step,) = analysis.steps
        places = left(decision, step.output or ())
        first, second, longer = (answer(connection, text, places) for connection in databases)
        assert first == second, text
        if not OPEN_ORDER.search(text):
            assert in_any_order(first) == in_any_order(longer), text
            seen["compared in any order"] += 1
        seen[f"{decision.action}, {first[0]}"] += 1
    return seen


def test_nothing_that_is_let_through_depends_on_what_is_masked(
    databases: Databases, catalog: Catalog, engine: EmbeddedEngine
) -> None:
    seen = compare(FEW, databases, catalog, engine)
    assert seen["allow, rows"] > FEW / 4
    assert seen["hold, copied"] > FEW / 100
    assert seen["column_protected"] > FEW / 20
    assert seen["compared in any order"] > FEW / 10
    assert {"customers.whole_table", "sql.explain", "sql.function", "sql.statistics"} <= set(seen)


@pytest.mark.slow
def test_nor_over_many_more_statements(databases: Databases, catalog: Catalog, engine: EmbeddedEngine) -> None:
    assert compare(MANY, databases, catalog, engine)["allow, rows"] > MANY / 4


def test_without_the_policy_the_two_databases_can_be_told_apart(databases: Databases) -> None:
    for text in (
        "SELECT count(*) FROM customers WHERE ssn > '5'",
        "SELECT id FROM customers ORDER BY ssn, id",
        "SELECT relpages FROM pg_class WHERE relname = 'customers'",
        "SELECT n_distinct FROM pg_stats WHERE attname = 'ssn'",
        "EXPLAIN SELECT id FROM customers WHERE city = 'Rome'",
        "SELECT pg_column_size(customers) FROM customers WHERE id = 50",
        "SELECT ctid FROM customers WHERE id = 400",
    ):
        first, second, longer = (answer(connection, text, [0]) for connection in databases)
        assert first[0] == second[0] == longer[0] == "rows", text
        assert first != second or first != longer, text
