"""WITH: which query a name means, and what comes out of a recursive one."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output, sure, tables, uses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WITH customers AS (SELECT 1 AS x) SELECT * FROM customers", "x="),
        ("WITH customers AS (SELECT ssn FROM customers) SELECT * FROM customers", "ssn=customers.ssn"),
        ("WITH a AS (SELECT ssn FROM customers), b AS (SELECT ssn AS y FROM a) SELECT * FROM b", "y=customers.ssn"),
        ("WITH a(x) AS (SELECT ssn FROM customers) SELECT * FROM a", "x=customers.ssn"),
        ("WITH a AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT ssn FROM customers) SELECT * FROM a) q",
         "ssn=customers.ssn"),
        ("WITH a AS (SELECT 1 AS x) SELECT * FROM public.customers, a LIMIT 0",
         ("id=customers.id name=customers.name email=customers.email phone=customers.phone city=customers.city "
         "card_number=customers.card_number ssn=customers.ssn balance=customers.balance born=customers.born x=")),
        ("WITH RECURSIVE t AS (SELECT id, ssn FROM customers UNION ALL SELECT id, ssn FROM t) SELECT * FROM t",
         "id=customers.id ssn=customers.ssn"),
        ("WITH RECURSIVE t(a, b) AS (SELECT id::text, ssn FROM customers UNION ALL SELECT b, a FROM t) SELECT a FROM t",
         "a~customers.id+customers.ssn"),
        ("WITH RECURSIVE b AS (SELECT * FROM a), a AS (SELECT ssn FROM customers) SELECT * FROM b", "ssn=customers.ssn"),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t", "n="),
        ("SELECT (WITH a AS (SELECT c.ssn) SELECT ssn FROM a) FROM customers c", "ssn=customers.ssn"),
    ],
)  # fmt: skip
def test_what_comes_out(text: str, expected: str) -> None:
    assert output(text) == expected
    assert sure(text)


def test_a_query_that_nobody_names_counts() -> None:
    text = "WITH a AS (SELECT id FROM customers WHERE ssn > '5') SELECT 1"
    assert uses(text) == {"predicate"}
    assert tables(text) == "customers"


def test_without_recursive_a_query_does_not_see_itself_or_what_follows() -> None:
    assert not sure("WITH a AS (SELECT * FROM a) SELECT * FROM a")
    assert not sure("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a")
    assert not sure("WITH RECURSIVE a AS (SELECT * FROM a) SELECT * FROM a")


def test_what_a_recursion_is_ordered_and_told_apart_by() -> None:
    text = (
        "WITH RECURSIVE t AS (SELECT id, ssn FROM customers UNION ALL SELECT id, ssn FROM t) "
        "SEARCH DEPTH FIRST BY ssn SET o CYCLE ssn SET c USING p SELECT {} FROM t"
    )
    assert uses(text.format("id")) == {"order", "group"}
    assert output(text.format("p")) == "p~customers.ssn"
