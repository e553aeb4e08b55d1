"""What stands in FROM, as items that names are looked up in (PostgreSQL docs, 7.2.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from extproc.postgres.sql import rowsets
from extproc.postgres.sql.builtins import SAMPLING
from extproc.postgres.sql.expressions import condition, expression
from extproc.postgres.sql.lineage import JOIN, PREDICATE, Rows, Value, any_of, either, mixed, named
from extproc.postgres.sql.model import FunctionUse
from extproc.postgres.sql.operators import called_by_operator
from extproc.postgres.sql.relations import alias_of, table_item
from extproc.postgres.sql.scope import Item, Scope, indexed, item_of, take

_FROM_FUNCTIONS: Final = {
    "range_function": rowsets.function_item,
    "range_table_func": rowsets.xml_item,
    "json_table": rowsets.json_item,
}


def from_clause(nodes: Iterable[Any], scope: Scope) -> None:
    """Put each into the scope; those further right may refer to those before (LATERAL)."""
    for node in nodes:
        scope.items.extend(items_of(node, scope))


def items_of(node: Any, scope: Scope) -> list[Item]:
    """One element of FROM: a join gives its sides as well."""
    run = scope.frame.run
    run.deeper()
    kind = node.WhichOneof("node")
    if kind == "range_var":
        found = [table_item(node.range_var, scope)]
    elif kind == "join_expr":
        found = _join(node.join_expr, scope)
    elif kind == "range_subselect":
        found = [_subselect(node.range_subselect, scope)]
    elif kind == "range_table_sample":
        found = _sample(node.range_table_sample, scope)
    elif kind in _FROM_FUNCTIONS:
        found = [_FROM_FUNCTIONS[kind](getattr(node, kind), scope)]
    else:
        scope.frame.doubt(f"unknown in FROM: {kind}")
        found = [Item("", (), {}, rest=expression(node, scope), known=False)]
    run.depth -= 1
    return found


def _subselect(node: Any, scope: Scope) -> Item:
    name, names = alias_of(node)
    parent = scope if node.lateral else scope.parent
    rows = scope.frame.run.query(node.subquery.select_stmt, Scope(scope.frame, parent, scope.ctes))
    return item_of(name, named(rows, names))


def _sample(node: Any, scope: Scope) -> list[Item]:
    found = items_of(node.relation, scope)
    method = node.method[-1].string.sval if len(node.method) else ""
    if method not in SAMPLING:
        scope.frame.doubt(f"unknown sampling method {method}")
    # Which rows it takes depends on where they lie, and that on the sizes of values: shown as the function that it is.
    scope.frame.add_function(FunctionUse(f"pg_catalog.{method}", "volatile", "internal"))
    for argument in node.args:
        scope.frame.use(expression(argument, scope), PREDICATE)
    if node.HasField("repeatable"):
        scope.frame.use(expression(node.repeatable, scope), PREDICATE)
    return found


def _join(node: Any, scope: Scope) -> list[Item]:
    left = items_of(node.larg, scope)
    before = len(scope.items)
    scope.items.extend(left)  # what LATERAL on the right side sees
    right = items_of(node.rarg, scope)
    del scope.items[before:]
    left_top, right_top = left[-1], right[-1]
    shared = _shared(node, left_top, right_top)
    inside = Scope(scope.frame, scope.parent, scope.ctes, [*left, *right], scanned=scope.scanned)
    _on(node, shared, inside)
    scope.linked |= inside.touched | inside.linked
    joined = _joined(scope, left_top, right_top, shared)
    name, names = alias_of(node)
    if node.HasField("join_using_alias"):
        using = tuple((column, value) for column, value in joined.columns[: len(shared)])
        left.append(Item(node.join_using_alias.aliasname, using, indexed(using), by_column=False))
    if name:
        return [_renamed(joined, name, names)]
    for item in (*left, *right):
        item.by_column = False
    return [*left, *right, joined]


def _shared(node: Any, left: Item, right: Item) -> list[str]:
    if node.is_natural:
        return [name for name, _ in left.columns if name in right.index]
    return [one.string.sval for one in node.using_clause]


def _on(node: Any, shared: list[str], inside: Scope) -> None:
    """Columns that only join are told from those that also choose rows by something else."""
    frame = inside.frame
    for name in shared:
        for item in inside.items:
            if item.by_column and name in item.index:
                value = take(inside, item, name)
                if value is not None:
                    frame.use(value, JOIN)
    if shared:
        called_by_operator(["="], [], frame)
    if node.is_natural and not all(item.known for item in inside.items):
        frame.doubt("NATURAL JOIN over columns that are not known")
    if node.HasField("quals"):
        inside.linked |= condition(node.quals, inside, JOIN)[1]


def _joined(scope: Scope, left: Item, right: Item, shared: list[str]) -> Item:
    """The join's own columns: those of USING first, then the rest of each side."""
    scope.frame.run.spend(len(left.columns) + len(right.columns))
    columns: list[tuple[str, Value]] = []
    owners: dict[str, tuple[Item, ...]] = {}
    for name in shared:
        sides = [value for side in (left, right) if (value := side.index.get(name) or side.rest) is not None]
        columns.append((name, either(sides[0], sides[-1]) if sides else mixed([])))
        owners[name] = (*_owners(left, name), *_owners(right, name))
    for side in (left, right):
        for name, value in side.columns:
            if name not in shared:
                columns.append((name, value))
                owners[name] = (*owners.get(name, ()), *_owners(side, name))
    rests = [side.rest for side in (left, right) if side.rest is not None]
    made = tuple(columns)
    rest = any_of(rests) if rests else None
    return Item("", made, indexed(made), by_name=False, rest=rest, known=left.known and right.known, owners=owners)


def _owners(item: Item, name: str) -> tuple[Item, ...]:
    return (item,) if item.owners is None else item.owners.get(name, ())


def _renamed(joined: Item, name: str, names: list[str]) -> Item:
    """With an alias, a join hides its sides."""
    rows: Rows = named(joined.rows(), names)
    owners = {
        new: (joined.owners or {}).get(old, ())
        for (new, _), (old, _) in zip(rows.columns, joined.columns, strict=False)
    }
    return item_of(name, rows, owners=owners)
