"""
What a query string does: `analyse`. Pure: a text and a catalog in, an `Analysis` out, and the same for the same.

The ways through it: `statements` (kinds) → `query` (SELECT), `writes` (INSERT …), `definitions` (DDL) → `from_clause`,
`expressions` → `scope` (names), `calls` (functions) → `routines` (their bodies), `relations` (views).
"""

from __future__ import annotations

from dataclasses import replace

import postgast

from extproc.postgres.catalog import Catalog
from extproc.postgres.sql import limits, routines
from extproc.postgres.sql.facts import facts_of
from extproc.postgres.sql.frame import Frame, Run, TooMuchError, walk
from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.known import known
from extproc.postgres.sql.lineage import UNSURE, Rows
from extproc.postgres.sql.model import Analysis, Origin, OutputColumn, Setting, SqlError, Statement, Step
from extproc.postgres.sql.parse import Parsed, parse_plain
from extproc.postgres.sql.query import query
from extproc.postgres.sql.relations import origins_in
from extproc.postgres.sql.statements import statement
from extproc.postgres.sql.steps import moves_names, step_of
from extproc.postgres.sql.writes import writing

_TOO_MUCH = "too large or too deep to be followed"
_CHANGED = "an earlier statement of the same string may change what names mean"


def analyse(text: str, catalog: Catalog) -> Analysis:
    """Raises `SqlError` for what the grammar refuses, or what is too large for it."""
    run = _run(catalog)
    statements: list[Statement] = []
    steps: list[Step] = []
    changed = False
    plain = limits.plain(text)
    for parsed in parse_plain(plain):
        found, step = _top(parsed, run)
        if changed:
            found, step = _doubted(found), replace(step, output_sure=False)
        changed = changed or step.changes_catalog or moves_names(step)
        statements += found
        steps.append(step)
    return Analysis(text, tuple(statements), tuple(steps), _fingerprint(plain), facts_of(statements))


def origins_of(catalog: Catalog, relation_oid: int, attnum: int) -> frozenset[Origin] | None:
    """
    The base columns behind a column of a relation or view, as RowDescription names it; 0 means a whole row. None where
    they are not known.
    """
    try:
        return origins_in(_run(catalog), relation_oid, attnum)
    except Exception:
        return None


def _run(catalog: Catalog) -> Run:
    return Run(known(catalog), query, writing, statement)


def _fingerprint(text: str) -> str:
    """Of a text without comments."""
    try:
        return str(postgast.fingerprint(text).hex)
    except postgast.PgQueryError:
        return ""


def _top(parsed: Parsed, run: Run) -> tuple[list[Statement], Step]:
    """A top-level statement with all that are in it. One that cannot be followed may do anything."""
    try:
        kind, step = kind_of(parsed.node), step_of(parsed.node)
    except Exception as error:  # the grammar makes no such tree; without its step no state can be kept
        raise SqlError("0A000", "the statement cannot be read") from error
    frame = Frame(run, kind, run.known.catalog.search_path)
    run.restart()
    rows: Rows | None
    try:
        rows = statement(parsed.node, frame)
        frames = list(walk(frame))
        found = [one.done() for one in frames]
        found += routines.statements(run, (call for one in frames for call in one.calls), frame.path)
    except Exception as error:
        doubt = (
            _TOO_MUCH if isinstance(error, TooMuchError | RecursionError) else f"not followed: {type(error).__name__}"
        )
        rows = Rows((), known=False, rest=UNSURE)
        found = [Statement(kind, sure=False, doubts=(doubt,))]
    return found, _completed(step, rows, found, parsed)


def _doubted(found: list[Statement]) -> list[Statement]:
    """What was read with a catalog that an earlier statement of the same string may have changed."""
    return [replace(one, sure=False, doubts=(*one.doubts, _CHANGED)) for one in found]


def _completed(step: Step, rows: Rows | None, found: list[Statement], parsed: Parsed) -> Step:
    changes = step.changes_catalog or not found[0].sure or any(not one.sure or _defines(one.kind) for one in found[1:])
    settings = _settings(found)
    output, sure = _output(rows)
    if step.prepares or step.declares:
        text = _after(parsed.text, "AS" if step.prepares else "FOR")
        nested = tuple(replace(one, via=one.via[1:]) for one in found[1:])
        kind = nested[0].kind if nested else "unknown"
        inside = Step(kind, output=output, output_sure=sure, settings=settings, changes_catalog=changes)
        inner = Analysis(text, nested or tuple(found), (inside,), _fingerprint(text), facts_of(nested or found))
        return replace(step, output=None, output_sure=True, inner=inner)
    return replace(step, output=output, output_sure=sure, settings=settings, changes_catalog=changes)


def _settings(found: list[Statement]) -> tuple[Setting, ...]:
    """
    All that is set, by SET, set_config or a body that runs. What the functions of a database keep in settings of their
    own (with a dot in the name) is theirs.
    """
    return tuple(setting for one in found for setting in one.settings if not (_in_body(one) and "." in setting.name))


def _in_body(one: Statement) -> bool:
    return any(step.startswith(("function:", "trigger:")) for step in one.via)


def _after(text: str, word: str) -> str:
    """The statement in a PREPARE or DECLARE: what follows the keyword (neither may stand before it unquoted)."""
    data = text.encode()
    for token in postgast.scan(text).tokens:
        if data[token.start : token.end].upper() == word.encode():
            return data[token.end :].decode().strip()
    return ""


def _output(rows: Rows | None) -> tuple[tuple[OutputColumn, ...] | None, bool]:
    if rows is None:
        return None, True
    output = tuple(OutputColumn(name, value.origins, value.direct, value.sure) for name, value in rows.columns)
    return output, rows.known


def _defines(kind: str) -> bool:
    return kind.startswith(("create", "alter", "drop", "rename", "grant", "revoke", "import", "reassign", "load"))
