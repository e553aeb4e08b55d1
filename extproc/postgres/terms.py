"""
What policy's mask rules mean for one statement and for the shapes of its results.

Statements come again and again, and so do policy's answers to them: this is worked out once for both (120 µs), and kept
with the statement's analysis. Analyses belong to a catalog, and end with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from extproc.errors import Refusal
from extproc.model import JSON, MaskRule
from extproc.postgres.catalog import Catalog
from extproc.postgres.masking.masks import DataRows, row_filter
from extproc.postgres.plan import ColumnRules, Field, strategies
from extproc.postgres.reading import Reading
from extproc.postgres.sql.model import Analysis, Statement, Step

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 16  # decisions for a statement, shapes under a decision; more are worked out again


@dataclass(frozen=True, slots=True)
class Terms:
    """
    `refused` says why policy's rules do not allow the statement ("": they do), `touched` whether errors and notices may
    quote what is masked.
    """

    rules: tuple[MaskRule, ...]
    columns: ColumnRules
    refused: str
    touched: bool
    masks: dict[tuple[int, tuple[Field, ...]], tuple[Step | None, DataRows]] = field(default_factory=dict)


def terms_of(analysis: Analysis, rules: tuple[MaskRule, ...]) -> Terms:
    known: dict[int, Terms] = analysis.cache.setdefault("terms", {})
    # By the very object, as a decision that is remembered is one: to compare rules costs as much as to read them. It is
    # kept in what is found, so nothing else can have its place.
    found = known.get(id(rules))
    if found is None or found.rules is not rules:
        columns = ColumnRules(rules)
        statements = analysis.statements if columns else ()
        touched = any(not one.sure or columns.touches(one.columns) for one in statements)
        found = Terms(rules, columns, _refused(columns, statements), touched)
        _keep(known, id(rules), found)
    return found


def masks_of(terms: Terms, step: Step | None, fields: tuple[Field, ...], reading: Reading, key: bytes) -> DataRows:
    """What masks a result of `step`; take a fresh one of it. Raises `Refusal` (response_unmaskable)."""
    found = terms.masks.get((id(step), fields))
    if found is None or found[0] is not step:
        output = step.output if step is not None and step.output_sure else None
        plan = strategies(terms.columns, output, fields, reading.origins_of)
        found = step, row_filter(plan, fields, terms.rules, reading.catalog, key)
        _keep(terms.masks, (id(step), fields), found)
    return found[1]


def columns_of(analysis: Analysis, fields: tuple[Field, ...], catalog: Catalog) -> list[JSON]:
    """The columns of a result for policy and the record."""
    known: dict[tuple[Field, ...], list[JSON]] = analysis.cache.setdefault("columns", {})
    found = known.get(fields)
    if found is None:
        types = catalog.types
        found = [
            {
                "name": one.name,
                "type": types[one.type].name if one.type in types else str(one.type),
                "oid": one.type,
                "format": "binary" if one.binary else "text",
            }
            for one in fields
        ]
        _keep(known, fields, found)
    return found


def require_allowed(analysis: Analysis, rules: tuple[MaskRule, ...]) -> None:
    """Raises `Refusal` (column_protected): what policy masks may be selected as it is and nothing else."""
    if refused := terms_of(analysis, rules).refused:
        raise Refusal("column_protected", refused)


def _refused(columns: ColumnRules, statements: Sequence[Statement]) -> str:
    for statement in statements:
        if not statement.sure:
            return "policy masks columns, and what this statement does is not certain"
        for use in statement.columns:
            if beyond := columns.beyond(use):
                return f"{use.table}.{use.column} is masked: no {', '.join(beyond)}"
    return ""


def _keep(where: dict[K, V], key: K, value: V) -> None:
    if len(where) >= _MOST:
        where.clear()
    where[key] = value
