"""What a database holds, as far as the meaning of a statement depends on it: plain data, read by introspect.py.

Built-in objects (schemas pg_catalog and information_schema) are part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Volatility = Literal["immutable", "stable", "volatile"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a relation: `number` is pg_attribute.attnum (from 1), `type` the OID of its type."""

    name: str
    number: int
    type: int


@dataclass(frozen=True, slots=True)
class Relation:
    """
    A table, view, sequence and so on. `kind` is pg_class.relkind (r table, p partitioned, v view, m materialised view,
    f foreign table, S sequence, c composite type).
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...] = ()
    definition: str = ""  # of v and m: pg_get_viewdef(oid), with every name qualified
    triggers: tuple[int, ...] = ()  # OIDs of the functions of its enabled user triggers
    ruled: bool = False  # has rewrite rules beside a view's own: what a statement on it does is unsure
    cascades: tuple[int, ...] = ()  # OIDs of tables that ON DELETE/UPDATE CASCADE | SET NULL | SET DEFAULT changes too
    parents: tuple[int, ...] = ()  # OIDs of the tables it inherits from or is a partition of

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Function:
    """
    A function, procedure or aggregate. `kind` is pg_proc.prokind (f, p, a, w). It takes `least` to `most` arguments
    (`most` is None for VARIADIC). `source` is the body of a user-defined function in sql or plpgsql ("" for other
    languages and built-in ones; of a SQL-standard body, pg_get_function_sqlbody); `definition` is pg_get_functiondef
    of the same.
    """

    oid: int
    schema: str
    name: str
    kind: str
    least: int
    most: int | None
    volatility: Volatility
    language: str
    returns: int  # OID of the type
    source: str = ""
    definition: str = ""
    security_definer: bool = False
    config: tuple[str, ...] = ()  # proconfig, e.g. ("search_path=app",)
    extension: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Operator:
    """A user-defined operator (schema other than pg_catalog), and the OID of the function behind it."""

    schema: str
    name: str
    function: int


@dataclass(frozen=True, slots=True)
class Type:
    """
    `kind` is pg_type.typtype (b base, c composite, d domain, e enum, p pseudo, r range, m multirange), `category`
    typcategory, `element` the OID of an array's element type (0: no array), `base` that of a domain's base type.
    """

    oid: int
    schema: str
    name: str
    kind: str
    category: str
    element: int = 0
    base: int = 0
    relation: int = 0  # OID of the relation whose rows a composite type is


@dataclass(frozen=True, slots=True)
class Catalog:
    """
    One look at a database, as one role sees it. `search_path` is `current_schemas(true)`; a name without a schema means
    the first one in it that has it.
    """

    server_version: int  # as server_version_num: 180006
    database: str
    role: str
    search_path: tuple[str, ...]
    relations: Mapping[tuple[str, str], Relation]  # by (schema, name)
    relations_by_oid: Mapping[int, Relation]
    functions: Mapping[str, tuple[Function, ...]]  # by name; every schema
    functions_by_oid: Mapping[int, Function]
    types: Mapping[int, Type]  # by OID
    operators: tuple[Operator, ...] = ()
    fingerprint: str = ""  # differs once anything above does
    user_casts: tuple[tuple[int, int, int], ...] = field(default=())  # (source, target, function) of user-defined casts
    cache: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)  # what follows from it

    def relation(self, schema: str, name: str) -> Relation | None:
        """By name, "" for no schema (then by the search path)."""
        if schema:
            return self.relations.get((schema, name))
        for one in self.search_path:
            found = self.relations.get((one, name))
            if found is not None:
                return found
        return None

    def functions_named(self, schema: str, name: str) -> tuple[Function, ...]:
        """Every function that a call may mean: overloading is by argument types, so the caller assumes the worst."""
        named = self.functions.get(name, ())
        schemas = (schema,) if schema else self.search_path
        return tuple(function for function in named if function.schema in schemas)
