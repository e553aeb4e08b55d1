from __future__ import annotations

import re

import pytest

from extproc.errors import Refusal
from extproc.postgres import settings
from extproc.postgres.reading import Reading
from extproc.postgres.sql.model import Analysis, Step
from tests.unit.postgres.sql.shop import VOID, plpgsql, shop

PATH = plpgsql(18_000, "path", 0, VOID, "BEGIN SET search_path = hr; END")
ROLE = plpgsql(18_001, "become", 0, VOID, "BEGIN PERFORM set_config('role', 'postgres', false); END")
READING = Reading(shop(functions=(PATH, ROLE)))


def refused(text: str, *, read_only: bool = False) -> bool:
    try:
        settings.require_open(READING.analyse(text), read_only=read_only)
    except Refusal as refusal:
        return refusal.code.name == "setting_refused"
    return False


@pytest.mark.parametrize(
    "text",
    [
        "SET standard_conforming_strings = off",
        "SET standard_conforming_strings TO 'off'",
        "SET LOCAL standard_conforming_strings = off",
        "SET client_encoding = latin1",
        "SET NAMES 'SJIS'",
        "SET backslash_quote = on",
        "SET transform_null_equals = on",
        "SET array_nulls = off",
        "SET quote_all_identifiers = on",
        "SET role postgres",
        "SET ROLE NONE",
        "SET LOCAL ROLE postgres",
        "RESET ROLE",
        "SET role TO DEFAULT",
        "SET SESSION AUTHORIZATION postgres",
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET SESSION AUTHORIZATION",
        "SET session_replication_role = replica",
        "SET session_preload_libraries = 'x'",
        "SET local_preload_libraries = 'x'",
        "SET dynamic_library_path = '/tmp'",
        "SET default_tablespace = x",
        "SET default_table_access_method = x",
        "SET temp_tablespaces = x",
        "SET allow_system_table_mods = on",
        "SET zero_damaged_pages = on",
        "SET log_statement = none",
        "SET plpgsql.variable_conflict = use_column",
        "SET my.own = x",
        "SET unheard_of = x",
        "SET x FROM CURRENT",
        'SET "Role" = postgres',
        "SET TRANSACTION SNAPSHOT '00000003-1'",
        "SELECT 1; SET role postgres",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT set_config('standard_' || 'conforming_strings', 'off', false)",
        "SELECT set_config('application_name', ssn, false) FROM customers",
        "SELECT pg_catalog.set_config('Standard_Conforming_Strings', 'off', true)",
        "WITH x AS (SELECT set_config('role', 'postgres', false)) SELECT * FROM x",
        "SELECT * FROM customers WHERE set_config('role', 'postgres', false) IS NOT NULL",
        "PREPARE x AS SELECT set_config('role', 'postgres', false)",
        "EXPLAIN ANALYZE SELECT set_config('role', 'postgres', false)",
        "COPY (SELECT set_config('role', 'postgres', false)) TO STDOUT",
        "DO $$ BEGIN SET role postgres; END $$",
        "SELECT become()",
    ],
)
def test_pinned_settings_cannot_be_changed(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "SET application_name = 'x'",
        "SET DateStyle = 'ISO'",
        "SET TIME ZONE 'UTC'",
        "SET TIME ZONE INTERVAL '1' HOUR TO MINUTE",
        "SET extra_float_digits = 3",
        "SET statement_timeout = '5s'",
        "SET search_path = public, hr",
        "SET standard_conforming_strings = on",
        "SET client_encoding TO 'UTF8'",
        "SET NAMES 'utf-8'",
        "SET default_tablespace = ''",
        "SET default_table_access_method = heap",
        "RESET client_encoding",
        "RESET ALL",
        "RESET search_path",
        "DISCARD ALL",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
        "SELECT set_config('search_path', 'hr', false)",
        "SELECT set_config('application_name', 'x', true)",
        "SELECT path()",
        "SELECT current_setting('role')",
        "SHOW ALL",
    ],
)
def test_what_looks_and_waits_otherwise_may_be_changed(text: str) -> None:
    assert not refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN READ WRITE",
        "START TRANSACTION READ WRITE",
        "SET TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET default_transaction_read_only = off",
        "SET default_transaction_read_only = 0",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT set_config('default_transaction_read_only', 'of', false)",
    ],
)
def test_a_resource_that_is_read_only_stays_so(text: str) -> None:
    assert refused(text, read_only=True)
    assert not refused("BEGIN READ ONLY; SET transaction_read_only = on", read_only=True)


def test_what_is_pinned_is_open_to_nobody() -> None:
    assert not settings.OPEN & set(settings.PINNED)
    assert all(re.fullmatch("[a-z_]+", name) for name in settings.OPEN)


def test_an_error_names_a_setting_only_where_it_is_a_name() -> None:
    for step, shown in ((Step("reset", reset="my.role"), "my.role"), (Step("reset", reset="a b'c"), "this setting")):
        with pytest.raises(Refusal, match=f"the gateway keeps {shown} as it is"):
            settings.require_open(Analysis("", (), (step,)), read_only=False)


# As drivers send them, beside user and database: psycopg, asyncpg, JDBC, node-postgres, psql, pgbench, lib/pq.
STARTUPS = [
    {"client_encoding": "UTF8", "application_name": "job"},
    {"client_encoding": "'utf-8'"},
    {"client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "Europe/Berlin", "extra_float_digits": "2"},
    {"client_encoding": "UTF8", "application_name": "psql", "options": "", "replication": ""},
    {"application_name": "pgbench"},
    {"client_encoding": "UTF8", "datestyle": "ISO, MDY", "extra_float_digits": "2"},
    {"client_encoding": "auto", "replication": "false", "_pq_.something": "1"},
    {"statement_timeout": "5000", "lock_timeout": "1s", "idle_in_transaction_session_timeout": "0"},
]


@pytest.mark.parametrize("given", STARTUPS)
def test_startup_parameters_of_drivers(given: dict[str, str]) -> None:
    wanted = settings.startup_parameters({"user": "job", "database": "shop", **given})
    own = {"user", "database", "client_encoding", "options", "replication"}
    expected = {name.lower(): value for name, value in given.items() if name.lower() not in own and "_pq_" not in name}
    assert wanted == expected
    assert not wanted.keys() & settings.PINNED.keys()


@pytest.mark.parametrize(
    "given",
    [
        {"options": "-c standard_conforming_strings=off"},
        {"options": "-c role=postgres"},
        {"Options": "-csearch_path=hr"},
        {"replication": "true"},
        {"replication": "database"},
        {"role": "postgres"},
        {"session_authorization": "postgres"},
        {"search_path": "hr"},
        {"standard_conforming_strings": "off"},
        {"Client_Encoding": "LATIN1"},
        {"client_encoding": "SQL_ASCII"},
        {"default_transaction_read_only": "off"},
        {"session_preload_libraries": "x"},
        {"what is this": "x"},
    ],
)
def test_startup_parameters_are_an_allow_list(given: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        settings.startup_parameters({"user": "job", **given})
    assert refused.value.code.name == "login_refused"
    assert not any(value in refused.value.reason for value in given.values())


def test_what_a_server_must_not_change() -> None:
    for name in ("client_encoding", "standard_conforming_strings", "session_authorization", "is_superuser"):
        assert settings.is_fixed(name)
    assert not settings.is_fixed("TimeZone")
