"""Functions in FROM: what columns their rows have (PostgreSQL docs, 7.2.1.4), JSON_TABLE and XMLTABLE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from extproc.postgres.catalog import Function
from extproc.postgres.sql import calls, routines
from extproc.postgres.sql.builtins import BUILT_IN_SCHEMAS, OUTPUTS, POLYMORPHIC, RECORD
from extproc.postgres.sql.expressions import argument, expression
from extproc.postgres.sql.fields import fields_of
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.generic import parts
from extproc.postgres.sql.lineage import NOTHING, Columns, Rows, Value, mixed, named
from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.naming import name_of
from extproc.postgres.sql.relations import alias_of
from extproc.postgres.sql.scope import Item, Scope, item_of
from extproc.postgres.sql.signature import signature_of


def function_item(node: Any, scope: Scope) -> Item:
    """One function, or several side by side (ROWS FROM)."""
    alias, names = alias_of(node)
    single = alias if len(node.functions) == 1 else ""
    found = [_function(one.list.items, node.coldeflist, single, scope) for one in node.functions]
    columns = tuple(column for one in found for column in one.columns)
    if node.ordinality:
        columns += (("ordinality", NOTHING),)
    known = all(one.known for one in found)
    rests = [one.rest for one in found if one.rest is not NOTHING]
    item = item_of(alias, named(Rows(columns, known, mixed(rests)), names))
    if rests:
        item.rest = mixed(rests)
    if not alias and len(node.functions) == 1:
        item.name = name_of(node.functions[0].list.items[0])
    item.scalar = known and len(found) == 1 and len(found[0].columns) == 1 and not node.ordinality
    return item


def _function(items: Sequence[Any], shared: Sequence[Any], alias: str, scope: Scope) -> Rows:
    """`items`: the call, and its own column definitions. A `rest` that is not NOTHING may have any name."""
    call = items[0]
    value = expression(call, scope)
    defined = items[1].list.items if len(items) > 1 and items[1].WhichOneof("node") == "list" else shared
    if len(defined):
        return Rows(tuple((one.column_def.colname, value) for one in defined))
    if call.WhichOneof("node") != "func_call":
        return Rows(((alias or name_of(call), value),))
    node = call.func_call
    names = [one.string.sval for one in node.funcname]
    if names[-1] == "unnest":
        return _unnested(node, value, alias, scope)
    functions = calls.candidates(names, len(node.args), scope.frame)
    if functions and all(one.schema in BUILT_IN_SCHEMAS for one in functions) and names[-1] in OUTPUTS:
        return Rows(tuple((name, value) for name in OUTPUTS[names[-1]]))
    kinds = {one.returns for one in functions}
    if kinds & POLYMORPHIC and len(node.args):
        # json_populate_record(null::customers, …): of the row that it is given
        fields = fields_of(expression(node.args[0], scope), scope.frame)
        if fields is not None:
            return Rows(_filled(fields, value))
    if len(functions) == 1:
        return _of_one(functions[0], value, alias, scope.frame)
    fields = scope.frame.run.known.fields_of(next(iter(kinds))) if len(kinds) == 1 else None
    if fields is not None:
        return Rows(_filled(fields, value))
    if kinds & {RECORD, *POLYMORPHIC} or not functions:
        return Rows((), known=False, rest=value)
    return Rows(((alias or names[-1], value),))


def _of_one(function: Function, value: Value, alias: str, frame: Frame) -> Rows:
    fields = frame.run.known.fields_of(function.returns)
    if fields is not None:
        return Rows(_followed(function, fields, value, frame))
    own = function.schema not in BUILT_IN_SCHEMAS
    names = _declared(function) if own else ()
    if len(names) > 1 or (names and function.returns != RECORD):
        return Rows(tuple((name, value) for name in names))
    if function.returns == RECORD or function.returns in POLYMORPHIC:
        return Rows((), known=False, rest=value)
    return Rows(((alias or function.name, value),), rest=value if own else NOTHING)


def _declared(function: Function) -> tuple[str, ...]:
    """The columns of RETURNS TABLE."""
    if not function.definition:
        return ()
    try:
        return tuple(name for name, _ in signature_of(function.definition).rows)
    except SqlError:
        return ()


def _filled(fields: Columns, value: Value) -> Columns:
    return tuple((name, replace(value, type=field.type, fields=None)) for name, field in fields)


def _followed(function: Function, fields: Columns, value: Value, frame: Frame) -> Columns:
    """Of a function in SQL that has one statement, column by column, beside what comes from its arguments."""
    if function.language != "sql" or function.schema in BUILT_IN_SCHEMAS or not value.sure:
        return _filled(fields, value)
    routine = routines.body(frame.run, function, frame.path)
    arguments = value.origins - routines.result(frame.run, function, frame.path).origins
    if routine.output is None or len(routine.output) != len(fields) or routine.calls or arguments:
        return _filled(fields, value)
    return tuple(
        (name, Value(got.origins, direct=False, sure=got.sure, type=field.type))
        for (name, field), (_, got) in zip(fields, routine.output, strict=True)
    )


def _unnested(node: Any, value: Value, alias: str, scope: Scope) -> Rows:
    """One column for each array; an array of rows gives their columns."""
    if len(node.args) > 1:
        return Rows(tuple(("unnest", value) for _ in node.args))
    types = scope.frame.run.known.catalog.types
    kind = types.get(expression(node.args[0], scope).type) if len(node.args) else None
    if kind is not None and kind.element:
        fields = scope.frame.run.known.fields_of(kind.element)
        if fields is not None:
            return Rows(_filled(fields, value))
    return Rows(((alias or "unnest", value),))


def xml_item(node: Any, scope: Scope) -> Item:
    values = [argument(node.docexpr, scope), argument(node.rowexpr, scope)]
    values += [argument(one.res_target.val, scope) for one in node.namespaces]
    columns = [one.range_table_func_col for one in node.columns]
    for one in columns:
        values += [argument(getattr(one, name), scope) for name in ("colexpr", "coldefexpr") if one.HasField(name)]
    value = mixed(values)
    rows = Rows(tuple((one.colname, NOTHING if one.for_ordinality else value) for one in columns))
    alias, names = alias_of(node)
    return item_of(alias or "xmltable", named(rows, names))


def json_item(node: Any, scope: Scope) -> Item:
    value = mixed([part for one in _json_parts(node) for part in parts(one, scope, argument)])
    rows = Rows(tuple((name, value) for name in _json_columns(node.columns)))
    alias, names = alias_of(node)
    return item_of(alias or "json_table", named(rows, names))


def _json_parts(node: Any) -> Iterable[Any]:
    """All that may hold expressions."""
    yield node.context_item
    for one in node.passing:
        yield one.json_argument
    if node.HasField("on_error"):
        yield node.on_error
    for one in node.columns:
        yield one.json_table_column


def _json_columns(nodes: Sequence[Any]) -> Iterable[str]:
    """Those of NESTED PATH stand among the rest."""
    for one in nodes:
        column = one.json_table_column
        if len(column.columns):
            yield from _json_columns(column.columns)
        else:
            yield column.name
