"""
What functions do: the statements of their bodies, and of the bodies of what these call.

A function is read once for a catalog and search path, by itself. What runs with a statement is then a walk over who
calls whom, in which each function stands once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from extproc.postgres.catalog import Function
from extproc.postgres.sql.bodies import Body as Source
from extproc.postgres.sql.bodies import Fragment, body_of
from extproc.postgres.sql.frame import MOST_STATEMENTS, Call, Frame, Run, walk
from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.lineage import NO_ORIGINS, Columns, Value
from extproc.postgres.sql.model import Origin, SqlError, Statement
from extproc.postgres.sql.parse import Parsed, parse

_SEARCH_PATH: Final = "search_path="


@dataclass(frozen=True, slots=True)
class Routine:
    """
    A body that was read. `calls` and the statements' `via` start from it; `reads` are the columns that its statements
    use in any way; `output` is what the last statement of a function in SQL gives.
    """

    statements: tuple[Statement, ...] = ()
    calls: tuple[Call, ...] = ()
    doubts: tuple[str, ...] = ()
    reads: frozenset[Origin] = NO_ORIGINS
    output: Columns | None = None
    dynamic: bool = False


_OPEN: Final = Routine()


def body(run: Run, function: Function, path: tuple[str, ...]) -> Routine:
    """
    Of a function in sql or plpgsql. One that is being read already gives nothing more; what was read while it was is
    not kept, as it lacks what this one does.
    """
    path = path_of(run, function, path)
    key = (function.oid, path)
    found: Routine | None = run.known.bodies.get(key)
    if found is not None:
        return found
    if function.oid in run.open_bodies:
        run.cut = True
        return _OPEN
    before, run.cut = run.cut, False
    run.open_bodies.add(function.oid)
    made = _read(run, function, path)
    run.open_bodies.discard(function.oid)
    if run.cut and run.open_bodies:
        return made
    run.cut = before
    run.known.bodies[key] = made
    return made


def path_of(run: Run, function: Function, path: tuple[str, ...]) -> tuple[str, ...]:
    """The search path in a function: its own, where it sets one (pg_catalog is first unless it is named)."""
    for setting in function.config:
        if setting.startswith(_SEARCH_PATH):
            names = [one.strip().strip('"') for one in setting.removeprefix(_SEARCH_PATH).split(",")]
            own = tuple(run.known.catalog.role if one == "$user" else one for one in names if one)
            return own if "pg_catalog" in own else ("pg_catalog", *own)
    return path


def _read(run: Run, function: Function, path: tuple[str, ...]) -> Routine:
    source = body_of(function)
    frame = Frame(run, "body", path, variables=source.variables, body=True)
    output = read_into(frame, source)
    frames = list(walk(frame))[1:]
    doubts = (*source.doubts, *frame.doubts)
    return Routine(
        tuple(one.done() for one in frames),
        tuple(call for one in frames for call in one.calls),
        doubts,
        frozenset(origin for one in frames for origin in one.uses),
        output if function.language == "sql" else None,
        bool(doubts),
    )


def read_into(frame: Frame, source: Source, step: str = "") -> Columns | None:
    """The statements of a body as statements within a frame, `step` away from it; what the last one gives."""
    via = (*frame.via, step) if step else frame.via
    output = None
    for fragment in source.fragments:
        for parsed in _parsed(fragment, frame):
            output = None
            child = Frame(frame.run, kind_of(parsed.node), frame.path, via, source.variables, body=True)
            frame.nested.append(child)
            rows = frame.run.statement(parsed.node, child)
            if rows is not None and rows.known:
                output = rows.columns
            if _is_idle(child):
                frame.nested.remove(child)
    return output


def _is_idle(frame: Frame) -> bool:
    """An expression over variables alone."""
    return frame.kind == "select" and not (frame.tables or frame.functions or frame.doubts or frame.nested)


def _parsed(fragment: Fragment, frame: Frame) -> list[Parsed]:
    """An expression of PL/pgSQL is what could stand after SELECT (docs, 41.4)."""
    try:
        return parse(f"SELECT {fragment.text}" if fragment.kind == "expression" else fragment.text)
    except SqlError:
        frame.doubt("a statement of a body cannot be read")
        return []


def result(run: Run, function: Function, path: tuple[str, ...]) -> Value:
    """What may be in the result of a function: whatever it or what it calls reads."""
    origins: set[Origin] = set()
    sure = True
    for _, routine in _reached(run, [((), "function", function.oid)], path):
        origins |= routine.reads
        sure = sure and not routine.doubts and all(one.sure for one in routine.statements)
    return Value(frozenset(origins), direct=not origins, sure=sure)


def statements(run: Run, calls: Iterable[Call], path: tuple[str, ...]) -> list[Statement]:
    """The statements of all bodies that run with these calls, each with the way to it."""
    found: list[Statement] = []
    for via, routine in _reached(run, calls, path):
        found += [replace(one, via=via + one.via) for one in routine.statements]
        if len(found) > MOST_STATEMENTS:
            found.append(Statement("unknown", sure=False, doubts=("too many statements in bodies",)))
            break
    return found


def _reached(run: Run, calls: Iterable[Call], path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Routine]]:
    waiting = [(via, label, oid, path) for via, label, oid in calls]
    seen: set[int] = set()
    while waiting:
        via, label, oid, own = waiting.pop(0)
        function = run.known.catalog.functions_by_oid.get(oid)
        if oid in seen or function is None:
            continue
        seen.add(oid)
        run.spend(1)
        routine = body(run, function, own)
        via = (*via, f"{label}:{function.qualified}")
        yield via, routine
        inside = path_of(run, function, own)
        waiting += [(via + more, kind, called, inside) for more, kind, called in routine.calls]
