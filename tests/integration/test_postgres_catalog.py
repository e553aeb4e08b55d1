"""What is read of a real database, and that it is noticed when it changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import postgast
import pytest

from extproc.postgres.catalog import Catalog, Function, Relation
from extproc.postgres.database.introspect import BUILT_IN, LOOK, OWN, WITHIN_FAILED, Part, combine, look, part, within
from extproc.postgres.database.login import Login
from tests.integration.pglink import Link, linked
from tests.integration.postgres import DATABASE, PASSWORDS, Server
from tests.unit.postgres.sql import shop

READER = Login("reader", "catalog", PASSWORDS["reader"])


@pytest.fixture(scope="module", params=["postgres18", "postgres15"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """With a database `catalog` that holds the shop of the analysis' tests, and more."""
    server: Server = request.getfixturevalue(request.param)
    server.create("CREATE DATABASE catalog")
    server.create(shop.SCHEMA, "catalog")
    server.create(MORE, "catalog")
    yield server
    server.create("DROP DATABASE catalog WITH (FORCE)")


MORE = """
CREATE SCHEMA more;
CREATE TABLE more.wide (a int, gone text, b text[], "Odd ""name" int, c numeric GENERATED ALWAYS AS (a + 1) STORED);
ALTER TABLE more.wide DROP COLUMN gone;
CREATE FUNCTION more.opt(a int, b int DEFAULT 1, c text DEFAULT '') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION more.many(a int, VARIADIC b int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION more.out(a int, OUT b int, OUT c int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION more.careful() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = more, "a, b" AS 'BEGIN RETURN 1; END';
CREATE FUNCTION more.evil_step(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.customers; RETURN 1; END';
CREATE AGGREGATE more.total (int) (SFUNC = more.evil_step, STYPE = int);
CREATE AGGREGATE more.plain (int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION more.boo() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER boo ON ddl_command_end EXECUTE FUNCTION more.boo();
CREATE TABLE more.off (a int);
CREATE FUNCTION more.trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER off BEFORE INSERT ON more.off FOR EACH ROW EXECUTE FUNCTION more.trigger();
ALTER TABLE more.off DISABLE TRIGGER off;
CREATE TABLE more.keys (id int PRIMARY KEY);
CREATE TABLE more.loose (id int REFERENCES more.keys);
CREATE TABLE more.nulled (id int REFERENCES more.keys ON UPDATE SET NULL);
CREATE TABLE more.son () INHERITS (more.wide, more.off);
CREATE TABLE public.pg_class (mine int);
CREATE VIEW more.confusing AS SELECT mine, relname FROM public.pg_class, pg_catalog.pg_class c WHERE mine = c.relpages;
CREATE EXTENSION IF NOT EXISTS plpgsql;
"""


def read(link: Link, statements: tuple[str, ...] = OWN) -> Part:
    return part(link.query(";\n".join(statements)))


def catalog_of(link: Link) -> Catalog:
    own = read(link)
    return combine(own.session, read(link, BUILT_IN), own)


@pytest.fixture(scope="module")
def catalog(server: Server) -> Catalog:
    with linked(server, READER) as link:
        return catalog_of(link)


def relation(catalog: Catalog, name: str) -> Relation:
    found = catalog.relation(*name.split("."))
    assert found is not None
    return found


def function(catalog: Catalog, name: str) -> Function:
    (found,) = catalog.functions_named(*name.split("."))
    return found


# --- what is read


def test_who_and_where(server: Server, catalog: Catalog) -> None:
    assert catalog.server_version // 10000 == server.version
    assert (catalog.database, catalog.role) == ("catalog", "reader")
    assert catalog.search_path == ("pg_catalog", "public")


def without_oids(catalog: Catalog, one: Relation) -> object:
    def named(oids: tuple[int, ...]) -> list[str]:
        return sorted(catalog.relations_by_oid[oid].qualified for oid in oids)

    columns = [
        (column.name, column.number, (found := catalog.types[column.type]).name, found.kind) for column in one.columns
    ]
    triggers = sorted(catalog.functions_by_oid[oid].qualified for oid in one.triggers)
    text = re.sub(r"\s+", " ", one.definition)
    # PostgreSQL 16 and later leave a column's table away where there is one alone.
    text = re.sub(r"\b(customers|orders)\.(?=\w+[ ,;)])(?!orders|customers)", "", text)
    return one.qualified, one.kind, columns, one.ruled, triggers, named(one.cascades), named(one.parents), text


