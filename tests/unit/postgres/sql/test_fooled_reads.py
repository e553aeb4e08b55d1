"""Every way to learn of a masked column without asking for it, and to ask for it under another name."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import analysed, sure, uses

# What is done with customers.ssn beside that it may come back; "" where it may come back alone.
USES: list[tuple[str, str]] = [
    # conditions
    ("SELECT id FROM customers WHERE ssn = '1'", "predicate"), ("SELECT id FROM customers WHERE ssn >= '1'", "predicate"),
    ("SELECT id FROM customers WHERE '1' = ssn", "predicate"), ("SELECT id FROM customers WHERE ssn IS NULL", "predicate"),
    ("SELECT id FROM customers WHERE ssn IN ('1')", "predicate"), ("SELECT id FROM customers WHERE '1' IN (ssn, name)", "predicate"),
    ("SELECT id FROM customers WHERE ssn LIKE '1%'", "predicate"), ("SELECT id FROM customers WHERE ssn ~ '^1'", "predicate"),
    ("SELECT id FROM customers WHERE ssn SIMILAR TO '1%'", "predicate"), ("SELECT id FROM customers WHERE ssn BETWEEN '1' AND '2'", "predicate"),
    ("SELECT id FROM customers WHERE '1' BETWEEN name AND ssn", "predicate"), ("SELECT id FROM customers WHERE NOT (ssn < '1')", "predicate"),
    ("SELECT id FROM customers WHERE id = 1 OR ssn < '1'", "predicate"), ("SELECT id FROM customers WHERE length(ssn) = 1", "predicate"),
    ("SELECT id FROM customers WHERE (id, ssn) = (1, '1')", "predicate"), ("SELECT id FROM customers WHERE ROW(ssn) < ROW('1')", "predicate"),
    ("SELECT id FROM customers WHERE ssn = ANY (ARRAY['1'])", "predicate"),
    ("SELECT id FROM customers WHERE '1' = ANY (ARRAY[ssn])", "predicate"),
    ("SELECT id FROM customers WHERE ssn IS DISTINCT FROM '1'", "predicate"),
    ("SELECT id FROM customers WHERE CASE WHEN ssn < '1' THEN true END", "predicate"),
    ("SELECT id FROM customers WHERE COALESCE(ssn, '') = ''", "predicate"), ("SELECT id FROM customers c WHERE (c).ssn = '1'", "predicate"),
    ("SELECT id FROM customers AS c (id, name, email, phone, city, card_number, x) WHERE x = '1'", "predicate"),
    ("SELECT id FROM customers WHERE EXISTS (SELECT 1 WHERE ssn < '1')", "predicate"),
    ("SELECT id FROM customers c WHERE c::text LIKE '%1%'", "predicate"),
    ("SELECT id FROM customers c WHERE row_to_json(c) ->> 'ssn' = '1'", "predicate"), ("SELECT id FROM customers c WHERE c = c", "predicate"),
    ("SELECT id FROM customers c WHERE c IS NULL", "predicate"), ("SELECT id FROM customers c WHERE c.* IS NOT NULL", "predicate"),
    ("SELECT id FROM customers c WHERE c IN (SELECT k FROM customers k)", "predicate"),
    ("SELECT id FROM orders WHERE '1' IN (SELECT ssn FROM customers)", "predicate"),
    ("SELECT id FROM orders WHERE '1' = ANY (SELECT ssn FROM customers)", "predicate"),
    ("SELECT id FROM orders WHERE '1' < ALL (TABLE tails)", "predicate"),
    ("SELECT id FROM orders WHERE note = (SELECT ssn FROM customers LIMIT 1)", "predicate"),
    ("SELECT id FROM secrets WHERE number = '1'", "predicate"),
    ("SELECT id FROM (SELECT id, ssn AS s FROM customers) x WHERE s = '1'", "predicate"),
    ("WITH x AS (SELECT id, ssn AS s FROM customers) SELECT id FROM x WHERE s = '1'", "predicate"),
    ("SELECT id FROM (TABLE customers) AS x (a, b, c, d, e, f, g) WHERE g = '1'", "predicate"),
    ("SELECT 1 FROM customers HAVING max(ssn) < '1'", "predicate"), ("SELECT count(*) FILTER (WHERE ssn < '1') FROM customers", "predicate"),
    ("SELECT id FROM (SELECT id, upper(ssn) AS u FROM customers) x WHERE u < 'a'", "predicate"),
    ("SELECT id FROM tails WHERE tail = '1'", "predicate"), ("SELECT id FROM tails", "predicate"),
    ("SELECT city FROM customers WHERE ssn === '1'", "predicate"),
    ("SELECT id FROM customers WHERE ctid IN (SELECT ctid FROM customers WHERE ssn < '1')", "predicate"),
    ("SELECT ctid FROM customers WHERE ssn < '1'", "predicate"),
    ("SELECT id FROM customers WHERE to_tsvector(ssn) @@ to_tsquery('1')", "predicate"),
    ("SELECT id FROM customers WHERE xmlexists('/a' PASSING ssn)", "predicate"), ("SELECT id FROM customers WHERE ssn IS JSON", "predicate"),
    ("SELECT id FROM customers FOR UPDATE", "-"), ("SELECT 1 FROM customers WHERE customers.ssn > $1", "predicate"),
    # order, groups, joins
    ("SELECT id FROM customers ORDER BY ssn", "order"), ("SELECT id, ssn FROM customers ORDER BY 2", "order"),
    ("SELECT id, ssn AS s FROM customers ORDER BY s DESC", "order"), ("SELECT id FROM customers ORDER BY id, upper(ssn) NULLS FIRST", "order"),
    ("SELECT id FROM customers c ORDER BY c", "order"), ('SELECT id FROM customers ORDER BY ssn COLLATE "C"', "order"),
    ("SELECT ssn FROM customers UNION ALL SELECT '1' ORDER BY 1", "order"),
    ("SELECT ssn FROM customers UNION ALL SELECT '1' ORDER BY ssn", "order"), ("TABLE customers ORDER BY 7", "order"),
    ("SELECT id FROM (SELECT id, ssn AS s FROM customers) x ORDER BY s LIMIT 1", "order"),
    ("SELECT id FROM (SELECT id FROM customers ORDER BY ssn) x", "order"), ("SELECT rank() OVER (ORDER BY ssn) FROM customers", "order"),
    ("SELECT row_number() OVER w FROM customers WINDOW w AS (PARTITION BY city ORDER BY ssn)", "order"),
    ("SELECT array_agg(id ORDER BY ssn) FROM customers", "order"), ("SELECT string_agg(name, ',' ORDER BY ssn) FROM customers", "order"),
    ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ssn) FROM customers", "order"),
    ("SELECT DISTINCT ON (city) id FROM customers ORDER BY city, ssn", "order"), ("SELECT id FROM customers ORDER BY (SELECT ssn)", "order"),
    ("SELECT id FROM customers ORDER BY ssn USING <", "order"), ("SELECT ARRAY(SELECT id FROM customers ORDER BY ssn)", "order"),
    ("SELECT count(*) FROM customers GROUP BY ssn", "group"), ("SELECT count(*), ssn FROM customers GROUP BY 2", "group"),
    ("SELECT count(*), ssn AS s FROM customers GROUP BY s", "group"), ("SELECT count(*) FROM customers GROUP BY left(ssn, 3)", "group"),
    ("SELECT count(*) FROM customers GROUP BY ROLLUP (city, ssn)", "group"),
    ("SELECT count(*) FROM customers GROUP BY GROUPING SETS ((ssn), ())", "group"), ("SELECT count(*) FROM customers c GROUP BY c", "group"),
    ("SELECT DISTINCT ssn FROM customers", "group"), ("SELECT DISTINCT * FROM customers", "group"),
    ("SELECT DISTINCT ON (ssn) id FROM customers", "group"), ("SELECT count(DISTINCT ssn) FROM customers", "argument"),
    ("SELECT ssn FROM customers UNION SELECT '1'", "group"), ("SELECT '1' INTERSECT SELECT ssn FROM customers", "group"),
    ("SELECT ssn FROM customers EXCEPT ALL SELECT '1'", "group"), ("TABLE customers EXCEPT TABLE customers", "group"),
    ("SELECT id, ssn FROM customers UNION DISTINCT (SELECT 1, '1')", "group"),
    ("WITH RECURSIVE x AS (SELECT ssn FROM customers UNION SELECT ssn FROM x) SELECT count(*) FROM x", "group"),
    ("SELECT count(*) FROM (SELECT DISTINCT ssn FROM customers) x", "group"), ("SELECT sum(1) OVER (PARTITION BY ssn) FROM customers", "group"),
    ("SELECT 1 FROM customers c JOIN orders o ON c.ssn = o.note", "join"),
    ("SELECT 1 FROM customers c, orders o WHERE c.ssn = o.note", "predicate"), ("SELECT 1 FROM customers JOIN hr.staff USING (ssn)", "join"),
    ("SELECT 1 FROM customers NATURAL JOIN hr.staff", "join"),
    ("SELECT 1 FROM customers c LEFT JOIN (VALUES ('1')) v (ssn) USING (ssn)", "join"),
    ("SELECT 1 FROM customers c JOIN LATERAL (SELECT 1 WHERE c.ssn < '1') x ON true", "predicate"),
    ("SELECT 1 FROM customers NATURAL FULL JOIN (SELECT '1' AS ssn) x", "join"),
    ("SELECT 1 FROM (customers c JOIN orders o ON true) JOIN audit ON c.ssn < '1'", "join"),
    ("SELECT 1 FROM secrets s JOIN orders o ON s.number = o.note", "join"),
    # expressions
    ("SELECT upper(ssn) FROM customers", "argument"), ("SELECT ssn || '' FROM customers", "argument"),
    ("SELECT ssn::int FROM customers", "argument"), ("SELECT ssn::char(3) FROM customers", "argument"),
    ("SELECT CAST(ssn AS varchar(3)) FROM customers", "argument"), ("SELECT ssn < '1' FROM customers", "argument"),
    ("SELECT ssn IS NULL FROM customers", "argument"), ("SELECT CASE WHEN ssn < '1' THEN 1 END FROM customers", "predicate"),
    ("SELECT CASE WHEN true THEN ssn END FROM customers", "argument"), ("SELECT CASE ssn WHEN '1' THEN 1 END FROM customers", "predicate"),
    ("SELECT COALESCE(ssn, '') FROM customers", "argument"), ("SELECT NULLIF(ssn, '1') FROM customers", "argument"),
    ("SELECT GREATEST(ssn, '1') FROM customers", "argument"), ("SELECT ARRAY[ssn] FROM customers", "argument"),
    ("SELECT (ARRAY[ssn])[1] FROM customers", "argument"), ("SELECT ROW(ssn) FROM customers", "argument"),
    ("SELECT (ROW(ssn)).f1 FROM customers", "argument"), ("SELECT c FROM customers c", "argument"),
    ("SELECT customers FROM customers", "argument"), ("SELECT c::text FROM customers c", "argument"),
    ("SELECT (c).ssn || '' FROM customers c", "argument"), ("SELECT c.*::text FROM customers c", "argument"),
    ("SELECT row_to_json(c) FROM customers c", "argument"), ("SELECT to_jsonb(c) -> 'ssn' FROM customers c", "argument"),
    ("SELECT to_jsonb(c) - 'id' FROM customers c", "argument"), ("SELECT json_agg(c) FROM customers c", "argument"),
    ("SELECT json_build_object('a', ssn) FROM customers", "argument"), ("SELECT JSON_OBJECT('a' : ssn) FROM customers", "argument"),
    ("SELECT JSON_ARRAY(ssn) FROM customers", "argument"), ("SELECT JSON_ARRAY(SELECT ssn FROM customers)", "argument"),
    ("SELECT JSON_OBJECTAGG(id : ssn) FROM customers", "argument"), ("SELECT JSON_ARRAYAGG(ssn) FROM customers", "argument"),
    ("SELECT JSON_VALUE(ssn, '$') FROM customers", "argument"), ("SELECT XMLELEMENT(NAME a, ssn) FROM customers", "argument"),
    ("SELECT XMLFOREST(ssn) FROM customers", "argument"), ("SELECT XMLELEMENT(NAME a, XMLATTRIBUTES(ssn)) FROM customers", "argument"),
    ("SELECT count(ssn) FROM customers", "argument"), ("SELECT max(ssn) FROM customers", "argument"),
    ("SELECT min(ssn) OVER () FROM customers", "argument"), ("SELECT array_agg(ssn) FROM customers", "argument"),
    ("SELECT string_agg(ssn, ',') FROM customers", "argument"), ("SELECT string_agg(name, ssn) FROM customers", "argument"),
    ("SELECT lag(ssn) OVER (ORDER BY id) FROM customers", "argument"), ("SELECT first_value(ssn) OVER (ORDER BY id) FROM customers", "argument"),
    ("SELECT bool_or(ssn < '1') FROM customers", "argument"), ("SELECT sum(CASE WHEN ssn < '1' THEN 1 ELSE 0 END) FROM customers", "argument"),
    ("SELECT count(c) FROM customers c", "argument"), ("SELECT num_nulls(ssn) FROM customers", "argument"),
    ("SELECT concat(name, ssn) FROM customers", "argument"), ("SELECT concat_ws(',', VARIADIC ARRAY[ssn]) FROM customers", "argument"),
    ("SELECT format('%s', ssn) FROM customers", "argument"), ("SELECT substr(ssn, 1, 1) FROM customers", "argument"),
    ("SELECT md5(ssn) FROM customers", "argument"), ("SELECT hashtext(ssn) FROM customers", "argument"),
    ('SELECT ssn COLLATE "C" FROM customers', ""), ("SELECT ssn ~ '1' FROM customers", "argument"),
    ("SELECT regexp_matches(ssn, '(.)') FROM customers", "argument"), ("SELECT string_to_table(ssn, NULL) FROM customers", "argument"),
    ("SELECT crypt(ssn, 'a') FROM customers", "argument"), ("SELECT generate_series(1, ssn::int) FROM customers", "argument"),
    ("SELECT g FROM customers, generate_series(1, ssn::int) g", "argument"),
    ("SELECT g FROM customers c, LATERAL unnest(string_to_array(c.ssn, '')) g", "argument"),
    ("SELECT a.* FROM customers c, json_each(row_to_json(c)) a", "argument"),
    ("SELECT id FROM customers LIMIT (SELECT max(ssn)::int FROM customers)", "argument"),
    ("SELECT id FROM customers LIMIT (SELECT ssn FROM customers LIMIT 1)", "predicate"),
    ("SELECT id FROM customers OFFSET (SELECT count(*) FROM customers WHERE ssn < '1')", "predicate"),
    ("SELECT 1 / (SELECT count(*) FROM customers WHERE ssn < '1')", "predicate"), ("SELECT pick(ssn) FROM customers", "argument"),
    ("SELECT ssn_of(1)", "-"), ("SELECT * FROM find('a')", "-"), ("SELECT (find('a')).ssn", "-"),
    ("SELECT id FROM find('a') WHERE ssn < '1'", "-"), ("SELECT set_config('a.b', ssn, false) FROM customers", "argument"),
    ("SELECT pg_notify('a', ssn) FROM customers", "argument"), ("SELECT pg_sleep(length(ssn)) FROM customers", "argument"),
    ("SELECT 1 FROM customers TABLESAMPLE system (1) REPEATABLE ((SELECT ssn::int FROM customers LIMIT 1))", "argument"),
    ("SELECT tail FROM tails", "argument"), ("SELECT JSON(ssn) FROM customers", "argument"),
    ("SELECT ssn::public.email_address FROM customers", "argument"), ("SELECT (SELECT ssn || '') FROM customers", "argument"),
    ("SELECT EXISTS (SELECT 1 FROM customers WHERE ssn < '1')", "predicate"), ("SELECT '1' IN (SELECT ssn FROM customers)", "predicate"),
    ("SELECT ssn = ANY (ARRAY['1']) FROM customers", "argument"), ("SELECT (id, ssn) FROM customers", "argument"),
    ("SELECT ARRAY(SELECT ssn FROM customers)", "argument"),
    ("SELECT x.a FROM customers, XMLTABLE('/a' PASSING (ssn::xml) COLUMNS a text) x", "argument"),
    ("SELECT x.a FROM customers, JSON_TABLE(ssn, '$' COLUMNS (a text PATH '$')) x", "argument"),
    ("EXPLAIN ANALYZE SELECT 1 FROM customers WHERE ssn < '1'", "predicate"), ("EXPLAIN SELECT 1 FROM customers WHERE ssn < '1'", "predicate"),
    ("DECLARE c CURSOR FOR SELECT id FROM customers ORDER BY ssn", "order"),
    ("PREPARE p AS SELECT id FROM customers WHERE ssn = $1", "predicate"), ("COPY (SELECT id FROM customers ORDER BY ssn) TO STDOUT", "order"),
    ("DO $$BEGIN IF EXISTS (SELECT FROM customers WHERE ssn < '1') THEN NULL; END IF; END$$", "predicate"),
    ("DO $$DECLARE s text; BEGIN SELECT ssn INTO s FROM customers; RAISE NOTICE '%', s; END$$", "argument"),
    ("DO $$DECLARE s text := (SELECT ssn FROM customers); BEGIN END$$", "-"),
    ("DO $$DECLARE s text; BEGIN s := ssn FROM customers; END$$", "argument"),
    ("CALL close_month((SELECT ssn FROM customers)::date)", "argument"), ("EXECUTE p ((SELECT ssn FROM customers))", "-"),
    # written elsewhere
    ("INSERT INTO audit (what) SELECT ssn FROM customers", "write"), ("INSERT INTO audit SELECT id, now(), ssn FROM customers", "write"),
    ("CREATE TABLE x AS SELECT ssn FROM customers", "write"), ("CREATE TABLE x AS TABLE customers", "write"),
    ("SELECT ssn INTO x FROM customers", "write"), ("CREATE MATERIALIZED VIEW x AS SELECT ssn FROM customers", "write"),
    ("UPDATE audit SET what = ssn FROM customers", "write"), ("UPDATE audit SET (id, what) = (SELECT id, ssn FROM customers LIMIT 1)", "write"),
    ("UPDATE customers SET name = ssn", "write"), ("UPDATE customers SET ssn = '1'", "write"),
    ("INSERT INTO customers (ssn) VALUES ('1')", "write"), ("INSERT INTO customers VALUES (1, '', '', '', '', '', '1')", "write"),
    ("INSERT INTO audit (what) VALUES ((SELECT ssn FROM customers LIMIT 1))", "write"),
    ("MERGE INTO audit USING customers c ON audit.id = c.id WHEN MATCHED THEN UPDATE SET what = c.ssn", "write"),
    ("MERGE INTO audit USING customers c ON audit.what = c.ssn WHEN MATCHED THEN DELETE", "predicate"),
    ("MERGE INTO audit a USING customers c ON true WHEN MATCHED AND c.ssn < '1' THEN DELETE", "predicate"),
    ("DELETE FROM audit USING customers WHERE ssn < '1'", "predicate"), ("DELETE FROM customers WHERE ssn < '1'", "predicate"),
    ("UPDATE customers SET name = '' WHERE ssn < '1' RETURNING id", "predicate"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = customers.ssn", "write"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (ssn) DO NOTHING", "-"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = '' WHERE customers.ssn < '1'", "predicate"),
    ("DELETE FROM customers RETURNING upper(ssn)", "argument"), ("UPDATE customers SET name = '' RETURNING customers", "argument"),
    ("WITH x AS (DELETE FROM customers RETURNING ssn) INSERT INTO audit (what) TABLE x", "write"), ("COPY customers (ssn) FROM STDIN", "write"),
    ("COPY audit FROM STDIN WHERE what = (SELECT ssn FROM customers)", "-"), ("CREATE VIEW x AS SELECT ssn FROM customers", "-"),
    ("CREATE INDEX ON customers (ssn)", "-"), ("CREATE TABLE x (LIKE customers)", ""), ("CREATE UNIQUE INDEX ON customers (length(ssn))", "-"),
    ("ALTER TABLE customers ALTER ssn TYPE int USING ssn::int", "-"), ("ALTER TABLE customers ADD CHECK (ssn < '1')", "-"),
    ("COPY (SELECT ssn FROM customers) TO PROGRAM 'curl'", "write"), ("COPY customers TO '/tmp/x'", "write"),
    ("COPY (SELECT ssn FROM customers) TO '/tmp/x'", "write"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "use"), USES)
def test_what_a_statement_does_with_a_column_is_seen(text: str, use: str) -> None:
    """ "-": it is seen to be used for something, or nothing is sure."""
    found = uses(text)
    if use == "-":
        assert found - {"project"} or not sure(text) or "CREATE" in text or "ALTER" in text or "FOR UPDATE" in text
    elif use:
        assert use in found or not sure(text)
    else:
        assert found <= {"project"}
        assert sure(text)


# Names of variables are not names of tables, and come after those of columns.
SHADOWS = [
    "DO $$DECLARE customers text; BEGIN PERFORM pg_notify('a', ssn) FROM customers; END$$",
    "DO $$DECLARE ssn text; BEGIN PERFORM pg_notify('a', ssn) FROM customers; END$$",
    "DO $$<<customers>> DECLARE x text; BEGIN PERFORM pg_notify('a', ssn) FROM customers; END$$",
    "DO $$DECLARE customers record; BEGIN PERFORM pg_notify('a', customers.ssn) FROM customers; END$$",
    "DO $$DECLARE c record; BEGIN PERFORM pg_notify('a', c.ssn) FROM customers c; END$$",
    "DO $$DECLARE customers text; BEGIN PERFORM 1 FROM customers WHERE customers.ssn < '1'; END$$",
    "DO $$#variable_conflict use_column\nDECLARE ssn text; BEGIN PERFORM 1 FROM customers WHERE ssn < '1'; END$$",
]


@pytest.mark.parametrize("text", SHADOWS)
def test_no_variable_hides_a_column(text: str) -> None:
    assert uses(text) - {"project"}


PLAIN = [
    "SELECT ssn FROM customers", "SELECT * FROM customers", "TABLE customers", "SELECT c.ssn AS other FROM customers c WHERE c.id = 1",
    "SELECT public.customers.ssn FROM customers", "SELECT number FROM secrets", "SELECT x.s FROM (SELECT ssn AS s FROM customers) x",
    "WITH x AS (SELECT ssn FROM customers) SELECT * FROM x WHERE true", "SELECT ssn FROM customers UNION ALL SELECT note FROM orders",
    "SELECT (SELECT ssn FROM customers LIMIT 1)", "SELECT ssn::text FROM customers",
    "SELECT CAST(ssn AS text) FROM customers ORDER BY id LIMIT 3", "SELECT ssn::varchar FROM customers", "SELECT (ssn) FROM customers",
    "SELECT (c).ssn FROM customers c", "SELECT (c).* FROM customers c",
    "SELECT c.ssn, o.* FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.amount > 1",
    "VALUES ((SELECT ssn FROM customers LIMIT 1))", "SELECT id, ssn FROM customers FETCH FIRST 3 ROWS ONLY", "COPY customers TO STDOUT",
    "COPY (SELECT ssn FROM customers) TO STDOUT", "COPY customers (ssn) TO STDOUT (FORMAT csv)",
    "DELETE FROM customers WHERE id = 1 RETURNING ssn", "UPDATE customers SET name = '' WHERE id = 1 RETURNING *",
    "DECLARE c CURSOR FOR SELECT ssn FROM customers", "PREPARE p AS SELECT ssn FROM customers WHERE id = $1",
    "EXPLAIN SELECT ssn FROM customers", "SELECT DISTINCT ON (id) ssn FROM customers", "SELECT ssn FROM customers ORDER BY lower(name)",
    "WITH x AS (TABLE customers), y AS (TABLE x) SELECT y.ssn FROM y", "SELECT x.* FROM customers c, LATERAL (SELECT c.ssn) x",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_shows_a_column_is_not_taken_for_more(text: str) -> None:
    assert uses(text) == {"project"}
    assert sure(text)


UNTOUCHED = [
    "SELECT id, name FROM customers WHERE city = 'x' ORDER BY id", "SELECT count(*) FROM customers",
    "SELECT count(*) FROM customers GROUP BY city", "SELECT 1 FROM customers c JOIN orders o ON o.customer_id = c.id", "SELECT * FROM contacts",
    "SELECT * FROM spend", "SELECT * FROM cities", "SELECT ssn FROM hr.staff", "SELECT ssn FROM (SELECT '1' AS ssn) customers",
    "SELECT id FROM (SELECT * FROM customers) x", "WITH x AS (TABLE customers) SELECT id FROM x", "SELECT EXISTS (SELECT ssn FROM customers)",
    "SELECT 'ssn' FROM customers", "SELECT id AS ssn FROM customers ORDER BY id", "SELECT total(1)",
]  # fmt: skip


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_leaves_a_column_alone_is_not_said_to_use_it(text: str) -> None:
    assert uses(text) == set()
    assert sure(text)


def test_the_use_of_another_tables_column_of_that_name_is_told_apart() -> None:
    text = "SELECT c.ssn FROM customers c JOIN hr.staff s ON s.ssn = c.name"
    assert uses(text) == {"project"}
    assert uses(text, "hr.staff.ssn") == {"join"}
    assert analysed(text).statements[0].columns
