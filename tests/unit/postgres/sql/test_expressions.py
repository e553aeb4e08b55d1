"""What an expression does with the columns in it."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import functions, output, sure, uses

# An expression over customers c in a target list, and what it does with ssn.
VALUES: list[tuple[str, str]] = [
    ("ssn", "project"),
    ("c.ssn", "project"),
    ("(c).ssn", "project"),
    ("public.customers.ssn", ""),  # hidden by its alias
    ("ssn::text", "project"),
    ("ssn::varchar", "project"),
    ("ssn::varchar(5)", "argument"),
    ("ssn::int", "argument"),
    ("ssn::pg_catalog.text", "project"),
    ('ssn COLLATE "C"', "project"),
    ("ssn || 'x'", "argument"),
    ("'x' || name || ssn || city", "argument"),
    ("ssn = '1'", "argument"),
    ("-length(ssn)", "argument"),
    ("upper(ssn)", "argument"),
    ("count(ssn)", "argument"),
    ("count(DISTINCT ssn)", "argument group"),
    ("string_agg(name, ',' ORDER BY ssn)", "order"),
    ("count(*) FILTER (WHERE ssn > '5')", "predicate"),
    ("percentile_cont(0.5) WITHIN GROUP (ORDER BY ssn)", "argument order"),
    ("row_number() OVER (PARTITION BY name ORDER BY ssn)", "order"),
    ("row_number() OVER (PARTITION BY ssn)", "group"),
    ("lag(ssn) OVER (ORDER BY id)", "argument"),
    ("CASE WHEN ssn > '5' THEN 1 END", "predicate"),
    ("CASE ssn WHEN '5' THEN 1 END", "predicate"),
    ("CASE WHEN id > 5 THEN ssn END", "argument"),
    ("coalesce(ssn, 'x')", "argument"),
    ("nullif(ssn, 'x')", "argument"),
    ("greatest(ssn, name)", "argument"),
    ("ARRAY[ssn]", "argument"),
    ("ROW(ssn, 1)", "argument"),
    ("(ssn, 1)", "argument"),
    ("c", "argument"),
    ("c::text", "argument"),
    ("(c.*)::text", "argument"),
    ("row_to_json(c)", "argument"),
    ("row_to_json(c.*)", "argument"),
    ("count(c)", "argument"),
    ("c IS NULL", "argument"),
    ("name(c)", "argument"),
    ("ssn(c)", "argument project"),
    ("ssn IS NULL", "argument"),
    ("ssn IN ('1', '2')", "argument"),
    ("ssn BETWEEN '1' AND '2'", "argument"),
    ("ssn LIKE '1%'", "argument"),
    ("'1' IN (SELECT ssn)", "predicate"),
    ("ARRAY(SELECT ssn)", "argument"),
    ("(SELECT ssn)", "project"),
    ("EXISTS (SELECT 1 WHERE ssn = 'x')", "predicate"),
    ("GROUPING(ssn)", "group"),
    ("xmlelement(name a, ssn)", "argument"),
    ("json_object('a': ssn)", "argument"),
    ("json_value(ssn, '$.a')", "argument"),
    ("ssn IS JSON", "argument"),
    ("extract(year FROM ssn::date)", "argument"),
    ("'a' SIMILAR TO ssn", "argument"),
    ("ssn AT TIME ZONE 'utc'", "argument"),
]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_a_value(text: str, expected: str) -> None:
    assert " ".join(sorted(uses(f"SELECT {text} FROM customers c"))) == expected


# The same in WHERE.
CONDITIONS: list[tuple[str, str]] = [
    ("ssn = '1'", "predicate"),
    ("'1' = ssn AND id = 1", "predicate"),
    ("NOT (ssn = '1' OR id = 1)", "predicate"),
    ("ssn IS NULL", "predicate"),
    ("(ssn = '1') IS NOT TRUE", "argument predicate"),
    ("ssn IN ('1', name)", "predicate"),
    ("(id, ssn) = (1, 'x')", "predicate"),
    ("(id, ssn) IN (SELECT 1, 'x')", "predicate"),
    ("ssn LIKE '1%'", "predicate"),
    ("ssn BETWEEN '1' AND '2'", "predicate"),
    ("ssn = ANY (ARRAY['1'])", "predicate"),
    ("ssn IS DISTINCT FROM '1'", "predicate"),
    ("upper(ssn) = '1'", "argument predicate"),
    ("ssn || 'x' = '1'", "argument predicate"),
    ("ssn::int = 1", "argument predicate"),
    ("ssn::text = '1'", "predicate"),
    ("c = c", "argument predicate"),
    ("c.* IS NULL", "argument predicate"),
    ("'1' IN (SELECT ssn)", "predicate"),
    ("id = (SELECT max(ssn)::int FROM customers)", "argument predicate"),
    ("ssn === 'x'", "argument predicate"),
]


@pytest.mark.parametrize(("text", "expected"), CONDITIONS)
def test_a_condition(text: str, expected: str) -> None:
    assert " ".join(sorted(uses(f"SELECT id FROM customers c WHERE {text}"))) == expected
    assert sure(f"SELECT id FROM customers c WHERE {text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssn::text", "ssn=customers.ssn"),
        ("ssn::varchar(5)", "ssn~customers.ssn"),
        ("born::text", "born=customers.born"),
        ("id::int4", "id=customers.id"),
        ("id::numeric", "id~customers.id"),
        ("(c).ssn", "ssn=customers.ssn"),
        ("(c.*).ssn", "ssn=customers.ssn"),
        ("(ROW(ssn, id)).f2", "f2=customers.id"),
        ("ssn || name", "?column?~customers.name+customers.ssn"),
        ("CASE WHEN id > 1 THEN ssn END", "case~customers.id+customers.ssn"),
        ("ssn = 'x'", "?column?~customers.ssn"),
    ],
)
def test_a_cast_to_text_alone_keeps_a_value_as_it_is(text: str, expected: str) -> None:
    assert output(f"SELECT {text} FROM customers c") == expected


def test_a_long_chain_of_operators_is_followed() -> None:
    text = "SELECT " + " || ".join(["name"] * 150 + ["upper(ssn)"]) + " FROM customers"
    assert uses(text) == {"argument"}
    assert functions(text) == {"pg_catalog.upper"}
    assert sure(text)


def test_what_is_nested_too_deeply_is_not_sure() -> None:
    text = "SELECT " + "upper(" * 150 + "ssn" + ")" * 150 + " FROM customers"
    assert not sure(text)
    assert output(text) == "unknown"
