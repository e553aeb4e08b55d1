"""Tables and views in FROM: what columns they have, and what reading a view does by its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from extproc.postgres.catalog import Catalog, Relation
from extproc.postgres.sql.builtins import BUILT_IN_SCHEMAS
from extproc.postgres.sql.ctes import rows_of
from extproc.postgres.sql.effects import is_statistics, is_statistics_column
from extproc.postgres.sql.frame import Frame, Run, TooMuchError
from extproc.postgres.sql.known import Shape
from extproc.postgres.sql.lineage import NOTHING, UNSURE, Columns, Rows, Value, either, named, unsure
from extproc.postgres.sql.model import Origin, SqlError
from extproc.postgres.sql.parse import parse
from extproc.postgres.sql.scope import Item, Scope, indexed, item_of

# Views of its own that show it only in part, as pg_roles does pg_authid, are PostgreSQL's to know.
_TELLS: Final = " tells of what other tables hold"
_COLUMN: Final = 4  # what one costs, as `Run.spend` counts
_MOST_NESTED: Final = 50  # views in views
_VIEW_PATH: Final = ("pg_catalog",)


def alias_of(node: Any) -> tuple[str, list[str]]:
    """The alias of something in FROM, "" for none, and its column list."""
    if not node.HasField("alias"):
        return "", []
    alias = node.alias
    return alias.aliasname, [one.string.sval for one in alias.colnames]


def table_item(node: Any, scope: Scope) -> Item:
    """A RangeVar: a WITH query or a relation. No variable of a body stands there, whatever its name."""
    name, names = alias_of(node)
    if not node.schemaname:
        cte = scope.ctes.get(node.relname)
        if cte is not None:
            return item_of(name or node.relname, named(rows_of(cte), names))
    relation = scope.frame.run.known.named(scope.frame.path, node)
    if relation is None:
        item = unknown_item(node, scope.frame)
        scope.scanned.add(item)
        return item
    item = relation_item(relation, scope.frame, only=not node.inh, name=name, names=names)
    scope.scanned.add(item)
    return item


def unknown_item(node: Any, frame: Frame, *, write: bool = False) -> Item:
    """A table that is not there, or that the role cannot see. Its name stands in the lists as it was given."""
    name = f"{node.schemaname}.{node.relname}"
    name = f"{node.catalogname}.{name}" if node.catalogname else name
    frame.doubt(f"unknown table {name.removeprefix('.')}")
    frame.name_table(name, written=write)
    return Item(alias_of(node)[0] or node.relname, (), {}, rest=UNSURE, known=False)


def relation_item(
    relation: Relation, frame: Frame, *, only: bool = False, name: str = "", names: list[str] | None = None
) -> Item:
    """A relation that is read, with all that follows from reading it."""
    shape = shape_of(frame.run, relation, only=only)
    absorb(frame, shape)
    columns, index = shape.columns, shape.index
    if names:
        columns = named(Rows(columns), names).columns
        index = indexed(columns)
    return Item(name or relation.name, columns, index, relation, aliased=bool(name), system=shape.system)


def absorb(frame: Frame, shape: Shape) -> None:
    """What a view's definition does is done by whoever reads it, but for showing columns."""
    frame.tables.update(dict.fromkeys(shape.tables))
    if is_statistics(shape.relation.qualified):
        frame.doubt(shape.relation.qualified + _TELLS)
    behind = shape.behind
    if behind is None:
        return
    for origin, bits in behind.uses.items():
        frame.uses[origin] = frame.uses.get(origin, 0) | bits
    for use in behind.functions.values():
        frame.add_function(use)
    for doubt in behind.doubts:
        frame.doubt(doubt)
    for _, label, oid in behind.calls:
        frame.calls[frame.via, label, oid] = None


def shape_of(run: Run, relation: Relation, *, only: bool = False) -> Shape:
    """Worked out once for a catalog."""
    key = (relation.oid, only)
    found = run.known.shapes.get(key)
    if found is not None:
        return found
    run.spend(1 + _COLUMN * len(relation.columns))
    if relation.kind == "v":
        if relation.oid in run.open_views:
            return _endless(relation)
        shape = _view_shape(run, relation)
    else:
        shape = run.known.base_shape(relation, only=only)
        if relation.kind == "m":
            shape = _materialized(run, relation, shape)
    run.known.shapes[key] = shape
    return shape


