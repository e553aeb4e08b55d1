"""DDL: what it names, and what runs in it."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import functions, kinds, statements, tables, uses, writes


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("CREATE TABLE x (a int)", "x"),
        ("CREATE TEMP TABLE x (a int)", "pg_temp.x"),
        ("CREATE TABLE hr.x (a int)", "hr.x"),
        ("CREATE VIEW x AS SELECT 1", "x"),
        ("CREATE SEQUENCE x", "x"),
        ("DROP TABLE customers, hr.staff", "customers hr.staff"),
        ("DROP MATERIALIZED VIEW cities", "cities"),
        ("DROP FUNCTION purge", ""),
        ("ALTER TABLE customers ADD x int", "customers"),
        ("ALTER TABLE customers RENAME ssn TO x", "customers"),
        ("CREATE INDEX ON customers (ssn)", "customers"),
        ("COMMENT ON TABLE customers IS 'x'", "customers"),
        ("GRANT SELECT ON customers TO x", "customers"),
        ("REFRESH MATERIALIZED VIEW cities", "cities"),
        ("VACUUM customers", ""),
        ("LOCK customers", ""),
    ],
)
def test_what_is_changed(text: str, written: str) -> None:
    assert writes(text) == written
    assert statements(text)[0].sure


def test_what_runs_in_a_definition_is_seen() -> None:
    assert functions("CREATE INDEX ON customers (upper(ssn))") == {"pg_catalog.upper"}
    assert uses("CREATE INDEX ON customers (upper(ssn))") == {"argument"}
    assert functions("ALTER TABLE customers ALTER ssn TYPE int USING length(ssn)") == {"pg_catalog.length"}
    assert functions("ALTER TABLE customers ADD x int DEFAULT double(1)") == {"public.double"}
    assert "delete" in kinds("ALTER TABLE customers ADD x text DEFAULT purge()::text")
    assert tables("REFRESH MATERIALIZED VIEW cities") == "cities"


def test_a_view_will_show_what_its_query_takes() -> None:
    assert uses("CREATE VIEW x AS SELECT ssn FROM customers") == {"write"}
    assert tables("CREATE VIEW x AS SELECT ssn FROM secrets") == "customers secrets x"


def test_statements_in_definitions_are_statements() -> None:
    found = statements("CREATE RULE r AS ON UPDATE TO customers DO ALSO DELETE FROM audit")
    assert [(one.kind, one.via) for one in found] == [("create_rule", ()), ("delete", ("create_rule",))]
    found = statements("CREATE SCHEMA s CREATE TABLE t (a int)")
    assert [(one.kind, one.via) for one in found] == [("create_schema", ()), ("create_table", ("create_schema",))]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE EXTENSION dblink",
        "LOAD 'x'",
        "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
        "DROP TABLE nowhere",
        "ALTER TABLE nowhere ADD x int",
    ],
)
def test_what_nobody_sees_is_a_doubt(text: str) -> None:
    assert not statements(text)[0].sure


def test_what_may_be_missing_is_none() -> None:
    assert statements("DROP TABLE IF EXISTS nowhere")[0].sure
