"""FROM: what names mean after joins, in LATERAL, and what joins by what."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output, statements, sure, uses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM customers JOIN orders USING (id)", "id=customers.id+orders.id"),
        ("SELECT orders.id FROM customers JOIN orders USING (id)", "id=orders.id"),
        ("SELECT u.id FROM customers JOIN orders USING (id) AS u", "id=customers.id+orders.id"),
        ("SELECT j.a FROM (customers JOIN orders USING (id)) AS j(a)", "a=customers.id+orders.id"),
        ("SELECT name FROM customers NATURAL JOIN contacts", "name=customers.name"),
        ("SELECT q.x FROM customers c, LATERAL (SELECT c.ssn AS x) q", "x=customers.ssn"),
        ("SELECT x FROM customers c CROSS JOIN LATERAL (VALUES (c.ssn), (c.name)) v(x)", "x=customers.name+customers.ssn"),
        ("SELECT customers.name FROM public.customers", "name=customers.name"),
        ("SELECT public.customers.name FROM customers", "name=customers.name"),
        ("SELECT shop.public.customers.name FROM customers", "name=customers.name"),
        ("SELECT name FROM customers TABLESAMPLE bernoulli (10)", "name=customers.name"),
        ("SELECT s.ssn FROM hr.staff s", "ssn=hr.staff.ssn"),
        ("SELECT c.x FROM customers AS c(x)", "x=customers.id"),
        ("SELECT ssn FROM customers AS c(x)", "ssn=customers.ssn"),
        ("SELECT ssn FROM (customers c CROSS JOIN orders o) CROSS JOIN audit", "ssn=customers.ssn"),
    ],
)  # fmt: skip
def test_what_a_name_means(text: str, expected: str) -> None:
    assert output(text) == expected
    assert sure(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM customers, orders",
        "SELECT c.name FROM customers",
        "SELECT customers.name FROM customers c",
        "SELECT hr.customers.name FROM customers",
        "SELECT j.name FROM (customers c JOIN orders o ON true)",
        "SELECT q.x FROM customers c, (SELECT c.ssn AS x) q",
        "SELECT name FROM customers AS c(id, x)",
        "SELECT name FROM customers TABLESAMPLE mine (10)",
        "SELECT nix FROM customers",
    ],
)
def test_what_the_server_refuses_is_never_sure(text: str) -> None:
    assert not sure(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT o.id FROM orders o JOIN customers c ON c.ssn = o.note", "join"),
        ("SELECT o.id FROM orders o JOIN customers c ON c.ssn = 'x'", "join predicate"),
        ("SELECT o.id FROM orders o JOIN customers c ON upper(c.ssn) = o.note", "argument join"),
        ("SELECT c.id FROM customers c JOIN hr.staff USING (ssn)", "join"),
        ("SELECT c.id FROM customers c NATURAL JOIN hr.staff", "join"),
        ("SELECT c.id FROM orders o, customers c WHERE c.ssn = o.note", "predicate"),
    ],
)
def test_what_joins(text: str, expected: str) -> None:
    assert " ".join(sorted(uses(text))) == expected


def test_temporary_tables_come_before_others() -> None:
    """A name without a schema is the first in the path that has it."""
    assert statements("SELECT * FROM staff")[0].doubts == ("unknown table staff",)
    assert statements("SELECT name FROM other.public.customers")[0].tables == ("other.public.customers",)
