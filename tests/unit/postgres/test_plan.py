from __future__ import annotations

import pytest

from extproc.errors import Refusal
from extproc.model import MaskRule, Strategy
from extproc.postgres.plan import ColumnRules, Field, strategies
from extproc.postgres.sql.model import ColumnUse, Origin, OutputColumn, Use

SSN = Origin("public.customers", "ssn", 16400, 7)
NAME = Origin("public.customers", "name", 16400, 2)
ORDERS = Origin("public.orders", "note", 16410, 5)
BY_NUMBER = {(16400, 7): frozenset({SSN}), (16400, 2): frozenset({NAME}), (16400, 0): frozenset({SSN, NAME})}


def rules(*columns: str, strategy: Strategy = "mask", uses: tuple[str, ...] = ()) -> ColumnRules:
    return ColumnRules([MaskRule(columns=columns, strategy=strategy, uses=uses)])


def planned(given: ColumnRules, output: list[OutputColumn] | None, *fields: Field) -> list[tuple[str, Strategy] | None]:
    return strategies(given, output, fields, lambda table, number: BY_NUMBER.get((table, number)))


def field(name: str = "ssn", table: int = 16400, number: int = 7) -> Field:
    return Field(name, table, number, 25, binary=False)


def computed(name: str = "x") -> Field:
    return field(name, 0, 0)


# --- what rules say


@pytest.mark.parametrize("name", ["ssn", "customers.ssn", "public.customers.ssn", "SSN", "Public.Customers.Ssn"])
def test_a_rule_names_a_column_by_itself_its_table_or_its_schema(name: str) -> None:
    assert rules(name).for_column("public.customers", "ssn") == ("mask", frozenset())


@pytest.mark.parametrize("name", ["customers", "name", "orders.ssn", "hr.customers.ssn", "s", "ssn2", ".ssn", "*"])
def test_and_no_other_one(name: str) -> None:
    assert rules(name).for_column("public.customers", "ssn") is None


def test_capitals_of_the_column_do_not_matter_either() -> None:
    assert rules("ssn").for_column("public.customers", "SSN") == ("mask", frozenset())


def test_names_with_dots_are_masked_rather_than_not() -> None:
    """A table or column with a dot in its name is found at least by its whole name and by the column alone."""
    for name in ("ssn", "public.odd.table.ssn"):
        assert rules(name).for_column("public.odd.table", "ssn") is not None


@pytest.mark.parametrize(
    ("first", "second", "least"),
    [("partial", "hash", "hash"), ("hash", "token", "token"), ("token", "mask", "mask"), ("mask", "drop", "drop")],
)
def test_of_several_rules_what_shows_least(first: Strategy, second: Strategy, least: Strategy) -> None:
    for pair in ((first, second), (second, first)):
        for names in (("ssn", "ssn"), ("ssn", "customers.ssn"), ("public.customers.ssn", "ssn")):
            both = ColumnRules(
                [MaskRule(columns=(name,), strategy=strategy) for name, strategy in zip(names, pair, strict=True)]
            )
            assert both.for_column("public.customers", "ssn") == (least, frozenset())


def test_a_use_is_open_where_every_rule_opens_it() -> None:
    both = ColumnRules(
        [
            MaskRule(columns=("ssn",), uses=("join", "group")),
            MaskRule(columns=("customers.ssn",), uses=("join", "order")),
        ]
    )
    use = ColumnUse("public.customers", "ssn", frozenset[Use]({"project", "join", "group", "order"}))
    assert both.beyond(use) == ["group", "order"]
    assert both.beyond(ColumnUse("public.customers", "name", frozenset[Use]({"predicate"}))) == []
    assert rules("ssn").beyond(ColumnUse("public.customers", "ssn", frozenset[Use]({"project"}))) == []


