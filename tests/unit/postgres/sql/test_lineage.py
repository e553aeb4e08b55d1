"""Values and rows, put together."""

from __future__ import annotations

from extproc.postgres.sql.lineage import (
    GROUP,
    NOTHING,
    PROJECT,
    Rows,
    Value,
    any_of,
    both,
    column_uses,
    either,
    mixed,
    named,
)
from extproc.postgres.sql.model import ColumnUse, Origin

A, B = Origin("public.t", "a"), Origin("public.t", "b")
ONE, OTHER = Value(frozenset([A])), Value(frozenset([B]))


def test_what_is_computed_is_not_direct() -> None:
    assert mixed([ONE, OTHER]).origins == {A, B}
    assert not mixed([ONE]).direct
    assert mixed([NOTHING, NOTHING]).direct
    assert not mixed([ONE, Value(sure=False)]).sure


def test_one_of_two_is_direct_if_both_are() -> None:
    assert either(ONE, OTHER).direct
    assert either(ONE, NOTHING) is ONE
    computed = either(ONE, mixed([OTHER]))
    assert not computed.direct
    assert computed.passing() == {A}  # its use is still to count


def test_one_of_many_passes_all_on() -> None:
    assert any_of([ONE, mixed([OTHER])]).passing() == {A}
    assert not any_of([ONE, OTHER]).direct


def test_rows_of_unknown_shape_may_hold_anything_anywhere() -> None:
    rows = both(Rows((("x", ONE),)), Rows((("y", OTHER), ("z", NOTHING))))
    assert not rows.known
    assert rows.columns[0][1].origins == {A, B}
    renamed = named(rows, ["p", "q"])
    assert [(name, set(value.origins)) for name, value in renamed.columns] == [("p", {A, B}), ("q", {A, B})]


def test_an_alias_may_name_some_columns() -> None:
    rows = named(Rows((("x", ONE), ("y", OTHER))), ["p"])
    assert [name for name, _ in rows.columns] == ["p", "y"]


def test_uses_have_names() -> None:
    assert column_uses({B: PROJECT | GROUP, A: 0}) == (
        ColumnUse("public.t", "a", frozenset()),
        ColumnUse("public.t", "b", frozenset({"project", "group"})),
    )
