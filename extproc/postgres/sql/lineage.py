"""Where values come from: what the analysis says of every expression, column and set of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from extproc.postgres.sql.model import ColumnUse, Origin, Use

# Uses as bits, so that a column's are one number.
PROJECT, PREDICATE, ORDER, GROUP, JOIN, ARGUMENT, WRITE = (1 << number for number in range(7))
_NAMES: Final[tuple[Use, ...]] = ("project", "predicate", "order", "group", "join", "argument", "write")
_SETS: Final = tuple(
    frozenset(name for number, name in enumerate(_NAMES) if bits >> number & 1) for bits in range(1 << len(_NAMES))
)
NO_ORIGINS: Final[frozenset[Origin]] = frozenset()


@dataclass(slots=True, eq=False)
class Value:
    """
    What an expression gives: `origins`, `direct` and `sure` as `OutputColumn` has them. `type` is the OID of its type
    (0: not known). `fields` are the columns of a row. `plain`, of what is not direct, are those of the origins whose
    values may be there as they are (`SELECT ssn … UNION SELECT upper(name) …`): their use is still to count.
    """

    origins: frozenset[Origin] = NO_ORIGINS
    direct: bool = True
    sure: bool = True
    type: int = 0
    fields: Columns | None = None
    plain: frozenset[Origin] = NO_ORIGINS

    def passing(self) -> frozenset[Origin]:
        """The origins whose values may be there as they are."""
        return self.origins if self.direct else self.plain


Columns = tuple[tuple[str, Value], ...]
NOTHING: Final = Value()  # constants, parameters, variables
UNSURE: Final = Value(direct=False, sure=False)


@dataclass(slots=True, eq=False)
class Rows:
    """
    What a query gives. Where `known` is False there are columns whose number or names are not known (`SELECT *` from a
    function whose columns are not); `rest` is then what any of them may hold.
    """

    columns: Columns
    known: bool = True
    rest: Value = NOTHING


def mixed(values: Sequence[Value], kind: int = 0) -> Value:
    """The result of an expression over these."""
    if len(values) == 1:
        one = values[0]
        return Value(one.origins, direct=not one.origins, sure=one.sure, type=kind)
    origins, sure = gathered(values)
    return Value(origins, direct=not origins, sure=sure, type=kind)


def either(left: Value, right: Value) -> Value:
    """A value that is one of two: a branch of UNION, a row of VALUES."""
    if left is right or right is NOTHING:
        return left
    if left is NOTHING:
        return right
    kind = left.type if left.type == right.type else 0
    direct, sure = left.direct and right.direct, left.sure and right.sure
    plain = NO_ORIGINS if direct else left.passing() | right.passing()
    return Value(left.origins | right.origins, direct, sure, kind, plain=plain)


def any_of(values: Sequence[Value]) -> Value:
    """A value that is one of these, and nobody knows which."""
    origins, sure = gathered(values)
    plain = NO_ORIGINS.union(*(value.passing() for value in values))
    return Value(origins, direct=not origins, sure=sure, plain=plain)


def unsure(value: Value) -> Value:
    return replace(value, sure=False)


def gathered(values: Iterable[Value]) -> tuple[frozenset[Origin], bool]:
    """All origins, and whether all of them are sure."""
    found: set[Origin] = set()
    sure = True
    for value in values:
        if value.origins:
            found |= value.origins
        sure = sure and value.sure
    return (frozenset(found) if found else NO_ORIGINS), sure


def whole(columns: Columns, *, sure: bool = True, kind: int = 0) -> Value:
    """A row as one value."""
    origins, known = gathered(value for _, value in columns)
    return Value(origins, direct=False, sure=known and sure, type=kind, fields=columns)


def everything(rows: Rows) -> Value:
    """One value that may hold anything of these rows."""
    return any_of([*(value for _, value in rows.columns), rows.rest])


def both(left: Rows, right: Rows) -> Rows:
    """UNION and its kind: columns go by position, names by the left side."""
    if left.known and right.known and len(left.columns) == len(right.columns):
        pairs = zip(left.columns, right.columns, strict=True)
        return Rows(tuple((name, either(value, other)) for (name, value), (_, other) in pairs))
    rest = any_of([everything(left), everything(right)])
    return Rows(tuple((name, rest) for name, _ in left.columns), known=False, rest=rest)


def named(rows: Rows, names: Sequence[str]) -> Rows:
    """With the first columns renamed, as the column list of an alias does."""
    if not names:
        return rows
    if not rows.known:
        # Which column gets which name is not known: each may be any.
        every = everything(rows)
        return Rows(tuple((name, every) for name in names), known=False, rest=every)
    kept = rows.columns[len(names) :]
    renamed = tuple((name, value) for name, (_, value) in zip(names, rows.columns, strict=False))
    return Rows(renamed + kept)


def column_uses(uses: dict[Origin, int]) -> tuple[ColumnUse, ...]:
    return tuple(ColumnUse(origin.table, origin.column, _SETS[bits]) for origin, bits in sorted(uses.items()))
