"""
Calls: which functions a name may mean, and what is known of them. Overloading goes by types, which are not followed
here: every candidate by name and number of arguments is assumed to be called.
"""

from __future__ import annotations

from typing import Any

from extproc.postgres.catalog import Function
from extproc.postgres.sql import older, routines
from extproc.postgres.sql.builtins import BUILT_IN_SCHEMAS, NO_RESULT, POLYMORPHIC
from extproc.postgres.sql.effects import runs_unseen
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.lineage import ARGUMENT, UNSURE, Value, mixed, unsure
from extproc.postgres.sql.model import FunctionUse, Setting
from extproc.postgres.sql.parse import inner


def candidates(names: list[str], count: int, frame: Frame) -> list[Function]:
    """All that a call with this many arguments may mean; all of the name where none takes as many."""
    names = older.meant(names, frame)
    every = frame.run.known.functions(frame.path, names[-2] if len(names) > 1 else "", names[-1])
    frame.run.spend(len(every))
    return [one for one in every if one.least <= count and (one.most is None or count <= one.most)] or every


def called(names: list[str], values: list[Value], count: int, frame: Frame) -> Value:
    """The result of a call over arguments whose uses are counted already."""
    found = candidates(names, count, frame)
    if not found:
        return _no_function(names, values, frame)
    results = [run_function(one, frame) for one in found]
    kinds = {one.returns for one in found}
    kind = kinds.pop() if len(kinds) == 1 else 0
    return mixed([*values, *results], 0 if kind in POLYMORPHIC else kind)


def _no_function(names: list[str], values: list[Value], frame: Frame) -> Value:
    """`email(c)` is `c.email` (docs, 36.5.3), `int8(x)` may be a cast; else nobody knows what it is."""
    if len(values) == 1:
        for name, value in values[0].fields or ():
            if name == names[-1]:
                return value
        kind = frame.run.known.type_named(frame.path, names)
        if kind is not None:
            return mixed(values, kind.oid)
    schema = names[-2] if len(names) > 1 else ""
    frame.add_function(FunctionUse(f"{schema}.{names[-1]}", "unknown"))
    frame.doubt(f"unknown function {'.'.join(names)}")
    return unsure(mixed(values)) if values else UNSURE


def run_function(function: Function, frame: Frame, label: str = "function") -> Value:
    """A function that runs with the statement, and what its result may hold beside its arguments."""
    unseen = runs_unseen(function)
    if function.schema in BUILT_IN_SCHEMAS and not function.extension:
        frame.add_function(FunctionUse(function.qualified, function.volatility, function.language, unseen))
        if unseen:
            frame.doubt(f"dynamic function {function.qualified}")
        return Value()
    if unseen or function.language not in ("sql", "plpgsql"):
        frame.add_function(FunctionUse(function.qualified, function.volatility, function.language, unseen))
        if unseen:
            frame.doubt(f"function {function.qualified} in language {function.language}")
        return UNSURE if unseen else Value()
    frame.calls[frame.via, label, function.oid] = None
    body = routines.body(frame.run, function, frame.path)
    frame.add_function(FunctionUse(function.qualified, function.volatility, function.language, body.dynamic))
    for doubt in body.doubts:
        frame.doubt(f"{function.qualified}: {doubt}")
    if function.returns in NO_RESULT:
        return Value()
    result = routines.result(frame.run, function, frame.path)
    frame.use(result, ARGUMENT)
    return result


def by_attribute(name: str, row: Value, frame: Frame) -> Value | None:
    """`c.initials` where initials(customers) is a function; None where there is none."""
    found = [one for one in frame.run.known.functions(frame.path, "", name) if one.least <= 1]
    if not found:
        return None
    frame.use(row, ARGUMENT)
    return mixed([row, *(run_function(one, frame) for one in found)])


def set_config(arguments: list[Any], frame: Frame) -> None:
    """`set_config('name', 'value', local)` sets as SET does; what is not a plain constant may be any name or value."""
    constants = [_constant(inner(one)) for one in arguments] + [None] * 3
    name, value, local = constants[:3]
    frame.settings.append(Setting((name or "").lower(), value, local == "true"))
    if not name or value is None or len(arguments) != 3:
        frame.doubt("set_config that is not constant")


def _constant(node: Any) -> str | None:
    if type(node).__name__ != "A_Const" or node.isnull:
        return None
    which = node.WhichOneof("val")
    if which == "sval":
        return str(node.sval.sval)
    if which == "boolval":
        return "true" if node.boolval.boolval else "false"
    return None
