"""The closed lists of effects against what servers have."""

from __future__ import annotations

from extproc.postgres.catalog import Function, Volatility
from extproc.postgres.sql import effects
from tests.integration.postgres import Server

VOLATILITY: dict[str, Volatility] = {"i": "immutable", "s": "stable", "v": "volatile"}
_ALL = """
SELECT DISTINCT nspname || ' ' || proname || ' ' || provolatile::text || ' ' || lanname FROM pg_proc p
JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang
WHERE nspname IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


def functions(server: Server) -> list[tuple[str, str, Volatility, str]]:
    rows = [line.split(" ") for line in server.psql(_ALL).splitlines()]
    return [(schema, name, VOLATILITY[volatile], language) for schema, name, volatile, language in rows]


def test_every_volatile_built_in_function_is_on_one_of_the_lists(server: Server) -> None:
    volatile = {(schema, name) for schema, name, how, _ in functions(server) if how == "volatile"}
    assert len(volatile) > 150
    for schema, name in volatile:
        # By name alone the same as by volatility: none of them is new.
        assert effects.is_dynamic(f"{schema}.{name}") != (name in effects.HARMLESS_VOLATILE), name


def test_functions_that_only_compute_are_not_dynamic(server: Server) -> None:
    others = [(schema, name, how, language) for schema, name, how, language in functions(server) if how != "volatile"]
    dynamic = set()
    for schema, name, how, language in others:
        function = Function(1, schema, name, "f", 0, None, how, language, 25)
        assert effects.runs_unseen(function) == effects.is_dynamic(f"{schema}.{name}")
        if effects.is_dynamic(f"{schema}.{name}") and not name.startswith("pg_stat_get_"):
            dynamic.add(name)
    assert dynamic <= {
        "database_to_xml", "database_to_xml_and_xmlschema", "database_to_xmlschema", "schema_to_xml",
        "schema_to_xml_and_xmlschema", "schema_to_xmlschema", "table_to_xml", "table_to_xml_and_xmlschema",
        "table_to_xmlschema", "ts_rewrite", "pg_input_is_valid", "pg_input_error_info", "pg_mcv_list_items",
        "pg_replication_origin_oid",
    }  # fmt: skip


def test_every_relation_on_the_lists_is_one(server: Server) -> None:
    there = set(
        server.psql(
            "SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        ).splitlines()
    )
    missing = effects.STATISTICS_RELATIONS - there
    assert missing <= {"pg_catalog.pg_aios", "pg_catalog.pg_shmem_allocations_numa"}  # newer than 15
    for table, columns in effects.STATISTICS_COLUMNS.items():
        has = server.psql(f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass").splitlines()
        assert columns - set(has) <= {"relallfrozen"}