def test_the_shop_is_read_as_the_analysis_expects_it(catalog: Catalog) -> None:
    expected = shop.shop()
    for one in expected.relations.values():
        if one.schema != "pg_catalog":
            found = catalog.relations[one.schema, one.name]
            assert without_oids(catalog, found) == without_oids(expected, one)


@pytest.mark.parametrize("wanted", [one for one in shop.user_functions() if one.language in ("sql", "plpgsql")])
def test_its_functions_too(catalog: Catalog, wanted: Function) -> None:
    (found,) = (
        one
        for one in catalog.functions_named("public", wanted.name)
        if one.language == wanted.language and one.source[:40] == wanted.source[:40]
    )
    same = replace(found, oid=wanted.oid, returns=wanted.returns, source=wanted.source, definition=wanted.definition)
    assert same == wanted
    assert re.sub(r"orders\.|\s+", "", found.source) == re.sub(r"orders\.|\s+", "", wanted.source)
    assert re.match(rf"CREATE OR REPLACE (FUNCTION|PROCEDURE) public\.{wanted.name}\(", found.definition)
    assert found.source in found.definition
    assert postgast.parse(found.definition).stmts


def test_operators_casts_and_types(catalog: Catalog) -> None:
    ((operator),) = [one for one in catalog.operators if one.name == "==="]
    assert catalog.functions_by_oid[operator.function].qualified == "public.same"
    ((source, target, made_by),) = catalog.user_casts
    assert catalog.types[source].name == "int4"
    assert (catalog.types[target].name, catalog.types[target].kind) == ("mood", "e")
    assert catalog.functions_by_oid[made_by].qualified == "public.to_mood"
    by_name = {(one.schema, one.name): one for one in catalog.types.values()}
    assert catalog.types[by_name["public", "email_address"].base].name == "text"
    assert catalog.types[by_name["public", "_mood"].element].name == "mood"
    assert by_name["public", "customers"].relation == relation(catalog, "public.customers").oid
    assert by_name["pg_catalog", "_text"].element == by_name["pg_catalog", "text"].oid
    assert by_name["pg_catalog", "name"].element == 0
    assert by_name["pg_catalog", "int4range"].kind == "r"


def test_columns_that_were_dropped_are_gone_and_the_others_keep_their_numbers(catalog: Catalog) -> None:
    columns = relation(catalog, "more.wide").columns
    assert [(one.name, one.number) for one in columns] == [("a", 1), ("b", 3), ('Odd "name', 4), ("c", 5)]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("more.opt", 1, 3),
        ("more.many", 2, None),
        ("more.out", 1, 1),
        ("pg_catalog.concat", 1, None),
        ("pg_catalog.now", 0, 0),
        ("pg_catalog.make_interval", 0, 7),
    ],
)
def test_how_many_arguments(catalog: Catalog, name: str, least: int, most: int | None) -> None:
    found = function(catalog, name)
    assert (found.least, found.most) == (least, most)


def test_what_a_function_runs_as(catalog: Catalog) -> None:
    found = function(catalog, "more.careful")
    assert found.security_definer
    assert found.config == ('search_path=more, "a, b"',)


def test_built_in_functions(catalog: Catalog) -> None:
    assert function(catalog, "pg_catalog.now").volatility == "stable"
    assert function(catalog, "pg_catalog.clock_timestamp").volatility == "volatile"
    lower = catalog.functions_named("", "lower")
    assert {one.volatility for one in lower} == {"immutable"}
    assert {one.source for one in catalog.functions_by_oid.values() if one.oid < 16384} == {""}


def test_an_aggregate_is_as_bad_as_what_it_calls(catalog: Catalog) -> None:
    assert (function(catalog, "more.total").volatility, function(catalog, "more.total").language) == (
        "volatile",
        "plpgsql",
    )
    assert (function(catalog, "more.plain").volatility, function(catalog, "more.plain").language) == (
        "immutable",
        "internal",
    )
    assert {one.volatility for one in catalog.functions_named("pg_catalog", "sum")} == {"immutable"}


