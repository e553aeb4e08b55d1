"""
Reads the catalog of a database: what to ask a server, and what its answers mean. Nothing here talks to one.

    session = look(rows of LOOK)                   # 1 ms: who, where, and a token of all that the database holds
    own = part(results of OWN)                     # once per token, by `session.key`
    built_in = part(results of BUILT_IN)           # once per release of the server, by `session.release`
    catalog = combine(session, built_in, own)      # may be shared by all connections with the same `session`

`OWN` and `BUILT_IN` are sequences of statements for the simple protocol that leave the connection as it was. Joined by
semicolons to one query string, they let no ParameterStatus come. LOOK is among them, seen in the same snapshot. In a
transaction that the client has open, `within(OWN)` does the same. After an error (55P03: somebody holds a lock) the
caller has to send ROLLBACK, there `WITHIN_FAILED`. A result is a list of rows, a row a sequence of texts or None.
Whoever keeps parts keeps them by resource as well.

In a transaction of isolation level REPEATABLE READ or SERIALIZABLE, LOOK and all of these see the catalog as it was
when the transaction began. PostgreSQL itself looks names up in the catalog as it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from extproc.postgres.catalog import Catalog, Column, Function, Operator, Relation, Type, Volatility
from extproc.postgres.database import introspect_sql as sql

Rows = Sequence[Sequence[str | None]]
LOOK: Final = sql.LOOK
_BEGIN: Final = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
OWN: Final = (*_BEGIN, sql.LOOK, sql.PRINTING, *sql.OWN, "COMMIT")
BUILT_IN: Final = (*_BEGIN, sql.LOOK, sql.PRINTING, *sql.BUILT_IN, "COMMIT")
_FIRST: Final = 3  # the place of the first part in a sequence
_PLACE: Final = "extproc_catalog"
WITHIN_FAILED: Final = f"ROLLBACK TO SAVEPOINT {_PLACE}; RELEASE SAVEPOINT {_PLACE}"
_VOLATILITY: Final[dict[str, Volatility]] = {"i": "immutable", "s": "stable", "v": "volatile"}


class CatalogError(Exception):
    """The server's answers are not what was asked for. Nothing can be said about statements then."""


@dataclass(frozen=True, slots=True)
class Session:
    """
    `search_path` is current_schemas(true). `token` changes with whatever the database holds of its own, `release` is
    the server's version in full: equal ones have the same built-in objects.
    """

    server_version: int
    database: str
    role: str
    search_path: tuple[str, ...]
    release: str
    token: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for all connections to one server for which the database's own part is the same."""
        return self.release, self.database, self.token


@dataclass(frozen=True, slots=True)
class Part:
    """
    One half of a catalog. `event_triggers` are (event, OID of the function): those of `login` run at each login, the
    others at DDL.
    """

    session: Session
    relations: tuple[Relation, ...]
    functions: tuple[Function, ...]
    types: tuple[Type, ...]
    operators: tuple[Operator, ...]
    casts: tuple[tuple[int, int, int], ...]
    event_triggers: tuple[tuple[str, int], ...]
    fingerprint: str


def within(statements: Sequence[str]) -> tuple[str, ...]:
    """The same statements inside a transaction that is open; places in the results stay the same but for the end's."""
    middle = statements[1:-1]
    return (f"SAVEPOINT {_PLACE}", *middle, *WITHIN_FAILED.split("; "))


def look(rows: Rows) -> Session:
    """Raises `CatalogError`."""
    try:
        ((version, database, role, path, release, *tokens),) = rows
        token = hashlib.sha256(repr(tokens).encode()).hexdigest()[:32]
        return Session(int(_text(version)), _text(database), _text(role), _names(path), _text(release), token)
    except (ValueError, TypeError) as error:
        raise CatalogError("what the server says of the connection cannot be read") from error


def part(results: Sequence[Rows]) -> Part:
    """From the results of `OWN`, `BUILT_IN` or `within(…)`, all of them. Raises `CatalogError`."""
    if len(results) < len(OWN):
        raise CatalogError("the server's catalog did not come whole")
    session = look(results[1])
    given = results[_FIRST : _FIRST + len(sql.OWN)]
    relations, functions, types, operators, casts, events = given
    try:
        return Part(
            session,
            tuple(map(_relation, relations)),
            tuple(map(_function, functions)),
            tuple(map(_type, types)),
            tuple(Operator(_text(schema), _text(name), _int(function)) for schema, name, function in operators),
            tuple((_int(source), _int(target), _int(function)) for source, target, function in casts),
            tuple((_text(event), _int(function)) for _, event, function in events),
            _hash(given),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CatalogError("the server's catalog cannot be read") from error


def combine(session: Session, built_in: Part, own: Part) -> Catalog:
    """Raises `CatalogError` where the parts are not of this session's server, database and state."""
    if own.session.key != session.key or built_in.session.release != session.release:
        raise CatalogError("the parts of the catalog do not belong together")
    relations = (*built_in.relations, *own.relations)
    functions = (*built_in.functions, *own.functions)
    about = (session.server_version, session.database, session.role, session.search_path)
    return Catalog(
        *about,
        relations={(one.schema, one.name): one for one in relations},
        relations_by_oid={one.oid: one for one in relations},
        functions=_by_name(functions),
        functions_by_oid={one.oid: one for one in functions},
        types={one.oid: one for one in (*built_in.types, *own.types)},
        operators=own.operators,
        fingerprint=_hash([about, built_in.fingerprint, own.fingerprint]),
        user_casts=own.casts,
    )


def _by_name(functions: Iterable[Function]) -> dict[str, tuple[Function, ...]]:
    found: dict[str, list[Function]] = {}
    for function in functions:
        found.setdefault(function.name, []).append(function)
    return {name: tuple(named) for name, named in found.items()}


def _relation(row: Sequence[str | None]) -> Relation:
    oid, schema, name, kind, columns, definition, triggers, ruled, cascades, parents = row
    return Relation(
        _int(oid),
        _text(schema),
        _text(name),
        _text(kind),
        tuple(Column(name, number, int(type_)) for name, number, type_ in orjson.loads(columns or "[]")),
        definition or "",
        _oids(triggers),
        ruled == "t",
        _oids(cascades),
        _oids(parents),
    )


def _function(row: Sequence[str | None]) -> Function:
    oid, schema, name, kind, count, defaults, variadic, volatility, language, returns, source, definition = row[:12]
    definer, config, extension = row[12:]
    return Function(
        _int(oid),
        _text(schema),
        _text(name),
        _text(kind),
        _int(count) - _int(defaults),
        None if _int(variadic) else _int(count),
        _VOLATILITY[_text(volatility)],
        _text(language),
        _int(returns),
        source or "",
        definition or "",
        definer == "t",
        _names(config),
        extension or "",
    )


def _type(row: Sequence[str | None]) -> Type:
    oid, schema, name, kind, category, element, base, relation = row
    numbers = (int(element or 0), _int(base), _int(relation))
    return Type(_int(oid), _text(schema), _text(name), _text(kind), _text(category), *numbers)


def _text(value: str | None) -> str:
    if value is None:
        raise TypeError("NULL where there is always a value")
    return value


def _int(value: str | None) -> int:
    return int(_text(value))


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(orjson.loads(value)) if value else ()


def _oids(value: str | None) -> tuple[int, ...]:
    """An array of OIDs as PostgreSQL prints it: {1,2}."""
    return tuple(int(one) for one in value.strip("{}").split(",")) if value else ()


def _hash(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:32]
