"""Texts by which a search for words would be fooled: comments, quotes, case, escapes, spaces, several statements."""

from __future__ import annotations

import pytest

from extproc.postgres.sql.model import SqlError
from tests.unit.postgres.sql.seen import analysed, sure, tables, top, writes

# The kinds of the statements in the text, and the tables that they write.
SEEN: list[tuple[str, str, str]] = [
    # comments
    ("DELETE/**/FROM/**/customers", "delete", "customers"),
    ("/* SELECT 1 */ DELETE FROM customers", "delete", "customers"),
    ("-- SELECT 1\nDELETE FROM customers", "delete", "customers"),
    ("-- SELECT 1;\rDELETE FROM customers", "delete", "customers"),
    ("SELECT 1; -- harmless\rDELETE FROM customers", "select delete", "customers"),
    ("/* /* */ DELETE FROM customers; */ SELECT 1", "select", ""),
    ("/* /* */ */ DELETE FROM customers", "delete", "customers"),
    ("/*/**/*/ DELETE FROM customers", "delete", "customers"),
    ("/*/*/**/*/*/ DELETE FROM customers", "delete", "customers"),
    ("/**/-- */\nDELETE FROM customers", "delete", "customers"),
    ("/* -- */ DELETE FROM customers", "delete", "customers"),
    ("-- /*\nDELETE FROM customers -- */", "delete", "customers"),
    ("SELECT '/*'; DELETE FROM customers; --*/'", "select delete", "customers"),
    ("SELECT '--'; DELETE FROM customers", "select delete", "customers"),
    ("SELECT 1 --'\n; DELETE FROM customers --'", "select delete", "customers"),
    ("SELECT 1 /*'*/; DELETE FROM customers /*'*/", "select delete", "customers"),
    ("SELECT 1 /*$$*/; DELETE FROM customers /*$$*/", "select delete", "customers"),
    ('SELECT 1 /*"*/; DELETE FROM customers /*"*/', "select delete", "customers"),
    ("SELECT 1 */**/1; DELETE FROM customers", "select delete", "customers"),
    ("SELECT 5 <-- a comment\n 6; DELETE FROM customers", "select delete", "customers"),
    ("SELECT 5 -/*-*/5; DELETE FROM customers", "select delete", "customers"),
    ("SELECT 1 --\n--\n--; DELETE FROM customers", "select", ""),
    ("/*+ SeqScan(customers) */ SELECT 1", "select", ""),
    ("/*! DELETE FROM customers */ SELECT 1", "select", ""),
    ("DELETE --\nFROM --\ncustomers --\nWHERE --\ntrue", "delete", "customers"),
    ("DELETE/* FROM orders; DELETE */FROM/* orders -- */customers/**//**/", "delete", "customers"),
    # strings
    ("SELECT '; DELETE FROM customers; '", "select", ""),
    ("SELECT ''; DELETE FROM customers; SELECT ''", "select delete select", "customers"),
    ("SELECT ''''; DELETE FROM customers; SELECT ''''", "select delete select", "customers"),
    ("SELECT '''; DELETE FROM customers; '''", "select", ""),
    (r"SELECT E'\'; DELETE FROM customers; --'", "select", ""),
    (r"SELECT e'\\'; DELETE FROM customers; --'", "select delete", "customers"),
    (r"SELECT '\'; DELETE FROM customers; --'", "select delete", "customers"),
    (r"SELECT E'\047; DELETE FROM customers; --'", "select", ""),
    (r"SELECT U&'\0027; DELETE FROM customers; --'", "select", ""),
    (r"SELECT U&'!0027' UESCAPE '!'; DELETE FROM customers", "select delete", "customers"),
    ("SELECT N'a'; DELETE FROM customers", "select delete", "customers"),
    ("SELECT B'1', X'1f'; DELETE FROM customers", "select delete", "customers"),
    ("SELECT 'a'\n'; DELETE FROM customers; '", "select", ""),
    ("SELECT 'a' -- b\n'; DELETE FROM customers; '", "select", ""),
    ("SELECT E'a'\n'\\'; DELETE FROM customers; --'", "select", ""),
    ("SELECT 'a\n-- '; DELETE FROM customers; --'", "select delete", "customers"),
    ("SELECT $$; DELETE FROM customers; $$", "select", ""),
    ("SELECT $$'$$; DELETE FROM customers; SELECT $$'$$", "select delete select", "customers"),
    ("SELECT $a$ $$; DELETE FROM customers; $$ $a$", "select", ""),
    ("SELECT $a$ $A$ $a$; DELETE FROM customers; SELECT $A$ $A$", "select delete select", "customers"),
    ("SELECT $a$$$$a$; DELETE FROM customers", "select delete", "customers"),
    ("SELECT $ü$; DELETE FROM customers; $ü$", "select", ""),
    ("SELECT $_1$ /* $_1$; DELETE FROM customers; -- */", "select delete", "customers"),
    ('SELECT 1 AS "; DELETE FROM customers; --"', "select", ""),
    ('SELECT 1 AS "a""; DELETE FROM customers; --"', "select", ""),
    ('SELECT 1 AS "--"; DELETE FROM customers', "select delete", "customers"),
    ('SELECT 1 AS "\'"; DELETE FROM customers; SELECT 1 AS "\'"', "select delete select", "customers"),
    # names
    ("dElEtE fRoM CuStOmErS", "delete", "customers"),
    ('DELETE FROM "customers"', "delete", "customers"),
    ('DELETE FROM"customers"', "delete", "customers"),
    (r'DELETE FROM U&"\0063ustomers"', "delete", "customers"),
    (r'DELETE FROM u&"c\+000075stomers"', "delete", "customers"),
    (r"""DELETE FROM U&"!0063ustomers" UESCAPE '!'""", "delete", "customers"),
    (r"""DELETE FROM U&"d!0061t\0061" uescape '\'; DELETE FROM customers""", "delete delete", "customers"),
    ("DELETE FROM PUBLIC.CUSTOMERS", "delete", "customers"),
    ('DELETE FROM "public"."customers"', "delete", "customers"),
    ('DELETE FROM public /* . orders */ . -- orders\n"customers"', "delete", "customers"),
    ("DELETE FROM shop.public.customers", "delete", "customers"),
    ("DELETE FROM ONLY customers", "delete", "customers"),
    ("DELETE FROM ONLY (customers)", "delete", "customers"),
    ("DELETE FROM customers *", "delete", "customers"),
    ("DELETE FROM customers AS orders WHERE orders.id = 1", "delete", "customers"),
    ("DELETE FROM customers orders", "delete", "customers"),
    ("UPDATE customers audit SET name = ''", "update", "customers"),
    # spaces
    ("DELETE\tFROM\ncustomers", "delete", "customers"),
    ("DELETE\rFROM\fcustomers\v", "delete", "customers"),
    ("\n\n\t DELETE FROM customers", "delete", "customers"),
    ("SELECT 1; -- a\u2028DELETE FROM customers", "select", ""),
    # several statements, and none
    ("SELECT 1;DELETE FROM customers", "select delete", "customers"),
    (";;;DELETE FROM customers;;;", "delete", "customers"),
    ("SELECT 1;;/**/;DELETE FROM customers", "select delete", "customers"),
    ("BEGIN;DELETE FROM customers;COMMIT", "begin delete commit", "customers"),
    ("BEGIN;SELECT 1;ROLLBACK;DELETE FROM customers", "begin select rollback delete", "customers"),
    ("DELETE FROM orders; DELETE FROM customers", "delete delete", "audit customers orders"),
    ("", "", ""),
    (" ; -- DELETE FROM customers", "", ""),
    # words that are no commands, commands without their words
    ("SELECT 1 AS delete", "select", ""),
    ("SELECT delete FROM (SELECT 1 AS delete) AS update", "select", ""),
    ("SELECT 'delete from customers'::text", "select", ""),
    ("((SELECT id FROM customers))", "select", ""),
    ("TABLE customers", "select", ""),
    ("VALUES (1), (2)", "select", ""),
    ("SELECT FROM customers", "select", ""),
    ("SELECT", "select", ""),
    ("ABORT", "rollback", ""),
    ("END", "commit", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kinds", "written"), SEEN)
def test_statements_are_what_the_grammar_says(text: str, kinds: str, written: str) -> None:
    # Deleting customers deletes their orders (ON DELETE CASCADE), and touching orders writes the audit.
    expected = set(written.split())
    found = set(writes(text).split())
    assert top(text) == kinds
    assert expected <= found
    assert bool(expected) == bool(found)
    assert len(analysed(text).steps) == len(kinds.split())


NOT_CUSTOMERS = [
    'DELETE FROM "Customers"', 'DELETE FROM "customers "', "DELETE FROM \u0441ustomers", "DELETE FROM customer\u017f",
    "DELETE FROM hr.customers", "DELETE FROM nothing.customers", 'DELETE FROM "public.customers"',
    r'DELETE FROM U&"\0043ustomers"',
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_CUSTOMERS)
def test_names_that_only_look_like_a_table_are_not_it(text: str) -> None:
    assert "customers" not in writes(text).split()
    assert not sure(text)


READS = [
    ("TABLE customers", "customers"), ("SELECT FROM customers", "customers"), ("(TABLE customers)", "customers"),
    ("SELECT 1 FROM ONLY customers", "customers"), ("SELECT customers FROM orders AS customers", "orders"),
    ("SELECT 1 FROM orders, customers", "customers orders"), ("SELECT 1 FROM orders NATURAL JOIN customers", "customers orders"),
    ("SELECT (SELECT 1 FROM customers)", "customers"), ("SELECT 1 WHERE EXISTS (TABLE customers)", "customers"),
    ("SELECT 1 LIMIT (SELECT count(*) FROM customers)", "customers"), ("SELECT ARRAY(TABLE customers)", "customers"),
    ("SELECT ARRAY(SELECT id FROM customers)", "customers"), ("VALUES ((SELECT max(id) FROM customers))", "customers"),
    ("SELECT 1 ORDER BY (SELECT 1 FROM customers)", "customers"), ("WITH a AS (TABLE customers) SELECT 1", "customers"),
    ("WITH customers AS (SELECT 1 AS id) SELECT * FROM customers", ""), ("WITH customers AS (SELECT 1) TABLE public.customers", "customers"),
    ("WITH a AS (WITH customers AS (SELECT 1) TABLE customers) TABLE customers", "customers"),
    ("WITH customers AS (TABLE customers) TABLE customers", "customers"),
    ("WITH RECURSIVE customers AS (SELECT 1 AS n UNION SELECT n + 1 FROM customers) TABLE customers", ""),
    ("SELECT 1 FROM customers TABLESAMPLE system (1)", "customers"), ("SELECT 1 FROM (((SELECT 1 FROM customers)))", "customers"),
    ("SELECT 1 FROM contacts", "contacts customers"), ("SELECT 1 FROM berlin", "berlin contacts customers"),
    ("SELECT 1 FROM generate_series(1, (SELECT count(*) FROM customers))", "customers"),
    ("SELECT 1 FROM orders o, LATERAL (SELECT 1 FROM customers c WHERE c.id = o.customer_id) x", "customers orders"),
    ("SELECT 1 INTERSECT SELECT id FROM customers", "customers"), ("SELECT 1 EXCEPT ALL (TABLE customers)", "customers"),
    ("SELECT CASE WHEN true THEN 1 ELSE (SELECT 1 FROM customers) END", "customers"),
    ("SELECT sum(1) FILTER (WHERE EXISTS (TABLE customers))", "customers"),
    ("SELECT sum(1) OVER (ORDER BY (SELECT 1 FROM customers))", "customers"),
    ("SELECT 1 FROM orders FETCH FIRST (SELECT 1 FROM customers) ROWS ONLY", "customers orders"),
    ("SELECT row_number() OVER w FROM orders WINDOW w AS (PARTITION BY (SELECT 1 FROM customers))", "customers orders"),
    ("SELECT 1 FROM orders GROUP BY GROUPING SETS ((id), ((SELECT 1 FROM customers)))", "customers orders"),
    ("SELECT 1 FROM orders FOR UPDATE OF orders", "orders"), ("SELECT XMLELEMENT(NAME a, (SELECT 1 FROM customers))", "customers"),
    ("SELECT JSON_OBJECT('a' : (SELECT 1 FROM customers))", "customers"),
    ("SELECT JSON_ARRAY(SELECT id FROM customers)", "customers"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "read"), READS)
def test_tables_are_seen_wherever_they_stand(text: str, read: str) -> None:
    assert tables(text) == read


NO_SQL = [
    "DELETE\u00a0FROM customers", "SELECT 1;\u3000DELETE FROM customers", "\ufeffDELETE FROM customers",
    "\uff24\uff25\uff2c\uff25\uff34\uff25 FROM customers", "SELECT 'open", "SELECT /* open", 'SELECT "open', "SELECT $$ open", "SELECT $a$ $A$",
    "SELECT '\0'", "DELETE FROM customers WHERE", "DELETE FROM", "DELETE customers", "SELECT 1 SELECT 2", "SELECT $1$2", "SELECT ''''''' ",
    r"SELECT U&'\00zz'", r"""SELECT U&"a" UESCAPE 'ab'""", 'SELECT 1 FROM ""', "SELECT 1 UNION", "\\d customers",
    "EXPLAIN EXPLAIN SELECT 1", "PREPARE a AS PREPARE b AS SELECT 1", "DECLARE c CURSOR FOR DELETE FROM customers",
    "COPY (DROP TABLE a) TO STDOUT", "SELECT * FROM (DELETE FROM customers RETURNING *) x", "hello",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_SQL)
def test_what_the_grammar_refuses_is_refused_whole(text: str) -> None:
    with pytest.raises(SqlError):
        analysed(text)


def test_a_text_is_refused_whole_where_one_statement_is_wrong() -> None:
    with pytest.raises(SqlError):
        analysed("DELETE FROM customers; SELECT FROM WHERE")