def test_fields_are_columns_and_detectors_are_not() -> None:
    assert ColumnRules([MaskRule(fields=("ssn",))]).for_column("public.customers", "ssn") == ("mask", frozenset())
    assert not ColumnRules([MaskRule(detect=("email",))])


def test_what_a_statement_touches() -> None:
    uses = [ColumnUse("public.customers", "ssn", frozenset[Use]({"predicate"}))]
    assert rules("ssn").touches(uses)
    assert not rules("name").touches(uses)


# --- what becomes of a result


def test_nothing_is_masked_where_no_rule_names_a_column() -> None:
    assert planned(ColumnRules([]), None, field(), computed()) == [None, None]


def test_a_column_is_masked_by_its_origin_whatever_it_is_called() -> None:
    output = [OutputColumn("harmless", frozenset({SSN})), OutputColumn("ssn2", frozenset({NAME}))]
    found = planned(rules("ssn", strategy="hash"), output, field("harmless"), field("ssn2", number=2))
    assert found == [("customers.ssn", "hash"), None]


def test_and_by_its_name_whatever_it_comes_from() -> None:
    output = [OutputColumn("ssn", frozenset({NAME})), OutputColumn("ssn")]
    assert planned(rules("ssn"), output, field(number=2), computed("SSN")) == [("ssn", "mask"), ("SSN", "mask")]


@pytest.mark.parametrize("strategy", ["partial", "hash", "token"])
def test_what_was_computed_of_a_masked_column_shows_nothing(strategy: Strategy) -> None:
    output = [OutputColumn("x", frozenset({SSN}), direct=False)]
    assert planned(rules("ssn", strategy=strategy), output, computed()) == [("customers.ssn", "mask")]
    assert planned(rules("ssn", strategy="drop"), output, computed()) == [("customers.ssn", "drop")]


def test_of_several_origins_what_shows_least() -> None:
    output = [OutputColumn("x", frozenset({SSN, NAME}))]
    both = ColumnRules([MaskRule(columns=("ssn",), strategy="partial"), MaskRule(columns=("name",), strategy="token")])
    found = planned(both, output, computed())
    assert found[0] is not None
    assert found[0][1] == "token"


def test_a_column_that_is_not_sure_is_masked_whole() -> None:
    output = [OutputColumn("x", sure=False), OutputColumn("name", frozenset({NAME}), sure=False)]
    found = planned(rules("ssn", strategy="partial"), output, computed(), field("name", number=2))
    assert found == [("x", "mask"), ("name", "mask")]


def test_the_server_may_know_of_more_than_the_statement_showed() -> None:
    """A whole row has attribute 0: all its table's columns."""
    output = [OutputColumn("c", frozenset({NAME, SSN}), direct=False)]
    assert planned(rules("ssn"), output, field("c", number=0)) == [("customers.ssn", "mask")]
    unsure = [OutputColumn("c", sure=False)]
    assert planned(rules("ssn"), unsure, field("c", number=0)) == [("c", "mask")]


@pytest.mark.parametrize(
    ("output", "fields"),
    [
        (None, [field()]),  # rows where none were foreseen
        ([], [field()]),
        ([OutputColumn("ssn", frozenset({SSN}))], [field(), field()]),
        ([OutputColumn("ssn", frozenset({SSN}))] * 2, [field()]),
        ([OutputColumn("name", frozenset({NAME}))], [field()]),  # another column than it seemed
        ([OutputColumn("x")], [field()]),  # a constant that is none
        ([OutputColumn("x", frozenset({ORDERS}))], [field("x", 99_999, 1)]),  # of a table that nobody knows
        ([OutputColumn("x", frozenset({SSN}), sure=False)], [field("x", 99_999, 1)]),
    ],
)
def test_what_the_server_says_differently_is_refused(output: list[OutputColumn] | None, fields: list[Field]) -> None:
    with pytest.raises(Refusal) as refused:
        planned(rules("ssn"), output, *fields)
    assert refused.value.code.name == "response_unmaskable"
