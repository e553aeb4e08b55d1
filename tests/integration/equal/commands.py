"""Every family of commands, one query string a line. Each script has a connection of its own."""

from __future__ import annotations

from typing import Final

DDL = """
CREATE SCHEMA shop
CREATE SCHEMA shop
CREATE SCHEMA IF NOT EXISTS shop
CREATE TABLE shop.items (id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8,2) CHECK (price >= 0), added date DEFAULT '2026-01-01', tags text[])
CREATE TABLE shop.sales (id bigint GENERATED ALWAYS AS IDENTITY, item int REFERENCES shop.items ON DELETE CASCADE, n int DEFAULT 1, total numeric GENERATED ALWAYS AS (n * 2) STORED)
CREATE UNLOGGED TABLE shop.scratch (LIKE shop.items INCLUDING ALL)
CREATE TEMP TABLE mine (a int) ON COMMIT DELETE ROWS
CREATE TABLE shop.days (at date, what text) PARTITION BY RANGE (at)
CREATE TABLE shop.days_1 PARTITION OF shop.days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')
CREATE TABLE shop.days_2 PARTITION OF shop.days DEFAULT
CREATE INDEX ON shop.sales (item)
CREATE UNIQUE INDEX items_lower ON shop.items (lower(name)) WHERE price > 1
CREATE INDEX items_lower ON shop.items (id)
CREATE VIEW shop.cheap AS SELECT id, name FROM shop.items WHERE price < 10
CREATE OR REPLACE VIEW shop.cheap AS SELECT id, name, price FROM shop.items WHERE price < 10 WITH CHECK OPTION
CREATE OR REPLACE VIEW shop.cheap AS SELECT name FROM shop.items
CREATE MATERIALIZED VIEW shop.totals AS SELECT item, sum(n) AS n FROM shop.sales GROUP BY item WITH NO DATA
SELECT * FROM shop.totals
REFRESH MATERIALIZED VIEW shop.totals
SELECT * FROM shop.totals
CREATE SEQUENCE shop.numbers START 5 INCREMENT 3
SELECT nextval('shop.numbers'), currval('shop.numbers'), lastval()
ALTER SEQUENCE shop.numbers RESTART
SELECT setval('shop.numbers', 100), nextval('shop.numbers')
CREATE TYPE shop.colour AS ENUM ('red', 'green')
ALTER TYPE shop.colour ADD VALUE 'blue' AFTER 'red'
SELECT enum_range(NULL::shop.colour)
CREATE TYPE shop.size AS (w int, h int)
CREATE DOMAIN shop.email AS text CHECK (VALUE ~ '@')
SELECT 'x'::shop.email
SELECT 'x@y'::shop.email
CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 2
CREATE FUNCTION shop.many(n int) RETURNS TABLE (a int, b text) LANGUAGE plpgsql AS $$BEGIN FOR a IN 1..n LOOP b := repeat('x', a); RETURN NEXT; END LOOP; END$$
CREATE PROCEDURE shop.add(inout n int) LANGUAGE plpgsql AS $$BEGIN n := n + 1; END$$
CREATE FUNCTION shop.bad() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN nothing; END$$
CREATE FUNCTION shop.broken() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETRUN 1; END$$
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name := upper(NEW.name); RETURN NEW; END$$
CREATE TRIGGER stamp BEFORE INSERT ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.stamp()
CREATE RULE keep AS ON DELETE TO shop.scratch DO INSTEAD NOTHING
SELECT shop.twice(21), shop.twice('x')
SELECT shop.twice(21)
SELECT * FROM shop.many(3)
CALL shop.add(1)
SELECT shop.add(1)
SELECT shop.bad()
INSERT INTO shop.items (name, price, tags) VALUES ('pen', 1.50, '{a,b}'), ('ink', 12, NULL) RETURNING id, name, added
INSERT INTO shop.cheap (name, price) VALUES ('dear', 99)
ALTER TABLE shop.items ADD COLUMN weight real DEFAULT 1.5
ALTER TABLE shop.items ALTER COLUMN weight TYPE int USING weight::int
ALTER TABLE shop.items RENAME COLUMN weight TO mass
ALTER TABLE shop.items DROP COLUMN mass
ALTER TABLE shop.items ADD COLUMN IF NOT EXISTS name text
ALTER TABLE shop.items ALTER COLUMN price TYPE date
ALTER TABLE shop.items ADD CONSTRAINT short CHECK (length(name) < 2)
ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY
ALTER TABLE shop.items DISABLE ROW LEVEL SECURITY
ALTER TABLE shop.sales RENAME TO sold
ALTER TABLE shop.nothing RENAME TO x
ALTER VIEW shop.cheap RENAME TO cheaper
COMMENT ON TABLE shop.items IS 'things'
SELECT obj_description('shop.items'::regclass)
GRANT SELECT ON shop.items TO reader
REVOKE SELECT ON shop.items FROM reader
GRANT nothing TO app
CREATE ROLE other
CREATE DATABASE other
CREATE EXTENSION nothing
CREATE STATISTICS shop.st ON name, price FROM shop.items
CREATE COLLATION shop.c (provider = libc, locale = 'C')
SELECT 'a' < 'B' COLLATE shop.c
CREATE AGGREGATE shop.total (int) (sfunc = int4pl, stype = int, initcond = 0)
SELECT shop.total(a) FROM generate_series(1, 4) a
CREATE OPERATOR shop.@@@ (leftarg = int, rightarg = int, function = int4pl)
SELECT 1 OPERATOR(shop.@@@) 2
CREATE CAST (shop.size AS text) WITH INOUT
CREATE TEXT SEARCH CONFIGURATION shop.ts (COPY = simple)
CREATE POLICY p ON shop.items USING (true)
CREATE PUBLICATION pub FOR TABLE shop.items
CREATE TABLE shop.copied AS SELECT * FROM generate_series(1, 3) a
SELECT a INTO shop.into_table FROM generate_series(1, 5) a
CREATE TABLE shop.copied AS SELECT 1
CREATE TABLE IF NOT EXISTS shop.copied AS SELECT 1
ANALYZE shop.items
VACUUM shop.items
VACUUM (ANALYZE, VERBOSE OFF) shop.items
REINDEX TABLE shop.items
CLUSTER shop.items USING items_pkey
TRUNCATE shop.items
TRUNCATE shop.items CASCADE
LOCK TABLE shop.items
CHECKPOINT
LOAD 'nothing'
DROP TABLE shop.nothing
DROP TABLE IF EXISTS shop.nothing
DROP VIEW shop.items
DROP TABLE shop.items
DROP FUNCTION shop.twice(text)
DROP FUNCTION shop.twice
DROP SCHEMA shop
DROP SCHEMA shop CASCADE
"""