def test_triggers_that_are_off_and_keys_that_restrict_do_not_stand_there(catalog: Catalog) -> None:
    assert relation(catalog, "more.off").triggers == ()
    assert relation(catalog, "more.keys").cascades == (relation(catalog, "more.nulled").oid,)


def test_inheritance(catalog: Catalog) -> None:
    parents = [catalog.relations_by_oid[oid].qualified for oid in relation(catalog, "more.son").parents]
    assert parents == ["more.wide", "more.off"]


def test_event_triggers_are_noted(server: Server) -> None:
    with linked(server, READER) as link:
        own = read(link)
    assert [event for event, _ in own.event_triggers] == ["ddl_command_end"]


def test_what_belongs_to_an_extension_says_so(server: Server) -> None:
    server.create("CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext", "catalog")
    try:
        with linked(server, READER) as link:
            found = [one for one in read(link).functions if one.extension]
    finally:
        server.create("DROP EXTENSION hstore; DROP SCHEMA ext", "catalog")
    assert {(one.schema, one.extension, one.source) for one in found if one.language == "c"} == {("ext", "hstore", "")}


def tables(text: str) -> set[tuple[str, str]]:
    return {(one.schemaname, one.relname) for one in postgast.find_nodes(postgast.parse(text), "RangeVar")}


def test_definitions_name_every_schema_but_pg_catalog(catalog: Catalog) -> None:
    confusing = relation(catalog, "more.confusing").definition
    assert re.search(r"public\.pg_class", confusing)
    assert re.search(r"[ (,]pg_class c\b", confusing)
    for one in catalog.relations.values():
        if one.kind in ("v", "m"):
            assert postgast.parse(one.definition).stmts
            for schema, name in re.findall(r"(?:FROM|JOIN) \(*(?:(\w+)\.)?(\w+)", one.definition):
                known = catalog.relations.get((schema or "pg_catalog", name))
                assert known or not schema or catalog.functions_named(schema, name), (one.qualified, schema, name)


def test_built_in_views_are_there(catalog: Catalog) -> None:
    assert "pg_statistic" in relation(catalog, "pg_catalog.pg_stats").definition
    assert relation(catalog, "information_schema.columns").kind == "v"
    assert relation(catalog, "pg_catalog.pg_settings").ruled
    assert not [one for one in catalog.relations.values() if one.schema == "pg_toast"]


# --- nothing stands in front, nothing is left behind


EVIL = """
CREATE SCHEMA evil;
CREATE TABLE evil.pg_class AS SELECT 1 AS oid;
CREATE TABLE evil.pg_proc AS SELECT 1 AS oid;
CREATE FUNCTION evil.eq(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
CREATE OPERATOR evil.>= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
CREATE FUNCTION evil.json_agg(json) RETURNS json LANGUAGE sql AS 'SELECT ''[]''::json';
CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT ''evil''::name';
CREATE DOMAIN evil.text AS int;
CREATE DOMAIN evil.oid AS int;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
"""


def test_no_schema_of_the_search_path_stands_in_front(server: Server) -> None:
    server.create(EVIL, "catalog")
    try:
        with linked(server, READER) as link:
            usual = catalog_of(link)
            link.query("SET search_path = evil, pg_catalog, public")
            fooled = catalog_of(link)
            assert fooled.search_path == ("evil", "pg_catalog", "public")
            assert replace(fooled, search_path=usual.search_path, fingerprint=usual.fingerprint) == usual
    finally:
        server.create("DROP SCHEMA evil CASCADE", "catalog")


def test_temporary_tables_are_seen_by_their_own_connection_alone(server: Server) -> None:
    server.create("GRANT TEMP ON DATABASE catalog TO app", "catalog")
    with (
        linked(server, replace(READER, user="app", password=PASSWORDS["app"])) as link,
        linked(server, READER) as other,
    ):
        before = look(other.query(LOOK)[0])
        link.query("CREATE TEMP TABLE pg_class (a int); CREATE TEMP VIEW customers AS SELECT 1 AS one")
        mine = catalog_of(link)
        temporary = mine.search_path[0]
        assert temporary.startswith("pg_temp_")
        assert mine.relation("", "customers") is mine.relations[temporary, "customers"]
        assert [one.name for one in mine.relations[temporary, "pg_class"].columns] == ["a"]
        assert look(other.query(LOOK)[0]) == before
        assert not [one for one in catalog_of(other).relations.values() if one.schema.startswith("pg_temp")]


