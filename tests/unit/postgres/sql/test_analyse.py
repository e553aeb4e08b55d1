"""A whole query string: its steps, what they do to the meaning of the next, what is remembered, and what is too much."""

from __future__ import annotations

import time

import orjson
import pytest

from extproc.postgres.sql.analyse import analyse
from extproc.postgres.sql.model import Setting, SqlError
from extproc.postgres.sql.parse import Parsed, parse
from extproc.postgres.sql.steps import moves_names
from tests.unit.postgres.sql.seen import analysed, statements
from tests.unit.postgres.sql.shop import shop

MOVES = """
SET search_path = hr
SET LOCAL search_path = hr
SELECT set_config('search_path', 'hr', false)
SELECT 1 FROM customers WHERE set_config('Search_Path', 'hr', true) = 'hr'
DO $$BEGIN SET search_path = hr; END$$
RESET search_path
SET search_path TO DEFAULT
RESET ALL
DISCARD ALL
"""
DEFINES = """
CREATE VIEW v AS SELECT 1
ALTER TABLE audit RENAME TO x
DROP TABLE audit
DO $$BEGIN EXECUTE 'x'; END$$
SELECT run('x')
SELECT unheard_of()
"""
CHANGES = MOVES.strip().splitlines() + DEFINES.strip().splitlines()


@pytest.mark.parametrize("text", MOVES.strip().splitlines())
def test_what_moves_names_is_known(text: str) -> None:
    assert moves_names(analysed(text).steps[0])


@pytest.mark.parametrize("text", ["SET timezone = 'UTC'", "SHOW search_path", "SELECT 1", "RESET timezone"])
def test_what_moves_no_names_is_known_too(text: str) -> None:
    assert not moves_names(analysed(text).steps[0])


@pytest.mark.parametrize("first", CHANGES)
def test_what_follows_a_change_in_the_same_string_is_not_sure(first: str) -> None:
    text = f"{first}; SELECT ssn FROM customers"
    last = statements(text)[-1]
    assert not last.sure
    assert "same string" in last.doubts[-1]
    assert not analysed(text).steps[-1].output_sure


@pytest.mark.parametrize("first", ["SET work_mem = 100", "BEGIN", "SELECT purge()", "DELETE FROM audit"])
def test_other_statements_do_not_make_the_next_unsure(first: str) -> None:
    text = f"{first}; SELECT ssn FROM customers"
    assert statements(text)[-1].sure
    assert analysed(text).steps[-1].output_sure


@pytest.mark.parametrize(
    "text",
    [
        "SET role = x",
        "SELECT set_config('role', 'x', false)",
        "WITH a AS (SELECT set_config('role', 'x', false)) SELECT * FROM a",
        "DO $$BEGIN PERFORM set_config('role', 'x', false); END$$",
        "EXPLAIN ANALYZE SELECT set_config('role', 'x', false)",
        "COPY (SELECT set_config('role', 'x', false)) TO STDOUT",
    ],
)
def test_what_is_set_anywhere_stands_in_the_step(text: str) -> None:
    assert analysed(text).steps[0].settings == (Setting("role", "x"),)


def test_what_is_prepared_is_not_set_yet() -> None:
    (step,) = analysed("PREPARE a AS SELECT set_config('role', 'x', false)").steps
    assert step.settings == ()
    assert step.inner is not None
    assert step.inner.steps[0].settings == (Setting("role", "x"),)


def test_statements_are_flat_and_nested_ones_follow_theirs() -> None:
    analysis = analysed("EXPLAIN ANALYZE DELETE FROM audit; SELECT 1")
    assert [(one.kind, one.via) for one in analysis.statements] == [
        ("explain", ()),
        ("delete", ("explain",)),
        ("select", ()),
    ]
    assert [one.kind for one in analysis.steps] == ["explain", "select"]


def test_facts_are_the_statements_as_policy_reads_them() -> None:
    (found,) = orjson.loads(analysed("SELECT lower(ssn) FROM customers WHERE id = 1 LIMIT 3").facts)
    assert found == {
        "kind": "select",
        "tables": ["public.customers"],
        "writes": [],
        "columns": [
            {"table": "public.customers", "column": "id", "uses": ["predicate"]},
            {"table": "public.customers", "column": "ssn", "uses": ["argument"]},
        ],
        "functions": [
            {"name": "pg_catalog.lower", "volatility": "immutable", "language": "internal", "dynamic": False}
        ],
        "where": True,
        "limit": 3,
        "sure": True,
        "doubts": [],
        "via": [],
        "settings": [],
        "options": [],
    }


