"""SELECT, VALUES and what combines them (PostgreSQL docs, 7 and SELECT)."""

from __future__ import annotations

from typing import Any

from extproc.postgres.sql import ctes
from extproc.postgres.sql.columns import starred
from extproc.postgres.sql.expressions import condition, expression, sorted_by, window
from extproc.postgres.sql.fields import fields_of
from extproc.postgres.sql.from_clause import from_clause
from extproc.postgres.sql.lineage import (
    ARGUMENT,
    GROUP,
    NOTHING,
    PREDICATE,
    Rows,
    Value,
    any_of,
    both,
    either,
    everything,
    mixed,
    unsure,
)
from extproc.postgres.sql.naming import name_of
from extproc.postgres.sql.scope import Item, Scope, column

_NONE, _UNION = 1, 2  # SetOperation


def query(node: Any, scope: Scope) -> Rows:
    """
    A SelectStmt in a scope of its own. Its columns have no use yet but those that it has for them itself; what is done
    with its rows is the caller's.
    """
    run = scope.frame.run
    run.deeper()
    if node.HasField("with_clause"):
        ctes.bind(node.with_clause, scope)
    if node.op > _NONE:
        rows = _set_operation(node, scope)
    elif len(node.values_lists):
        rows = _values(node, scope)
    else:
        rows = _select(node, scope)
    _limited(node, scope)
    if len(node.locking_clause):
        scope.frame.options = tuple(dict.fromkeys((*scope.frame.options, "lock")))
    run.depth -= 1
    return rows


def constant_limit(node: Any) -> int | None:
    """LIMIT n or FETCH FIRST n ROWS ONLY; None where there is none, or WITH TIES, or one that is computed."""
    if not node.HasField("limit_count") or node.limit_option == 3:
        return None
    limit = node.limit_count
    if limit.WhichOneof("node") != "a_const" or limit.a_const.WhichOneof("val") != "ival":
        return None
    return int(limit.a_const.ival.ival)


def _limited(node: Any, scope: Scope) -> None:
    for name in ("limit_count", "limit_offset"):
        if node.HasField(name):
            scope.frame.use(expression(getattr(node, name), scope), PREDICATE)


def _set_operation(node: Any, scope: Scope) -> Rows:
    """`a UNION b UNION c …` is as deep as it is long, so it is walked. UNION ALL alone compares no rows."""
    spine = []
    left = node
    while left.op > _NONE and (left is node or not _has_own(left)):
        spine.append(left)
        left = left.larg
    rows = _branch(left, scope)
    for one in reversed(spine):
        rows = both(rows, _branch(one.rarg, scope))
        if not one.all or one.op != _UNION:
            _grouped(rows, scope)
    for one in node.sort_clause:
        _sort(one.sort_by, rows, scope)
    return rows


def _has_own(node: Any) -> bool:
    return bool(node.HasField("with_clause") or len(node.sort_clause) or node.HasField("limit_count"))


def _branch(node: Any, scope: Scope) -> Rows:
    return query(node, Scope(scope.frame, scope.parent, scope.ctes))


def _values(node: Any, scope: Scope) -> Rows:
    columns: list[Value] = []
    for number, row in enumerate(node.values_lists):
        values = [expression(one, scope) for one in row.list.items]
        for value in values:
            scope.frame.use(value, 0)
        pairs = zip(columns, values, strict=False)
        columns = [either(one, other) for one, other in pairs] if number else values
    rows = Rows(tuple((f"column{number}", value) for number, value in enumerate(columns, 1)))
    for one in node.sort_clause:
        _sort(one.sort_by, rows, scope)
    return rows


def _select(node: Any, scope: Scope) -> Rows:
    from_clause(node.from_clause, scope)
    restricted: frozenset[Item] = frozenset()
    if node.HasField("where_clause"):
        restricted = condition(node.where_clause, scope)[1]
    rows = targets(node.target_list, scope)
    for one in node.group_clause:
        _group(one, rows, scope)
    if node.HasField("having_clause"):
        condition(node.having_clause, scope)
    for one in node.window_clause:
        window(one.window_def, scope)
    if len(node.distinct_clause):
        _distinct(node.distinct_clause, rows, scope)
    for one in node.sort_clause:
        _sort(one.sort_by, rows, scope)
    close_level(scope, restricted)
    return rows


