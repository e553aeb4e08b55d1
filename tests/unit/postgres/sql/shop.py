"""A small database for the tests of the analysis: SCHEMA makes it on a server, `shop()` is its catalog by hand."""

from __future__ import annotations

from typing import Any

from extproc.postgres.catalog import Catalog, Column, Function, Operator, Relation, Type, Volatility

BOOL, BYTEA, NAME, INT8, INT4, TEXT, OID, TID, XID, CID = 16, 17, 19, 20, 23, 25, 26, 27, 28, 29
JSON, XML, FLOAT8, BPCHAR, VARCHAR, DATE, TIMESTAMP, TIMESTAMPTZ = 114, 142, 701, 1042, 1043, 1082, 1114, 1184
NUMERIC, REGCLASS, RECORD, ANYELEMENT, VOID, TRIGGER, UUID, JSONB = 1700, 2205, 2249, 2283, 2278, 2279, 2950, 3802
TEXTS, INTS, UNKNOWN = 1009, 1007, 705
MOOD, ADDRESS, EMAIL_ADDRESS = 16901, 16902, 16903

SCHEMA = """
CREATE SCHEMA hr;
CREATE TYPE public.mood AS ENUM ('sad', 'happy');
CREATE TYPE public.address AS (street text, city text);
CREATE DOMAIN public.email_address AS text CHECK (value LIKE '%@%');
CREATE TABLE public.customers (
    id integer PRIMARY KEY, name text, email text, phone text, city text, card_number text, ssn text, balance numeric, born date);
CREATE TABLE public.orders (
    id integer PRIMARY KEY, customer_id integer REFERENCES public.customers ON DELETE CASCADE,
    product text, amount numeric, note text, placed timestamptz);
CREATE TABLE public.audit (id bigint, at timestamptz, what text);
CREATE TABLE public.people (id integer, home public.address, feeling public.mood, mail public.email_address, tags text[], "Odd Name" text);
CREATE TABLE public.old_orders (id integer, note text);
CREATE RULE keep AS ON DELETE TO public.old_orders DO ALSO INSERT INTO public.audit VALUES (1, now(), old.note);
CREATE TABLE hr.staff (id integer, name text, salary numeric, ssn text);
CREATE TABLE public.events (at date, ip text, what text) PARTITION BY RANGE (at);
CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SEQUENCE public.numbers;
CREATE VIEW public.contacts AS SELECT id, name, email FROM public.customers;
CREATE VIEW public.berlin AS SELECT c.id, c.name AS who, upper(c.email) AS mail FROM public.contacts c
    JOIN public.customers k USING (id) WHERE k.city = 'Berlin';
CREATE VIEW public.secrets AS SELECT id, ssn AS number FROM public.customers;
CREATE VIEW public.tails AS SELECT id, right(ssn, 4) AS tail FROM public.customers WHERE ssn IS NOT NULL;
CREATE VIEW public.spend AS SELECT c.name, sum(o.amount) AS total FROM public.customers c
    JOIN public.orders o ON o.customer_id = c.id GROUP BY c.name;
CREATE MATERIALIZED VIEW public.cities AS SELECT city, count(*) AS n FROM public.customers GROUP BY city;
CREATE FUNCTION public.purge() RETURNS void LANGUAGE plpgsql AS $$BEGIN DELETE FROM public.customers; END$$;
CREATE FUNCTION public.double(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT x * 2$$;
CREATE FUNCTION public.ssn_of(integer) RETURNS text LANGUAGE sql STABLE AS $$SELECT ssn FROM public.customers WHERE id = $1$$;
CREATE FUNCTION public.total(who integer) RETURNS numeric LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT sum(amount) FROM public.orders WHERE customer_id = who; END;
CREATE FUNCTION public.find(text) RETURNS SETOF public.customers LANGUAGE sql STABLE
    AS $$SELECT * FROM public.customers WHERE city = $1$$;
CREATE FUNCTION public.run(command text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE command; END$$;
CREATE FUNCTION public.ping(n integer) RETURNS integer LANGUAGE plpgsql AS $$BEGIN RETURN public.pong(n - 1); END$$;
CREATE FUNCTION public.pong(n integer) RETURNS integer LANGUAGE plpgsql AS $$BEGIN RETURN public.ping(n - 1); END$$;
CREATE FUNCTION public.pick(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT $1$$;
CREATE FUNCTION public.pick(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM public.purge(); RETURN $1; END$$;
CREATE FUNCTION public.note_order() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO public.audit (id, at, what) VALUES (new.id, now(), new.note); RETURN new; END$$;
CREATE FUNCTION public.same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN $1 = $2; END$$;
CREATE FUNCTION public.to_mood(integer) RETURNS public.mood LANGUAGE sql AS $$SELECT 'sad'::public.mood$$;
CREATE PROCEDURE public.close_month(month date) LANGUAGE plpgsql
    AS $$BEGIN UPDATE public.orders SET note = 'closed' WHERE placed < month; END$$;
CREATE OPERATOR public.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same);
CREATE CAST (integer AS public.mood) WITH FUNCTION public.to_mood(integer);
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.note_order();
"""

