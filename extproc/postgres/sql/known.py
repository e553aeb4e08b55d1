"""What follows from a catalog alone, worked out once for each: columns with their lineage, bodies, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from extproc.postgres.catalog import Catalog, Function, Operator, Relation, Type
from extproc.postgres.sql.builtins import SYSTEM_COLUMNS, SYSTEM_TYPES
from extproc.postgres.sql.lineage import Columns, Value
from extproc.postgres.sql.model import Origin
from extproc.postgres.sql.scope import indexed

if TYPE_CHECKING:
    from extproc.postgres.sql.frame import Frame

_MOST_CHILDREN: Final = 100
_WITH_SYSTEM_COLUMNS: Final = frozenset("rpfmSt")


@dataclass(slots=True, eq=False)
class Shape:
    """A relation's columns, and the tables that reading it names. `behind`: what a view's definition does."""

    relation: Relation
    columns: Columns
    index: Mapping[str, Value | None]
    system: Mapping[str, Value]
    tables: tuple[str, ...]
    behind: Frame | None = None


@dataclass(slots=True, eq=False)
class Known:
    catalog: Catalog
    children: Mapping[int, tuple[int, ...]]
    types: Mapping[str, tuple[Type, ...]]
    cast_targets: frozenset[int]
    operators: Mapping[str, tuple[Operator, ...]]
    shapes: dict[tuple[int, bool], Shape] = field(default_factory=dict)
    bodies: dict[tuple[int, tuple[str, ...]], Any] = field(default_factory=dict)

    def named(self, path: tuple[str, ...], node: Any) -> Relation | None:
        """What a RangeVar means. Another database's tables cannot be reached."""
        if node.catalogname not in {"", self.catalog.database}:
            return None
        return self.relation(path, node.schemaname, node.relname)

    def relation(self, path: tuple[str, ...], schema: str, name: str) -> Relation | None:
        """`pg_temp` is the session's own schema, whatever its number."""
        relations = self.catalog.relations
        if schema == "pg_temp":
            schema = next((one for one in self.catalog.search_path if one.startswith("pg_temp_")), schema)
        for one in (schema,) if schema else path:
            found = relations.get((one, name))
            if found is not None:
                return found
        return None

    def functions(self, path: tuple[str, ...], schema: str, name: str) -> list[Function]:
        """All that a call may mean. Temporary schemas are not searched for functions."""
        named = self.catalog.functions.get(name, ())
        if schema:
            return [one for one in named if one.schema == schema]
        return [one for one in named if one.schema in path and not one.schema.startswith("pg_temp")]

    def type_named(self, path: tuple[str, ...], names: list[str]) -> Type | None:
        """Of `int4`, `public.mood`; None for what is not known or could be one of several."""
        found = self.types.get(names[-1], ())
        if len(names) > 1:
            return next((one for one in found if one.schema == names[-2]), None)
        for schema in path:
            for one in found:
                if one.schema == schema:
                    return one
        return None

    def fields_of(self, kind: int) -> Columns | None:
        """The columns of a composite type, each with nothing in it yet."""
        found = self.catalog.types.get(kind)
        while found is not None and found.kind == "d":
            found = self.catalog.types.get(found.base)
        if found is None or found.kind != "c":
            return None
        relation = self.catalog.relations_by_oid.get(found.relation)
        return None if relation is None else tuple((one.name, Value(type=one.type)) for one in relation.columns)

    def ancestors(self, relation: Relation) -> list[Relation]:
        """Those that it inherits from or is a partition of: its rows are rows of theirs."""
        return self._around(relation, lambda one: one.parents)

    def descendants(self, relation: Relation) -> list[Relation]:
        """Those whose rows are read and written with its own."""
        return self._around(relation, lambda one: self.children.get(one.oid, ()))

    def _around(self, relation: Relation, step: Any) -> list[Relation]:
        found: dict[int, Relation] = {}
        waiting = [relation]
        while waiting:
            for oid in step(waiting.pop()):
                other = self.catalog.relations_by_oid.get(oid)
                if other is not None and oid not in found and oid != relation.oid:
                    found[oid] = other
                    waiting.append(other)
        return list(found.values())

    def family(self, relation: Relation, *, only: bool = False) -> list[Relation]:
        """
        The tables whose columns reading this one shows: itself, those above, and the children of an inheritance.
        Partitions have no columns of their own: a rule names the partitioned table.
        """
        below = [] if only or relation.kind == "p" else self.descendants(relation)
        return [relation, *self.ancestors(relation), *below[:_MOST_CHILDREN]]

    def base_shape(self, relation: Relation, *, only: bool = False) -> Shape:
        """Of what has rows of its own."""
        family = self.family(relation, only=only)
        columns = tuple(
            (column.name, Value(_origins(family, column.name), type=column.type)) for column in relation.columns
        )
        system: dict[str, Value] = {}
        if relation.kind in _WITH_SYSTEM_COLUMNS:
            system = {name: _system_value(relation, name) for name in SYSTEM_COLUMNS}
        return Shape(relation, columns, indexed(columns), system, tuple(one.qualified for one in family))


def _origins(family: list[Relation], name: str) -> frozenset[Origin]:
    return frozenset(
        Origin(one.qualified, name, one.oid, column.number)
        for one in family
        for column in one.columns
        if column.name == name
    )


def _system_value(relation: Relation, name: str) -> Value:
    number = SYSTEM_COLUMNS[name]
    return Value(frozenset([Origin(relation.qualified, name, relation.oid, number)]), type=SYSTEM_TYPES[number])


def known(catalog: Catalog) -> Known:
    """Kept with the catalog, for as long as that is."""
    found: Known | None = catalog.cache.get("known")
    if found is None:
        found = catalog.cache["known"] = _known(catalog)
    return found


def _known(catalog: Catalog) -> Known:
    children: dict[int, list[int]] = {}
    for relation in catalog.relations_by_oid.values():
        for parent in relation.parents:
            children.setdefault(parent, []).append(relation.oid)
    operators: dict[str, list[Operator]] = {}
    for operator in catalog.operators:
        operators.setdefault(operator.name, []).append(operator)
    types: dict[str, list[Type]] = {}
    for one in catalog.types.values():
        types.setdefault(one.name, []).append(one)
    return Known(
        catalog,
        {oid: tuple(found) for oid, found in children.items()},
        {name: tuple(found) for name, found in types.items()},
        frozenset(target for _, target, _ in catalog.user_casts),
        {name: tuple(found) for name, found in operators.items()},
    )
