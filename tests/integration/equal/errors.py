"""Statements that fail, each in a way of its own: one query string a line, each followed by a ROLLBACK."""

from __future__ import annotations

from typing import Final

_SETUP: Final = """
CREATE TABLE e (id int PRIMARY KEY, n int CHECK (n > 0), r int REFERENCES e, s smallint NOT NULL DEFAULT 1, x int4range, EXCLUDE USING gist (x WITH &&))
INSERT INTO e VALUES (1, 1, NULL, 1, '[1,5)')
CREATE VIEW ev AS SELECT id, n FROM e WHERE n < 10 WITH CHECK OPTION
CREATE TABLE ep (a int) PARTITION BY LIST (a)
CREATE SEQUENCE es MINVALUE 0 MAXVALUE 1 START 1
CREATE FUNCTION ef(int) RETURNS int LANGUAGE sql AS 'SELECT $1'
CREATE FUNCTION ef(text) RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE FUNCTION no_return() RETURNS int LANGUAGE plpgsql AS $$BEGIN NULL; END$$
CREATE FUNCTION strict_into() RETURNS int LANGUAGE plpgsql AS $$DECLARE v int; BEGIN SELECT 1 INTO STRICT v WHERE false; RETURN v; END$$
CREATE FUNCTION many_into() RETURNS int LANGUAGE plpgsql AS $$DECLARE v int; BEGIN SELECT * INTO STRICT v FROM generate_series(1, 2); RETURN v; END$$
CREATE FUNCTION no_case() RETURNS int LANGUAGE plpgsql AS $$BEGIN CASE 1 WHEN 2 THEN RETURN 1; END CASE; END$$
CREATE FUNCTION reads() RETURNS void LANGUAGE plpgsql STABLE AS $$BEGIN DELETE FROM e; END$$
CREATE FUNCTION commits() RETURNS void LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$
CREATE TABLE et (id int)
INSERT INTO et VALUES (1)
CREATE FUNCTION touches() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE et SET id = id; RETURN OLD; END$$
CREATE TRIGGER touches BEFORE DELETE ON et FOR EACH ROW EXECUTE FUNCTION touches()
"""