# Built-in functions: name, least, most, volatility, result; kind after a colon in the name (f where none stands).
BUILT_IN: tuple[tuple[str, int, int | None, str, int], ...] = (
    ("count:a", 0, 0, "i", INT8), ("count:a", 1, 1, "i", INT8), ("sum:a", 1, 1, "i", NUMERIC), ("avg:a", 1, 1, "i", NUMERIC),
    ("min:a", 1, 1, "i", TEXT), ("max:a", 1, 1, "i", TEXT), ("array_agg:a", 1, 1, "i", TEXTS), ("string_agg:a", 2, 2, "i", TEXT),
    ("json_agg:a", 1, 1, "s", JSON), ("jsonb_agg:a", 1, 1, "s", JSONB), ("bool_or:a", 1, 1, "i", BOOL),
    ("percentile_cont:a", 2, 2, "i", FLOAT8), ("row_number:w", 0, 0, "i", INT8), ("rank:w", 0, 0, "i", INT8),
    ("lag:w", 1, 1, "i", ANYELEMENT), ("lag:w", 2, 2, "i", ANYELEMENT), ("first_value:w", 1, 1, "i", ANYELEMENT),
    ("lower", 1, 1, "i", TEXT), ("upper", 1, 1, "i", TEXT), ("length", 1, 1, "i", INT4), ("left", 2, 2, "i", TEXT),
    ("right", 2, 2, "i", TEXT), ("md5", 1, 1, "i", TEXT), ("substr", 3, 3, "i", TEXT), ("substring", 2, 3, "i", TEXT),
    ("btrim", 1, 2, "i", TEXT), ("replace", 3, 3, "i", TEXT), ("reverse", 1, 1, "i", TEXT), ("abs", 1, 1, "i", NUMERIC),
    ("round", 1, 2, "i", NUMERIC), ("concat", 1, None, "s", TEXT), ("concat_ws", 2, None, "s", TEXT),
    ("format", 1, None, "s", TEXT), ("to_char", 2, 2, "s", TEXT), ("to_number", 2, 2, "s", NUMERIC),
    ("extract", 2, 2, "i", NUMERIC), ("extract", 2, 2, "s", NUMERIC), ("date_trunc", 2, 3, "s", TIMESTAMPTZ),
    ("timezone", 2, 2, "i", TIMESTAMP), ("age", 1, 2, "s", TEXT), ("now", 0, 0, "s", TIMESTAMPTZ), ("random", 0, 0, "v", FLOAT8),
    ("clock_timestamp", 0, 0, "v", TIMESTAMPTZ), ("version", 0, 0, "s", TEXT), ("current_database", 0, 0, "s", NAME),
    ("current_setting", 1, 2, "s", TEXT), ("set_config", 3, 3, "v", TEXT), ("pg_sleep", 1, 1, "v", VOID),
    ("pg_notify", 2, 2, "v", VOID), ("pg_read_file", 1, 4, "v", TEXT), ("pg_ls_dir", 1, 3, "v", TEXT),
    ("query_to_xml", 4, 4, "v", XML), ("table_to_xml", 4, 4, "s", XML), ("ts_stat", 1, 2, "v", RECORD),
    ("lo_import", 1, 2, "v", OID), ("lo_get", 1, 3, "v", BYTEA), ("pg_terminate_backend", 1, 2, "v", BOOL),
    ("pg_advisory_lock", 1, 2, "v", VOID), ("nextval", 1, 1, "v", INT8), ("currval", 1, 1, "v", INT8),
    ("setval", 2, 3, "v", INT8), ("generate_series", 2, 3, "i", INT4), ("unnest", 1, 1, "i", ANYELEMENT),
    ("row_to_json", 1, 2, "s", JSON), ("to_json", 1, 1, "s", JSON), ("to_jsonb", 1, 1, "s", JSONB),
    ("json_build_object", 0, None, "s", JSON), ("jsonb_array_elements", 1, 1, "i", JSONB), ("json_each", 1, 1, "i", RECORD),
    ("regexp_matches", 2, 3, "i", TEXTS), ("string_to_table", 2, 3, "i", TEXT), ("hashtext", 1, 1, "i", INT4),
    ("pg_get_viewdef", 1, 2, "s", TEXT), ("has_table_privilege", 2, 3, "s", BOOL), ("pg_relation_size", 1, 2, "v", INT8),
    ("pg_backend_pid", 0, 0, "s", INT4), ("int4", 1, 2, "i", INT4), ("text", 1, 1, "i", TEXT), ("like_escape", 2, 2, "i", TEXT),
    ("overlaps", 4, 4, "i", BOOL), ("position", 2, 2, "i", INT4), ("xmlexists", 2, 2, "i", BOOL),
    ("similar_to_escape", 1, 2, "i", TEXT), ("num_nulls", 1, None, "i", INT4), ("gen_random_uuid", 0, 0, "v", UUID),
    ("json_to_record", 1, 1, "s", RECORD), ("jsonb_populate_record", 2, 2, "s", ANYELEMENT), ("_pg_expandarray", 1, 1, "i", RECORD),
)  # fmt: skip
VOLATILITY: dict[str, Volatility] = {"i": "immutable", "s": "stable", "v": "volatile"}

