"""
Which settings a client may change, which are pinned, and which a server may report back.

What changes the meaning of a statement, of a name or of who asks is never open: the gateway has read the statement as
PostgreSQL reads it with these settings alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from extproc.errors import Refusal
from extproc.postgres.sql.model import Analysis, Step
from extproc.postgres.sql.steps import TRACKED

# They change how values look, how long things may take, or how a plan is made; never what a statement means.
OPEN: Final = frozenset({
    "application_name", "bytea_output", "check_function_bodies", "client_min_messages", "cursor_tuple_fraction",
    "datestyle", "deadlock_timeout", "default_statistics_target", "effective_cache_size", "enable_bitmapscan",
    "enable_gathermerge", "enable_hashagg", "enable_hashjoin", "enable_incremental_sort", "enable_indexonlyscan",
    "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop",
    "enable_parallel_append", "enable_parallel_hash", "enable_partition_pruning", "enable_partitionwise_aggregate",
    "enable_partitionwise_join", "enable_seqscan", "enable_sort", "enable_tidscan", "escape_string_warning",
    "extra_float_digits", "force_parallel_mode", "from_collapse_limit", "geqo", "gin_fuzzy_search_limit",
    "hash_mem_multiplier", "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "jit",
    "join_collapse_limit", "lock_timeout", "maintenance_work_mem", "max_parallel_workers_per_gather",
    "parallel_setup_cost", "parallel_tuple_cost", "plan_cache_mode", "random_page_cost", "row_security",
    "seq_page_cost", "statement_timeout", "synchronize_seqscans", "synchronous_commit", "tcp_keepalives_count",
    "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout", "timezone", "transaction_deferrable",
    "transaction_isolation", "transaction_timeout", "work_mem", "xmloption",
})  # fmt: skip
# asyncpg puts it back to what it was, by a parameter. It takes nothing but a boolean, and its error repeats no value.
_YES_OR_NO: Final = frozenset({"jit"})
# Set to one value alone: saying that again changes nothing.
_SAME: Final = {
    "standard_conforming_strings": {"on", "true", "yes", "1"},
    "client_encoding": {"utf8", "utf-8", "unicode"},
    "names": {"utf8", "utf-8", "unicode"},
    "default_table_access_method": {"heap"},  # as pg_restore says it
    "default_tablespace": {""},
    "default_transaction_isolation": {"read committed", "repeatable read", "serializable"},
    "transaction_read_only": {"on", "true", "1", "yes"},
    "default_transaction_read_only": {"on", "true", "1", "yes"},
}
_READ_ONLY: Final = frozenset({"transaction_read_only", "default_transaction_read_only"})

# Startup parameters beside user and database: set by the client, checked as a SET would be.
_STARTUP: Final = frozenset({
    "application_name", "client_encoding", "datestyle", "extra_float_digits", "idle_in_transaction_session_timeout",
    "intervalstyle", "lock_timeout", "statement_timeout", "timezone",
})  # fmt: skip
# What the gateway itself says at login. A RESET goes back to it, as a startup parameter is the session's default.
PINNED: Final = {
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
}
_VIEW: Final = "pg_catalog.pg_settings"  # a rule turns an UPDATE of it into set_config
# So pg_dump sets what may not exist (set_restrict_relation_kind, pg_dump.c). It forbids views and foreign tables to the
# statements that follow: nothing becomes possible by it.
_OF_PG_DUMP: Final = tuple(
    f"SELECT set_config(name, '{kinds}', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'"  # noqa: S608
    for kinds in ("view, foreign-table", "view")
)
# ParameterStatus that may go to the client (PostgreSQL documentation, "Asynchronous Operations").
REPORTED: Final = frozenset({
    "application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby",
    "integer_datetimes", "IntervalStyle", "is_superuser", "scram_iterations", "search_path", "server_encoding",
    "server_version", "session_authorization", "standard_conforming_strings", "TimeZone",
})  # fmt: skip
# Reported with another value than at login, these mean that the server understands statements in another way.
_FIXED: Final = frozenset({
    "client_encoding", "integer_datetimes", "is_superuser", "server_encoding", "session_authorization",
    "standard_conforming_strings",
})  # fmt: skip


def require_open(analysis: Analysis, *, read_only: bool) -> None:
    """Raises `Refusal("setting_refused")` where a query string would change what must stay."""
    if analysis.text in _OF_PG_DUMP:
        return
    if any(_VIEW in statement.writes for statement in analysis.statements):
        raise Refusal("setting_refused", "settings are changed by SET alone")
    _require_steps(analysis.steps, read_only=read_only)


def _require_steps(steps: Iterable[Step], *, read_only: bool) -> None:
    for step in steps:
        if step.read_write and read_only:
            raise _refused("transaction_read_only")
        for setting in step.settings:
            _require(setting.name.lower(), setting.value, read_only=read_only)
        if step.reset is not None and step.reset != "*":
            name = step.reset.lower()
            # A reset of what is pinned goes back to what the gateway said at login; of a role it does not.
            if name not in OPEN and name not in TRACKED and name not in _SAME and name not in PINNED:
                raise _refused(name)
        if step.inner is not None:
            _require_steps(step.inner.steps, read_only=read_only)


def _require(name: str, value: str | None, *, read_only: bool) -> None:
    """`value` is None where it is not a constant."""
    if not name or (value is None and name not in _YES_OR_NO):
        raise Refusal("setting_refused", "a setting must be named and given as a constant")
    if value is None or name in OPEN or name in TRACKED:
        return
    if name in _READ_ONLY and not read_only:
        return
    if value.strip().strip("'\"").lower() not in _SAME.get(name, ()):
        raise _refused(name)


def _refused(name: str) -> Refusal:
    # A name of a setting is an identifier of PostgreSQL's or of the client's own making.
    known = name if name.replace("_", "").replace(".", "").isalnum() and len(name) < 64 else "this setting"
    return Refusal("setting_refused", f"the gateway keeps {known} as it is")


def startup_parameters(given: Mapping[str, str]) -> dict[str, str]:
    """What of a client's startup message goes on. Raises `Refusal("login_refused")` for what is not open."""
    wanted: dict[str, str] = {}
    for name, value in given.items():
        if (
            name in ("user", "database")
            or name.startswith("_pq_.")
            or (name in ("options", "replication") and not value)
        ):
            continue
        lowered = name.lower()
        if lowered == "replication" and value.lower() in ("false", "off", "no", "0"):
            continue
        if lowered not in _STARTUP:
            shown = lowered if lowered.replace("_", "").isalnum() and len(lowered) < 64 else "one of them"
            raise Refusal("login_refused", f"the startup parameter {shown} is not open")
        if lowered == "client_encoding":
            if value.strip("'\" ").lower() not in _SAME["client_encoding"] | {"auto"}:
                raise Refusal("login_refused", "the client's encoding must be UTF8")
            continue
        wanted[lowered] = value
    return wanted


def is_fixed(name: str) -> bool:
    return name in _FIXED
