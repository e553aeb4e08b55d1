"""
What built-in functions and relations do beside giving values: closed lists, as PostgreSQL 15 to 18 have them.

A function is *dynamic* where it runs SQL, reads what no table of the statement shows (files, large objects, statistics,
the write-ahead log) or acts on the server and on other sessions. Volatile built-in functions are dynamic unless they
are known to be harmless: a new one must be looked at first.
"""

from __future__ import annotations

from typing import Final

from extproc.postgres.catalog import Function
from extproc.postgres.sql.builtins import BUILT_IN_SCHEMAS

# Volatile, and still: chance, time, sequences, locks by number, the session's own state. set_config is looked at as SET
# is; what pg_notify sends is its argument.
HARMLESS_VOLATILE: Final = frozenset({
    "array_sample", "array_shuffle", "random", "random_normal", "setseed", "gen_random_uuid", "uuidv4", "uuidv7",
    "clock_timestamp", "timeofday", "current_query", "currval", "lastval", "nextval", "setval",
    "pg_sequence_last_value", "pg_get_sequence_data", "set_config", "pg_notify", "pg_notification_queue_usage",
    "pg_sleep", "pg_sleep_for",
    "pg_sleep_until", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared", "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids", "pg_lock_status", "pg_prepared_xact", "pg_export_snapshot", "pg_is_in_recovery",
    "pg_is_wal_replay_paused", "pg_jit_available", "pg_collation_actual_version",
    "pg_database_collation_actual_version", "pg_partition_tree", "pg_partition_ancestors", "pg_xact_status",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin", "pg_last_committed_xact", "pg_last_xact_replay_timestamp", "txid_status",
    "pg_get_multixact_members", "pg_get_wait_events", "pg_control_system", "pg_control_checkpoint", "pg_control_init",
    "pg_control_recovery", "pg_get_backend_memory_contexts", "amvalidate",
    # Triggers, handlers and sampling methods: nobody can call them by name.
    "RI_FKey_cascade_del", "RI_FKey_cascade_upd", "RI_FKey_check_ins", "RI_FKey_check_upd", "RI_FKey_noaction_del",
    "RI_FKey_noaction_upd", "RI_FKey_restrict_del", "RI_FKey_restrict_upd", "RI_FKey_setdefault_del",
    "RI_FKey_setdefault_upd", "RI_FKey_setnull_del", "RI_FKey_setnull_upd", "suppress_redundant_updates_trigger",
    "tsvector_update_trigger", "tsvector_update_trigger_column", "unique_key_recheck", "bernoulli", "system",
    "brinhandler", "bthandler", "dsnowball_init", "dsnowball_lexize", "ginhandler", "gisthandler", "hashhandler",
    "spghandler", "heap_tableam_handler", "plpgsql_call_handler", "plpgsql_inline_handler", "plpgsql_validator",
})  # fmt: skip
# Dynamic by family. A family may grow.
_FAMILIES: Final = (
    "query_to_xml", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml",  # … and _xmlschema
    "lo_", "binary_upgrade_", "brin_summarize", "brin_desummarize", "pg_ls_", "pg_read_", "pg_file_", "pg_logdir_",
    "pg_stat_", "pg_logical_", "pg_replication_", "pg_wal_replay_", "pg_wal_summary_", "pg_get_wal_", "pg_last_wal_",
    "pg_current_wal_",
    "pg_copy_", "pg_create_", "pg_backup_", "pg_start_backup", "pg_stop_", "pg_switch_", "pg_rotate_", "pg_clear_",
    "pg_restore_", "pg_log_", "pg_drop_", "pg_sync_", "pg_get_shmem_", "currtid",
)  # fmt: skip
_NAMES: Final = frozenset({
    "loread", "lowrite", "ts_stat", "ts_rewrite", "pg_terminate_backend", "pg_cancel_backend", "pg_reload_conf",
    "pg_promote", "pg_current_logfile", "pg_hba_file_rules", "pg_ident_file_mappings", "pg_show_all_file_settings",
    "pg_show_replication_origin_status", "pg_available_wal_summaries", "pg_get_aios", "pg_get_loaded_modules",
    "pg_extension_config_dump", "pg_import_system_collations", "pg_nextoid", "gin_clean_pending_list",
    "pg_isolation_test_session_is_blocked",
    # How large tables are is what is in them; relations are named at run time.
    "pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size",
    "pg_tablespace_size",
    # They read a value as a type that is named at run time, with whatever its domain checks.
    "pg_input_is_valid", "pg_input_error_info",
    # Of pg_statistic_ext_data: the values of columns.
    "pg_mcv_list_items",
})  # fmt: skip
# Extensions whose functions in C compute from their arguments alone. dblink, tablefunc, xml2, pageinspect, lo and
# whatever is not known run SQL by text, or read tables by name.
_PURE_EXTENSIONS: Final = frozenset({
    "bloom", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn", "earthdistance", "fuzzystrmatch",
    "hstore", "intarray", "isn", "ltree", "pg_trgm", "pgcrypto", "seg", "unaccent", "uuid-ossp", "vector",
})  # fmt: skip

