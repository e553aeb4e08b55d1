"""What a name means at one place in a query (PostgreSQL docs, 7.2 and 7.8; parse_relation.c says it exactly)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.postgres.catalog import Relation
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.lineage import NOTHING, Columns, Rows, Value, any_of, everything, whole


@dataclass(slots=True, eq=False)
class Item:
    """
    What stands in FROM, under a name. `by_name` and `by_column` say how it can be reached: the sides of a join by their
    names only, the join by its columns. `rest` is what columns of unknown names hold. `owners` (of a join) are the
    items that a column belongs to.
    """

    name: str
    columns: Columns
    index: Mapping[str, Value | None]  # None: several columns have the name
    relation: Relation | None = None
    aliased: bool = True
    by_name: bool = True
    by_column: bool = True
    rest: Value | None = None
    known: bool = True
    owners: Mapping[str, tuple[Item, ...]] | None = None
    system: Mapping[str, Value] = field(default_factory=dict)
    scalar: bool = False  # a function that gives single values: its name alone means the value

    def rows(self) -> Rows:
        return Rows(self.columns, self.known, self.rest or NOTHING)


@dataclass(slots=True, eq=False)
class Cte:
    """A WITH query: worked out when it is first named. `rows` before `done` is what a recursive one has so far."""

    node: Any
    scope: Scope
    rows: Rows | None = None
    running: bool = False
    done: bool = False
    referred: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """
    One level. `touched` collects the items of this level that columns were taken from; `scanned` are its tables and
    views, `linked` those that the condition of a join names.
    """

    frame: Frame
    parent: Scope | None = None
    ctes: Mapping[str, Cte] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    touched: set[Item] = field(default_factory=set)
    scanned: set[Item] = field(default_factory=set)
    linked: set[Item] = field(default_factory=set)


def indexed(columns: Columns) -> dict[str, Value | None]:
    index: dict[str, Value | None] = {}
    for name, value in columns:
        index[name] = None if name in index else value
    return index


def item_of(name: str, rows: Rows, **more: Any) -> Item:
    return Item(
        name, rows.columns, indexed(rows.columns), rest=None if rows.known else rows.rest, known=rows.known, **more
    )


def take(level: Scope, item: Item, name: str) -> Value | None:
    """A column of an item, None where it has none of that name."""
    found = item.index.get(name)
    if found is None:
        if name in item.index:
            found = _ambiguous(level.frame, item, name)
        elif name in item.system:
            found = item.system[name]
        elif item.rest is not None:
            found = item.rest
        else:
            return None
    if item.owners is None:
        level.touched.add(item)
    else:
        level.touched.update(item.owners.get(name, ()))
    return found


def _ambiguous(frame: Frame, item: Item, name: str) -> Value:
    """The server refuses it; should it not, it is one of them."""
    frame.doubt(f"ambiguous column {name}")
    return any_of([value for known, value in item.columns if known == name])


def row_of(level: Scope, item: Item) -> Value:
    """A whole row as one value."""
    level.frame.run.spend(len(item.columns))
    level.touched.update([item] if item.owners is None else {one for some in item.owners.values() for one in some})
    if not item.known:
        rest = everything(item.rows())
        return Value(rest.origins, direct=False, sure=False)
    return whole(item.columns)


def named_item(scope: Scope, name: str, schema: str = "") -> tuple[Scope, Item] | None:
    """The nearest item of that name; with a schema, only a table that has no alias."""
    level: Scope | None = scope
    while level is not None:
        for item in level.items:
            if item.name == name and item.by_name and (not schema or _is_of(item, schema)):
                return level, item
        level = level.parent
    return None


def _is_of(item: Item, schema: str) -> bool:
    return not item.aliased and item.relation is not None and item.relation.schema == schema


def column(scope: Scope, name: str) -> Value | None:
    """A name alone: the nearest level that has a column of it."""
    level: Scope | None = scope
    maybe: list[Value] = []
    while level is not None:
        found: list[Value] = []
        for item in level.items:
            if not item.by_column:
                continue
            value = take(level, item, name)
            if value is None:
                continue
            # A column whose name is not known may have this one; then what lies further out may be meant as well.
            (maybe if item.rest is not None and name not in item.index else found).append(value)
        if len(found) == 1 and not maybe:
            return found[0]
        if found:
            if len(found) > 1:
                level.frame.doubt(f"ambiguous column {name}")
            return any_of([*found, *maybe])
        level = level.parent
    return any_of(maybe) if maybe else None


def resolve(scope: Scope, names: list[str]) -> Value | None:
    """A column, a whole row or a variable; None where it is none of them."""
    if len(names) == 1:
        return _alone(scope, names[0])
    if len(names) > 4:
        return None
    found = named_item(scope, names[-2], names[-3] if len(names) > 2 else "")
    if found is not None:
        return take(*found, names[-1])
    variables = scope.frame.variables
    return NOTHING if names[0] in variables or names[-2] in variables else None


def _alone(scope: Scope, name: str) -> Value | None:
    value = column(scope, name)
    if value is not None:
        return value
    found = named_item(scope, name)
    if found is None:
        return NOTHING if name in scope.frame.variables else None
    level, item = found
    if item.scalar:
        return take(level, item, item.columns[0][0])
    return row_of(level, item)
