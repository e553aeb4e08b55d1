"""Every kind of statement: what it does, and the statements in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.postgres.sql import routines
from extproc.postgres.sql.bodies import body_of_do, do_of
from extproc.postgres.sql.builtins import NO_RESULT
from extproc.postgres.sql.calls import candidates
from extproc.postgres.sql.definitions import define
from extproc.postgres.sql.expressions import called, condition, expression
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.kinds import into_of, kind_of
from extproc.postgres.sql.lineage import ARGUMENT, UNSURE, WRITE, Columns, Rows, Value
from extproc.postgres.sql.parse import inner
from extproc.postgres.sql.query import constant_limit, query
from extproc.postgres.sql.relations import relation_item, unknown_item
from extproc.postgres.sql.scope import Item, Scope
from extproc.postgres.sql.steps import options_of, settings_of
from extproc.postgres.sql.writes import writing
from extproc.postgres.sql.written import new_name, written

_NO_ROWS: Final = Rows(())
_PLAN: Final = Rows((("QUERY PLAN", Value(direct=False)),))


def statement(node: Any, frame: Frame) -> Rows | None:
    """
    Fill in a frame for a statement (a node without its `Node`). The rows that come back; None where none do, and rows
    that are not `known` where nobody knows.
    """
    frame.run.deeper()
    handler = _HANDLERS.get(type(node).__name__)
    rows = None
    if handler is not None:
        rows = handler(node, frame)
    else:
        define(node, frame)
    frame.run.depth -= 1
    return rows


def _select(node: Any, frame: Frame) -> Rows | None:
    rows = query(node, Scope(frame))
    frame.limit = constant_limit(node)
    into = into_of(node)
    if into is None:
        frame.give(rows)
        return rows
    _create(into.rel, frame)  # no variable: PL/pgSQL's own INTO does not stand in its statements any more
    _written_from(rows, frame)
    return None


def _create(relation: Any, frame: Frame) -> None:
    made = new_name(relation.schemaname, relation.relname, frame, temporary=relation.relpersistence == "t")
    frame.name_table(made, written=True)


def _written_from(rows: Rows, frame: Frame) -> None:
    for _, value in rows.columns:
        frame.use(value, WRITE)
    frame.use(rows.rest, WRITE)


def _writing(node: Any, frame: Frame) -> Rows | None:
    rows = writing(node, frame)
    return rows if node.HasField("returning_clause") or not rows.known else None


def _within(node: Any, frame: Frame, step: str) -> tuple[Frame, Rows | None]:
    """The statement in another one."""
    found = inner(node)
    child = frame.child(kind_of(found), step)
    return child, statement(found, child)


def _explain(node: Any, frame: Frame) -> Rows:
    frame.options = options_of(node)
    _within(node.query, frame, "explain")
    return _PLAN


def _prepare(node: Any, frame: Frame) -> Rows | None:
    """What EXECUTE gives later."""
    return _within(node.query, frame, "prepare")[1]


def _declare(node: Any, frame: Frame) -> Rows | None:
    """What FETCH gives later."""
    return _within(node.query, frame, "cursor")[1]


def _execute(node: Any, frame: Frame) -> Rows:
    """What it runs is for the connection to know: it alone has the prepared statements."""
    for one in node.params:
        frame.use(expression(one, Scope(frame)), ARGUMENT)
    if frame.body:
        frame.doubt("EXECUTE of a prepared statement in a body")
    return Rows((), known=False, rest=UNSURE)


def _create_table_as(node: Any, frame: Frame) -> None:
    child, rows = _within(node.query, frame, "create_table_as")
    _written_from(rows or _NO_ROWS, child)
    _create(node.into.rel, frame)


def _copy(node: Any, frame: Frame) -> Rows | None:
    frame.options = options_of(node)
    elsewhere = bool(node.filename) or node.is_program  # on the server: nothing comes back
    if node.HasField("query"):
        child, rows = _within(node.query, frame, "copy")
        if elsewhere:
            _written_from(rows or _NO_ROWS, child)
        return None if elsewhere else rows or _NO_ROWS
    relation = frame.run.known.named(frame.path, node.relation)
    if relation is None:
        item = unknown_item(node.relation, frame, write=node.is_from)
    else:
        # A table is copied without its children, a partitioned one with its partitions.
        item = relation_item(relation, frame, only=not node.is_from)
    columns = _copied(node, item, frame)
    if not node.is_from:
        rows = Rows(columns, item.known, item.rest or UNSURE)
        frame.give(rows)
        if elsewhere:
            _written_from(rows, frame)
        return None if elsewhere else rows
    if relation is not None:
        written(relation, frame)
    for _, value in columns:
        frame.use(value, WRITE)
    if node.HasField("where_clause"):
        condition(node.where_clause, Scope(frame, items=[item]))
    return None


def _copied(node: Any, item: Item, frame: Frame) -> Columns:
    if not len(node.attlist):
        return item.columns
    names = [one.string.sval for one in node.attlist]
    for name in names:
        if name not in item.index and item.rest is None:
            frame.doubt(f"unknown column {name}")
    return tuple((name, item.index.get(name) or UNSURE) for name in names)


def _truncate(node: Any, frame: Frame) -> None:
    """CASCADE empties all that refers to a table, by whatever foreign key."""
    cascades = node.behavior == 2  # DROP_CASCADE
    for one in node.relations:
        name = one.range_var
        relation = frame.run.known.named(frame.path, name)
        if relation is None:
            unknown_item(name, frame, write=True)
        else:
            written(relation, frame, cascades=cascades)
    if cascades:
        frame.doubt("TRUNCATE CASCADE")


def _call(node: Any, frame: Frame) -> Rows | None:
    call = node.funccall
    names = [one.string.sval for one in call.funcname]
    value = called(call, Scope(frame))
    found = candidates(names, len(call.args), frame)
    if found and all(one.returns in NO_RESULT for one in found):
        return None
    rows = Rows((), known=False, rest=value)
    frame.give(rows)
    return rows


def _do(node: Any, frame: Frame) -> None:
    body = body_of_do(*do_of(node))
    for doubt in body.doubts:
        frame.doubt(doubt)
    routines.read_into(frame, body, "do")


def _set(node: Any, frame: Frame) -> None:
    frame.options = options_of(node)
    frame.settings += settings_of(node)


def _begin(node: Any, frame: Frame) -> None:
    frame.options = options_of(node)


def _show(node: Any, _frame: Frame) -> Rows:
    if node.name == "all":
        return Rows(tuple((name, Value()) for name in ("name", "setting", "description")))
    return Rows(((node.name, Value()),))


def _fetch(node: Any, _frame: Frame) -> Rows | None:
    return None if node.ismove else Rows((), known=False, rest=UNSURE)


def _nothing(_node: Any, _frame: Frame) -> None:
    """What the kind says is all that there is to say."""


_HANDLERS: Final[dict[str, Callable[[Any, Frame], Rows | None]]] = {
    "CallStmt": _call,
    "CheckPointStmt": _nothing,
    "ClosePortalStmt": _nothing,
    "ConstraintsSetStmt": _nothing,
    "CopyStmt": _copy,
    "CreateTableAsStmt": _create_table_as,
    "DeallocateStmt": _nothing,
    "DeclareCursorStmt": _declare,
    "DeleteStmt": _writing,
    "DiscardStmt": _nothing,
    "DoStmt": _do,
    "ExecuteStmt": _execute,
    "ExplainStmt": _explain,
    "FetchStmt": _fetch,
    "InsertStmt": _writing,
    "ListenStmt": _nothing,
    "MergeStmt": _writing,
    "NotifyStmt": _nothing,
    "PrepareStmt": _prepare,
    "SelectStmt": _select,
    "TransactionStmt": _begin,
    "TruncateStmt": _truncate,
    "UnlistenStmt": _nothing,
    "UpdateStmt": _writing,
    "VariableSetStmt": _set,
    "VariableShowStmt": _show,
}