TYPES = (
    (BOOL, "bool", "B"), (BYTEA, "bytea", "U"), (NAME, "name", "S"), (INT8, "int8", "N"), (INT4, "int4", "N"), (TEXT, "text", "S"),
    (OID, "oid", "N"), (TID, "tid", "U"), (XID, "xid", "U"), (CID, "cid", "U"), (JSON, "json", "U"), (XML, "xml", "U"),
    (FLOAT8, "float8", "N"), (BPCHAR, "bpchar", "S"), (VARCHAR, "varchar", "S"), (DATE, "date", "D"), (TIMESTAMP, "timestamp", "D"),
    (TIMESTAMPTZ, "timestamptz", "D"), (NUMERIC, "numeric", "N"), (REGCLASS, "regclass", "N"), (UUID, "uuid", "U"),
    (JSONB, "jsonb", "U"),
)  # fmt: skip


def table(oid: int, name: str, columns: str, schema: str = "public", kind: str = "r", **more: Any) -> Relation:
    """`columns`: "name type, …" with the type's OID."""
    pairs = [one.strip().rsplit(" ", 1) for one in columns.split(",") if one.strip()]
    made = tuple(Column(pair[0], number, int(pair[1])) for number, pair in enumerate(pairs, 1))
    return Relation(oid, schema, name, kind, made, **more)


