"""INSERT, UPDATE, DELETE and MERGE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from extproc.postgres.sql import ctes
from extproc.postgres.sql.builtins import TEXTS
from extproc.postgres.sql.expressions import argument, condition, expression
from extproc.postgres.sql.fields import row_value
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.from_clause import from_clause, items_of
from extproc.postgres.sql.lineage import NOTHING, PREDICATE, UNSURE, WRITE, Rows, Value, either, everything
from extproc.postgres.sql.operators import user_cast
from extproc.postgres.sql.query import close_level, targets
from extproc.postgres.sql.relations import alias_of, relation_item, unknown_item
from extproc.postgres.sql.scope import Item, Scope, indexed
from extproc.postgres.sql.written import written

_DO_UPDATE: Final = 3  # OnConflictAction
_UPDATE, _INSERT, _DELETE = 3, 4, 5  # CmdType
Assigned = dict[str, Value]


def writing(node: Any, frame: Frame, outside: Scope | None = None) -> Rows:
    """
    A statement that writes; `outside` is the query whose WITH it stands in. What RETURNING gives, and uses, counts as
    projected.
    """
    scope = Scope(frame) if outside is None else Scope(frame, outside.parent, outside.ctes)
    handler = _HANDLERS.get(type(node).__name__)
    if handler is None:
        frame.doubt(f"unknown statement {type(node).__name__}")
        return Rows((), known=False, rest=UNSURE)
    frame.run.deeper()
    if node.HasField("with_clause"):
        ctes.bind(node.with_clause, scope)
    target, assigned = handler(node, scope)
    rows = _returned(node, scope, target, assigned)
    frame.run.depth -= 1
    return rows


def _target(node: Any, frame: Frame, *, cascades: bool) -> Item:
    relation = frame.run.known.named(frame.path, node)
    if relation is None:
        return unknown_item(node, frame, write=True)
    item = relation_item(relation, frame, only=not node.inh, name=alias_of(node)[0])
    written(relation, frame, cascades=cascades)
    return item


def _insert(node: Any, scope: Scope) -> tuple[Item, Assigned]:
    conflict = node.on_conflict_clause if node.HasField("on_conflict_clause") else None
    updates = conflict is not None and conflict.action == _DO_UPDATE
    target = _target(node.relation, scope.frame, cascades=updates)
    names = [one.res_target.name for one in node.cols]
    for one in node.cols:
        _subscripts(one.res_target, scope)
    source = Rows(())
    if node.HasField("select_stmt"):
        source = scope.frame.run.query(node.select_stmt.select_stmt, Scope(scope.frame, scope.parent, scope.ctes))
    assigned = _filled(target, names, source, scope.frame)
    scope.items = [target]
    if conflict is not None:
        assigned = _merged([assigned, _conflict(conflict, target, assigned, scope)])
    return target, assigned


def _filled(target: Item, names: list[str], source: Rows, frame: Frame) -> Assigned:
    """The columns of an INSERT and what goes into each."""
    names = names or [name for name, _ in target.columns][: len(source.columns) if source.known else None]
    if not source.known:
        every = everything(source)
        pairs = [(name, every) for name in names]
    else:
        pairs = list(zip(names, (value for _, value in source.columns), strict=False))
    frame.use(everything(source), WRITE)
    return _merged([{name: _assign(name, value, target, frame)} for name, value in pairs])


def _assign(name: str, value: Value, target: Item, frame: Frame) -> Value:
    column = target.index.get(name)
    if column is None:
        if target.rest is None:
            frame.doubt(f"unknown column {name}")
        return value
    frame.use(column, WRITE)
    frame.use(value, WRITE)
    called = user_cast(value, column.type, frame)
    if called is not None:
        return either(value, called)
    # The column's own type may change what is written, but never hides where it is from.
    plain = not value.origins or value.type == column.type or column.type in TEXTS
    return value if plain else Value(value.origins, direct=False, sure=value.sure, type=column.type)


def _conflict(node: Any, target: Item, assigned: Assigned, scope: Scope) -> Assigned:
    """ON CONFLICT: that there is a row with such a value is what it goes by."""
    frame = scope.frame
    if node.HasField("infer"):
        for one in node.infer.index_elems:
            element = one.index_elem
            value = expression(element.expr, scope) if element.HasField("expr") else target.index.get(element.name)
            frame.use(value or NOTHING, PREDICATE)
        if node.infer.HasField("where_clause"):
            condition(node.infer.where_clause, scope)
    columns = tuple((name, assigned.get(name, NOTHING)) for name, _ in target.columns)
    excluded = Item("excluded", columns, indexed(columns), by_column=False, rest=target.rest)
    inside = Scope(frame, scope.parent, scope.ctes, [target, excluded])
    found = _assignments(node.target_list, inside, target)
    if node.HasField("where_clause"):
        condition(node.where_clause, inside)
    return found


def _update(node: Any, scope: Scope) -> tuple[Item, Assigned]:
    target = _target(node.relation, scope.frame, cascades=True)
    _narrowed(node, scope, target, node.from_clause)
    return target, _assignments(node.target_list, scope, target)


def _delete(node: Any, scope: Scope) -> tuple[Item, Assigned]:
    target = _target(node.relation, scope.frame, cascades=True)
    _narrowed(node, scope, target, node.using_clause)
    return target, {}


def _narrowed(node: Any, scope: Scope, target: Item, others: Any) -> None:
    scope.items = [target]
    scope.scanned.add(target)
    from_clause(others, scope)
    restricted: frozenset[Item] = frozenset()
    if node.HasField("where_clause"):
        restricted = condition(node.where_clause, scope)[1]
    close_level(scope, restricted)


def _merge(node: Any, scope: Scope) -> tuple[Item, Assigned]:
    """Its condition is what a WHERE is elsewhere: it says which rows of the target are changed."""
    clauses = [one.merge_when_clause for one in node.merge_when_clauses]
    cascades = any(one.command_type in (_UPDATE, _DELETE) for one in clauses)
    target = _target(node.relation, scope.frame, cascades=cascades)
    scope.scanned.add(target)
    source = items_of(node.source_relation, scope)
    scope.items = [target, *source]
    close_level(scope, condition(node.join_condition, scope)[1])
    assigned: list[Assigned] = []
    for one in clauses:
        if one.HasField("condition"):
            condition(one.condition, scope)
        if one.command_type == _UPDATE:
            assigned.append(_assignments(one.target_list, scope, target))
        elif one.command_type == _INSERT:
            names = [column.res_target.name for column in one.target_list]
            values = tuple(("", expression(value, scope)) for value in one.values)
            assigned.append(_filled(target, names, Rows(values), scope.frame))
    return target, _merged(assigned)


def _assignments(nodes: Any, scope: Scope, target: Item) -> Assigned:
    """Of SET: `a = …`, `(b, c) = …`."""
    found: list[Assigned] = []
    several: list[Value] = []
    for one in nodes:
        node = one.res_target
        _subscripts(node, scope)
        if node.val.WhichOneof("node") == "multi_assign_ref":
            reference = node.val.multi_assign_ref
            if reference.colno == 1 or not several:
                several = _several(reference, scope)
            value = several[min(reference.colno, len(several)) - 1] if several else UNSURE
        else:
            value = expression(node.val, scope)
        found.append({node.name: _assign(node.name, value, target, scope.frame)})
    return _merged(found)


def _several(reference: Any, scope: Scope) -> list[Value]:
    kind = reference.source.WhichOneof("node")
    if kind == "row_expr":
        return [expression(one, scope) for one in reference.source.row_expr.args]
    if kind == "sub_link":
        select = reference.source.sub_link.subselect.select_stmt
        rows = scope.frame.run.query(select, Scope(scope.frame, scope, scope.ctes))
        if rows.known:
            return [value for _, value in rows.columns]
        return [row_value(rows)] * reference.ncolumns
    return [argument(reference.source, scope)] * reference.ncolumns


def _subscripts(node: Any, scope: Scope) -> None:
    for step in node.indirection:
        if step.WhichOneof("node") == "a_indices":
            for bound in ("lidx", "uidx"):
                if step.a_indices.HasField(bound):
                    argument(getattr(step.a_indices, bound), scope)


def _merged(parts: Iterable[Assigned]) -> Assigned:
    total: Assigned = {}
    for part in parts:
        for name, value in part.items():
            total[name] = either(total[name], value) if name in total else value
    return total


def _returned(node: Any, scope: Scope, target: Item, assigned: Assigned) -> Rows:
    """A column that comes back may hold what was written into it just now, and show where that is from."""
    if not node.HasField("returning_clause"):
        return Rows(())
    clause = node.returning_clause
    columns = tuple(
        (name, either(value, assigned[name]) if name in assigned else value) for name, value in target.columns
    )
    seen = Item(
        target.name, columns, indexed(columns), target.relation, target.aliased, rest=target.rest, known=target.known,
        system=target.system,
    )  # fmt: skip
    scope.items = [seen if item is target else item for item in scope.items] or [seen]
    options = {one.returning_option.option: one.returning_option.value for one in clause.options}
    for number, name in ((1, "old"), (2, "new")):  # ReturningOptionKind
        row = Item(
            options.get(number, name), columns, seen.index, target.relation, rest=target.rest, known=target.known
        )
        row.by_column, row.system = False, target.system
        scope.items.append(row)
    rows = targets(clause.exprs, scope)
    scope.frame.give(rows)
    return rows


_HANDLERS: Final[dict[str, Callable[[Any, Scope], tuple[Item, Assigned]]]] = {
    "InsertStmt": _insert,
    "UpdateStmt": _update,
    "DeleteStmt": _delete,
    "MergeStmt": _merge,
}