DML = """
CREATE TABLE d (id int PRIMARY KEY, a text, n numeric DEFAULT 0, at timestamp)
INSERT INTO d VALUES (1, 'one', 1.5, '2026-01-01'), (2, 'two', NULL, NULL)
INSERT INTO d SELECT i, 'row ' || i, i / 3.0 FROM generate_series(3, 50) i
INSERT INTO d DEFAULT VALUES
INSERT INTO d (id) VALUES (1)
INSERT INTO d (id, a) VALUES (1, 'x') ON CONFLICT DO NOTHING
INSERT INTO d (id, a) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET a = excluded.a || d.a RETURNING *
INSERT INTO d (id, id) VALUES (1, 2)
INSERT INTO d VALUES (60, 'a', 1, now(), 5)
INSERT INTO d (nothing) VALUES (1)
UPDATE d SET n = n + 1 WHERE id < 5 RETURNING id, n
UPDATE d SET n = n / 0
UPDATE d SET id = id
UPDATE d SET (a, n) = (SELECT 'b', 7) WHERE id = 2
UPDATE d SET a = o.a FROM d o WHERE o.id = d.id + 1 AND d.id = 3 RETURNING d.a, o.id
DELETE FROM d WHERE id > 45 RETURNING *
DELETE FROM d USING d o WHERE d.id = o.id AND o.id = 44
DELETE FROM d WHERE nothing
WITH gone AS (DELETE FROM d WHERE id = 43 RETURNING *) SELECT count(*), max(a) FROM gone
WITH new AS (INSERT INTO d VALUES (70, 'x') RETURNING id), ups AS (UPDATE d SET a = 'y' WHERE id = 42 RETURNING id) SELECT * FROM new, ups
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t
MERGE INTO d USING (VALUES (1, 'm'), (90, 'n')) v(id, a) ON d.id = v.id WHEN MATCHED THEN UPDATE SET a = v.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (v.id, v.a)
SELECT * FROM d ORDER BY id LIMIT 5
SELECT * FROM d ORDER BY id OFFSET 3 FETCH FIRST 2 ROWS WITH TIES
SELECT d.*, o.a FROM d JOIN d o USING (id) WHERE id < 3 ORDER BY 1
SELECT DISTINCT ON (length(a)) a FROM d ORDER BY length(a), a
SELECT id % 3 AS k, count(*), avg(n), array_agg(id ORDER BY id) FROM d GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
SELECT id, sum(id) OVER (ORDER BY id), rank() OVER w FROM d WINDOW w AS (ORDER BY id % 2) ORDER BY id LIMIT 4
SELECT GROUPING(id % 2), id % 2, count(*) FROM d GROUP BY ROLLUP (id % 2) ORDER BY 1, 2
SELECT 1 UNION SELECT 2 EXCEPT SELECT 1 ORDER BY 1
SELECT a FROM d WHERE a LIKE 'row 1%' ORDER BY a COLLATE "C"
SELECT EXISTS (SELECT FROM d WHERE id = 7), id IN (1, 2), id = ANY (ARRAY[1, 3]) FROM d WHERE id < 4 ORDER BY id
SELECT CASE WHEN id > 2 THEN 'big' ELSE NULL END FROM d ORDER BY id LIMIT 3
SELECT (d).a, d FROM d ORDER BY id LIMIT 2
SELECT FROM d LIMIT 3
SELECT
TABLE d LIMIT 1
VALUES (1, 'a'), (2, NULL)
SELECT * FROM d TABLESAMPLE SYSTEM (0)
SELECT * FROM generate_series(1, 3) WITH ORDINALITY, LATERAL (SELECT 1) x
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a']) u(a, b)
SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3))
SELECT * FROM d FOR UPDATE LIMIT 1
SELECT * FROM d WHERE id = 1 FOR SHARE SKIP LOCKED
SELECT count(*) FROM d CROSS JOIN d e CROSS JOIN d f
SELECT repeat('x', 100000), generate_series(1, 20)
SELECT i, md5(i::text), i::numeric / 7, i % 2 = 0, NULL FROM generate_series(1, 3000) i
SELECT lo_from_bytea(0, 'x') = 0
SELECT a.attname, a.atttypid::regtype FROM pg_attribute a WHERE attrelid = 'd'::regclass AND attnum > 0 ORDER BY attnum
SELECT relname, relkind, relnatts FROM pg_class WHERE relname = 'd'
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = 'd' ORDER BY ordinal_position
SELECT ctid, tableoid::regclass, xmin <> '0' FROM d WHERE id = 1
SELECT current_user, session_user, current_database(), current_schema, current_schemas(true)
SELECT version() ~ 'PostgreSQL', pg_typeof(now()), current_date - current_date
DROP TABLE d
"""