def relations() -> list[Relation]:
    """Definitions are as pg_get_viewdef prints them with an empty search_path."""
    return [
        table(16400, "customers",
              f"id {INT4}, name {TEXT}, email {TEXT}, phone {TEXT}, city {TEXT}, card_number {TEXT}, ssn {TEXT}, balance {NUMERIC}, born {DATE}",
              cascades=(16410,)),
        table(16410, "orders",
              f"id {INT4}, customer_id {INT4}, product {TEXT}, amount {NUMERIC}, note {TEXT}, placed {TIMESTAMPTZ}", triggers=(17009,)),
        table(16420, "audit", f"id {INT8}, at {TIMESTAMPTZ}, what {TEXT}"),
        table(16430, "people",
              f"id {INT4}, home {ADDRESS}, feeling {MOOD}, mail {EMAIL_ADDRESS}, tags {TEXTS}, Odd Name {TEXT}"),
        table(16440, "old_orders", f"id {INT4}, note {TEXT}", ruled=True),
        table(16450, "staff", f"id {INT4}, name {TEXT}, salary {NUMERIC}, ssn {TEXT}", schema="hr"),
        table(16460, "events", f"at {DATE}, ip {TEXT}, what {TEXT}", kind="p"),
        table(16461, "events_2026", f"at {DATE}, ip {TEXT}, what {TEXT}", parents=(16460,)),
        table(16470, "numbers", f"last_value {INT8}, log_cnt {INT8}, is_called {BOOL}", kind="S"),
        table(16480, "address", f"street {TEXT}, city {TEXT}", kind="c"),
        table(16500, "contacts", f"id {INT4}, name {TEXT}, email {TEXT}", kind="v",
              definition=" SELECT id,\n    name,\n    email\n   FROM public.customers;"),
        table(16501, "berlin", f"id {INT4}, who {TEXT}, mail {TEXT}", kind="v",
              definition=" SELECT c.id,\n    c.name AS who,\n    upper(c.email) AS mail\n   FROM (public.contacts c\n"
                         "     JOIN public.customers k USING (id))\n  WHERE (k.city = 'Berlin'::text);"),
        table(16502, "secrets", f"id {INT4}, number {TEXT}", kind="v",
              definition=" SELECT id,\n    ssn AS number\n   FROM public.customers;"),
        table(16503, "tails", f"id {INT4}, tail {TEXT}", kind="v",
              definition=' SELECT id,\n    "right"(ssn, 4) AS tail\n   FROM public.customers\n  WHERE (ssn IS NOT NULL);'),
        table(16504, "spend", f"name {TEXT}, total {NUMERIC}", kind="v",
              definition=" SELECT c.name,\n    sum(o.amount) AS total\n   FROM (public.customers c\n"
                         "     JOIN public.orders o ON ((o.customer_id = c.id)))\n  GROUP BY c.name;"),
        table(16505, "cities", f"city {TEXT}, n {INT8}", kind="m",
              definition=" SELECT city,\n    count(*) AS n\n   FROM public.customers\n  GROUP BY city;"),
        table(1259, "pg_class", f"oid {OID}, relname {NAME}, relnamespace {OID}, relkind {BPCHAR}, reltuples {FLOAT8}", schema="pg_catalog"),
        table(2619, "pg_statistic", f"starelid {OID}, staattnum {INT4}, stavalues1 {TEXTS}", schema="pg_catalog"),
        table(12001, "pg_stats", f"schemaname {NAME}, tablename {NAME}, most_common_vals {TEXTS}", schema="pg_catalog", kind="v",
              definition=" SELECT c.relname AS schemaname,\n    c.relname AS tablename,\n    s.stavalues1 AS most_common_vals\n"
                         "   FROM (pg_statistic s\n     JOIN pg_class c ON ((c.oid = s.starelid)));"),
    ]  # fmt: skip


def user_functions() -> list[Function]:
    return [
        plpgsql(17001, "purge", 0, VOID, "BEGIN DELETE FROM public.customers; END"),
        sql(17002, "double", 1, INT4, "SELECT x * 2", "immutable", "x integer", "integer"),
        sql(17003, "ssn_of", 1, TEXT, "SELECT ssn FROM public.customers WHERE id = $1", "stable"),
        sql(17004, "total", 1, NUMERIC, "BEGIN ATOMIC\n SELECT sum(orders.amount) AS sum\n    FROM public.orders\n"
            "   WHERE (orders.customer_id = total.who);\nEND", "stable", "who integer", "numeric"),
        sql(17005, "find", 1, 16400, "SELECT * FROM public.customers WHERE city = $1", "stable"),
        plpgsql(17006, "run", 1, VOID, "BEGIN EXECUTE command; END", "command text"),
        plpgsql(17007, "ping", 1, INT4, "BEGIN RETURN public.pong(n - 1); END", "n integer", "integer"),
        plpgsql(17008, "pong", 1, INT4, "BEGIN RETURN public.ping(n - 1); END", "n integer", "integer"),
        plpgsql(17009, "note_order", 0, TRIGGER,
                "BEGIN INSERT INTO public.audit (id, at, what) VALUES (new.id, now(), new.note); RETURN new; END", "", "trigger"),
        sql(17010, "pick", 1, INT4, "SELECT $1", "immutable"),
        plpgsql(17011, "pick", 1, TEXT, "BEGIN PERFORM public.purge(); RETURN $1; END", "text", "text"),
        plpgsql(17012, "same", 2, BOOL, "BEGIN RETURN $1 = $2; END", "text, text", "boolean"),
        sql(17013, "to_mood", 1, MOOD, "SELECT 'sad'::public.mood", "volatile"),
        plpgsql(17014, "close_month", 1, VOID,
                "BEGIN UPDATE public.orders SET note = 'closed' WHERE placed < month; END", "month date", "", "p"),
        Function(17015, "public", "shell", "f", 1, 1, "volatile", "plpython3u", TEXT),
        Function(17016, "public", "dblink", "f", 1, 3, "volatile", "c", RECORD, extension="dblink"),
        Function(17017, "public", "crypt", "f", 2, 2, "immutable", "c", TEXT, extension="pgcrypto"),
    ]  # fmt: skip


