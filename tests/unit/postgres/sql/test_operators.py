"""Operators and casts with functions behind them."""

from __future__ import annotations

from dataclasses import replace

from extproc.postgres.catalog import Operator
from extproc.postgres.sql.analyse import analyse
from tests.unit.postgres.sql.seen import functions, output, sure, uses
from tests.unit.postgres.sql.shop import shop


def test_an_operator_of_the_users_calls_its_function() -> None:
    for text in ("SELECT 'a' === 'b'", "SELECT 1 WHERE 'a' OPERATOR(public.===) 'b'", "SELECT 'a' === ANY (ARRAY['b'])",
                 "SELECT 'a' === ANY (SELECT 'b')", "SELECT 1 FROM customers ORDER BY name USING ==="):  # fmt: skip
        assert "public.same" in functions(text), text
    assert "argument" in uses("SELECT id FROM customers WHERE ssn === 'x'")
    assert functions("SELECT 'a' OPERATOR(pg_catalog.=) 'b'") == set()


def test_an_operator_that_nobody_knows_is_a_doubt() -> None:
    assert not sure("SELECT 'a' <=>> 'b'")
    for text in ("1 + 1", "'a' || 'b'", "1 <> 2", "1 != 2", "1 BETWEEN SYMMETRIC 0 AND 2", "'a' NOT ILIKE 'b'", "'a' SIMILAR TO 'b'",
                 "1 IS DISTINCT FROM 2", "'a' ^@ 'b'", "- 1"):  # fmt: skip
        assert sure(f"SELECT {text}"), text


def test_an_extensions_operator_does_not_make_the_built_in_one_a_doubt() -> None:
    """citext has an `=` of its own, in C."""
    catalog = shop()
    catalog = replace(catalog, operators=(*catalog.operators, Operator("public", "=", 17017)))
    (found,) = analyse("SELECT id FROM customers WHERE name = 'x'", catalog).statements
    assert found.sure
    assert found.functions == ()


def test_a_cast_of_the_users_calls_its_function() -> None:
    assert functions("SELECT 5::mood") == {"public.to_mood"}
    assert functions("SELECT id::mood FROM customers") == {"public.to_mood"}
    assert functions("SELECT feeling::mood FROM people") == set()
    assert "public.to_mood" in functions("INSERT INTO people (feeling) VALUES (5)")


def test_only_text_without_a_length_shows_a_value_as_it_is() -> None:
    for kind, direct in (("text", True), ("varchar", True), ("pg_catalog.text", True), ("varchar(3)", False),
                         ("char", False), ("name", False), ("text[]", False), ("email_address", False)):  # fmt: skip
        assert output(f"SELECT ssn::{kind} AS x FROM customers") == f"x{'=' if direct else '~'}customers.ssn", kind