STATE = """SELECT current_setting('search_path'), current_setting('lock_timeout'), current_setting('transaction_isolation'),
    current_setting('transaction_read_only'), pg_current_xact_id_if_assigned()"""


@pytest.mark.parametrize("begun", ["", "BEGIN", "BEGIN; SET LOCAL search_path = hr; SET lock_timeout = '7s'"])
def test_the_connection_stays_as_it_was(server: Server, begun: str) -> None:
    with linked(server, READER) as link:
        link.query("SET search_path = more, public")
        link.query(begun)
        state = link.query(STATE)
        link.reported.clear()
        read(link, within(OWN) if begun else OWN)
        assert link.query(STATE) == state
        assert link.reported == []
        if begun:
            assert link.query("ROLLBACK; SHOW search_path")[-1] == [("more, public",)]


def test_a_transaction_sees_its_own_changes(server: Server) -> None:
    server.create("GRANT CREATE ON SCHEMA more TO app; GRANT USAGE ON SCHEMA more TO app", "catalog")
    with linked(server, replace(READER, user="app", password=PASSWORDS["app"])) as link:
        tokens = {look(link.query(LOOK)[0]).token}
        link.query("BEGIN; CREATE TABLE more.fresh (a int)")
        tokens.add(look(link.query(LOOK)[0]).token)
        link.query("ALTER TABLE more.fresh RENAME COLUMN a TO b")
        tokens.add(look(link.query(LOOK)[0]).token)
        link.query("SAVEPOINT s; ALTER TABLE more.fresh RENAME COLUMN b TO c; ROLLBACK TO SAVEPOINT s")
        link.query("ALTER TABLE more.fresh RENAME COLUMN b TO d")
        own = read(link, within(OWN))
        tokens.add(own.session.token)
        assert len(tokens) == 4
        (fresh,) = (one for one in own.relations if one.name == "fresh")
        assert [one.name for one in fresh.columns] == ["d"]
        link.query("ROLLBACK")
        assert look(link.query(LOOK)[0]).token in tokens


def test_a_view_that_is_locked_holds_nobody_up_for_long(server: Server) -> None:
    with linked(server, replace(READER, user="app", password=PASSWORDS["app"])) as link:
        server.create("GRANT ALL ON public.customers TO app", "catalog")
        link.query("BEGIN; LOCK TABLE public.customers IN ACCESS EXCLUSIVE MODE")
        with linked(server, READER) as other:
            other.query("BEGIN")
            with pytest.raises(AssertionError, match="C55P03"):
                read(other, within(OWN))
            assert other.query(f"{WITHIN_FAILED}; SELECT 1; COMMIT")[-2] == [("1",)]


# --- that it changed


CHANGES = [
    "CREATE TABLE more.new (a int)",
    "DROP TABLE more.loose",
    "ALTER TABLE more.wide ADD COLUMN d int",
    "ALTER TABLE more.loose RENAME COLUMN id TO aa",
    "ALTER TABLE more.wide DROP COLUMN b",
    "ALTER TABLE more.keys ALTER COLUMN id TYPE bigint",
    "ALTER TABLE more.keys RENAME TO locks",
    "ALTER TABLE more.keys SET SCHEMA public",
    "ALTER SCHEMA more RENAME TO less",
    "CREATE OR REPLACE VIEW public.contacts AS SELECT id, name, ssn AS email FROM public.customers",
    "ALTER VIEW public.contacts RENAME COLUMN email TO mail",
    "CREATE MATERIALIZED VIEW more.mat AS SELECT 1 AS a",
    "CREATE OR REPLACE FUNCTION public.purge() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'",
    "ALTER FUNCTION public.purge() STABLE",
    "ALTER FUNCTION public.purge() SECURITY DEFINER",
    "ALTER FUNCTION public.purge() RENAME TO urge",
    "CREATE TRIGGER t BEFORE INSERT ON more.keys FOR EACH ROW EXECUTE FUNCTION more.trigger()",
    "ALTER TABLE more.off ENABLE TRIGGER off",
    "DROP TRIGGER noted ON public.orders",
    "CREATE RULE r AS ON INSERT TO more.keys DO INSTEAD NOTHING",
    "DROP RULE keep ON public.old_orders",
    "ALTER TABLE more.loose ADD FOREIGN KEY (id) REFERENCES more.keys ON DELETE CASCADE",
    "ALTER TABLE more.son NO INHERIT more.off",
    "CREATE TYPE more.colour AS ENUM ('red')",
    "CREATE DOMAIN more.d AS text",
    "DROP CAST (integer AS public.mood)",
    "CREATE OPERATOR more.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same)",
    "DROP EVENT TRIGGER boo",
    "CREATE SCHEMA fresh",
    "CREATE SEQUENCE more.counter",
    "CREATE EXTENSION hstore",
    "CREATE AGGREGATE more.other (int) (SFUNC = int4pl, STYPE = int)",
    "CREATE OR REPLACE AGGREGATE more.plain (int) (SFUNC = more.evil_step, STYPE = int)",
    "ALTER TABLE public.events DETACH PARTITION public.events_2026",
]