def _endless(relation: Relation) -> Shape:
    frame = Frame(None, "view", _VIEW_PATH)  # type: ignore[arg-type]  # nothing is run with it
    frame.doubt(f"view {relation.qualified} refers to itself")
    columns = tuple((one.name, UNSURE) for one in relation.columns)
    return Shape(relation, columns, indexed(columns), {}, (relation.qualified,), frame)


def _view_shape(run: Run, relation: Relation) -> Shape:
    frame, values = _followed(run, relation)
    columns = _typed(relation, values)
    tables = (relation.qualified, *frame.tables)
    return Shape(relation, columns, indexed(columns), {}, tables, frame)


def _materialized(run: Run, relation: Relation, shape: Shape) -> Shape:
    """It has rows of its own, but they were copied from somewhere."""
    _, values = _followed(run, relation)
    columns = tuple(
        (name, Value(own.origins | value.origins, value.direct, value.sure, own.type))
        for (name, own), value in zip(shape.columns, values, strict=True)
    )
    return replace(shape, columns=columns, index=indexed(columns))


def _followed(run: Run, relation: Relation) -> tuple[Frame, list[Value]]:
    """The definition's values by column. Where they cannot be told, they are unsure and the frame has a doubt."""
    frame = Frame(run, "view", _VIEW_PATH)
    if len(run.open_views) == _MOST_NESTED:
        raise TooMuchError
    run.open_views.add(relation.oid)
    depth, run.depth = run.depth, 0  # each view is a text of its own
    rows = None
    try:
        parsed = parse(relation.definition)
        if len(parsed) == 1 and type(parsed[0].node).__name__ == "SelectStmt":
            rows = run.query(parsed[0].node, Scope(frame))
    except SqlError:
        pass
    run.open_views.discard(relation.oid)
    run.depth = depth
    if rows is None or not rows.known or len(rows.columns) != len(relation.columns):
        frame.doubt(f"view {relation.qualified} cannot be followed")
        return frame, [UNSURE] * len(relation.columns)
    values = [value for _, value in rows.columns]
    if relation.schema in BUILT_IN_SCHEMAS:
        frame.doubts = {doubt: None for doubt in frame.doubts if not doubt.endswith(_TELLS)}
        frame.uses = {one: bits for one, bits in frame.uses.items() if not is_statistics_column(one.table, one.column)}
    return frame, [unsure(value) for value in values] if frame.doubts else values


def _typed(relation: Relation, values: list[Value]) -> Columns:
    return tuple(
        (column.name, Value(value.origins, value.direct, value.sure, column.type, value.fields, value.plain))
        for column, value in zip(relation.columns, values, strict=True)
    )


def base_of(run: Run, relation: Relation, frame: Frame) -> list[Relation]:
    """
    What a write to a relation may change: itself, with its family, and behind a view all that it reads (a view that is
    written without a trigger is of one table: docs, CREATE VIEW).
    """
    if relation.kind != "v":
        return [relation, *run.known.ancestors(relation), *run.known.descendants(relation)]
    behind = shape_of(run, relation).behind
    bases: list[Relation] = [relation]
    for table in behind.tables if behind is not None else ():
        schema, _, name = table.partition(".")
        found = run.known.catalog.relations.get((schema, name))
        if found is not None:
            bases.append(found)
        else:
            frame.doubt(f"view {relation.qualified} cannot be followed")
    return bases


def origins_in(run: Run, relation_oid: int, number: int) -> frozenset[Origin] | None:
    catalog: Catalog = run.known.catalog
    relation = catalog.relations_by_oid.get(relation_oid)
    if relation is None:
        return None
    shape = shape_of(run, relation)
    values = [value for _, value in shape.columns]
    if number:
        at = {column.number: position for position, column in enumerate(relation.columns)}.get(number)
        values = [values[at]] if at is not None else []
        values += [value for value in shape.system.values() if any(one.number == number for one in value.origins)]
    if not values or not all(value.sure for value in values):
        return None
    total = NOTHING
    for value in values:
        total = either(total, value)
    return total.origins
