"""
What a top-level statement does to the state of its connection, by its parse node alone.

The columns that come back, and what an EXECUTE or FETCH runs, need a catalog or what came before: callers add them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from extproc.postgres.sql.copyshape import shape_of
from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.model import Setting, Step
from extproc.postgres.sql.parse import inner

# Names mean the same after these (functions that they call aside). A ROLLBACK undoes what changed them before: that is
# the connection's to remember.
_KEEP_NAMES: Final = frozenset({
    "select", "insert", "update", "delete", "merge", "copy", "explain", "declare_cursor", "fetch", "move", "close",
    "prepare", "execute", "deallocate", "set", "reset", "show", "listen", "unlisten", "notify", "truncate", "begin",
    "commit", "rollback", "savepoint", "release", "rollback_to", "set_constraints", "lock", "vacuum", "analyze",
    "cluster", "reindex", "checkpoint", "discard", "comment", "refresh_materialized_view",
})  # fmt: skip
_ROWS: Final = frozenset({
    "select", "insert", "update", "delete", "merge", "copy", "explain", "fetch", "execute", "show", "call",
})  # fmt: skip
_TRANSACTION: Final = {"prepare_transaction": "prepare"}
_VAR_SET_VALUE, _VAR_SET_DEFAULT, _VAR_SET_CURRENT, _VAR_SET_MULTI, _VAR_RESET, _VAR_RESET_ALL = range(1, 7)
_DISCARD: Final = {1: "all", 2: "plans", 3: "sequences", 4: "temp"}
# What it means is read again after each statement, once a client has changed it.
TRACKED: Final = frozenset({"search_path"})
_READ_ONLY: Final = frozenset({"transaction_read_only", "default_transaction_read_only"})
_FALSE: Final = frozenset({"0", "false", "off", "no"})
_TRUE: Final = frozenset({"1", "true", "on", "yes"})
# Lists whose elements are quoted where they must be (GUC_LIST_QUOTE in guc_tables.c).
_QUOTED_LISTS: Final = frozenset({
    "search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries",
    "shared_preload_libraries", "unix_socket_directories",
})  # fmt: skip


def step_of(node: Any) -> Step:
    """
    A statement's own part of `Step`: all but `output` and `inner`. `output_sure` is False where rows may come back,
    until the caller knows their shape.
    """
    kind = kind_of(node)
    step = Step(kind, output_sure=kind not in _ROWS, changes_catalog=_changes_catalog(kind, node))
    name = type(node).__name__
    if name == "VariableSetStmt":
        return _set(step, node)
    if name == "TransactionStmt":
        return replace(
            step, transaction=_TRANSACTION.get(kind, kind), read_write=_asks_read_write(_options(node.options))
        )
    if name == "CopyStmt":
        return replace(step, copy=shape_of(node))
    if name == "DiscardStmt":
        return replace(step, discard=_DISCARD.get(node.target, "all"))
    return _named(step, node, name)


def _named(step: Step, node: Any, name: str) -> Step:
    """Prepared statements and cursors: names as the server keeps them."""
    match name:
        case "PrepareStmt":
            return replace(step, prepares=node.name)
        case "DeallocateStmt":
            return replace(step, deallocates="*" if node.isall else node.name)
        case "DeclareCursorStmt":
            return replace(step, declares=node.portalname)
        case "FetchStmt":
            return replace(step, fetches=node.portalname)
        case "ClosePortalStmt":
            return replace(step, closes=node.portalname or "*")
        case _:
            return replace(step, executes=_executed(node))


def moves_names(step: Step) -> bool:
    """Whether names may mean something else from now on: search_path was set, or may go back to what it was."""
    names = [setting.name.lower() for setting in step.settings] + [(step.reset or "").lower()]
    if not TRACKED.isdisjoint(names) or step.reset == "*" or step.discard == "all":
        return True
    return step.inner is not None and any(moves_names(one) for one in step.inner.steps)


def settings_of(node: Any) -> tuple[Setting, ...]:
    """What a VariableSetStmt sets; nothing for RESET and SET … TO DEFAULT."""
    if node.kind == _VAR_SET_MULTI:
        return _transaction_settings(node)
    name = node.name.lower()  # names of settings know no case, quoted or not
    if node.kind == _VAR_SET_VALUE:
        return (Setting(name, _value(name, node.args), node.is_local),)
    if node.kind == _VAR_SET_CURRENT:
        return (Setting(name, None, node.is_local),)
    return ()


def options_of(node: Any) -> tuple[str, ...]:
    """`Statement.options`: program, file, stdin, stdout of COPY; analyze of EXPLAIN; read_write of BEGIN and SET."""
    name = type(node).__name__
    if name == "CopyStmt":
        if node.is_program:
            return ("program",)
        return ("file",) if node.filename else ("stdin",) if node.is_from else ("stdout",)
    if name == "ExplainStmt":
        return ("analyze",) if _analyzes(node) else ()
    if name in ("TransactionStmt", "VariableSetStmt") and step_of(node).read_write:
        return ("read_write",)
    return ()


def _analyzes(node: Any) -> bool:
    """The last of the same options wins; whatever is not plainly false may run the statement."""
    return any(name == "analyze" and (value or "").lower() not in _FALSE for name, value in _options(node.options))


def _set(step: Step, node: Any) -> Step:
    if node.kind == _VAR_RESET_ALL:
        return replace(step, reset="*")
    if node.kind in (_VAR_RESET, _VAR_SET_DEFAULT):
        return replace(step, reset=node.name.lower())
    settings = settings_of(node)
    values = [(setting.name, setting.value) for setting in settings]
    return replace(step, settings=settings, read_write=_asks_read_write(values))


def _transaction_settings(node: Any) -> tuple[Setting, ...]:
    """SET TRANSACTION is a SET LOCAL, SET SESSION CHARACTERISTICS sets defaults (ExecSetVariableStmt, guc_funcs.c)."""
    if node.name == "TRANSACTION SNAPSHOT":
        return (Setting("transaction_snapshot", _value("", node.args), local=True),)
    default = "" if node.name == "TRANSACTION" else "default_"
    return tuple(Setting(default + name, value, not default) for name, value in _options(node.args))


def _asks_read_write(values: list[tuple[str, str | None]]) -> bool:
    """Whatever is not plainly "read only" may be the opposite."""
    return any(name in _READ_ONLY and (value or "").lower() not in _TRUE for name, value in values)


def _options(nodes: Any) -> list[tuple[str, str | None]]:
    """Options in parentheses, and those of transactions. None for a value that is left out or not a constant."""
    elements = [inner(node) for node in nodes]
    return [(one.defname, constant(inner(one.arg)) if one.HasField("arg") else None) for one in elements]


def _value(name: str, nodes: Any) -> str | None:
    """As `flatten_set_variable_args` of guc_funcs.c puts it together; None where a part is not constant."""
    parts = [constant(inner(node)) for node in nodes]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or not parts:
        return None
    if name in _QUOTED_LISTS:
        known = [part if _plain(part) else '"' + part.replace('"', '""') + '"' for part in known]
    return ", ".join(known)


def _plain(word: str) -> bool:
    return word.isascii() and word.replace("_", "a").isalnum() and word == word.lower() and not word[0].isdigit()


def constant(node: Any) -> str | None:
    """A constant's text, as the server reads it for a setting or an option; None for anything else."""
    name = type(node).__name__
    if name == "A_Const":
        if node.isnull:
            return None
        which = node.WhichOneof("val")
        return "" if which is None else _plain_constant(getattr(node, which))
    if name == "TypeCast":  # SET TIME ZONE INTERVAL '1' HOUR: the grammar takes no other cast here
        text = constant(inner(node.arg))
        return None if text is None else f"INTERVAL '{text}'"
    return _plain_constant(node)


def _plain_constant(node: Any) -> str | None:
    match type(node).__name__:
        case "String":
            return str(node.sval)
        case "Integer":
            return str(node.ival)
        case "Float":
            return str(node.fval)
        case "Boolean":
            return "true" if node.boolval else "false"
        case _:
            return None


def _executed(node: Any) -> str:
    """The prepared statement that EXECUTE, EXPLAIN EXECUTE or CREATE TABLE … AS EXECUTE runs."""
    name = type(node).__name__
    if name == "ExecuteStmt":
        return str(node.name)
    if name in ("ExplainStmt", "CreateTableAsStmt"):
        return _executed(inner(node.query))
    return ""


def _changes_catalog(kind: str, node: Any) -> bool:
    if kind == "explain":
        return kind_of(inner(node.query)) == "create_table_as"
    if kind == "discard":
        return _DISCARD.get(node.target) in ("all", "temp")
    return kind not in _KEEP_NAMES
