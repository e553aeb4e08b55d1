"""Functions in FROM: their columns, and what may be in them."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output, sure, uses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM generate_series(1, 2)", "generate_series="),
        ("SELECT * FROM generate_series(1, 2) g", "g="),
        ("SELECT g FROM generate_series(1, 2) g", "g="),
        ("SELECT * FROM generate_series(1, 2) AS g(x)", "x="),
        ("SELECT * FROM generate_series(1, 2) WITH ORDINALITY AS g(x, n)", "x= n="),
        ("SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(3, 4)) AS r(a)", "a= generate_series="),
        ("SELECT * FROM json_each('{}')", "key= value="),
        ("SELECT e.* FROM customers c, jsonb_array_elements(to_jsonb(c)) e", "value~{all}"),
        ("SELECT t FROM people, unnest(tags) t", "t~people.tags"),
        ("SELECT * FROM unnest(ARRAY[1], ARRAY['a']) AS u(a, b)", "a= b="),
        ("SELECT * FROM json_to_record('{}') AS r(a int, b text)", "a= b="),
        ("SELECT ssn, city FROM find('x')", "ssn~customers.ssn city~customers.city"),
        ("SELECT * FROM ssn_of(1)", "ssn_of~customers.id+customers.ssn"),
        ("SELECT city FROM jsonb_populate_record(NULL::customers, '{}')", "city="),
        ("SELECT x.b FROM customers, XMLTABLE('/a' PASSING ssn COLUMNS b text PATH 'b') x", "b~customers.ssn"),
        ("SELECT x.b FROM customers, JSON_TABLE(ssn, '$' COLUMNS (NESTED PATH '$.a' COLUMNS (b int))) x",
         "b~customers.ssn"),
        ("SELECT * FROM current_date", "current_date="),
    ],
)  # fmt: skip
def test_columns(text: str, expected: str) -> None:
    names = ("balance", "born", "card_number", "city", "email", "id", "name", "phone", "ssn")
    every = "+".join(f"customers.{name}" for name in names)
    assert output(text) == expected.format(all=every)
    assert sure(text)


def test_a_function_whose_columns_are_not_known_gives_no_shape_but_keeps_its_sources() -> None:
    assert output("SELECT * FROM dblink('x')") == "unknown"
    assert output("SELECT r.anything FROM customers c, LATERAL (SELECT json_each(c.ssn::json)) r") != "unknown"
    assert uses("SELECT r.anything FROM customers c, json_each(c.ssn::json) r") == {"argument"}


def test_what_is_not_a_column_of_a_function_is_not_sure() -> None:
    assert not sure("SELECT g.nix FROM generate_series(1, 2) g")
    assert not sure("SELECT nix FROM json_each('{}')")