# Relations that hold what other tables hold, how much of it there is, secrets, or what others are doing.
STATISTICS_RELATIONS: Final = frozenset({
    "pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data", "pg_catalog.pg_stats",
    "pg_catalog.pg_stats_ext", "pg_catalog.pg_stats_ext_exprs", "pg_catalog.pg_largeobject", "pg_catalog.pg_authid",
    "pg_catalog.pg_shadow", "pg_catalog.pg_user_mapping", "pg_catalog.pg_user_mappings", "pg_catalog.pg_subscription",
    "pg_catalog.pg_hba_file_rules", "pg_catalog.pg_ident_file_mappings", "pg_catalog.pg_file_settings",
    "pg_catalog.pg_aios", "pg_catalog.pg_shmem_allocations", "pg_catalog.pg_shmem_allocations_numa",
    "pg_catalog.pg_replication_origin_status",
    "information_schema._pg_user_mappings", "information_schema.user_mapping_options",
})  # fmt: skip
_STATISTICS_FAMILIES: Final = ("pg_stat_", "pg_statio_", "pg_buffercache")  # also pg_stat_statements, in any schema
# Columns of other system tables that tell the same.
STATISTICS_COLUMNS: Final = {
    "pg_catalog.pg_class": frozenset({"relpages", "reltuples", "relallvisible", "relallfrozen"}),
    "pg_catalog.pg_attribute": frozenset({"attmissingval"}),
}


def is_dynamic(name: str, volatility: str = "") -> bool:
    """
    Whether a built-in function is dynamic, by its qualified name.

    With "volatile" every one is that is not known to be harmless, so that new ones are. False for other schemas.
    """
    schema, _, function = name.partition(".")
    if schema not in BUILT_IN_SCHEMAS:
        return False
    if function in HARMLESS_VOLATILE:
        return False
    return volatility == "volatile" or function in _NAMES or function.startswith(_FAMILIES)


def runs_unseen(function: Function) -> bool:
    """Whether a call does what neither a list nor a body shows: bodies in sql and plpgsql are for others to read."""
    if function.schema in BUILT_IN_SCHEMAS and not function.extension:
        return is_dynamic(function.qualified, function.volatility)
    if function.language in ("sql", "plpgsql"):
        return False
    return function.language not in ("c", "internal") or function.extension not in _PURE_EXTENSIONS


def is_statistics(name: str) -> bool:
    """Whether a relation, by its qualified name, shows what tables hold without being one of them."""
    schema, _, relation = name.partition(".")
    return name in STATISTICS_RELATIONS or schema == "pg_toast" or relation.startswith(_STATISTICS_FAMILIES)


def is_statistics_column(table: str, column: str) -> bool:
    """The same of one column of a relation that is else only of definitions."""
    return column in STATISTICS_COLUMNS.get(table, ())
