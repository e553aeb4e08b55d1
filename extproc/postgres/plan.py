"""From policy's rules to what happens to each column of a result. What cannot be told is masked whole or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.errors import Refusal
from extproc.model import MaskRule, Strategy
from extproc.postgres.sql.model import ColumnUse, Origin, OutputColumn
from extproc.redact.strategies import least

_SHAPES: Final[frozenset[Strategy]] = frozenset({"partial", "hash", "token"})  # they show something of the value

OriginsOf = Callable[[int, int], frozenset[Origin] | None]


@dataclass(frozen=True, slots=True)
class Field:
    """A column as RowDescription has it. `table` and `number` are 0 where the server does not say an origin."""

    name: str
    table: int
    number: int
    type: int
    binary: bool


class ColumnRules:
    """
    The rules of a decision that go by column. A rule names `column`, `table.column` or `schema.table.column`; capitals
    do not matter, as somebody who masks "SSN" means every column of that name.
    """

    def __init__(self, rules: Sequence[MaskRule]) -> None:
        self._rules: dict[str, tuple[Strategy, frozenset[str]]] = {}
        for rule in rules:
            for name in (*rule.columns, *rule.fields):
                self._add(name.lower(), rule.strategy, frozenset(rule.uses))

    def _add(self, name: str, strategy: Strategy, uses: frozenset[str]) -> None:
        known = self._rules.get(name)
        if known is not None:
            strategy, uses = least((strategy, known[0])), uses & known[1]
        self._rules[name] = (strategy, uses)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def for_column(self, table: str, column: str) -> tuple[Strategy, frozenset[str]] | None:
        """What is said of a column of `table` (schema.name): of several rules, what shows least."""
        qualified = f"{table}.{column}".lower()
        short = qualified.partition(".")[2] if table.count(".") == 1 else qualified
        found = [rule for name in (qualified, short, column.lower()) if (rule := self._rules.get(name)) is not None]
        if not found:
            return None
        return least(one for one, _ in found), frozenset.intersection(*(uses for _, uses in found))

    def named(self, name: str) -> Strategy | None:
        """What is said of whatever has this name."""
        found = self._rules.get(name.lower())
        return found[0] if found else None

    def beyond(self, use: ColumnUse) -> list[str]:
        """The uses of a masked column that no rule allows."""
        rule = self.for_column(use.table, use.column)
        return sorted(use.uses - {"project"} - rule[1]) if rule else []

    def touches(self, uses: Sequence[ColumnUse]) -> bool:
        return any(self.for_column(use.table, use.column) is not None for use in uses)


def strategies(
    rules: ColumnRules,
    output: Sequence[OutputColumn] | None,
    fields: Sequence[Field],
    origins_of: OriginsOf,
) -> list[tuple[str, Strategy] | None]:
    """
    For each field of a result what to do with it, and the name under which it is counted.

    `output` is the lineage that was worked out from the statement, None where there is none. It is held against what
    the server says. Raises `Refusal("response_unmaskable")` where the two do not agree.
    """
    if not rules:
        return [None] * len(fields)
    if output is None or len(output) != len(fields):
        raise Refusal("response_unmaskable", "the columns that came back are not those that the statement promised")
    return [_strategy(rules, column, field, origins_of) for column, field in zip(output, fields, strict=True)]


def _strategy(
    rules: ColumnRules, column: OutputColumn, field: Field, origins_of: OriginsOf
) -> tuple[str, Strategy] | None:
    origins = column.origins
    if field.table:
        said = origins_of(field.table, field.number)
        if said is None or (column.sure and not said <= origins):
            raise Refusal("response_unmaskable", "a column comes from elsewhere than the statement says")
        origins |= said
    if not column.sure:
        return field.name, "mask"
    found = [(origin, rule[0]) for origin in sorted(origins) if (rule := rules.for_column(origin.table, origin.column))]
    named = rules.named(field.name)
    if not found:
        return (field.name, named) if named else None
    strategy = least(one for _, one in found)
    if named:
        strategy = least((strategy, named))
    # A part of what was computed from a value may be the value.
    if not column.direct and strategy in _SHAPES:
        strategy = "mask"
    origin = found[0][0]
    return f"{origin.table.rpartition('.')[2]}.{origin.column}", strategy