TRANSACTIONS = """
BEGIN
SELECT 1
COMMIT
COMMIT
ROLLBACK
BEGIN; BEGIN
SELECT 1/0
SELECT 1
COMMIT
START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
SHOW transaction_isolation
CREATE TABLE nothing (a int)
ROLLBACK
BEGIN
SAVEPOINT a
SELECT x
SELECT 1
ROLLBACK TO a
SELECT 2
SAVEPOINT a
RELEASE a
RELEASE SAVEPOINT a
RELEASE a
ROLLBACK
SAVEPOINT a
ROLLBACK TO a
BEGIN
SET LOCAL statement_timeout = '10s'
SHOW statement_timeout
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
SELECT 1
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
ROLLBACK
SHOW statement_timeout
COMMIT AND CHAIN
BEGIN
COMMIT AND CHAIN
SELECT 1
ROLLBACK AND NO CHAIN
BEGIN
CREATE TABLE tx (a int)
INSERT INTO tx VALUES (1)
SELECT * FROM tx
ROLLBACK
SELECT * FROM tx
SELECT 1; SELECT 2; SELECT 1/0; SELECT 3
BEGIN; SELECT 1; COMMIT; SELECT 2
SELECT 1; BEGIN; SELECT 2
ROLLBACK
SELECT 1; ROLLBACK; SELECT 2
CREATE TABLE one_string (a int); INSERT INTO one_string VALUES (1), (2); SELECT * FROM one_string; DROP TABLE one_string
CREATE TABLE undone (a int); SELECT 1/0
SELECT * FROM undone
;
;;
-- nothing

/* nothing */ SELECT 1 -- something
BEGIN
PREPARE TRANSACTION 'two'
SELECT gid, owner FROM pg_prepared_xacts
COMMIT PREPARED 'two'
BEGIN
INSERT INTO nothing VALUES (1)
PREPARE TRANSACTION 'three'
ROLLBACK PREPARED 'three'
BEGIN
PREPARE TRANSACTION 'four'
ROLLBACK PREPARED 'four'
SET CONSTRAINTS ALL DEFERRED
BEGIN
SET CONSTRAINTS ALL IMMEDIATE
SET CONSTRAINTS nothing IMMEDIATE
END
ABORT
SELECT pg_current_xact_id_if_assigned()
SELECT pg_advisory_lock(1), pg_advisory_unlock(1), pg_advisory_unlock(1)
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ
SHOW default_transaction_isolation
SET default_transaction_isolation = 'read committed'
"""