def close_level(scope: Scope, restricted: frozenset[Item]) -> None:
    """
    Whether the conditions of a level restrict what it scans: WHERE must name a column of one of its tables, and each
    other one must stand in WHERE or in the condition of a join.
    """
    scanned = scope.scanned
    if scanned:
        scope.frame.levels.append(bool(restricted & scanned) and scanned <= restricted | scope.linked)


def targets(nodes: Any, scope: Scope) -> Rows:
    """A target list (also of RETURNING), with its stars expanded."""
    columns: list[tuple[str, Value]] = []
    rests: list[Value] = []
    for one in nodes:
        target = one.res_target
        expanded = _expanded(target.val, scope)
        if expanded is None:
            value = expression(target.val, scope)
            scope.frame.use(value, 0)  # it is named, even if nothing comes of it
            columns.append((target.name or name_of(target.val), value))
            continue
        scope.frame.run.spend(len(expanded.columns))
        columns += expanded.columns
        if not expanded.known:
            rests.append(everything(expanded))
    return Rows(tuple(columns), not rests, any_of(rests) if rests else NOTHING)


def _expanded(node: Any, scope: Scope) -> Rows | None:
    """What `*`, `item.*` and `(row).*` stand for; None for anything else."""
    kind = node.WhichOneof("node")
    if kind == "column_ref":
        fields = node.column_ref.fields
        if fields[-1].WhichOneof("node") != "a_star":
            return None
        if len(fields) == 1:
            return _all_of([item for item in scope.items if item.by_column])
        found = starred(node.column_ref, scope)
        if found is not None:
            return found[1].rows() if found[1].known else _all_of([found[1]])
        value = expression(node, scope)
        return Rows((), known=False, rest=value)
    if kind == "a_indirection" and node.a_indirection.indirection[-1].WhichOneof("node") == "a_star":
        value = expression(node, scope)
        columns = fields_of(value, scope.frame)
        if columns is not None:
            return Rows(columns)
        scope.frame.use(value, ARGUMENT)
        return Rows((), known=False, rest=unsure(mixed([value])))
    return None


def _all_of(items: list[Item]) -> Rows:
    if len(items) == 1 and items[0].known:
        return items[0].rows()
    columns = tuple(column for item in items for column in item.columns)
    rests = [everything(item.rows()) for item in items if not item.known]
    return Rows(columns, not rests, any_of(rests) if rests else NOTHING)


def _grouped(rows: Rows, scope: Scope) -> None:
    for _, value in rows.columns:
        scope.frame.use(value, GROUP)
    scope.frame.use(rows.rest, GROUP)


def _distinct(nodes: Any, rows: Rows, scope: Scope) -> None:
    if len(nodes) == 1 and nodes[0].WhichOneof("node") is None:  # DISTINCT without ON
        _grouped(rows, scope)
        return
    for one in nodes:
        scope.frame.use(_output(one, rows) or expression(one, scope), GROUP)


def _group(node: Any, rows: Rows, scope: Scope) -> None:
    """GROUP BY: an input column before an output column of the same name."""
    kind = node.WhichOneof("node")
    inside = node.grouping_set.content if kind == "grouping_set" else node.row_expr.args if kind == "row_expr" else None
    if inside is not None:
        scope.frame.run.deeper()
        for one in inside:
            _group(one, rows, scope)
        scope.frame.run.depth -= 1
        return
    name = _single(node)
    value = (column(scope, name) if name else None) or _output(node, rows) or expression(node, scope)
    scope.frame.use(value, GROUP)


def _sort(node: Any, rows: Rows, scope: Scope) -> None:
    """ORDER BY: an output column before an input column of the same name."""
    sorted_by(node, scope, _output(node.node, rows))


def _single(node: Any) -> str:
    if node.WhichOneof("node") == "column_ref" and len(node.column_ref.fields) == 1:
        return str(node.column_ref.fields[0].string.sval)
    return ""


def _output(node: Any, rows: Rows) -> Value | None:
    """The output column that a number or a name alone means; of a list that is not known, any."""
    name = _single(node)
    if name:
        found = [value for known, value in rows.columns if known == name]
        if found:
            return found[0] if len(found) == 1 else any_of(found)
        return None
    if node.WhichOneof("node") == "a_const" and node.a_const.WhichOneof("val") == "ival":
        if not rows.known:
            return everything(rows)
        number = node.a_const.ival.ival
        return rows.columns[number - 1][1] if 0 < number <= len(rows.columns) else None
    return None
