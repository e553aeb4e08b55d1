"""What changes the connection, the server or the world: settings in every form, files, programs, channels."""

from __future__ import annotations

import pytest

from extproc.postgres.sql.model import Setting
from tests.unit.postgres.sql.seen import analysed, functions, kinds, statements, sure

# Each sets something: it is seen by name and value, or nothing is sure.
SETS: list[tuple[str, str, str | None]] = [
    ("SET search_path = evil", "search_path", "evil"), ("SET SEARCH_PATH TO evil", "search_path", "evil"),
    ('SET "Search_Path" TO evil', "search_path", "evil"), (r'SET U&"search\005fpath" TO evil', "search_path", "evil"),
    ("SET/**/search_path/**/TO/**/'evil'", "search_path", "evil"), ("SET SCHEMA 'evil'", "search_path", "evil"),
    ("SET LOCAL search_path = evil", "search_path", "evil"), ("SET SESSION search_path = evil, public", "search_path", "evil, public"),
    ("SET standard_conforming_strings = off", "standard_conforming_strings", "off"), ("SET NAMES 'SJIS'", "client_encoding", "SJIS"),
    ("SET client_encoding TO 'GBK'", "client_encoding", "GBK"), ("SET ROLE postgres", "role", "postgres"),
    ("SET LOCAL ROLE 'postgres'", "role", "postgres"), ("SET SESSION AUTHORIZATION postgres", "session_authorization", "postgres"),
    ("SET session_authorization = 'postgres'", "session_authorization", "postgres"),
    ("SET transaction_read_only = off", "transaction_read_only", "off"), ("SET TRANSACTION READ WRITE", "transaction_read_only", "0"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "default_transaction_read_only", "0"),
    ("SET row_security = off", "row_security", "off"), ("SELECT set_config('search_path', 'evil', false)", "search_path", "evil"),
    ("SELECT pg_catalog.set_config('role', 'postgres', true)", "role", "postgres"),
    ("SELECT SET_CONFIG('Search_Path', 'evil', false)", "search_path", "evil"), ("SELECT \"set_config\"('role', 'x', false)", "role", "x"),
    ("SELECT set_config(E'search\\x5fpath', 'evil', false)", "search_path", "evil"),
    (r"SELECT set_config(U&'search\005fpath', 'evil', false)", "search_path", "evil"),
    ("SELECT set_config('search_' 'path', 'evil', false)".replace("' '", "'\n'"), "search_path", "evil"),
    ("SELECT set_config($$role$$, $a$x$a$, false)", "role", "x"), ("SELECT set_config('role'::text, 'x'::text, false)", "", None),
    ("SELECT set_config(setting_name => 'role', new_value => 'x', is_local => false)", "", None),
    ("SELECT set_config('standard_' || 'conforming_strings', 'off', false)", "", None),
    ("SELECT set_config(name, 'off', false) FROM customers", "", None), ("SELECT set_config('role', name, false) FROM customers", "role", None),
    ("SELECT set_config($1, $2, false)", "", None), ("SELECT set_config('role', $1, false)", "role", None),
    ("SELECT set_config(lower('ROLE'), 'x', false)", "", None), ("SELECT set_config(VARIADIC ARRAY['role', 'x', 'false'])", "", None),
    ("SELECT set_config('role', NULL, false)", "role", None), ("SELECT 1 WHERE set_config('role', 'x', false) = 'x'", "role", "x"),
    ("SELECT 1 ORDER BY set_config('role', 'x', false)", "role", "x"), ("SELECT 1 FROM set_config('role', 'x', false)", "role", "x"),
    ("WITH a AS (SELECT set_config('role', 'x', false)) SELECT 1", "role", "x"), ("SELECT (SELECT set_config('role', 'x', false))", "role", "x"),
    ("INSERT INTO audit (what) VALUES (set_config('role', 'x', false))", "role", "x"),
    ("DO $$BEGIN PERFORM set_config('role', 'x', false); END$$", "role", "x"), ("DO $$BEGIN SET LOCAL role = 'x'; END$$", "role", "x"),
    ("DO $$BEGIN SET search_path = evil; END$$", "search_path", "evil"), ("PREPARE p AS SELECT set_config('role', 'x', false)", "role", "x"),
    ("EXPLAIN ANALYZE SELECT set_config('role', 'x', false)", "role", "x"),
    ("COPY (SELECT set_config('role', 'x', false)) TO STDOUT", "role", "x"),
    ("DECLARE c CURSOR FOR SELECT set_config('role', 'x', false)", "role", "x"),
    ("SELECT CASE WHEN true THEN set_config('role', 'x', false) END", "role", "x"), ("VALUES (set_config('role', 'x', false))", "role", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "value"), SETS)