CURSORS = """
DECLARE c CURSOR FOR SELECT 1
BEGIN
DECLARE c CURSOR FOR SELECT i, 'x' || i AS t FROM generate_series(1, 20) i
DECLARE c CURSOR FOR SELECT 1
ROLLBACK
BEGIN
DECLARE c SCROLL CURSOR FOR SELECT i, 'x' || i AS t FROM generate_series(1, 20) i
FETCH c
FETCH NEXT FROM c
FETCH 3 FROM c
FETCH FORWARD 2 FROM c
FETCH BACKWARD 2 FROM c
FETCH PRIOR c
FETCH FIRST c
FETCH LAST c
FETCH ABSOLUTE 7 c
FETCH RELATIVE -2 c
FETCH 0 c
MOVE 3 IN c
MOVE FORWARD ALL c
FETCH ALL c
FETCH BACKWARD ALL c
CLOSE c
COMMIT
BEGIN
DECLARE n NO SCROLL CURSOR FOR SELECT 1
FETCH BACKWARD 1 n
ROLLBACK
DECLARE h CURSOR WITH HOLD FOR SELECT generate_series(1, 5)
FETCH 2 h
SELECT name, statement, is_holdable, is_binary, is_scrollable FROM pg_cursors
FETCH ALL h
CLOSE h
BEGIN
DECLARE b BINARY CURSOR FOR SELECT 1, 'x'::text, 1.5::numeric
FETCH b
DECLARE u CURSOR FOR SELECT id FROM customers WHERE id = 1 FOR UPDATE
FETCH u
CLOSE ALL
COMMIT
PREPARE p AS SELECT 1, 'x'
EXECUTE p
PREPARE p AS SELECT 2
PREPARE q (int, text) AS SELECT $1 + 1, $2 || '!'
EXECUTE q (1, 'a')
EXECUTE q (1)
EXECUTE q ('x', 'y')
EXECUTE q (1 + 1, upper('b'))
EXPLAIN (COSTS OFF) EXECUTE q (1, 'a')
CREATE TEMP TABLE from_q (a, b) AS EXECUTE q (5, 'c')
SELECT * FROM from_q
SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name
DEALLOCATE p
PREPARE p AS SELECT 3
EXECUTE p
DEALLOCATE PREPARE q
DEALLOCATE ALL
PREPARE bad AS SELECT nothing
PREPARE r AS INSERT INTO from_q VALUES ($1, $2) RETURNING *
EXECUTE r (9, 'nine')
DISCARD PLANS
DISCARD SEQUENCES
DISCARD TEMP
SELECT * FROM from_q
DISCARD ALL
"""

