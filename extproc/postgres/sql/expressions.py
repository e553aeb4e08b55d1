"""
Expressions: what of the columns in them comes out, and what they are used for on the way.

A value that is taken as it is has no use until somebody takes it (a target list projects it, ORDER BY sorts by it);
whatever computes with it uses it as an argument at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extproc.postgres.sql import calls, older
from extproc.postgres.sql.columns import column_ref
from extproc.postgres.sql.fields import field_of, row_value
from extproc.postgres.sql.generic import parts
from extproc.postgres.sql.lineage import ARGUMENT, GROUP, NOTHING, ORDER, PREDICATE, Value, everything, mixed
from extproc.postgres.sql.operators import called_by_operator, cast, operators_of
from extproc.postgres.sql.scope import Item, Scope

_OP, _OP_ANY, _OP_ALL, _DISTINCT, _NOT_DISTINCT, _NULLIF = 1, 2, 3, 4, 5, 6  # A_Expr_Kind
_EXISTS, _ALL, _ANY, _ROWCOMPARE, _EXPR, _MULTIEXPR, _ARRAY = 1, 2, 3, 4, 5, 6, 7  # SubLinkType
_AND, _OR = 1, 2  # BoolExprType
_BOOLEAN: Final = frozenset({"a_expr", "null_test", "boolean_test", "sub_link", "column_ref"})
_NOBODY: Final[frozenset[Item]] = frozenset()


def expression(node: Any, scope: Scope) -> Value:
    """Any expression (a `Node`)."""
    kind = node.WhichOneof("node")
    if kind == "a_const" or kind is None:
        return NOTHING
    run = scope.frame.run
    run.deeper()
    handler = _HANDLERS.get(kind)
    if handler is None or kind == "merge_support_func":
        older.check(kind, scope.frame)
    value = handler(getattr(node, kind), scope) if handler else _computed(getattr(node, kind), scope)
    run.depth -= 1
    return value


def argument(node: Any, scope: Scope) -> Value:
    """An expression that is computed with."""
    value = expression(node, scope)
    scope.frame.use(value, ARGUMENT)
    return value


def condition(node: Any, scope: Scope, use: int = PREDICATE) -> tuple[Value, frozenset[Item]]:
    """
    A condition that rows are chosen by, and the items of this level that it restricts: with OR, every branch must
    restrict some. What its comparisons compare has the one use; what these compute with is an argument as well.
    """
    run = scope.frame.run
    run.deeper()
    kind = node.WhichOneof("node")
    if kind == "bool_expr":
        parts = [condition(one, scope, use) for one in node.bool_expr.args]
        found = _NOBODY.union(*(items for _, items in parts))
        if node.bool_expr.boolop == _OR and not all(items for _, items in parts):
            found = _NOBODY
        run.depth -= 1
        return mixed([value for value, _ in parts]), found
    before, scope.touched = scope.touched, set()
    value = _compared(kind, node, scope) if kind in _BOOLEAN else expression(node, scope)
    touched, scope.touched = frozenset(scope.touched), before | scope.touched
    chooses = use if len(touched) > 1 else use | PREDICATE  # `ON a.x = 1` joins nothing
    scope.frame.use(value, chooses)
    if kind == "current_of_expr":
        touched = frozenset(scope.scanned)
    run.depth -= 1
    return value, touched


def _compared(kind: str | None, node: Any, scope: Scope) -> Value:
    """A comparison in a condition: its sides are what rows are chosen by."""
    if kind == "a_expr":
        return _operated(node.a_expr, scope, _side)
    if kind == "null_test":
        return _side(node.null_test.arg, scope)
    if kind == "boolean_test":
        return _side(node.boolean_test.arg, scope)
    if kind == "sub_link":
        return _sub_link(node.sub_link, scope, _side)
    return expression(node, scope)


def _side(node: Any, scope: Scope) -> Value:
    """One side of a comparison: a value, a row of them or a list of them."""
    kind = node.WhichOneof("node")
    if kind == "row_expr":
        return mixed([expression(one, scope) for one in node.row_expr.args])
    if kind == "list":
        return mixed([expression(one, scope) for one in node.list.items])
    value = expression(node, scope)
    if value.fields is not None:
        scope.frame.use(value, ARGUMENT)
    return value


def _a_expr(node: Any, scope: Scope) -> Value:
    return _operated(node, scope, argument)


def _operated(node: Any, scope: Scope, take: Callable[[Any, Scope], Value]) -> Value:
    """An operator over its operands. `a || b || c …` is as deep as it is long, so it is walked, not descended."""
    values: list[Value] = []
    names: list[list[str]] = []
    while True:
        names += operators_of(node)
        if node.HasField("rexpr"):
            values.append(_operand(node.rexpr, scope, take))
        if not node.HasField("lexpr"):
            break
        left = node.lexpr
        if left.WhichOneof("node") != "a_expr" or left.a_expr.kind != _OP:
            values.append(_operand(left, scope, take))
            break
        scope.frame.run.spend(1)
        node, take = left.a_expr, argument
    extra = [found for name in names if (found := called_by_operator(name, values, scope.frame)) is not None]
    return mixed([*values, *extra])


def _operand(node: Any, scope: Scope, take: Callable[[Any, Scope], Value]) -> Value:
    if node.WhichOneof("node") == "list":
        return mixed([take(one, scope) for one in node.list.items])
    return take(node, scope)


def _type_cast(node: Any, scope: Scope) -> Value:
    return cast(expression(node.arg, scope), node.type_name, scope.frame)


def _indirection(node: Any, scope: Scope) -> Value:
    """`(row).field`, `array[1]`, `array[1:2]`, any number of them."""
    value = expression(node.arg, scope)
    for step in node.indirection:
        kind = step.WhichOneof("node")
        if kind == "string":
            value = field_of(value, step.string.sval, scope.frame)
        elif kind == "a_indices":
            for bound in ("lidx", "uidx"):
                if step.a_indices.HasField(bound):
                    value = mixed([value, argument(getattr(step.a_indices, bound), scope)])
            scope.frame.use(value, ARGUMENT)
            value = mixed([value])
    return value


def _row(node: Any, scope: Scope) -> Value:
    values = [argument(one, scope) for one in node.args]
    total = mixed(values)
    names = (f"f{number}" for number in range(1, len(values) + 1))
    return Value(total.origins, direct=False, sure=total.sure, fields=tuple(zip(names, values, strict=True)))


def _case(node: Any, scope: Scope) -> Value:
    values: list[Value] = []
    if node.HasField("arg"):
        values.append(expression(node.arg, scope))
        scope.frame.use(values[0], PREDICATE)
        called_by_operator(["="], values, scope.frame)
    for one in node.args:
        when = one.case_when
        if node.HasField("arg"):
            values.append(expression(when.expr, scope))
            scope.frame.use(values[-1], PREDICATE)
        else:
            values.append(condition(when.expr, scope)[0])
        values.append(argument(when.result, scope))
    if node.HasField("defresult"):
        values.append(argument(node.defresult, scope))
    return mixed(values)


def _sub_link(node: Any, scope: Scope, take: Callable[[Any, Scope], Value] = argument) -> Value:
    """A subquery in an expression. EXISTS does not look at the columns."""
    frame = scope.frame
    rows = frame.run.query(node.subselect.select_stmt, Scope(frame, scope, scope.ctes))
    kind = node.sub_link_type
    if kind == _EXISTS:
        return NOTHING
    if kind in (_EXPR, _MULTIEXPR):
        return rows.columns[0][1] if rows.known and len(rows.columns) == 1 else row_value(rows)
    got = everything(rows)
    if kind == _ARRAY:
        frame.use(got, ARGUMENT)
        return mixed([got])
    frame.use(got, PREDICATE)
    if not node.HasField("testexpr"):
        return got
    tested = take(node.testexpr, scope)
    frame.use(tested, PREDICATE)
    called = called_by_operator([one.string.sval for one in node.oper_name] or ["="], [tested, got], frame)
    return mixed([tested, got] if called is None else [tested, got, called])


def _grouping(node: Any, scope: Scope) -> Value:
    for one in node.args:
        scope.frame.use(expression(one, scope), GROUP)
    return NOTHING


def _inside(node: Any, scope: Scope) -> Value:
    """A name or a collation around a value changes nothing."""
    return expression(node.arg, scope)


def _bool_expr(node: Any, scope: Scope) -> Value:
    return mixed([argument(one, scope) for one in node.args])


def _computed(node: Any, scope: Scope) -> Value:
    return mixed(list(parts(node, scope, argument)))


def _statement(node: Any, scope: Scope) -> Value:
    """A query where an expression is expected: JSON_ARRAY(SELECT …)."""
    value = everything(scope.frame.run.query(node, Scope(scope.frame, scope, scope.ctes)))
    scope.frame.use(value, ARGUMENT)
    return value


def _nothing(_node: Any, _scope: Scope) -> Value:
    return NOTHING


def called(node: Any, scope: Scope) -> Value:
    """A function, aggregate or window function, with all that stands around its arguments."""
    frame = scope.frame
    names = [one.string.sval for one in node.funcname]
    values = [argument(one, scope) for one in node.args]
    count = len(values)
    for one in node.agg_order:
        value = sorted_by(one.sort_by, scope)
        if node.agg_within_group:
            frame.use(value, ARGUMENT)
            values.append(value)
            count += 1
    if node.agg_distinct:
        for value in values:
            frame.use(value, GROUP)
    if node.HasField("agg_filter"):
        values.append(condition(node.agg_filter, scope)[0])
    if node.HasField("over"):
        values += window(node.over, scope)
    if names[-1] == "set_config":
        calls.set_config(node.args, frame)
    return calls.called(names, values, count, frame)


def sorted_by(node: Any, scope: Scope, value: Value | None = None) -> Value:
    """An element of ORDER BY; `value` where it is known already (an output column)."""
    value = expression(node.node, scope) if value is None else value
    scope.frame.use(value, ORDER)
    if len(node.use_op):
        called_by_operator([one.string.sval for one in node.use_op], [value], scope.frame)
    return value


def window(node: Any, scope: Scope) -> list[Value]:
    """OVER (…), or a definition of WINDOW. A name refers to one of those, which are counted by themselves."""
    values: list[Value] = []
    for one in node.partition_clause:
        values.append(expression(one, scope))
        scope.frame.use(values[-1], GROUP)
    values += [sorted_by(one.sort_by, scope) for one in node.order_clause]
    for name in ("start_offset", "end_offset"):
        if node.HasField(name):
            argument(getattr(node, name), scope)
    return values


_HANDLERS: Final[dict[str, Callable[[Any, Scope], Value]]] = {
    "a_expr": _a_expr,
    "a_indirection": _indirection,
    "bool_expr": _bool_expr,
    "case_expr": _case,
    "collate_clause": _inside,
    "column_ref": column_ref,
    "current_of_expr": _nothing,
    "func_call": called,
    "grouping_func": _grouping,
    "merge_support_func": _nothing,
    "named_arg_expr": _inside,
    "param_ref": _nothing,
    "row_expr": _row,
    "select_stmt": _statement,
    "set_to_default": _nothing,
    "sqlvalue_function": _nothing,
    "sub_link": _sub_link,
    "type_cast": _type_cast,
}