def test_settings_are_seen_in_every_form(text: str, name: str, value: str | None) -> None:
    found = [setting for one in statements(text) for setting in one.settings]
    of_steps = [
        setting
        for one in analysed(text).steps
        for setting in (*one.settings, *(one.inner.steps[0].settings if one.inner else ()))
    ]
    if value is None and not name:
        # Not a constant: no name is claimed, and whoever asks finds no value either.
        assert all(setting.value is None or not setting.name for setting in found)
        assert found or not sure(text)
        return
    assert (name, value) in [(setting.name.lower(), setting.value) for setting in found] or (
        value is None and not sure(text)
    )
    # The connection is told as well, wherever it stands.
    assert (
        (name, value) in [(setting.name.lower(), setting.value) for setting in of_steps]
        or not sure(text)
        or text.startswith(("PREPARE", "DECLARE"))
    )


@pytest.mark.parametrize(
    ("text", "reset"),
    [
        ("RESET ROLE", "role"), ("RESET ALL", "*"), ('RESET "ROLE"', "role"), ("RESET SESSION AUTHORIZATION", "session_authorization"),
        ("SET ROLE TO DEFAULT", "role"), ("SET search_path TO DEFAULT", "search_path"), ("RESET search_path", "search_path"),
        ("RESET TIME ZONE", "timezone"), ("SET SESSION AUTHORIZATION DEFAULT", "session_authorization"),
        ("RESET TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
    ],
)  # fmt: skip
def test_going_back_to_a_default_is_told(text: str, reset: str) -> None:
    assert analysed(text).steps[0].reset == reset


def test_a_local_setting_is_told_apart() -> None:
    assert statements("SELECT set_config('a.b', 'c', true)")[0].settings == (Setting("a.b", "c", local=True),)
    assert statements("SELECT set_config('a.b', 'c', 'f')")[0].settings == (Setting("a.b", "c"),)
    assert statements("SET LOCAL a.b = c")[0].settings == (Setting("a.b", "c", local=True),)


KINDS = [
    ("LISTEN a", "listen"), ('LISTEN "A"', "listen"), ("UNLISTEN *", "unlisten"), ("NOTIFY a, 'b'", "notify"),
    ("DO $$BEGIN NOTIFY a; END$$", "notify"), ("LOCK customers", "lock"), ("LOCK TABLE ONLY customers IN ACCESS EXCLUSIVE MODE NOWAIT", "lock"),
    ("BEGIN; LOCK customers; COMMIT", "lock"), ("PREPARE TRANSACTION 'a'", "prepare_transaction"), ("COMMIT PREPARED 'a'", "commit_prepared"),
    ("ROLLBACK PREPARED 'a'", "rollback_prepared"), ("SHOW search_path", "show"), ("SHOW ALL", "show"), ("VACUUM FULL customers", "vacuum"),
    ("ANALYZE", "analyze"), ("CLUSTER customers", "cluster"), ("REINDEX DATABASE shop", "reindex"), ("CHECKPOINT", "checkpoint"),
    ("LOAD 'evil'", "load"), ("DISCARD ALL", "discard"), ("ALTER SYSTEM SET a.b = 'c'", "alter_system"),
    ("ALTER ROLE ci SET search_path = evil", "alter_role_set"), ("ALTER DATABASE shop SET a.b = 'c'", "alter_database_set"),
    ("ALTER ROLE ci SUPERUSER", "alter_role"), ("CREATE EXTENSION dblink", "create_extension"),
    ("CREATE SERVER s FOREIGN DATA WRAPPER w", "create_foreign_server"), ("CREATE USER MAPPING FOR ci SERVER s", "create_user_mapping"),
    ("IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b", "import_foreign_schema"), ("CREATE PUBLICATION p FOR ALL TABLES", "create_publication"),
    ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "create_subscription"),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", "create_function"), ("CREATE TEMP TABLE customers (id int)", "create_table"),
    ("CREATE TEMP VIEW customers AS SELECT 1", "create_view"), ("CREATE SCHEMA evil", "create_schema"),
    ("CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()", "create_event_trigger"),
    ("CREATE CAST (int AS text) WITHOUT FUNCTION", "create_cast"), ("REASSIGN OWNED BY a TO b", "reassign_owned"),
    ("DROP OWNED BY a", "drop_owned"), ("SECURITY LABEL ON TABLE customers IS 'x'", "security_label"),
    ("SET CONSTRAINTS ALL DEFERRED", "set_constraints"), ("COPY customers TO PROGRAM 'curl'", "copy"),
    ("copy/**/customers/**/from/**/program/**/'rm'", "copy"), ("COPY customers TO '/etc/x'", "copy"), ("COPY customers FROM '/etc/x'", "copy"),
    ("FETCH ALL FROM c", "fetch"), ("MOVE ALL FROM c", "move"), ("CLOSE ALL", "close"), ("DEALLOCATE ALL", "deallocate"),
    ("EXECUTE p", "execute"), ("COMMENT ON COLUMN customers.ssn IS 'x'", "comment"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_commands_are_named(text: str, kind: str) -> None:
    assert kind in kinds(text)


COPIES = [
    ("COPY customers TO PROGRAM 'curl'", "program"),
    ("COPY customers FROM PROGRAM 'curl'", "program"),
    ("COPY (SELECT 1) TO PROGRAM $$curl$$", "program"),
    ("COPY customers TO '/tmp/x'", "file"),
    (r"COPY customers FROM E'\x2ftmp/x'", "file"),
    ("COPY BINARY customers TO '/tmp/x'", "file"),
    ("COPY customers TO STDOUT", "stdout"),
    ("COPY customers TO STDIN", "stdout"),
    ("COPY customers FROM STDOUT", "stdin"),
    ("COPY customers FROM STDIN", "stdin"),
]


@pytest.mark.parametrize(("text", "option"), COPIES)
def test_where_a_copy_goes_is_told(text: str, option: str) -> None:
    assert statements(text)[0].options == (option,)


@pytest.mark.parametrize(
    "text", ["EXECUTE p", "FETCH c", "EXPLAIN ANALYZE EXECUTE p", "CREATE TABLE x AS EXECUTE p", "MOVE c"]
)
def test_what_runs_by_name_is_left_to_the_connection(text: str) -> None:
    step = analysed(text).steps[0]
    assert step.executes == "p" or step.fetches == "c"
    assert step.output is None or not step.output_sure or step.kind in ("create_table_as", "explain", "move")


@pytest.mark.parametrize(
    "text",
    ["SELECT lower('pg_read_file(1)')", "SELECT 'LISTEN a'", "SELECT 'set_config(''role'')' AS set_config", "SELECT 1 AS search_path"],
)  # fmt: skip
def test_what_only_says_so_does_nothing(text: str) -> None:
    assert kinds(text) == {"select"}
    assert functions(text) <= {"pg_catalog.lower"}
    assert not [setting for one in statements(text) for setting in one.settings]
    assert sure(text)