SETTINGS = """
SHOW datestyle
SET datestyle = 'SQL, DMY'
SELECT '2026-03-04'::date, '2026-03-04 05:06:07'::timestamp
SET DateStyle TO German
SELECT '2026-03-04'::date
RESET datestyle
SET intervalstyle = 'iso_8601'
SELECT '1 day 2 hours'::interval
SET intervalstyle TO DEFAULT
SET TIME ZONE 'Asia/Kolkata'
SELECT '2026-01-01 00:00+00'::timestamptz
SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE
SELECT '2026-01-01 00:00+00'::timestamptz
SET timezone = 'Nowhere/Land'
SET TIME ZONE LOCAL
SET bytea_output = 'escape'
SELECT '\\x00ff41'::bytea
SET bytea_output = 'what'
RESET bytea_output
SET extra_float_digits = 0
SELECT 0.1::float8 + 0.2::float8, 1.1::real
SET extra_float_digits = 4
SET extra_float_digits = 3
SELECT 0.1::float8 + 0.2::float8
SET application_name = 'a job'
SHOW application_name
SET application_name TO DEFAULT
SET client_min_messages = 'warning'
DO $$BEGIN RAISE NOTICE 'unheard'; RAISE WARNING 'heard'; END$$
SET client_min_messages = debug1
RESET client_min_messages
SET search_path = pg_catalog, public
SHOW search_path
SELECT current_schemas(false)
SET search_path = nowhere
SELECT * FROM customers
SET search_path = "$user", public
SELECT count(*) FROM customers
BEGIN
SET LOCAL search_path = pg_catalog, pg_temp
SELECT count(*) FROM customers
ROLLBACK
RESET search_path
SELECT set_config('work_mem', '8MB', false), current_setting('work_mem')
SHOW work_mem
SELECT set_config('search_path', '', false)
SELECT count(*) FROM public.customers
SELECT current_setting('nothing.here', true), current_setting('nothing')
SET statement_timeout = '1min'
SHOW statement_timeout
SET lock_timeout = -1
SET work_mem = 'much'
SET enable_seqscan = off
SET enable_seqscan = perhaps
SET jit = off
SET xmloption = document
SELECT 'x<a/>'::xml
SET xmloption = content
SET row_security = off
SELECT count(*) FROM public.customers
SHOW nothing
SHOW server_version_num
SHOW ALL_NOTHING
SET standard_conforming_strings = on
SET client_encoding = 'UTF8'
SHOW client_encoding
RESET ALL
SHOW search_path
SET transaction_read_only = on
BEGIN READ ONLY
UPDATE customers SET id = 0
ROLLBACK
SET default_transaction_read_only = on
UPDATE customers SET id = id WHERE false
SET default_transaction_read_only = off
LISTEN news
NOTIFY news
NOTIFY news, 'a payload'
SELECT pg_notify('news', 'another'), pg_listening_channels()
BEGIN
NOTIFY news, 'late'
SELECT 1
COMMIT
UNLISTEN news
NOTIFY news
LISTEN "Odd Channel"
NOTIFY "Odd Channel", 'ünï'
UNLISTEN *
SELECT pg_notify('', 'x')
"""

