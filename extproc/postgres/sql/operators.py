"""Operators and casts: mostly built in, but whoever has DDL can define more, with a function behind them."""

from __future__ import annotations

from typing import Any, Final

from extproc.postgres.sql import calls
from extproc.postgres.sql.builtins import OPERATORS, TEXTS
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.lineage import ARGUMENT, Value, mixed

_BETWEENS: Final = (11, 12, 13, 14)  # A_Expr_Kind


def operators_of(node: Any) -> list[list[str]]:
    """The operators that an A_Expr runs, each by its names."""
    return [[">="], ["<="]] if node.kind in _BETWEENS else [[one.string.sval for one in node.name]]


def called_by_operator(names: list[str], values: list[Value], frame: Frame) -> Value | None:
    """
    What the functions behind user-defined operators of this name give, None where there are none.

    Which operator is meant goes by types, so that all are assumed. An extension's operator that has the name of a
    built-in one (`=` of citext) is taken as this.
    """
    name = names[-1]
    known = frame.run.known
    found: list[Value] = []
    for one in known.operators.get(name, ()):
        if one.schema not in (names[:-1] or frame.path):
            continue
        function = known.catalog.functions_by_oid.get(one.function)
        if function is None:
            frame.doubt(f"unknown function behind operator {one.schema}.{name}")
        elif name not in OPERATORS or not function.extension:
            for value in values:
                frame.use(value, ARGUMENT)
            found.append(calls.run_function(function, frame))
    if name not in OPERATORS and not found:
        frame.doubt(f"unknown operator {name}")
    return mixed(found) if found else None


def cast(value: Value, type_name: Any, frame: Frame) -> Value:
    """
    To text or varchar without a length a value stays what it is. Any other cast may fail, and tell by that what the
    value was not.
    """
    names = [one.string.sval for one in type_name.names]
    kind = frame.run.known.type_named(frame.path, names) if names else None
    oid = kind.oid if kind is not None and not len(type_name.array_bounds) else 0
    if not value.origins and oid not in frame.run.known.cast_targets:
        return Value(type=oid, sure=value.sure)
    called = user_cast(value, oid, frame)
    plain = oid in TEXTS and not len(type_name.typmods) and value.fields is None
    if called is None and (plain or (oid and oid == value.type and not len(type_name.typmods))):
        return Value(value.origins, value.direct, value.sure, oid, value.fields)
    frame.use(value, ARGUMENT)
    return mixed([value] if called is None else [value, called], oid)


def user_cast(value: Value, target: int, frame: Frame) -> Value | None:
    """What a user-defined cast to a type gives: any, where the type of the value is not known."""
    known = frame.run.known
    if target not in known.cast_targets:
        return None
    found: list[Value] = []
    for source, to, oid in known.catalog.user_casts:
        if to != target or value.type not in (0, source):
            continue
        function = known.catalog.functions_by_oid.get(oid)
        if function is None:
            frame.doubt("unknown function behind a cast")
        else:
            found.append(calls.run_function(function, frame))
    return mixed(found) if found else None
