"""
DDL and what else works on objects rather than rows: the tables that it names, and the queries and expressions in it.

A CREATE VIEW reads nothing yet, but it shows later what it is made of, so that what its query takes counts as written.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.postgres.sql.expressions import argument
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.lineage import NOTHING, UNSURE, WRITE, everything
from extproc.postgres.sql.parse import inner
from extproc.postgres.sql.relations import absorb, relation_item, shape_of
from extproc.postgres.sql.scope import Item, Scope
from extproc.postgres.sql.written import new_name

# They name tables and leave rows and definitions as they are.
_READING: Final = frozenset({
    "lock", "vacuum", "analyze", "cluster", "reindex", "create_statistics", "create_publication", "alter_publication",
})  # fmt: skip
# What they run is not in the statement.
_UNSEEN: Final = {
    "create_extension": "an extension's script",
    "alter_extension": "an extension's script",
    "load": "a library",
    "import_foreign_schema": "what a foreign server has",
}
_CREATING: Final = frozenset({"create_table", "create_foreign_table", "create_view", "create_sequence"})
_QUERIES: Final = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})
_OBJECT_TABLES: Final = frozenset({19, 24, 38, 42, 52})  # ObjectType: foreign table, matview, sequence, table, view
_EXPRESSIONS: Final = frozenset({
    "a_expr", "bool_expr", "column_ref", "func_call", "sub_link", "type_cast", "case_expr", "coalesce_expr",
    "null_test", "boolean_test", "a_array_expr", "a_indirection", "row_expr", "min_max_expr", "xml_expr",
    "json_func_expr",
})  # fmt: skip


def define(node: Any, frame: Frame) -> None:
    """A statement without rows. One that no list of PostgreSQL's grammar has is a doubt."""
    kind = kind_of(node)
    if not type(node).__name__.endswith("Stmt"):
        frame.doubt(f"unknown statement {type(node).__name__}")
    if kind in _UNSEEN:
        frame.doubt(_UNSEEN[kind])
    if kind == "drop" and node.remove_type in _OBJECT_TABLES:
        for one in node.objects:
            _named(one, frame, missing=node.missing_ok)
    elif kind in {"comment", "security_label"} and node.objtype in _OBJECT_TABLES:
        _named(node.object, frame)
    elif kind == "refresh_materialized_view":
        _refresh(node, frame)
    # Functions and columns may be named over the table that the statement is about.
    scope = Scope(frame, items=[Item("", (), {}, rest=NOTHING, known=False)])
    relation = getattr(node, "relation", None)
    if relation is not None and type(relation).__name__ == "RangeVar" and relation.relname and kind not in _CREATING:
        _table(relation, kind, frame, scope)
    _walk(node, kind, frame, scope)


def _table(name: Any, kind: str, frame: Frame, scope: Scope | None = None) -> None:
    relation = frame.run.known.named(frame.path, name)
    if relation is None:
        named = new_name(name.schemaname, name.relname, frame, temporary=name.relpersistence == "t")
        if kind not in _CREATING:
            frame.doubt(f"unknown table {name.relname}")
    else:
        named = relation.qualified
        if scope is not None:
            before = dict(frame.tables)
            scope.items.insert(0, relation_item(relation, frame))
            frame.tables = before
    frame.name_table(named, written=kind not in _READING)


def _named(node: Any, frame: Frame, *, missing: bool = False) -> None:
    """A table by a list of names."""
    names = [part.string.sval for part in node.list.items]
    schema = names[-2] if len(names) > 1 else ""
    relation = frame.run.known.relation(frame.path, schema, names[-1])
    name = relation.qualified if relation is not None else f"{schema}.{names[-1]}"
    if relation is None and not missing:
        frame.doubt(f"unknown table {names[-1]}")
    frame.name_table(name, written=True)


def _refresh(node: Any, frame: Frame) -> None:
    """It runs the view's definition."""
    relation = frame.run.known.named(frame.path, node.relation)
    if relation is not None:
        shape = shape_of(frame.run, relation)
        absorb(frame, shape)


def _walk(message: Any, kind: str, frame: Frame, scope: Scope) -> None:
    """Every table, query and expression in a definition."""
    frame.run.deeper()
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for one in value if field.is_repeated else (value,):
            _visit(one, kind, frame, scope)
    frame.run.depth -= 1


def _visit(message: Any, kind: str, frame: Frame, scope: Scope) -> None:
    name = type(message).__name__
    if name == "Node":
        which = message.WhichOneof("node")
        if which in _EXPRESSIONS:
            argument(message, scope)
            return
        if which is None:
            return
        if which in _QUERIES or which.endswith("_stmt"):
            _nested(inner(message), kind, frame)
            return
        message = inner(message)
        name = type(message).__name__
    if name == "RangeVar":
        if message.relname:
            _table(message, kind, frame)
    elif name == "SelectStmt":
        _nested(message, kind, frame)
    elif name != "TypeName":
        _walk(message, kind, frame, scope)


def _nested(node: Any, kind: str, frame: Frame) -> None:
    """A view's query, the actions of a rule, the parts of a schema."""
    if type(node).__name__ == "SelectStmt":
        rows = frame.run.query(node, Scope(frame))
        frame.use(everything(rows), WRITE)
        if not rows.known:
            frame.use(UNSURE, WRITE)
        return
    frame.run.statement(node, frame.child(kind_of(node), kind))
