"""Statements of somebody who wants to know what masked columns hold: a grammar's worth of them, always the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

CURIOSITY = 0.08
MASKED = ("ssn", "card_number", "email")
# What can be read from, and columns that it shows; then what a curious one reads from besides.
SOURCES: dict[str, tuple[str, ...]] = {
    "customers": ("id", "name", "city", "phone", "balance", "born"),
    "public.customers": ("id", "name", "city", "phone", "balance", "born"),
    "ONLY customers": ("id", "name", "born"),
    "customers AS c (id, name)": ("id", "name", "c.id"),
    "contacts": ("id", "name"),
    "berlin": ("id", "who"),
    "spend": ("name", "total"),
    "cities": ("city", "n"),
    "orders": ("id", "customer_id", "product", "amount"),
    "customers JOIN orders ON customers.id = orders.customer_id": ("customers.id", "name", "product", "amount"),
    "orders LEFT JOIN contacts USING (id)": ("id", "name", "amount"),
    "(SELECT * FROM customers WHERE id < 50) s": ("id", "name", "s.city"),
    "(SELECT id, name FROM customers LIMIT 20) s": ("id", "name"),
    "customers, LATERAL (SELECT amount FROM orders WHERE customer_id = customers.id LIMIT 1) o": ("id", "amount"),
    "pg_class": ("relname", "relkind", "oid::regclass", "relnatts"),
    "pg_attribute": ("attname", "attnum", "atttypid"),
    "information_schema.columns": ("table_name", "column_name", "data_type"),
    "generate_series(1, 30) id": ("id", "id * 2"),
}
CURIOUS_SOURCES = (
    "secrets", "tails", "customers TABLESAMPLE SYSTEM (50)", "customers TABLESAMPLE BERNOULLI (50) REPEATABLE (1)",
    "customers NATURAL JOIN orders", "customers JOIN customers b USING (ssn)", "customers NATURAL JOIN customers b",
    "customers LEFT JOIN customers b ON customers.ssn = b.email", "(SELECT ssn AS name, id FROM customers) s",
    "(SELECT DISTINCT ssn, id FROM customers) s", "find('Berlin')", "pg_stats", "pg_stat_user_tables",
    "customers, LATERAL (SELECT customers.ssn AS x) l", "(SELECT max(ssn) AS id FROM customers) s",
    "(SELECT id FROM customers ORDER BY ssn LIMIT 30) s", "pg_statistic", "(SELECT reltuples AS id FROM pg_class) s",
)  # fmt: skip
SHOWN = (
    "{o}", "{o}", "{o}", "{o}::text", "upper({o}::text)", "length({o}::text)", "coalesce({o}::text, '-')", "({o} IS NULL)",
    "md5({o}::text)", "CASE WHEN {o}::text > 'm' THEN 1 ELSE 0 END", "row_number() OVER (ORDER BY {o}::text)", "ARRAY[{o}::text]",
    "concat({o}, 'x')", "1 AS one", "to_jsonb({o})", "pg_typeof({o})", "'ssn'",
)  # fmt: skip
CURIOUS = (
    "{m}", "{m}", "{m}::text", "{m} AS x", "*", "customers.*", "upper({m})", "length({m})", "({m} IS NULL)", "md5({m})", "left({m}, 2)",
    "CASE WHEN {m} > 'm' THEN 1 ELSE 0 END", "row({m})", "rank() OVER (ORDER BY {m}, id)", "lag({m}) OVER (ORDER BY id)",
    "(SELECT {m} FROM customers x WHERE x.id = 1)", "EXISTS (SELECT 1 FROM customers x WHERE x.{m} = 'a')", "{m} || 'x'",
    "num_nulls({m})", "nullif({m}, 'a')", "pg_typeof({m})", "hashtext({m})", "{m}::varchar(3)", "{m}::char", "{m}::name",
    '{m} COLLATE "C"', "customers", "customers::text", "row_to_json(customers)", "pg_column_size({m})", "ctid", "xmin", "tableoid",
    "(customers).{m}", "(customers).name", "(SELECT array_agg({m}) FROM customers)", "pg_relation_size('customers')",
    "(SELECT count(*) FROM customers x WHERE x.{m} < '5')", "(SELECT x.id FROM customers x ORDER BY {m} LIMIT 1)",
    "(SELECT reltuples FROM pg_class WHERE relname = 'customers')", "row_number() OVER (PARTITION BY {m})",
)  # fmt: skip
WHERE = (
    "WHERE {o}::text < 'k'", "WHERE {o} IS NOT NULL", "WHERE {o}::text LIKE '%1%'", "WHERE {o}::text IN ('1', 'name 7', 'Rome')",
    "WHERE {o}::text IN (SELECT city FROM customers WHERE id < 9)", "WHERE length({o}::text) = 6", "",
)  # fmt: skip
CURIOUS_WHERE = (
    "WHERE {m} > 'm'", "WHERE {m} LIKE '1%'", "WHERE id IN (SELECT id FROM customers WHERE {m} < '5')", "WHERE id < 5 OR {m} IS NULL",
    "WHERE customers IS NOT NULL", "WHERE ctid = '(0,1)'", "WHERE (id, {m}) < (5, 'b')", "WHERE id = length({m})",
    "WHERE EXISTS (SELECT FROM customers y WHERE y.{m} = customers.{m} AND y.id <> customers.id)", "WHERE pg_sleep(0) IS NULL",
    "WHERE city = ANY (ARRAY(SELECT {m} FROM customers))", "WHERE true", "WHERE name < (SELECT max({m}) FROM customers)",
)  # fmt: skip
AFTER = ("", "", "", "ORDER BY 1", "ORDER BY {o}", "ORDER BY {o} DESC NULLS LAST", "ORDER BY length({o}::text), 1")
CURIOUS_AFTER = (
    "ORDER BY {m}", "ORDER BY {m} IS NULL, id", "ORDER BY upper({m})", "GROUP BY {m}", "GROUP BY id HAVING max({m}) > 'm'",
    "FETCH FIRST 5 ROWS WITH TIES", "FOR UPDATE", "ORDER BY customers", "ORDER BY (SELECT {m})",
)  # fmt: skip
LIMIT = ("", "", "LIMIT 5", "LIMIT 5 OFFSET 2", "LIMIT 100")
CURIOUS_LIMIT = (
    "LIMIT 200",
    "LIMIT (SELECT count(*) FROM customers WHERE ssn < '5')",
    "LIMIT ALL",
    "LIMIT length('12')",
)
AROUND = (
    *["{q}"] * 8, "SELECT * FROM ({q}) q", "SELECT count(*) FROM ({q}) q", "WITH q AS ({q}) SELECT * FROM q",
    "WITH q AS MATERIALIZED ({q}) TABLE q", "({q}) UNION ALL ({q})", "COPY ({q}) TO STDOUT", "SELECT * FROM ({q}) q LIMIT 7",
    "SELECT row_number() OVER () FROM ({q}) q",
)  # fmt: skip
CURIOUS_AROUND = (
    "SELECT DISTINCT * FROM ({q}) q", "WITH q AS ({q}) SELECT max(q::text) FROM q", "({q}) UNION ({q})", "({q}) INTERSECT ({q})",
    "({q}) EXCEPT SELECT ssn FROM customers", "EXPLAIN {q}", "EXPLAIN (FORMAT json) {q}", "EXPLAIN ANALYZE {q}",
    "SELECT array(({q}))", "SELECT (({q}) IS NULL)", "SELECT q FROM ({q}) q", "SELECT * FROM ({q}) q ORDER BY 1",
    "SELECT * FROM ({q}) q JOIN customers USING (id)", "SELECT json_agg(q) FROM ({q}) q",
)  # fmt: skip
ALONE = (
    "TABLE customers", "TABLE customers LIMIT 3", "COPY customers TO STDOUT", "COPY customers (id, name) TO STDOUT",
    "COPY contacts TO STDOUT", "COPY customers (ssn) TO STDOUT (FORMAT csv, FORCE_QUOTE (ssn))",
    "SELECT relpages, reltuples FROM pg_class WHERE relname = 'customers'", "SELECT relname FROM pg_class WHERE reltuples > 10",
    "SELECT relname FROM pg_class ORDER BY relpages, relname", "SELECT * FROM pg_class WHERE relname = 'customers'",
    "SELECT oid::regclass FROM pg_class WHERE relname = 'customers'", "SELECT attmissingval FROM pg_attribute WHERE attnum > 0",
    "SELECT most_common_vals FROM pg_stats", "SELECT * FROM pg_statistic_ext_data", "SELECT n_live_tup FROM pg_stat_user_tables",
    "SELECT pg_stat_get_live_tuples('customers'::regclass)", "SELECT pg_table_size('customers')", "SELECT pg_database_size('first')",
    "SELECT query_to_xml('SELECT ssn FROM customers', true, true, '')", "SELECT table_to_xml('customers', true, true, '')",
    "SELECT database_to_xml(true, true, '')", "SELECT ts_stat('SELECT to_tsvector(ssn) FROM customers')",
    "SELECT set_config('application_name', (SELECT ssn FROM customers LIMIT 1), false)", "SELECT pg_notify('a', ssn) FROM customers",
    "SELECT ssn_of(1)", "SELECT double(id) FROM customers WHERE id < 5", "SELECT * FROM find('Berlin')", "SELECT total(1)",
    "SELECT pg_mcv_list_items(stxdmcv) FROM pg_statistic_ext_data", "SELECT pg_relation_filepath('customers')",
    "SELECT pg_get_viewdef('secrets'::regclass)", "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'customers'::regclass",
    "SELECT has_column_privilege('customers', 'ssn', 'SELECT')", "SELECT col_description('customers'::regclass, 7)",
    "DO $$BEGIN PERFORM 1 / (SELECT count(*) FROM customers WHERE ssn < '5'); END$$", "SELECT 1 / (SELECT 0 FROM customers WHERE ssn < '5')",
    "SELECT name::int FROM customers WHERE id = 1", "SELECT ssn::int FROM customers WHERE id = 1", "SELECT ssn::varchar(3) FROM customers",
    "DECLARE c CURSOR FOR SELECT ssn FROM customers ORDER BY ssn", "PREPARE p AS SELECT id FROM customers WHERE ssn > $1",
    "SELECT pg_input_is_valid((SELECT ssn FROM customers LIMIT 1), 'int')", "SELECT json_populate_record(c, '{}') FROM customers c WHERE id < 3",
    "SELECT c FROM customers c WHERE id = 1", "SELECT id FROM customers c WHERE id < 9 ORDER BY c", "SELECT (c.*)::text FROM customers c WHERE id < 9",
    "SELECT id, ssn, card_number, email FROM customers WHERE id < 9", "SELECT ssn AS id FROM customers WHERE id < 9",
    "SELECT grouping(ssn) FROM customers GROUP BY CUBE (ssn, id)", "SELECT id FROM customers WHERE id < 9 AND (ssn = ssn) IS NOT NULL",
    "SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM customers", "SELECT count(*) FILTER (WHERE ssn > 'm') FROM customers",
    "SELECT pg_current_wal_lsn()", "SELECT pg_size_pretty(pg_total_relation_size('customers'))", "SELECT * FROM pg_stat_activity",
)  # fmt: skip


def statements(count: int) -> Iterator[str]:
    yield from ALONE
    chance = random.Random(11)
    for _ in range(count):
        yield _statement(chance)


def _statement(chance: random.Random) -> str:
    """Ordinary in most places, curious in some."""

    def one(ordinary: Sequence[str], curious: Sequence[str]) -> str:
        return chance.choice(curious if chance.random() < CURIOSITY else ordinary)

    source = one(tuple(SOURCES), CURIOUS_SOURCES)
    parts = (
        one(("SELECT", "SELECT", "SELECT ALL"), ("SELECT DISTINCT", "SELECT DISTINCT ON (ssn)")),
        ", ".join(one(SHOWN, CURIOUS) for _ in range(chance.choice((1, 1, 2, 3)))),
        f"FROM {source}",
        one(WHERE, CURIOUS_WHERE),
        one(AFTER, CURIOUS_AFTER),
        one(LIMIT, CURIOUS_LIMIT),
    )
    text = " ".join(part for part in parts if part)
    while "{o}" in text:
        text = text.replace("{o}", chance.choice(SOURCES.get(source, ("id",))), 1)
    text = text.replace("{m}", chance.choice(MASKED))
    return one(AROUND, CURIOUS_AROUND).replace("{q}", text)