_ERRORS: Final = r"""
CREATE FUNCTION eg(anyelement, text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION eg(text, anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT eg('a'::text, 'b'::text)
PREPARE many AS SELECT $1 = 1, $1 = 'x'::text
BEGIN; SELECT 1/0
INSERT INTO e (id, s) SELECT 50, 1 UNION ALL SELECT 51, 2 / 0
SELECT a.b.c.d.e
SELECT * FROM generate_series(1, 10) WHERE generate_series = 5 / (generate_series - 7)
COPY e FROM STDIN WITH (NOTHING)
COPY e TO STDOUT (FORMAT csv, DELIMITER 'ab')
EXPLAIN (FORMAT nothing) SELECT 1
ALTER TABLE e ALTER COLUMN n SET DATA TYPE date
ALTER TABLE e ADD PRIMARY KEY (n)
ALTER TABLE e DROP CONSTRAINT nothing
ALTER TABLE e ATTACH PARTITION et DEFAULT
CREATE INDEX ON e (nothing)
CREATE INDEX ON e (random())
CREATE TRIGGER x AFTER UPDATE ON ev EXECUTE FUNCTION touches()
CREATE MATERIALIZED VIEW mv AS SELECT $1
REFRESH MATERIALIZED VIEW CONCURRENTLY e
MERGE INTO e USING e f ON true WHEN MATCHED THEN UPDATE SET n = 5 WHEN NOT MATCHED THEN INSERT VALUES (1, 1, 1)
TRUNCATE ev
CALL touches()
SELECT touches()
SELECT row(1, 2) = row(1)
SELECT (SELECT 1, 2)
SELECT 1 IN (SELECT 1, 2)
SELECT * FROM e NATURAL JOIN (SELECT 'x'::text AS id) f
SELECT * FROM e JOIN et USING (n)
SELECT (e).nothing FROM e
SELECT sum(id) OVER w FROM e
SELECT percentile_cont(2) WITHIN GROUP (ORDER BY id) FROM e
SELECT make_time(25, 0, 0), make_timestamp(1, 1, 1, 1, 1, 61)
SELECT jsonb_set('1', '{a}', '1'), jsonb_array_elements('{}')
SELECT json_array_elements('5')
SELECT lo_open(1, 262144)
SELECT pg_advisory_lock('x')
SELECT nextval('e')
SELECT 'x'::regclass, 'public.nothing'::regtype
CREATE TABLE pg_temp.t (a int) INHERITS (ep)
ALTER TABLE ev ADD COLUMN z int
GRANT USAGE ON e TO app
SELECT no_case()
SELECT (SELECT generate_series(1, 2))
INSERT INTO e VALUES (9, 9), (9, 9) ON CONFLICT (id) DO UPDATE SET n = 1
SELECT 'too long'::varchar(30); CREATE TEMP TABLE short (a varchar(2)); INSERT INTO short VALUES ('abc')
SELECT 2147483647 + 1
INSERT INTO e (id, s) VALUES (2, 70000)
SELECT ('{"a": 1}'::jsonb - NULL::text[]) IS NULL, array_fill(1, NULL)
SELECT to_date('x', 'YYYY')
SELECT '2026-01-01'::date + 2147483647
SELECT make_date(2026, 13, 1)
SELECT '2026-01-01 00:00+99'::timestamptz
SELECT substring('abc' from 1 for -1)
SELECT 1 / 0
SELECT 1 % 0, 1::numeric / 0
SELECT sum(id) OVER (ORDER BY id ROWS -1 PRECEDING) FROM e
SELECT ntile(0) OVER () FROM e
SELECT interval '1 day' * 1e20
SELECT nth_value(id, 0) OVER () FROM e
SELECT 'a' ~ '('
SELECT ln(0)
SELECT sqrt(-1)
SELECT (-8) ^ 0.5
SELECT width_bucket(1, 0, 10, 0)
SELECT * FROM e LIMIT -1
SELECT * FROM e OFFSET -1
SELECT chr(0)
SELECT convert_from('\xff', 'UTF8')
SELECT date_trunc('nothing', now())
SELECT generate_series(1, 2, 0)
SELECT 'a' LIKE '\'
SELECT array_fill(1, ARRAY[1], ARRAY[1, 2])
SELECT ARRAY[[1], [2, 3]]
SELECT '{1}'::int[] || '{{{1}}}'::int[]
SELECT * FROM e TABLESAMPLE SYSTEM (1) REPEATABLE (NULL)
SELECT * FROM e TABLESAMPLE SYSTEM (101)
SELECT json_object('{a, 1, a, 2}'), jsonb_object_agg_unique(k, 1) FROM (VALUES ('a'), ('a')) v(k)
SELECT json '{"a"' IS JSON, jsonb_path_query('{"a": 1}', 'strict $.b.c')
SELECT jsonb_path_query('[1]', 'strict $[5]')
SELECT jsonb_path_query('[1, 2]', '$[*].double() + 1 ? (@ > 1)'), jsonb_path_query('[1, 2]', '$[*] + 1')
SELECT jsonb_path_query('{"a": 1}', 'strict $.b')
SELECT 'x'::int
SELECT 'maybe'::boolean
SELECT '{1,2'::int[]
SELECT nextval('es'), nextval('es')
SELECT 'x<'::xml
SELECT xmlparse(document '<a')
SELECT xmlparse(content '<a')
SELECT xmlcomment('--')
SELECT xmlpi(name xml)
INSERT INTO e (id, s) VALUES (3, NULL)
INSERT INTO e (id, r) VALUES (3, 99)
INSERT INTO e (id) VALUES (1)
INSERT INTO e (id, n) VALUES (3, 0)
INSERT INTO ep VALUES (1)
INSERT INTO e (id, x) VALUES (3, '[2,3)')
BEGIN; VACUUM
VACUUM; SELECT 1
BEGIN READ ONLY; INSERT INTO e (id) VALUES (5)
SAVEPOINT a
DECLARE c CURSOR FOR SELECT 1
BEGIN; SELECT 1/0; SELECT 1
DELETE FROM et
DROP TABLE e
SELECT commits()
SELECT no_return()
SELECT reads()
BEGIN; ROLLBACK TO nothing
SELECT * FROM other_database.public.e
CREATE TABLE no_schema.t (a int)
SELECT no_schema.f()
SELECT * FROM pg_authid
CREATE ROLE r
COPY e TO '/tmp/x'
ALTER SYSTEM SET work_mem = '1MB'
DROP TABLE customers
DO $$BEGIN IF; END$$
CREATE TABLE dup (a int NOT NULL NULL)
SELECT regclass 'a..b'
CREATE TABLE t (a int DEFAULT id)
CREATE TABLE t (a int, a int)
INSERT INTO e (id, id) VALUES (1, 1)
SELECT id FROM e a, e b
SELECT nothing FROM e
UPDATE e SET nothing = 1
SELECT 'x'::nothing
DROP INDEX nothing
SHOW nothing
CREATE TYPE mood AS ENUM ('x')
SELECT * FROM e, e
CREATE FUNCTION ef(int) RETURNS int LANGUAGE sql AS 'SELECT 1'
SELECT id, count(*) FROM e
SELECT sum(sum(id)) FROM e
SELECT CASE WHEN true THEN 1 ELSE 'x'::text END
INSERT INTO e (id) VALUES ('2026-01-01'::date)
SELECT 1 WHERE 1
SELECT count(*) FILTER (WHERE true) FROM e; SELECT abs(DISTINCT 1)
DROP VIEW e
CALL ef(1)
CREATE TABLE t (a int REFERENCES e (n))
SELECT 'x'::text::point::int
SELECT now()::int
SELECT nothing(1)
SELECT 1 + 'x'::text
SELECT '1'::json = '1'::json
CREATE SCHEMA pg_mine
SELECT * FROM nothing
SELECT e.id FROM e f
SELECT $1
BEGIN; DECLARE c CURSOR FOR SELECT 1; DECLARE c CURSOR FOR SELECT 1
CREATE DATABASE app
PREPARE twice AS SELECT 1; PREPARE twice AS SELECT 1
CREATE SCHEMA public
CREATE TABLE e (a int)
SELECT $1 = 1, $1 = 'x'::text
SELECT DISTINCT id FROM e ORDER BY n
INSERT INTO e (id) VALUES (1) ON CONFLICT (n) DO NOTHING
SELECT id FROM e ORDER BY 2
CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT ''x''::text'
CREATE OR REPLACE VIEW ev AS SELECT n, id FROM e
CREATE TABLE t (a int) PARTITION BY LIST (nothing())
SELECT ARRAY[]
WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT 1 FROM t a, t b) SELECT * FROM t
SELECT rank()
SELECT 'a' COLLATE "C" < 'b' COLLATE "POSIX"
SELECT 'a' COLLATE nothing
INSERT INTO ev VALUES (8, 99)
CREATE TABLE t (LIKE pg_class, LIKE pg_class)
SELECT concat(VARIADIC ARRAY[1]), ef(1, 2, 3)
SELECT currval('es'), lastval()
SELECT pg_last_committed_xact()
SET statement_timeout = 30; SELECT pg_sleep(5)
SELECT pg_read_file('nothing')
LOAD '$libdir/nothing'
DO $$BEGIN RAISE EXCEPTION 'x'; END$$
SELECT strict_into()
SELECT many_into()
DO $$BEGIN ASSERT false; END$$
DO $$BEGIN RAISE internal_error; END$$
DO $$BEGIN RAISE SQLSTATE 'F0000'; END$$
DO $$BEGIN RAISE serialization_failure; END$$
DO $$BEGIN RAISE deadlock_detected; END$$
DO $$BEGIN RAISE out_of_memory; END$$
DO $$BEGIN RAISE SQLSTATE '72000' USING MESSAGE = 'old', DETAIL = 'd', SCHEMA = 's', TABLE = 't'; END$$
"""
SETUP, ERRORS = _SETUP.strip("\n").split("\n"), _ERRORS.strip("\n").split("\n")