def plpgsql(
    oid: int, name: str, count: int, returns: int, body: str, arguments: str = "", result: str = "void", kind: str = "f"
) -> Function:
    what, gives = ("PROCEDURE", "") if kind == "p" else ("FUNCTION", f"\n RETURNS {result}")
    whole = f"CREATE OR REPLACE {what} public.{name}({arguments}){gives}\n LANGUAGE plpgsql\nAS $function${body}$function$\n"
    return Function(oid, "public", name, kind, count, count, "volatile", "plpgsql", returns, body, whole)


def sql(
    oid: int,
    name: str,
    count: int,
    returns: int,
    body: str,
    volatility: Volatility,
    arguments: str = "",
    result: str = "",
) -> Function:
    whole = f"CREATE OR REPLACE FUNCTION public.{name}({arguments})\n RETURNS {result}\n LANGUAGE sql\nAS $function${body}$function$\n"
    return Function(
        oid, "public", name, "f", count, count, volatility, "sql", returns, body, whole if arguments else ""
    )


def built_in() -> list[Function]:
    found = []
    for number, (named, least, most, volatility, returns) in enumerate(BUILT_IN):
        name, _, kind = named.partition(":")
        found.append(
            Function(
                1000 + number, "pg_catalog", name, kind or "f", least, most, VOLATILITY[volatility], "internal", returns
            )
        )
    return found


def types() -> dict[int, Type]:
    found = {oid: Type(oid, "pg_catalog", name, "b", category) for oid, name, category in TYPES}
    found[TEXTS] = Type(TEXTS, "pg_catalog", "_text", "b", "A", TEXT)
    found[INTS] = Type(INTS, "pg_catalog", "_int4", "b", "A", INT4)
    found[RECORD] = Type(RECORD, "pg_catalog", "record", "p", "P")
    found[VOID] = Type(VOID, "pg_catalog", "void", "p", "P")
    found[TRIGGER] = Type(TRIGGER, "pg_catalog", "trigger", "p", "P")
    found[MOOD] = Type(MOOD, "public", "mood", "e", "E")
    found[ADDRESS] = Type(ADDRESS, "public", "address", "c", "C", relation=16480)
    found[EMAIL_ADDRESS] = Type(EMAIL_ADDRESS, "public", "email_address", "d", "S", base=TEXT)
    for one in relations():
        if one.kind in "rpvm" and one.schema != "pg_catalog":
            found[one.oid] = Type(
                one.oid, one.schema, one.name, "c", "C", relation=one.oid
            )  # the type's OID is the table's here
    return found


def shop(
    more: tuple[Relation, ...] = (),
    functions: tuple[Function, ...] = (),
    search_path: tuple[str, ...] = ("pg_catalog", "public"),
) -> Catalog:
    """The catalog, with `more` relations and `functions` (they take the place of what has the same name)."""
    tables = {(one.schema, one.name): one for one in (*relations(), *more)}
    named: dict[str, tuple[Function, ...]] = {}
    every = (*built_in(), *user_functions(), *functions)
    for function in every:
        named[function.name] = (*named.get(function.name, ()), function)
    return Catalog(
        server_version=180006,
        database="shop",
        role="ci",
        search_path=search_path,
        relations=tables,
        relations_by_oid={one.oid: one for one in tables.values()},
        functions=named,
        functions_by_oid={function.oid: function for function in every},
        types=types(),
        operators=(Operator("public", "===", 17012),),
        fingerprint="shop",
        user_casts=((INT4, MOOD, 17013),),
    )
