"""SELECT and what combines it: what its columns are for, what comes back, and whether it is restricted."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output, statements, sure, uses

# A statement, and what it does with customers.ssn.
USES: list[tuple[str, str]] = [
    ("SELECT ssn FROM customers", "project"),
    ("SELECT * FROM customers", "project"),
    ("SELECT customers.* FROM customers", "project"),
    ("TABLE customers", "project"),
    ("SELECT id FROM customers", ""),
    ("SELECT ssn AS x FROM customers WHERE ssn > '5'", "predicate project"),
    ("SELECT * FROM (SELECT ssn AS x FROM customers) q WHERE x > '5'", "predicate project"),
    ("SELECT id FROM (SELECT id, ssn AS x FROM customers) q", ""),
    ("SELECT id FROM (SELECT id, ssn AS x FROM customers) q ORDER BY x", "order"),
    ("SELECT id AS ssn FROM customers ORDER BY ssn", ""),
    ("SELECT id AS ssn FROM customers GROUP BY ssn", "group"),
    ("SELECT ssn AS x FROM customers GROUP BY x", "group project"),
    ("SELECT ssn FROM customers ORDER BY 1", "order project"),
    ("SELECT id FROM customers ORDER BY lower(ssn)", "argument order"),
    ("SELECT count(*) FROM customers GROUP BY 1 + 1, ssn", "group"),
    ("SELECT count(*) FROM customers GROUP BY ROLLUP (id, (ssn, name)), GROUPING SETS ((), (id))", "group"),
    ("SELECT DISTINCT ssn FROM customers", "group project"),
    ("SELECT DISTINCT ON (ssn) id FROM customers", "group"),
    ("SELECT DISTINCT ON (x) id, ssn AS x FROM customers", "group project"),
    ("SELECT count(*) FROM (SELECT DISTINCT ssn FROM customers) q", "group"),
    ("SELECT ssn FROM customers UNION SELECT note FROM orders", "group project"),
    ("SELECT ssn FROM customers UNION ALL SELECT note FROM orders", "project"),
    ("SELECT ssn FROM customers INTERSECT ALL SELECT note FROM orders", "group project"),
    ("SELECT note FROM orders EXCEPT SELECT ssn FROM customers", "group project"),
    ("SELECT note AS x FROM orders UNION ALL SELECT ssn FROM customers ORDER BY x", "order project"),
    ("SELECT note FROM orders UNION ALL SELECT upper(ssn) FROM customers", "argument"),
    ("SELECT city FROM customers GROUP BY city HAVING max(ssn) > '5'", "argument predicate"),
    ("SELECT id FROM customers LIMIT (SELECT length(ssn) FROM customers c LIMIT 1)", "argument predicate"),
    ("SELECT id FROM customers WHERE id = 1 OFFSET (SELECT 1)", ""),
    ("SELECT id FROM customers WINDOW w AS (PARTITION BY ssn)", "group"),
    ("SELECT rank() OVER w FROM customers WINDOW w AS (ORDER BY ssn)", "order"),
    ("VALUES ((SELECT ssn FROM customers LIMIT 1)) ORDER BY 1", "order project"),
    ("SELECT id FROM customers WHERE (SELECT ssn) = 'x'", "predicate"),
    ("SELECT id FROM orders WHERE EXISTS (SELECT * FROM customers WHERE ssn = note)", "predicate"),
    ("SELECT id FROM orders WHERE EXISTS (SELECT * FROM customers)", ""),
]


@pytest.mark.parametrize(("text", "expected"), USES)
def test_what_a_column_is_for(text: str, expected: str) -> None:
    assert " ".join(sorted(uses(text))) == expected
    assert sure(text)


# A statement, and what comes back: `name=origin` as it is, `name~origins` computed.
OUTPUT: list[tuple[str, str]] = [
    ("SELECT ssn, name AS n FROM customers", "ssn=customers.ssn n=customers.name"),
    ("SELECT contacts.* FROM contacts, orders", "id=customers.id name=customers.name email=customers.email"),
    ("SELECT x FROM (SELECT ssn FROM customers) AS q(x)", "x=customers.ssn"),
    ("SELECT 1, 'a' AS b", "?column?= b="),
    ("SELECT ssn FROM customers UNION SELECT note FROM orders", "ssn=customers.ssn+orders.note"),
    ("SELECT 'x' AS a UNION ALL SELECT ssn FROM customers", "a=customers.ssn"),
    ("SELECT upper(name) FROM customers UNION ALL SELECT ssn FROM customers", "upper~customers.name+customers.ssn"),
    ("VALUES (1, (SELECT ssn FROM customers LIMIT 1)), (2, 'x')", "column1= column2=customers.ssn"),
    ("SELECT (SELECT ssn FROM customers LIMIT 1)", "ssn=customers.ssn"),
    ("SELECT FROM customers", ""),
    ("SELECT c.name FROM customers c, customers d", "name=customers.name"),
    ("SELECT * FROM contacts JOIN tails USING (id)",
     "id=customers.id name=customers.name email=customers.email tail~customers.ssn"),
    ("SELECT * FROM (VALUES (1, 2)) v(a)", "a= column2="),
    ("SELECT ctid, tableoid FROM orders", "ctid=orders.ctid tableoid=orders.tableoid"),
    ("SELECT * FROM nowhere", "unknown"),
    ("SELECT * FROM json_to_record('{}') AS r(a int, b text)", "a= b="),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), OUTPUT)
def test_what_comes_back(text: str, expected: str) -> None:
    assert output(text) == expected


RESTRICTED = [
    "SELECT * FROM customers WHERE id = 1",
    "SELECT * FROM customers WHERE id = 1 AND true",
    "SELECT * FROM customers WHERE id = 1 OR name = 'x'",
    "SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.city = 'x'",
    "SELECT * FROM customers c JOIN orders o USING (id) WHERE note = 'x'",
    "SELECT * FROM customers c, orders o WHERE o.customer_id = c.id",
    "SELECT * FROM customers NATURAL JOIN contacts WHERE id = 1",
    "SELECT 1 FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE note = 'x')",
    "SELECT 1 FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
    "WITH q AS (SELECT * FROM customers WHERE id = 1) SELECT * FROM q",
    "SELECT * FROM (SELECT * FROM customers WHERE id = 1) q, generate_series(1, 2)",
    "SELECT id FROM customers WHERE id = 1 UNION SELECT id FROM orders WHERE id = 2",
    "DELETE FROM customers WHERE id = 1",
    "UPDATE customers SET city = o.note FROM orders o WHERE o.customer_id = customers.id",
    "MERGE INTO customers c USING (VALUES (1)) v(id) ON c.id = v.id WHEN MATCHED THEN DELETE",
    "DELETE FROM customers WHERE CURRENT OF c",
]
NOT_RESTRICTED = [
    "SELECT 1",
    "SELECT * FROM customers",
    "SELECT * FROM customers WHERE true",
    "SELECT * FROM customers WHERE 1 = 1",
    "SELECT * FROM customers WHERE $1 = 1",
    "SELECT * FROM customers WHERE id = 1 OR true",
    "SELECT * FROM customers WHERE current_user = 'ci'",
    "SELECT * FROM customers WHERE EXISTS (SELECT 1)",
    "SELECT * FROM customers WHERE NOT (SELECT false)",
    "SELECT * FROM customers, orders WHERE orders.id = 1",
    "SELECT * FROM customers JOIN orders ON true WHERE orders.id = 1",
    "SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id",
    "SELECT id FROM customers WHERE id = 1 UNION SELECT id FROM orders",
    "SELECT * FROM (SELECT * FROM customers) q WHERE id = 1",
    "SELECT * FROM customers HAVING count(*) > 1",
    "DELETE FROM customers",
    "DELETE FROM customers USING orders WHERE orders.id = 1",
    "MERGE INTO customers c USING (VALUES (1)) v(id) ON true WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("text", RESTRICTED)
def test_a_condition_on_every_table_counts(text: str) -> None:
    assert statements(text)[0].where


@pytest.mark.parametrize("text", NOT_RESTRICTED)
def test_a_condition_that_says_nothing_of_a_table_does_not(text: str) -> None:
    assert not statements(text)[0].where


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("SELECT id FROM customers LIMIT 5", 5),
        ("SELECT id FROM customers FETCH FIRST 5 ROWS ONLY", 5),
        ("SELECT id FROM customers FETCH FIRST ROW ONLY", 1),
        ("SELECT id FROM customers LIMIT 0", 0),
        ("SELECT id FROM customers UNION ALL SELECT id FROM orders LIMIT 5", 5),
        ("SELECT id FROM customers ORDER BY id FETCH FIRST 5 ROWS WITH TIES", None),
        ("SELECT id FROM customers LIMIT ALL", None),
        ("SELECT id FROM customers LIMIT $1", None),
        ("SELECT id FROM customers LIMIT 2 + 3", None),
        ("SELECT * FROM (SELECT id FROM customers LIMIT 5) q", None),
    ],
)
def test_only_a_constant_limit_of_the_whole_is_one(text: str, limit: int | None) -> None:
    assert statements(text)[0].limit == limit


def test_a_lock_is_told() -> None:
    assert statements("SELECT id FROM customers WHERE id = 1 FOR UPDATE")[0].options == ("lock",)