def test_fingerprints_do_not_see_constants() -> None:
    one, other, third = (analysed(f"SELECT {text} FROM customers") for text in ("1", "2", "id"))
    assert one.fingerprint == other.fingerprint != third.fingerprint
    assert len(one.fingerprint) == 16


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("PREPARE p AS SELECT ssn FROM customers", "SELECT ssn FROM customers"),
        ('PREPARE "AS" (text) AS SELECT ssn FROM customers -- AS', "SELECT ssn FROM customers"),
        ("PREPARE /* AS */ p AS SELECT ssn FROM customers", "SELECT ssn FROM customers"),
        ("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT ssn FROM customers", "SELECT ssn FROM customers"),
    ],
)
def test_what_is_run_later_by_name_is_an_analysis_of_its_own(text: str, inner: str) -> None:
    (step,) = analysed(text).steps
    assert step.output is None
    assert step.inner is not None
    assert step.inner.text == inner
    assert [(one.kind, one.via) for one in step.inner.statements] == [("select", ())]
    (inside,) = step.inner.steps
    assert inside.output is not None
    assert [one.name for one in inside.output] == ["ssn"]
    assert analyse(step.inner.text, shop()).steps[0].output == inside.output


def test_definitions_change_what_names_mean() -> None:
    for text in (
        "CREATE TABLE x (a int)",
        "DROP TABLE customers",
        "DO $$BEGIN DROP TABLE customers; END$$",
        "SELECT nothing()",
    ):
        assert analysed(text).steps[0].changes_catalog, text
    for text in ("SELECT 1", "DELETE FROM customers", "SELECT purge()", "SELECT now()"):
        assert not analysed(text).steps[0].changes_catalog, text


def test_what_the_grammar_refuses_is_an_error() -> None:
    with pytest.raises(SqlError) as error:
        analysed("SELECT 1 SELECT 2")
    assert error.value.sqlstate == "42601"


def test_an_empty_text_is_nothing() -> None:
    assert analysed("-- nothing").statements == ()


def _nested(depth: int) -> str:
    inside = "SELECT 1"
    for _ in range(depth):
        inside = f"WITH RECURSIVE t AS ({inside} UNION ALL SELECT * FROM t) SELECT * FROM t"
    return inside


HOSTILE = {
    "queries in queries": "SELECT * FROM " + "(SELECT * FROM " * 80 + "customers" + ") q" * 80,
    "recursion in recursion": _nested(25),
    "columns that double": "WITH a0 AS (SELECT * FROM customers), "
    + ", ".join(f"a{n} AS (SELECT * FROM a{n - 1} x, a{n - 1} y)" for n in range(1, 30))
    + " SELECT * FROM a29",
    "stars": "SELECT " + ",".join(["*"] * 3000) + " FROM customers",
    "joins": "SELECT * FROM customers a0" + "".join(f" NATURAL JOIN customers a{n}" for n in range(1, 90)),
    "tables": "SELECT * FROM " + ", ".join(f"customers a{n}" for n in range(1500)),
    "conditions": "SELECT 1 FROM customers WHERE " + " AND ".join(["ssn = name"] * 10_000),
    "rows": "SELECT 1 FROM customers c WHERE " + " AND ".join(["c = c"] * 5000),
    "WITH": "WITH " + ", ".join(f"a{n} AS (SELECT 1)" for n in range(3000)) + " SELECT 1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_asked_for_ends_soon(text: str) -> None:
    catalog = shop()
    analyse("SELECT * FROM customers", catalog)
    begin = time.process_time()
    analyse(text, catalog)
    assert time.process_time() - begin < 1.0  # about 0.1 with parsing, on a quiet machine


def test_what_is_too_much_is_not_sure() -> None:
    analysis = analysed(_nested(25))
    assert [(one.kind, one.sure) for one in analysis.statements] == [("select", False)]
    assert not analysis.steps[0].output_sure


def test_a_long_list_of_values_is_followed() -> None:
    text = "INSERT INTO orders (id, note, amount) VALUES " + ", ".join(["(1, 'x', 2.5)"] * 5000)
    assert analysed(text).statements[0].sure


def test_a_tree_that_no_grammar_makes_is_a_doubt_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(text: str) -> list[Parsed]:
        (parsed,) = parse(text)
        del parsed.node.target_list[0].res_target.val.column_ref.fields[:]
        return [parsed]

    monkeypatch.setattr("extproc.postgres.sql.analyse.parse_plain", odd)
    (found,) = analyse("SELECT ssn FROM customers", shop()).statements
    assert not found.sure
    assert found.doubts == ("not followed: IndexError",)
