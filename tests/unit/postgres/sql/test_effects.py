from __future__ import annotations

import pytest

from extproc.postgres.catalog import Function
from extproc.postgres.sql.effects import is_dynamic, is_statistics, runs_unseen

DYNAMIC = [
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "schema_to_xml",
    "database_to_xml",
    "cursor_to_xml",
    "ts_stat",
    "ts_rewrite",
    "lo_import",
    "lo_export",
    "lo_get",
    "lo_put",
    "lo_create",
    "lo_unlink",
    "loread",
    "lowrite",
    "pg_read_file",
    "pg_read_binary_file",
    "pg_ls_dir",
    "pg_ls_waldir",
    "pg_stat_file",
    "pg_file_write",
    "pg_logdir_ls",
    "pg_logical_slot_get_changes",
    "pg_logical_emit_message",
    "currtid2",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_promote",
    "pg_switch_wal",
    "pg_relation_size",
    "pg_total_relation_size",
    "pg_database_size",
    "pg_stat_get_live_tuples",
    "pg_stat_get_activity",
    "pg_hba_file_rules",
    "pg_backup_start",
    "pg_clear_attribute_stats",
    "pg_restore_attribute_stats",
    "pg_create_restore_point",
    "pg_replication_origin_create",
]
HARMLESS = [
    "lower",
    "length",
    "now",
    "clock_timestamp",
    "random",
    "gen_random_uuid",
    "nextval",
    "currval",
    "setval",
    "pg_sleep",
    "pg_advisory_lock",
    "pg_try_advisory_lock",
    "set_config",
    "pg_notify",
    "current_setting",
    "pg_get_viewdef",
    "pg_get_expr",
    "format_type",
    "obj_description",
    "has_table_privilege",
    "pg_table_is_visible",
    "txid_current",
    "pg_current_xact_id",
    "pg_backend_pid",
    "version",
    "row_to_json",
    "json_agg",
    "generate_series",
    "xmlelement",
]


@pytest.mark.parametrize("name", DYNAMIC)
def test_what_runs_sql_or_reads_unseen_is_dynamic(name: str) -> None:
    assert is_dynamic(f"pg_catalog.{name}")
    assert not is_dynamic(f"public.{name}")


@pytest.mark.parametrize("name", HARMLESS)
def test_what_gives_values_is_not(name: str) -> None:
    assert not is_dynamic(f"pg_catalog.{name}")


def test_a_volatile_function_that_nobody_has_looked_at_is_dynamic() -> None:
    assert not is_dynamic("pg_catalog.brand_new")
    assert not is_dynamic("pg_catalog.brand_new", "stable")
    assert is_dynamic("pg_catalog.brand_new", "volatile")
    assert not is_dynamic("pg_catalog.random", "volatile")


@pytest.mark.parametrize(
    ("schema", "name", "language", "extension", "unseen"),
    [
        ("pg_catalog", "random", "internal", "", False),
        ("pg_catalog", "query_to_xml", "internal", "", True),
        ("pg_catalog", "brand_new", "internal", "", True),
        ("pg_catalog", "pg_file_write", "c", "adminpack", True),
        ("public", "crypt", "c", "pgcrypto", False),
        ("public", "dblink", "c", "dblink", True),
        ("public", "crosstab", "c", "tablefunc", True),
        ("public", "get_raw_page", "c", "pageinspect", True),
        ("public", "own", "c", "", True),
        ("public", "own", "plpython3u", "", True),
        ("public", "own", "plpgsql", "", False),
        ("public", "own", "sql", "some_extension", False),
    ],
)
def test_functions_are_seen_through_by_list_or_by_body(
    schema: str, name: str, language: str, extension: str, unseen: bool
) -> None:
    function = Function(1, schema, name, "f", 0, None, "volatile", language, 25, extension=extension)
    assert runs_unseen(function) is unseen


@pytest.mark.parametrize(
    "name",
    [
        "pg_catalog.pg_statistic", "pg_catalog.pg_stats", "pg_catalog.pg_stats_ext", "pg_catalog.pg_statistic_ext_data",
        "pg_catalog.pg_stat_activity", "pg_catalog.pg_stat_user_tables", "pg_catalog.pg_statio_all_tables",
        "public.pg_stat_statements", "pg_catalog.pg_largeobject", "pg_catalog.pg_authid", "pg_catalog.pg_shadow",
        "pg_catalog.pg_user_mapping", "pg_catalog.pg_hba_file_rules", "pg_toast.pg_toast_16400", "public.pg_buffercache",
    ],
)  # fmt: skip
def test_relations_that_tell_what_tables_hold(name: str) -> None:
    assert is_statistics(name)


@pytest.mark.parametrize(
    "name",
    [
        "pg_catalog.pg_class",
        "pg_catalog.pg_settings",
        "pg_catalog.pg_roles",
        "pg_catalog.pg_tables",
        "public.customers",
    ],
)
def test_relations_that_tell_names_alone(name: str) -> None:
    assert not is_statistics(name)
