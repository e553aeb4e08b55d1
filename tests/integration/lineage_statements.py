"""Statements over the shop of the analysis' tests: a fixed list of every construct, and random ones that are always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# Text columns hold their own name, so that a cell tells where its value is from.
ROWS = """
INSERT INTO customers VALUES
    (1, '<customers.name>', '<customers.email>', '<customers.phone>', '<customers.city>', '<customers.card_number>',
     '<customers.ssn>', 1, '2000-01-01'),
    (2, '<customers.name>2', '<customers.email>2', NULL, '<customers.city>', '<customers.card_number>',
     '<customers.ssn>2', 2, '2001-01-01');
INSERT INTO orders VALUES
    (1, 1, '<orders.product>', 5, '<orders.note>', now()), (2, 2, '<orders.product>', 6, '<orders.note>2', now());
DELETE FROM audit;
INSERT INTO audit VALUES (1, now(), '<audit.what>');
INSERT INTO hr.staff VALUES (1, '<staff.name>', 1, '<staff.ssn>');
INSERT INTO people VALUES
    (1, ROW('<people.home>', '<people.home>'), 'sad', '<people.mail>@', ARRAY['<people.tags>', '<people.tags>2'],
     '<people.odd name>');
INSERT INTO events VALUES ('2026-05-05', '<events.ip>', '<events.what>');
REFRESH MATERIALIZED VIEW cities;
"""
# The same with other numbers in the one column that is masked.
OTHER = "UPDATE customers SET ssn = CASE id WHEN 1 THEN NULL ELSE 'aaaa' END; REFRESH MATERIALIZED VIEW cities;"

FIXED = [
    "select * from customers",
    "select ssn as a, c.name, c.id+1, 'x', null, upper(name), count(*) over () from customers c",
    "select c from customers c",
    "select c.* from customers c, orders o where c.id = o.customer_id",
    "select * from customers join orders on customers.id = orders.customer_id",
    "select * from customers natural join contacts",
    "select * from customers join contacts using (id, name)",
    "select * from customers left join contacts using (id) right join orders using (id)",
    "select * from (customers join contacts using (id)) as j",
    "select * from (customers join contacts using (id)) as j(a,b,c)",
    "select u.id, customers.id from customers join contacts using (id) as u",
    "select * from contacts",
    "select * from berlin",
    "select * from secrets",
    "select * from tails",
    "select * from spend",
    "select * from cities",
    "select * from events",
    "select ip from events_2026",
    "select ctid, xmin, tableoid, ctid::text from customers",
    "select (c).ssn, (c).* from customers c",
    "select (c.*)::text, c::text, row(c.*, 1), row(1,2) from customers c",
    "select row_to_json(c), to_jsonb(c.*) from customers c",
    "select (home).city, (home).*, home from people",
    'select tags[1], tags[1:2], "Odd Name" from people',
    "select x from (select ssn from customers) as q(x)",
    "select * from (values (1,'a'),(2,'b')) v",
    "select * from (values (1,'a'),(2,'b')) v(n, t)",
    "values (1, 2), (3, 4)",
    "table customers",
    "select 1 union select id from customers",
    "select id, ssn from customers union all select id, note from orders order by 1, ssn limit 3",
    "(select ssn from customers order by 1 limit 1) union all (select name from contacts)",
    "select ssn from customers intersect select ssn from hr.staff except select 'a'",
    "with a as (select * from customers), b as (select id, ssn s from a) select * from b join a using (id)",
    "with recursive t(n) as (select 1 union all select n+1 from t where n < 5) select * from t",
    "with recursive t as (select id, ssn from customers union select id + 1, ssn from t where id < 5) search depth first by id set ord cycle id set cyc using pth select * from t",
    "with customers as (select 1 as one) select * from customers",
    "with d as (delete from customers where id = 3 returning *) select ssn from d",
    "insert into orders (id, note) values (1, 'x') returning id, note as n, orders.*",
    "insert into audit select id, now(), ssn from customers on conflict do nothing returning what",
    "insert into customers as c (id, name) values (1,'x') on conflict (id) do update set name = excluded.name || c.name where c.city = 'x' returning c.ssn",
    "update customers c set (name, email) = (select product, note from orders o where o.customer_id = c.id) where id = 1 returning old.ssn, new.name, c.id",
    "update people set tags[1] = 'x', home.city = 'y' where id = 1 returning home",
    "delete from customers c using orders o where o.customer_id = c.id returning *",
    "merge into customers c using orders o on c.id = o.customer_id when matched then update set name = o.note when not matched then insert (id, name) values (o.id, o.note) returning merge_action(), c.*, o.note",
    "select * from generate_series(1,3)",
    "select * from generate_series(1,3) g",
    "select * from generate_series(1,3) as g(x)",
    "select * from generate_series(1,3) with ordinality",
    "select * from generate_series(1,3) with ordinality as t(a, b)",
    "select * from rows from (generate_series(1,2), generate_series(3,4)) as x(a)",
    'select * from json_each(\'{"a":1}\')',
    "select * from jsonb_array_elements('[1]') e",
    "select * from jsonb_array_elements('[1]') as e(x)",
    "select e from jsonb_array_elements('[1]') e",
    "select * from unnest(array[1,2])",
    "select * from unnest(array[1,2], array['a']) as u(a,b)",
    "select * from people, unnest(tags) t",
    "select * from people, lateral unnest(tags) with ordinality as t(tag, nr)",
    "select * from find('x')",
    "select f.ssn, f from find('x') f",
    "select find('x')",
    "select (find('x')).*",
    "select * from ssn_of(1)",
    "select * from total(1) t",
    "select ssn_of(1), double(2), double(x => 3)",
    "select * from json_to_record('{}') as x(a int, b text)",
    "select * from json_populate_record(null::customers, '{}')",
    "select * from jsonb_to_recordset('[]') as t(a int)",
    "select * from json_table('[]', '$[*]' columns (a int path '$.a', n for ordinality, nested path '$.b' columns (c text)))",
    "select * from customers tablesample bernoulli (10) repeatable (1)",
    "select city, count(*), grouping(city) from customers group by rollup (city, name), grouping sets ((city), ())",
    "select city c, sum(balance) filter (where ssn > '5') from customers group by c having max(id) > 3 order by c, 2",
    "select distinct on (city) city, name from customers order by city, name desc",
    "select distinct ssn from customers",
    "select rank() over w, lag(ssn) over (partition by city order by id rows between 1 preceding and current row) from customers window w as (partition by city order by balance)",
    "select percentile_cont(0.5) within group (order by balance), string_agg(name, ',' order by id), array_agg(distinct ssn) from customers",
    "select case when ssn > '5' then 'a' else name end, case id when 1 then ssn end, coalesce(name, ssn), nullif(ssn,'x'), greatest(ssn,name), least(1,2) from customers",
    "select exists (select 1 from orders), id in (select customer_id from orders), (select note from orders limit 1), array(select ssn from customers), (select max(id) from orders)::text from customers",
    'select ssn::text, ssn::varchar, ssn::varchar(4), id::text, born::text, cast(id as bigint), ssn collate "C" from customers',
    "select current_user, current_date, current_timestamp(3), localtime, session_user, current_catalog, current_schema, user, current_role",
    "select extract(year from born), position('a' in name), overlay(name placing 'x' from 1), substring(name from 1 for 2), trim(both from name), born at time zone 'utc', name similar to 'a', (born, born) overlaps (born, born) from customers",
    "select name like 'a%', name ilike 'b', name ~ 'x', not (id = 1), id is null, id between 1 and 2, id is distinct from 3, id = any(array[1]), id > all(select 1) from customers",
    "select json_object('a': ssn), json_array(ssn, name), json_arrayagg(ssn), json_objectagg(name: ssn), json_value('{}', '$.a'), json_query('{}', '$.a'), json_exists('{}', '$.a'), json('{}'), json_scalar(1), json_serialize('{}'), json_array(select id from customers) from customers group by ssn, name",
    "select c.name from customers c where exists (select from orders o where o.customer_id = c.id)",
    "select from customers",
    "select * from customers c, lateral (select o.note, c.ssn from orders o where o.customer_id = c.id) q",
    "select public.customers.ssn, shop.public.customers.name from public.customers",
    "select o.note from only events e, orders o",
    "select id from customers for update skip locked",
    "select name(c), double(c.id) from customers c",
    "select 'a' operator(pg_catalog.=) 'b', 'a' === 'b', -id, !!'a'::tsquery, id % 2, @ id from customers",
    "select * from numbers",
    "select nextval('numbers'), currval('numbers')",
    "select relname, relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace where pg_table_is_visible(c.oid)",
    "select c.oid, n.nspname, c.relname from pg_catalog.pg_class c left join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relname operator(pg_catalog.~) '^(customers)$' collate pg_catalog.default and pg_catalog.pg_table_is_visible(c.oid) order by 2, 3",
    "select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (select pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum and a.atthasdef), a.attnotnull, a.attidentity as attidentity from pg_catalog.pg_attribute a where a.attrelid = '16384' and a.attnum > 0 and not a.attisdropped order by a.attnum",
    "select * from information_schema.columns where table_name = 'customers'",
    "select * from pg_settings",
    "select * from pg_tables",
    "explain select * from customers",
    "explain (analyze, format json) select 1",
    "show search_path",
    "show all",
    "select r.* from (select c from customers c) q, lateral (select (q.c).ssn) r",
    "select (q.c).ssn, (q.c).* from (select c from customers c) q",
    "select (q.r).f1 from (select row(ssn, 1) as r from customers) q",
    "select q from (select ssn, id from customers) q",
    "select q.* from (select 1 as a, 2 as a) q",
    "select x.a from (select ssn a, name b from customers) x order by x.b",
    "select id as ssn from customers order by ssn",
    "select id as ssn from customers group by ssn, id",
    "select count(*) as n, ssn from customers group by ssn order by n",
    "select max(ssn) from customers having count(*) > 1",
    "select ssn_of(c.id) from customers c",
    "select array[ssn, name], array[[1,2],[3,4]], (array[1,2])[1], '{1,2}'::int[] from customers",
    "select * from (select * from customers) a full join (select * from orders) b on a.id = b.customer_id",
    "select a.* from customers a cross join lateral (values (a.ssn), (a.name)) v(x)",
    "select v.x from customers a cross join lateral (values (a.ssn), (a.name)) v(x)",
    "select (select (select c.ssn)) from customers c",
    "select * from (select *, row_number() over () as rn from customers) q where rn < 3",
    "select not exists (select 1 where c.id = 1), (1,2) = (select 1,2), (c.id, c.ssn) in (select id, ssn from hr.staff) from customers c",
    "select json_agg(c) from customers c",
    "select c.id from customers c group by c.id having c is not null",
    "select interval '1 day', date '2020-01-01', timestamp 'now', bit '101', b'1', x'ff', 1.5, 1e10, true, null::int",
    "select ssn || name || city || 'x' from customers",
    'select name as "Quoted Name", U&"\\0069d" from customers',
    "select e.ip, e.tableoid::regclass from events e",
    "select pg_typeof(ssn), ssn is not null, (ssn is null)::text from customers",
    "select 5::mood, feeling::text, mail, mail::text, mail::email_address from people",
]  # fmt: skip

Column = tuple[str, str]  # how to refer to it, and "text" or "int"
TABLES: dict[str, tuple[list[str], list[str]]] = {  # columns of int, columns of text
    "customers": (["id"], ["name", "email", "phone", "city", "card_number", "ssn"]),
    "orders": (["id", "customer_id"], ["product", "note"]),
    "audit": ([], ["what"]),
    "hr.staff": (["id"], ["name", "ssn"]),
    "people": (["id"], ["mail", '"Odd Name"']),
    "events": ([], ["ip", "what"]),
    "events_2026": ([], ["ip", "what"]),
    "contacts": (["id"], ["name", "email"]),
    "berlin": (["id"], ["who", "mail"]),
    "secrets": (["id"], ["number"]),
    "tails": (["id"], ["tail"]),
    "cities": ([], ["city"]),
    "find('<x>')": (["id"], ["name", "ssn", "city"]),
}


@dataclass
class Random:
    """One statement for each seed. Most are accepted by a server."""

    seed: int
    names: int = 0
    ctes: list[tuple[str, list[Column]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def statement(self) -> str:
        query, columns = self.query(3)
        first = columns[0][0]
        return self.random.choices(
            [
                query,
                f"SELECT * FROM ({query}) top",
                f"SELECT top FROM ({query}) top",
                f"SELECT (top).* FROM ({query}) top",
                f"INSERT INTO audit (id, what) SELECT 1, {first} FROM ({query}) top RETURNING *",
                f"UPDATE customers SET name = {first} FROM ({query}) top RETURNING customers.*, top",
                (
                    f"WITH w AS (INSERT INTO audit (id, what) SELECT 1, {first} FROM ({query}) top RETURNING what) "
                    "SELECT upper(what) FROM w"
                ),
            ],
            weights=[70, 8, 4, 4, 5, 5, 4],
        )[0]

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def query(self, depth: int, outer: tuple[Column, ...] = (), width: int = 0) -> tuple[str, list[Column]]:
        if depth and self._maybe(0.12):
            left, columns = self.query(depth - 1, outer, 1)
            right, _ = self.query(depth - 1, outer, 1)
            return f"(({left}) {self.random.choice(['UNION ALL', 'UNION'])} ({right}))", columns
        before = list(self.ctes)
        head = self._with(depth, outer) if depth and self._maybe(0.2) else ""
        sources: list[str] = []
        columns = []
        for _ in range(self.random.choice([1, 1, 2])):
            source, more, alias = self._source(depth, (*outer, *columns))
            sources.append(source)
            columns += more
        targets, output = self._targets(columns, outer, alias, width or self.random.choice([1, 2, 3]))
        tail = f" WHERE {self._condition(columns)}" if self._maybe(0.4) else ""
        tail += f" ORDER BY {self.random.randint(1, len(output))}" if self._maybe(0.2) else ""
        tail += " LIMIT 3" if self._maybe(0.2) else ""
        self.ctes = before
        return f"{head}SELECT {targets} FROM {', '.join(sources)}{tail}", output

    def _with(self, depth: int, outer: tuple[Column, ...]) -> str:
        name = self._name("cte")
        if self._maybe(0.7):
            query, columns = self.query(depth - 1, outer)
            self.ctes.append((name, columns))
            return f"WITH {name} AS ({query}) "
        query, columns = self.query(depth - 1, outer, 1)
        first = columns[0][0]
        self.ctes.append((name, [(first, "text"), ("level", "int")]))
        step = f"SELECT {first} || 'r', level + 1 FROM {name} WHERE level < 2"
        return f"WITH RECURSIVE {name}({first}, level) AS (SELECT r.*, 1 FROM ({query}) r UNION ALL {step}) "

    def _targets(
        self, columns: list[Column], outer: tuple[Column, ...], alias: str, width: int
    ) -> tuple[str, list[Column]]:
        aggregated = self._maybe(0.12)
        parts, output = [], []
        for _ in range(width):
            text = self._text([*columns, *outer] if self._maybe(0.2) else columns, 2)
            if aggregated:
                filtered = f"string_agg({text}, ',') FILTER (WHERE {self._condition(columns)})"
                text = self.random.choice([f"max({text})", filtered, f"array_to_string(array_agg({text}), ',')"])
            elif self._maybe(0.06):
                text = f"first_value({text}) OVER (ORDER BY {self._text(columns, 0)})"
            elif alias and self._maybe(0.05):
                text = self.random.choice([f"({alias}.*)::text", f"row_to_json({alias})::text", f"{alias}::text"])
            parts.append(f"{text} AS {self._name('o')}")
            output.append((f"o{self.names}", "text"))
        distinct = "DISTINCT " if not aggregated and self._maybe(0.1) else ""
        return distinct + ", ".join(parts), output

    def _source(self, depth: int, outer: tuple[Column, ...]) -> tuple[str, list[Column], str]:
        """Something for FROM, its columns and its alias ("" for a join)."""
        kind = self.random.random()
        alias = self._name("t")
        if kind < 0.1 and self.ctes:
            name, columns = self.random.choice(self.ctes)
            return f"{name} {alias}", _of(alias, columns), alias
        if kind < 0.3 and depth:
            query, columns = self.query(depth - 1)
            return f"({query}) {alias}", _of(alias, columns), alias
        if kind < 0.45 and outer:
            one, other = self._text(outer, 1), self._text(outer, 1)
            source = self.random.choice(
                [f"SELECT {one} AS x", f"VALUES ({one}), ('k')", f"SELECT {one} UNION SELECT {other}"]
            )
            return f"LATERAL ({source}) {alias}(x)", [(f"{alias}.x", "text")], alias
        if kind < 0.5 and outer:
            return f"unnest(ARRAY[{self._text(outer, 1)}, 'm']) {alias}", [(alias, "text")], ""
        if kind < 0.56 and depth:
            left, columns, _ = self._source(depth - 1, ())
            right, more, _ = self._source(depth - 1, ())
            return f"({left} {self.random.choice(['JOIN', 'LEFT JOIN'])} {right} ON true)", columns + more, ""
        table = self.random.choice(list(TABLES))
        ints, texts = TABLES[table]
        named = [(name, "int") for name in ints] + [(name, "text") for name in texts]
        return f"{table} {alias}", _of(alias, named), alias

    def _text(self, columns: list[Column] | tuple[Column, ...], depth: int) -> str:
        texts = [name for name, kind in columns if kind == "text"]
        ints = [name for name, kind in columns if kind == "int"]
        if not depth or self._maybe(0.4):
            return self.random.choice(texts) if texts else "'k'"
        one, other = self._text(columns, depth - 1), self._text(columns, depth - 1)
        choices = [
            f"({one} || {other})", f"upper({one})", f"coalesce({one}, {other})", f"({one})::text", f"nullif({one}, {other})",
            f"CASE WHEN {self._condition(columns)} THEN {one} ELSE {other} END", f"(ROW({one}, {other}, 1)).f2",
            f"(ARRAY[{one}, {other}])[1]", f"greatest({one}, {other})", f"array_to_string(ARRAY(SELECT {one}), ',')",
            f"(json_build_object('a', {one}) ->> 'a')", f"(SELECT {one})",
        ]  # fmt: skip
        if ints:
            number = self.random.choice(ints)
            choices += [
                f"({number})::text",
                f"ssn_of({number})",
                f"(SELECT c.ssn FROM customers c WHERE c.id = {number})",
            ]
        return self.random.choice(choices)

    def _condition(self, columns: list[Column] | tuple[Column, ...]) -> str:
        one, other = self._text(columns, 0), self._text(columns, 0)
        exists = f"EXISTS (SELECT 1 FROM customers z WHERE z.ssn <> {one})"
        return self.random.choice([f"{one} > ''", f"{one} IS NOT NULL", f"({one} = {other} OR true)", exists])


def _of(alias: str, columns: list[Column]) -> list[Column]:
    return [(f"{alias}.{name}", kind) for name, kind in columns]