CODE = """
DO $$BEGIN RAISE NOTICE 'hello %', 1; END$$
DO $$BEGIN RAISE INFO 'info'; RAISE LOG 'log'; RAISE DEBUG 'debug'; END$$
DO $$BEGIN RAISE WARNING USING MESSAGE = 'm', DETAIL = 'd', HINT = 'h', ERRCODE = '01000', COLUMN = 'c', TABLE = 't', SCHEMA = 's', DATATYPE = 'x', CONSTRAINT = 'k'; END$$
DO $$BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'XY123', DETAIL = 'because', HINT = 'do not'; END$$
DO $$BEGIN RAISE EXCEPTION SQLSTATE '22012'; END$$
DO $$BEGIN RAISE unique_violation; END$$
DO $$DECLARE n int; BEGIN FOR n IN 1..3 LOOP RAISE NOTICE '%', n; END LOOP; END$$
DO $$BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught %', SQLERRM; END$$
DO $$BEGIN EXECUTE 'CREATE TEMP TABLE made (a int)'; EXECUTE 'INSERT INTO made VALUES (1)'; END$$
SELECT * FROM made
DO $$BEGIN ASSERT 1 = 2, 'not so'; END$$
DO $$BEGIN RETURN 1; END$$
DO LANGUAGE sql 'SELECT 1'
DO LANGUAGE nothing 'x'
CREATE FUNCTION pg_temp.f(a int, b text DEFAULT 'd') RETURNS text LANGUAGE sql AS 'SELECT a || b'
SELECT pg_temp.f(1), pg_temp.f(1, 'x'), pg_temp.f(b => 'y', a => 2)
CREATE FUNCTION pg_temp.rows() RETURNS SETOF record LANGUAGE sql AS $$SELECT 1, 'a' UNION ALL SELECT 2, 'b'$$
SELECT * FROM pg_temp.rows() AS r(a int, b text)
SELECT * FROM pg_temp.rows()
SELECT pg_temp.rows()
CREATE FUNCTION pg_temp.deep(n int) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF n = 0 THEN RAISE EXCEPTION 'bottom'; END IF; RETURN pg_temp.deep(n - 1); END$$
SELECT pg_temp.deep(3)
CREATE FUNCTION pg_temp.poly(anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT ARRAY[$1]'
SELECT pg_temp.poly(1), pg_temp.poly('x'::text)
CREATE FUNCTION pg_temp.cur() RETURNS refcursor LANGUAGE plpgsql AS $$DECLARE c refcursor := 'named'; BEGIN OPEN c FOR SELECT 1; RETURN c; END$$
BEGIN
SELECT pg_temp.cur()
ROLLBACK
CREATE PROCEDURE pg_temp.commits() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$
CALL pg_temp.commits()
BEGIN
CALL pg_temp.commits()
ROLLBACK
CALL pg_temp.nothing()
EXPLAIN SELECT 1
EXPLAIN (COSTS OFF) SELECT * FROM customers WHERE id = 1
EXPLAIN (COSTS OFF, VERBOSE, FORMAT json) SELECT name FROM customers ORDER BY name
EXPLAIN (COSTS OFF, FORMAT xml) SELECT 1
EXPLAIN (COSTS OFF, FORMAT yaml) SELECT 1
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM customers
EXPLAIN (NOTHING) SELECT 1
EXPLAIN (COSTS OFF) INSERT INTO customers (id) VALUES (99)
SELECT array_length(ARRAY[[1, 2], [3, 4]], 1), (ARRAY[1, 2, 3])[2:], ARRAY[1] || 2, '{a,b}'::text[] @> '{a}'
SELECT array_agg(a), array_to_string(array_agg(a), ','), cardinality(array_agg(a)) FROM (VALUES (1), (NULL)) v(a)
SELECT '[1,5)'::int4range * '[3,9)', '[1,3)'::int4range -|- '[3,4)', upper('[1,5)'::int4range), isempty('empty'::int4range)
SELECT range_agg(r) FROM (VALUES ('[1,3)'::int4range), ('[2,5)')) v(r)
SELECT '{"a": {"b": [1, 2]}}'::jsonb #> '{a,b,1}', '{"a": 1}'::jsonb ? 'a', jsonb_build_object('k', ARRAY[1, 2]), row_to_json(ROW(1, 'x'))
SELECT * FROM jsonb_to_recordset('[{"a": 1}, {"a": 2, "b": "x"}]') AS r(a int, b text)
SELECT jsonb_path_query('[1, 2, 3]', '$[*] ? (@ > 1)')
SELECT jsonb_set('{"a": 1}', '{b}', '2'), '{"a": 1}'::jsonb || '{"c": null}', jsonb_pretty('{"a": [1]}')
SELECT json_object_agg(k, v) FROM (VALUES ('a', 1), ('b', NULL)) t(k, v)
SELECT '{"a": 1}'::jsonb -> 'a' ->> 'b', ('{"a": "x"}'::jsonb)['a']
SELECT xmlelement(name a, xmlattributes(1 AS b), 'c'), xmlforest(1 AS x)
SELECT xpath('/a/b/text()', '<a><b>1</b></a>')
SELECT to_tsvector('english', 'The fat cats') @@ to_tsquery('cat'), ts_headline('fat cats', 'cat'::tsquery)
SELECT format('%s %I %L', 'a', 'b c', 'd''e'), quote_literal(NULL), regexp_replace('abc', 'b', '\\0\\0'), substring('abc' from 2)
SELECT lpad('x', 5, 'ab'), trim(both 'x' from 'xax'), overlay('abcd' placing 'X' from 2), position('c' in 'abc'), 'a' || NULL
SELECT encode('abc', 'base64'), decode('zz', 'hex')
SELECT md5('x'), sha256('x'), convert_to('ü', 'LATIN1'), convert_from('\\xff', 'UTF8')
SELECT extract(epoch FROM '2026-01-01'::timestamp), date_trunc('month', '2026-02-03'::timestamp), age('2026-01-01', '2025-01-01'), to_char(1234.5, '9,999.99')
SELECT '2026-01-31'::date + '1 month'::interval, make_interval(days => 3), justify_hours('30 hours'), '10:00'::time + '1h'
SELECT generate_series('2026-01-01'::date, '2026-01-03', '1 day')
SELECT round(2.5), round(2.5::float8), trunc(-1.5), 7 / 2, -7 % 3, 2 ^ 10, sqrt(2), |/ 4, 5 & 3, 1 << 4, ~1
SELECT greatest(1, NULL, 3), least(1, 2), coalesce(NULL, 'x'), nullif(1, 1), num_nulls(1, NULL)
SELECT U&'d\\0061t\\+000061', E'tab\\there', $$dollar$$, $x$a$$b$x$, B'101', X'1F', N'n'
SELECT 1e5, .5, 1., 0b101, 0o17, 0x1F, 1_000
SELECT lo_create(50001), lo_put(50001, 0, 'hello large object'), lo_get(50001), lo_get(50001, 2, 3)
SELECT lo_unlink(50001), lo_unlink(50001)
SELECT lo_get(1)
BEGIN
SELECT lo_open(lo_create(50002), 393216)
SELECT lowrite(0, 'abc'), lo_tell(0), lo_lseek(0, 0, 0), loread(0, 10), lo_close(0)
ROLLBACK
SELECT pg_sleep(0)
SELECT txid_current_if_assigned() IS NULL
SELECT setseed(0.5), random() < 1
SELECT pg_backend_pid() > 0
SELECT pg_cancel_backend(0), pg_terminate_backend(0)
SELECT pg_read_file('/etc/passwd')
SELECT has_table_privilege('customers', 'select'), pg_get_userbyid(10), pg_table_is_visible('customers'::regclass)
SELECT * FROM pg_stat_activity WHERE false
SELECT count(*) > 300 FROM pg_type
SELECT name, setting FROM pg_settings WHERE name = 'server_encoding'
"""

SCRIPTS: Final = {
    name: text.strip("\n").split("\n")
    for name, text in {
        "ddl": DDL,
        "dml": DML,
        "transactions": TRANSACTIONS,
        "cursors": CURSORS,
        "settings": SETTINGS,
        "code": CODE,
    }.items()
}