@pytest.fixture
def token(server: Server) -> Iterator[Callable[[], str]]:
    with linked(server, READER) as link:
        yield lambda: look(link.query(LOOK)[0]).token


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_noticed(server: Server, change: str) -> None:
    """In a transaction of the superuser's own, which is then rolled back."""
    script = f"{LOOK};\nBEGIN;\n{change};\n{LOOK};\nROLLBACK;\n{LOOK}"
    before, changed, after = server.psql(script, "catalog").splitlines()
    assert before != changed
    assert before == after


def test_another_connection_notices(server: Server, token: Callable[[], str]) -> None:
    first = token()
    server.create("CREATE TABLE more.late (a int)", "catalog")
    assert token() != first
    server.create("DROP TABLE more.late", "catalog")
    assert token() == first


UNCHANGED = [
    "INSERT INTO public.customers (id) VALUES (77); DELETE FROM public.customers WHERE id = 77",
    "ANALYZE",
    "VACUUM",
    "VACUUM FREEZE",
    "CREATE TEMP TABLE mine (a int)",
    "REINDEX TABLE public.customers",
    "CHECKPOINT",
]


@pytest.mark.parametrize("work", UNCHANGED)
def test_other_work_is_no_change(server: Server, token: Callable[[], str], work: str) -> None:
    first = token()
    for statement in work.split("; "):
        server.create(statement, "catalog")
    assert token() == first


def test_a_server_that_was_started_again_is_another_one(server: Server) -> None:
    with linked(server, READER) as link:
        first = look(link.query(LOOK)[0])
    server.stop(remove=False)
    server.run()
    with linked(server, READER) as link:
        again = look(link.query(LOOK)[0])
    assert again.token != first.token
    assert again.release == first.release


def test_the_superusers_database_is_read_too(server: Server) -> None:
    """Whoever may read more sees nothing else."""
    assert DATABASE != "catalog"
    with (
        linked(server, Login("postgres", "catalog", least="trust"), unix=True) as link,
        linked(server, READER) as other,
    ):
        assert read(link).fingerprint == read(other).fingerprint


@pytest.mark.parametrize(
    ("isolation", "noticed"), [("READ COMMITTED", True), ("REPEATABLE READ", False), ("SERIALIZABLE", False)]
)
def test_an_old_snapshot_hides_what_the_server_already_acts_on(server: Server, isolation: str, noticed: bool) -> None:
    """PostgreSQL looks names up as they are now, whatever the transaction's snapshot: nobody may rely on LOOK there."""
    server.create("CREATE VIEW more.turned AS SELECT id, name FROM public.customers", "catalog")
    server.create("GRANT USAGE ON SCHEMA more TO reader; GRANT SELECT ON more.turned TO reader", "catalog")
    server.create("INSERT INTO public.customers (id, name, ssn) VALUES (5, 'a name', 'an ssn')", "catalog")
    try:
        with linked(server, READER) as link:
            link.query(f"BEGIN ISOLATION LEVEL {isolation}")
            before = look(link.query(LOOK)[0]).token
            server.create(
                "CREATE OR REPLACE VIEW more.turned AS SELECT id, ssn AS name FROM public.customers", "catalog"
            )
            assert (look(link.query(LOOK)[0]).token != before) is noticed
            assert link.query("SELECT name FROM more.turned") == [[("an ssn",)]]
    finally:
        server.create("DROP VIEW more.turned; DELETE FROM public.customers", "catalog")
