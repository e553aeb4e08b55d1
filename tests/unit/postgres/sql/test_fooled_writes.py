"""Every way to write a table, or to run what writes it, without saying so at the beginning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.postgres.catalog import Function, Operator, Relation
from tests.unit.postgres.sql.seen import functions, kinds, statements, sure, tables, top, volatile, writes
from tests.unit.postgres.sql.shop import plpgsql, shop, sql, table

# What is at the top, a kind that must be seen in it, a table that it writes.
WRITES: list[tuple[str, str, str, str]] = [
    # WITH, at every depth
    ("WITH a AS (DELETE FROM customers RETURNING *) SELECT 1", "select", "delete", "customers"),
    ("WITH a AS (DELETE FROM customers) SELECT 1", "select", "delete", "customers"),
    ("WITH a AS (SELECT 1), b AS (UPDATE customers SET name = '' RETURNING 1) TABLE a", "select", "update", "customers"),
    ("WITH a AS (INSERT INTO customers VALUES (1) RETURNING id) TABLE a", "select", "insert", "customers"),
    ("WITH a AS (MERGE INTO customers USING orders ON true WHEN MATCHED THEN DELETE RETURNING 1) TABLE a", "select", "merge", "customers"),
    ("WITH a AS (WITH b AS (DELETE FROM customers RETURNING 1) TABLE b) TABLE a", "select", "delete", "customers"),
    ("WITH a AS (INSERT INTO audit (id) WITH b AS (DELETE FROM customers RETURNING id) TABLE b RETURNING 1) TABLE a", "select", "delete", "customers"),
    ("INSERT INTO audit (id) WITH b AS (DELETE FROM customers RETURNING id) TABLE b", "insert", "delete", "customers"),
    ("WITH b AS (DELETE FROM customers RETURNING id) INSERT INTO audit (id) TABLE b", "insert", "delete", "customers"),
    ("WITH b AS (DELETE FROM customers RETURNING id) UPDATE audit SET id = 1", "update", "delete", "customers"),
    ("WITH b AS (DELETE FROM customers RETURNING id) DELETE FROM audit USING b", "delete", "delete", "customers"),
    ("WITH b AS MATERIALIZED (DELETE FROM customers RETURNING id) VALUES (1)", "select", "delete", "customers"),
    ("WITH b AS (DELETE FROM customers RETURNING id) (SELECT 1 UNION TABLE b)", "select", "delete", "customers"),
    ("(WITH b AS (DELETE FROM customers RETURNING id) TABLE b)", "select", "delete", "customers"),
    ("WITH RECURSIVE a AS (SELECT 1), b AS (DELETE FROM customers) TABLE a", "select", "delete", "customers"),
    # other heads
    ("EXPLAIN ANALYZE DELETE FROM customers", "explain", "delete", "customers"),
    ("EXPLAIN (ANALYZE) DELETE FROM customers", "explain", "delete", "customers"),
    ("EXPLAIN (COSTS off, ANALYZE 'true') DELETE FROM customers", "explain", "delete", "customers"),
    ("EXPLAIN (ANALYZE 1) DELETE FROM customers", "explain", "delete", "customers"),
    ("EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM customers", "explain", "delete", "customers"),
    ("EXPLAIN ANALYSE VERBOSE WITH a AS (DELETE FROM customers) SELECT 1", "explain", "delete", "customers"),
    ("EXPLAIN ANALYZE CREATE TABLE x AS WITH a AS (SELECT purge()) TABLE a", "explain", "delete", "customers"),
    ("EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT purge()", "explain", "delete", "customers"),
    ("COPY (DELETE FROM customers RETURNING *) TO STDOUT", "copy", "delete", "customers"),
    ("COPY (WITH a AS (DELETE FROM customers RETURNING 1) TABLE a) TO STDOUT", "copy", "delete", "customers"),
    ("COPY (UPDATE customers SET name = '' RETURNING 1) TO PROGRAM 'cat'", "copy", "update", "customers"),
    ("COPY customers FROM STDIN", "copy", "copy", "customers"), ("COPY customers (id) FROM '/tmp/x' WHERE id > 1", "copy", "copy", "customers"),
    ("PREPARE p AS DELETE FROM customers", "prepare", "delete", "customers"),
    ("PREPARE p (int) AS WITH a AS (DELETE FROM customers WHERE id = $1) SELECT 1", "prepare", "delete", "customers"),
    ("DECLARE c CURSOR FOR SELECT purge()", "declare_cursor", "delete", "customers"),
    ("CREATE TABLE x AS SELECT purge()", "create_table_as", "delete", "customers"),
    ("SELECT purge() INTO x", "create_table_as", "delete", "customers"),
    ("CREATE MATERIALIZED VIEW x AS SELECT purge()", "create_table_as", "delete", "customers"),
    ("TRUNCATE customers", "truncate", "truncate", "customers"),
    ("TRUNCATE TABLE ONLY orders, customers RESTART IDENTITY CASCADE", "truncate", "truncate", "customers"),
    ("INSERT INTO customers DEFAULT VALUES", "insert", "insert", "customers"),
    ("INSERT INTO customers TABLE customers", "insert", "insert", "customers"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = ''", "insert", "insert", "customers"),
    ("UPDATE ONLY customers SET (name, email) = (SELECT 'a', 'b')", "update", "update", "customers"),
    ("MERGE INTO customers c USING orders o ON o.id = c.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1)", "merge", "merge", "customers"),
    ("MERGE INTO customers c USING orders o ON true WHEN NOT MATCHED BY SOURCE THEN UPDATE SET name = ''", "merge", "merge", "customers"),
    # what writing sets off
    ("INSERT INTO orders (id) VALUES (1)", "insert", "insert", "audit"), ("DELETE FROM customers", "delete", "delete", "orders"),
    ("SELECT setval('numbers', 1)", "select", "select", ""),
    # functions, procedures, DO
    ("SELECT purge()", "select", "delete", "customers"), ('SELECT "purge"()', "select", "delete", "customers"),
    ("SELECT PUBLIC . PURGE ( )", "select", "delete", "customers"), (r'SELECT U&"\0070urge"()', "select", "delete", "customers"),
    ("SELECT shop.public.purge()", "select", "delete", "customers"), ("TABLE purge", "select", "select", ""),
    ("SELECT * FROM purge()", "select", "delete", "customers"), ("SELECT pick('1')", "select", "delete", "customers"),
    ("CALL close_month('2026-01-01')", "call", "update", "orders"), ("DO $$BEGIN DELETE FROM customers; END$$", "do", "delete", "customers"),
    ("DO 'BEGIN DELETE FROM customers; END'", "do", "delete", "customers"),
    ("DO LANGUAGE plpgsql $a$BEGIN DELETE FROM customers; END$a$", "do", "delete", "customers"),
    ("DO $a$BEGIN DELETE FROM customers; END$a$ LANGUAGE 'plpgsql'", "do", "delete", "customers"),
    (r"DO E'BEGIN D\x45LETE\nFROM customers; END'", "do", "delete", "customers"),
    (r"DO U&'BEGIN D\0045LETE FROM customers; END'", "do", "delete", "customers"),
    ("DO 'BEGIN DELETE '\n'FROM customers; END'", "do", "delete", "customers"),
    ("DO $$BEGIN\n/* ; */ DELETE/**/FROM/**/customers; END$$", "do", "delete", "customers"),
    ("DO $$BEGIN IF false THEN NULL; ELSE DELETE FROM customers; END IF; END$$", "do", "delete", "customers"),
    ("DO $$BEGIN NULL; EXCEPTION WHEN OTHERS THEN DELETE FROM customers; END$$", "do", "delete", "customers"),
    ("DO $$DECLARE r record; BEGIN FOR r IN WITH a AS (DELETE FROM customers RETURNING 1) TABLE a LOOP NULL; END LOOP; END$$", "do", "delete", "customers"),
    ("DO $$DECLARE r record := public.purge(); BEGIN END$$", "do", "delete", "customers"),
    ("DO $$BEGIN PERFORM purge(); END$$", "do", "delete", "customers"),
    ("DO $$BEGIN CALL close_month(now()::date); END$$", "do", "update", "orders"),
    ("DO $$BEGIN RAISE NOTICE '%', purge(); END$$", "do", "delete", "customers"),
    ("DO $$BEGIN ASSERT purge() IS NULL; END$$", "do", "delete", "customers"),
    ("DO $a$BEGIN DO $b$BEGIN DELETE FROM customers; END$b$; END$a$", "do", "delete", "customers"),
    ("DO $$BEGIN IF purge() IS NULL THEN NULL; END IF; END$$", "do", "delete", "customers"),
    ("DO $$DECLARE x int[]; BEGIN x[length(purge()::text)] := 1; END$$", "do", "delete", "customers"),
    ("DO $$BEGIN CREATE TABLE x (id int); DROP TABLE customers; END$$", "do", "drop", "customers"),
    ("DO $$BEGIN TRUNCATE customers; END$$", "do", "truncate", "customers"),
    ("BEGIN; DO $$BEGIN DELETE FROM customers; END$$; ROLLBACK", "begin do rollback", "delete", "customers"),
    # definitions
    ("DROP TABLE customers", "drop", "drop", "customers"),
    ("DROP TABLE IF EXISTS nothing, public.customers CASCADE", "drop", "drop", "customers"), ("DROP VIEW contacts", "drop", "drop", "contacts"),
    ("ALTER TABLE customers DROP COLUMN ssn", "alter_table", "alter_table", "customers"),
    ("ALTER TABLE customers RENAME TO other", "rename", "rename", "customers"),
    ("ALTER TABLE customers SET SCHEMA hr", "alter_object_schema", "alter_object_schema", "customers"),
    ("CREATE INDEX ON customers (lower(ssn))", "create_index", "create_index", "customers"),
    ("CREATE TRIGGER t AFTER INSERT ON customers EXECUTE FUNCTION note_order()", "create_trigger", "create_trigger", "customers"),
    ("CREATE RULE r AS ON SELECT TO customers DO INSTEAD SELECT 1", "create_rule", "create_rule", "customers"),
    ("CREATE POLICY p ON customers USING (true)", "create_policy", "create_policy", ""),
    ("GRANT SELECT ON customers TO PUBLIC", "grant", "grant", ""), ("COMMENT ON TABLE customers IS ''", "comment", "comment", ""),
    ("REFRESH MATERIALIZED VIEW cities", "refresh_materialized_view", "refresh_materialized_view", "cities"),
    ("CREATE OR REPLACE VIEW contacts AS SELECT 1 AS id", "create_view", "create_view", "contacts"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "head", "kind", "written"), WRITES)
def test_what_is_written_is_seen_however_it_is_reached(text: str, head: str, kind: str, written: str) -> None:
    assert top(text) == head
    assert kind in kinds(text)
    assert not written or written in writes(text).split()


READ_ONLY = [
    "EXPLAIN SELECT * FROM customers", "EXPLAIN (ANALYZE false) SELECT 1", "PREPARE p AS SELECT 1", "SELECT 1 FROM customers",
    "WITH a AS (SELECT 1) TABLE a", "COPY customers (id) TO STDOUT", "DECLARE c CURSOR FOR SELECT id FROM customers",
    "DO $$BEGIN PERFORM 1; END$$", "SELECT double(1)", "SELECT total(1)", "SHOW ALL", "BEGIN", "ANALYZE customers",
]  # fmt: skip


@pytest.mark.parametrize("text", READ_ONLY)
def test_what_writes_nothing_is_not_said_to(text: str) -> None:
    assert writes(text) == ""


# Nobody can know what these do.
UNSURE = [
    "DO $$BEGIN EXECUTE 'DROP TABLE ' || 'customers'; END$$", "SELECT run('DELETE FROM customers')", "SELECT shell('rm')",
    "DO LANGUAGE plpython3u $$pass$$", "DO $$BEGIN syntax error$$", "SELECT nothing()", "SELECT hr.purge()",
    "DELETE FROM nowhere", "DELETE FROM old_orders", "SELECT dblink('host=x', 'DELETE FROM customers')",
    "SELECT query_to_xml('SELECT purge()', true, true, '')", "SELECT table_to_xml('customers', true, true, '')",
    "SELECT ts_stat('SELECT ssn FROM customers')", "SELECT pg_read_file('/etc/passwd')", "SELECT * FROM pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')", "SELECT lo_get(1)", "SELECT pg_terminate_backend(1)",
    "DO $$DECLARE c refcursor; BEGIN OPEN c FOR SELECT purge(); END$$",
    "DO $$DECLARE r record; BEGIN FOR r IN EXECUTE 'x' LOOP NULL; END LOOP; END$$",
]  # fmt: skip


@pytest.mark.parametrize("text", UNSURE)
def test_what_cannot_be_known_is_not_sure(text: str) -> None:
    assert not sure(text)


STATISTICS = {
    "SELECT * FROM pg_stats": "pg_catalog.pg_statistic", 'SELECT most_common_vals FROM "pg_stats"': "pg_catalog.pg_stats",
    "TABLE pg_catalog.pg_statistic": "pg_catalog.pg_statistic", "SELECT (SELECT reltuples FROM pg_class LIMIT 1)": "pg_catalog.pg_class",
    r'SELECT * FROM U&"pg\005fstats"': "pg_catalog.pg_stats",
}  # fmt: skip


@pytest.mark.parametrize("text", STATISTICS)
def test_statistics_are_named(text: str) -> None:
    """Policy closes them: what they hold is what tables hold."""
    assert STATISTICS[text] in tables(text).split()


def test_explain_alone_runs_nothing_but_says_what_it_would() -> None:
    found = statements("EXPLAIN (ANALYZE false) DELETE FROM customers")
    assert [one.kind for one in found][:2] == ["explain", "delete"]
    assert found[0].options == ()
    assert statements("EXPLAIN (ANALYZE, BUFFERS) SELECT 1")[0].options == ("analyze",)


def test_the_way_to_a_nested_statement_is_told() -> None:
    ways = {one.kind: one.via for one in statements("EXPLAIN ANALYZE WITH a AS (SELECT purge()) TABLE a") if one.via}
    assert ways["delete"][0] == "explain"
    assert ways["delete"][-1] == "function:public.purge"
    (nested,) = [one for one in statements("DO $$BEGIN DELETE FROM audit; END$$") if one.kind == "delete"]
    assert nested.via == ("do",)


def test_a_function_of_the_users_shadows_a_built_in_one() -> None:
    """By a better match of types, or by the search path: either may be meant."""
    evil = plpgsql(18001, "lower", 1, 25, "BEGIN DELETE FROM public.customers; RETURN $1; END", "text", "text")
    for path in (("pg_catalog", "public"), ("public", "pg_catalog")):
        catalog = shop(functions=(evil,), search_path=path)
        assert "customers" in writes("SELECT lower(what) FROM audit", catalog).split()
        assert "customers" in writes("SELECT public.lower(what) FROM audit", catalog).split()
        assert writes("SELECT pg_catalog.lower(what) FROM audit", catalog) == ""


def test_an_operator_of_the_users_runs_its_function() -> None:
    evil = plpgsql(
        17012, "same", 2, 16, "BEGIN DELETE FROM public.customers; RETURN true; END", "text, text", "boolean"
    )
    catalog = shop(functions=(evil,))
    catalog = replace(catalog, functions={**catalog.functions, "same": (evil,)})
    for text in (
        "SELECT 'a' === 'b'",
        "SELECT 1 WHERE 'a' OPERATOR(public.===) 'b'",
        "SELECT 'a' === ANY (ARRAY['b'])",
    ):
        assert "customers" in writes(text, catalog).split(), text


OPERATED = {
    "=": ["SELECT 'a' = 'b'", "SELECT 1 WHERE 'a' IN ('b')", "SELECT 1 IN (SELECT 1)", "SELECT 1 = ANY (ARRAY[1])",
          "SELECT NULLIF('a', 'b')", "SELECT 'a' IS DISTINCT FROM 'b'", "SELECT CASE 'a' WHEN 'b' THEN 1 END", "SELECT (1, 2) = (3, 4)",
          "SELECT 1 FROM orders JOIN audit USING (id)", "SELECT 1 FROM orders NATURAL JOIN audit", "SELECT (1, 2) IN (SELECT 1, 2)",
          "MERGE INTO audit USING people ON audit.id = people.id WHEN MATCHED THEN DO NOTHING"],
    "<": ["SELECT 1 < ALL (SELECT 1)", "SELECT ROW(1) < ROW(2)", "SELECT 1 ORDER BY 1 USING <"],
    ">=": ["SELECT 1 BETWEEN 0 AND 2", "SELECT 1 NOT BETWEEN SYMMETRIC 0 AND 2"],
    "~~": ["SELECT 'a' LIKE 'b'", "SELECT 'a' LIKE ANY (ARRAY['b'])"], "!~~*": ["SELECT 'a' NOT ILIKE 'b'"], "~": ["SELECT 'a' SIMILAR TO 'b'"],
    "-": ["SELECT - 'a'", "UPDATE audit SET id = id - 1"], "||": ["SELECT 'a' || 'b'"], "<>": ["SELECT 1 != 2", "SELECT 'a' NOT IN ('b')"], "->": ["SELECT '{}' -> 'a'"],
}  # fmt: skip


@pytest.mark.parametrize(("operator", "text"), [(name, text) for name, texts in OPERATED.items() for text in texts])
def test_an_operator_that_hides_a_built_in_one_is_seen_in_all_that_uses_it(operator: str, text: str) -> None:
    evil = plpgsql(
        17012, "same", 2, 16, "BEGIN DELETE FROM public.customers; RETURN true; END", "text, text", "boolean"
    )
    catalog = shop(functions=(evil,))
    catalog = replace(
        catalog, functions={**catalog.functions, "same": (evil,)}, operators=(Operator("public", operator, 17012),)
    )
    assert "customers" in writes(text, catalog).split()
    assert "customers" not in writes(text).split()


def test_a_cast_of_the_users_runs_its_function() -> None:
    evil = sql(17013, "to_mood", 1, 16901, "DELETE FROM public.customers; SELECT 'sad'::public.mood", "volatile")
    catalog = replace(shop(functions=(evil,)), functions_by_oid={**shop().functions_by_oid, 17013: evil})
    for text in ("SELECT 1::public.mood", "SELECT CAST(1 AS mood)", "SELECT id::mood FROM orders"):
        found = statements(text, catalog)
        assert "customers" in writes(text, catalog) or not all(one.sure for one in found), text


def test_a_temporary_table_hides_the_one_behind_it() -> None:
    hidden: Relation = table(19000, "customers", "id 23", schema="pg_temp_3")
    catalog = shop(more=(hidden,), search_path=("pg_temp_3", "pg_catalog", "public"))
    assert writes("DELETE FROM customers", catalog) == "pg_temp_3.customers"
    assert "customers" in writes("DELETE FROM public.customers", catalog).split()


def test_a_trigger_runs_what_it_runs() -> None:
    evil = plpgsql(17009, "note_order", 0, 2279, "BEGIN DELETE FROM public.customers; RETURN NULL; END", "", "trigger")
    catalog = replace(shop(), functions_by_oid={**shop().functions_by_oid, 17009: evil})
    for text in (
        "INSERT INTO orders (id) VALUES (1)",
        "COPY orders FROM STDIN",
        "UPDATE orders SET note = ''",
        "MERGE INTO orders USING audit ON true WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
    ):
        assert "customers" in writes(text, catalog).split(), text


def test_functions_that_call_each_other_come_to_an_end() -> None:
    assert {"public.ping", "public.pong"} <= functions("SELECT ping(3)")


def test_a_default_of_an_argument_runs_too() -> None:
    evil = plpgsql(18002, "greet", 1, 25, "BEGIN RETURN 'x'; END", "a text DEFAULT public.purge()", "text")
    catalog = shop(functions=(replace(evil, least=0),))
    assert "customers" in writes("SELECT greet()", catalog).split()


def test_volatile_functions_are_told() -> None:
    assert "public.purge" in volatile("SELECT purge()")
    assert "pg_catalog.nextval" in volatile("SELECT nextval('numbers')")
    assert volatile("SELECT now(), lower('A')") == set()


def test_a_function_in_c_is_what_its_extension_is() -> None:
    own = Function(18003, "public", "own", "f", 0, 0, "volatile", "c", 25)
    assert not all(one.sure for one in statements("SELECT own()", shop(functions=(own,))))
    assert sure("SELECT crypt('a', 'b')")
