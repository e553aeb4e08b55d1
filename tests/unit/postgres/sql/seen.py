"""What an analysis says, in short: for tables of statements beside what must be seen in them."""

from __future__ import annotations

from functools import cache
from typing import Final

from extproc.postgres.catalog import Catalog
from extproc.postgres.sql.analyse import analyse
from extproc.postgres.sql.model import Analysis, Statement
from tests.unit.postgres.sql.shop import shop

SHOP: Final = shop()


@cache
def analysed(text: str) -> Analysis:
    return analyse(text, SHOP)


def statements(text: str, catalog: Catalog | None = None) -> tuple[Statement, ...]:
    return (analysed(text) if catalog is None else analyse(text, catalog)).statements


def kinds(text: str) -> set[str]:
    """Of all statements, nested ones as well."""
    return {one.kind for one in statements(text)}


def top(text: str) -> str:
    """The kinds of the statements of the text itself, in order."""
    return " ".join(one.kind for one in statements(text) if not one.via)


def tables(text: str) -> str:
    return short(name for one in statements(text) for name in one.tables)


def writes(text: str, catalog: Catalog | None = None) -> str:
    """Tables that are written anywhere in it; those of `public` without their schema."""
    return short(name for one in statements(text, catalog) for name in one.writes)


def short(names: object) -> str:
    assert hasattr(names, "__iter__")
    return " ".join(sorted({name.removeprefix("public.") for name in names}))


def sure(text: str) -> bool:
    return all(one.sure for one in statements(text))


def uses(text: str, column: str = "public.customers.ssn") -> set[str]:
    """All that is done with a column, anywhere in it."""
    return {
        use
        for one in statements(text)
        for found in one.columns
        if f"{found.table}.{found.column}" == column
        for use in found.uses
    }


def functions(text: str) -> set[str]:
    return {found.name for one in statements(text) for found in one.functions}


def volatile(text: str) -> set[str]:
    return {found.name for one in statements(text) for found in one.functions if found.volatility == "volatile"}


def output(text: str) -> str:
    """
    The last statement's output: `name=origin`, `name~origins` for an expression, `name?` where it is not sure; "none"
    where none comes back, "unknown" where its shape is not known.
    """
    step = analysed(text).steps[-1]
    if not step.output_sure:
        return "unknown"
    if step.output is None:
        return "none"
    found = []
    for column in step.output:
        origins = "+".join(sorted(f"{one.table.removeprefix('public.')}.{one.column}" for one in column.origins))
        found.append(f"{column.name}{'=' if column.direct else '~'}{origins}{'' if column.sure else '?'}")
    return " ".join(found)
