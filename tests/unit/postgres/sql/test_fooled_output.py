"""Where the values that come back are from, whatever they are called on the way."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output

S = "customers.ssn"
# The output columns: `name=origin` as it is, `name~origins` in an expression; `*` is a name that does not matter. None: see below.
OUTPUT: list[tuple[str, str | None]] = [
    ("SELECT ssn FROM customers", f"ssn={S}"), ("SELECT ssn AS a, id FROM customers", f"a={S} id=customers.id"),
    ("SELECT ssn a FROM customers", f"a={S}"), ('SELECT ssn "ID" FROM customers', f"ID={S}"), ("SELECT (((ssn))) FROM customers", f"ssn={S}"),
    ("SELECT c.ssn FROM customers AS c", f"ssn={S}"), ("SELECT public.customers.ssn FROM public.customers", f"ssn={S}"),
    (r'SELECT U&"s\0073n" FROM customers', f"ssn={S}"), ("SELECT SSN FROM CUSTOMERS", f"ssn={S}"),
    ("SELECT ssn::text FROM customers", f"ssn={S}"), ("SELECT CAST(ssn AS text) FROM customers", f"ssn={S}"),
    ("SELECT text(ssn) FROM customers", f"text~{S}"), ("SELECT text 'x'", "text="),
    ("SELECT x FROM customers AS c (a, b, c, d, e, f, x)", f"x={S}"), ("SELECT name FROM customers AS c (id, a, b, c, d, e, name)", f"name={S}"),
    ("SELECT id FROM customers AS c (ssn, id)", "id=customers.name"), ("SELECT ssn FROM customers AS c (ssn)", None),
    ("SELECT * FROM contacts", "id=customers.id name=customers.name email=customers.email"), ("SELECT number FROM secrets", f"number={S}"),
    ("TABLE secrets", f"id=customers.id number={S}"), ("SELECT tail FROM tails", f"tail~{S}"),
    ("SELECT mail FROM berlin", "mail~customers.email"), ("SELECT * FROM (SELECT number AS n FROM secrets) x (m)", f"m={S}"),
    ("SELECT a FROM (SELECT ssn FROM customers) x (a)", f"a={S}"), ("SELECT x.* FROM (TABLE secrets) x", f"id=customers.id number={S}"),
    ("WITH x AS (SELECT ssn FROM customers) SELECT * FROM x", f"ssn={S}"), ("WITH x (a) AS (SELECT ssn FROM customers) TABLE x", f"a={S}"),
    ("WITH x AS (SELECT ssn FROM customers), y AS (TABLE x) SELECT ssn AS z FROM y", f"z={S}"),
    ("WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM customers", "ssn="),
    ("WITH RECURSIVE x AS (SELECT ssn, 1 AS n FROM customers UNION ALL SELECT ssn, n + 1 FROM x WHERE n < 3) SELECT ssn FROM x", f"ssn={S}"),
    ("WITH RECURSIVE x (a, b) AS (SELECT id::text, ssn FROM customers UNION ALL SELECT b, a FROM x) SELECT a FROM x", None),
    ("WITH x AS (DELETE FROM customers RETURNING ssn) TABLE x", f"ssn={S}"),
    ("WITH x AS (UPDATE customers SET name = '' RETURNING *) SELECT ssn FROM x", f"ssn={S}"),
    ("SELECT name FROM customers UNION ALL SELECT ssn FROM customers", f"name={'customers.name'}+{S}"),
    ("SELECT '' UNION ALL SELECT ssn FROM customers", f"*={S}"),
    ("(SELECT name FROM customers) UNION ALL (SELECT upper(ssn) FROM customers)", f"name~customers.name+{S}"),
    ("SELECT id, ssn FROM customers EXCEPT SELECT 1, ''", f"id=customers.id ssn={S}"),
    ("VALUES ((SELECT ssn FROM customers LIMIT 1))", f"*={S}"), ("VALUES (''), ((SELECT ssn FROM customers LIMIT 1))", f"*={S}"),
    ("SELECT a FROM (VALUES (1, (SELECT ssn FROM customers LIMIT 1))) v (b, a)", f"a={S}"),
    ("SELECT (SELECT ssn FROM customers LIMIT 1)", f"ssn={S}"), ("SELECT (SELECT ssn AS a FROM customers LIMIT 1) AS b", f"b={S}"),
    ("SELECT (SELECT c.ssn) FROM customers c", f"ssn={S}"), ("SELECT x.* FROM customers c, LATERAL (SELECT c.ssn AS a) x", f"a={S}"),
    ("SELECT x.a FROM customers c CROSS JOIN LATERAL (VALUES (c.ssn)) x (a)", f"a={S}"),
    ("SELECT ssn FROM customers c JOIN orders o ON o.customer_id = c.id", f"ssn={S}"),
    ("SELECT ssn FROM (customers c JOIN orders o ON o.customer_id = c.id) AS j", f"ssn={S}"),
    ("SELECT j.x FROM (customers c JOIN orders o ON o.customer_id = c.id) AS j (a, b, c, d, e, f, x)", f"x={S}"),
    ("SELECT id FROM customers JOIN orders USING (id)", None), ("SELECT u.id FROM customers JOIN orders USING (id) AS u", None),
    ("SELECT ssn FROM customers FULL JOIN hr.staff USING (ssn)", None), ("SELECT c.* FROM orders o NATURAL JOIN secrets c", None),
    ("SELECT c FROM customers c", None), ("SELECT customers FROM customers", None), ("SELECT (c).ssn FROM customers c", f"ssn={S}"),
    ("SELECT (c).ssn AS a FROM (SELECT c FROM customers c) x", f"a={S}"), ("SELECT (x.c).ssn FROM (SELECT c FROM customers c) x", None),
    ("SELECT ((SELECT c FROM customers c LIMIT 1)).ssn", None), ("SELECT (x).* FROM (SELECT secrets FROM secrets) x", None),
    ("SELECT row_to_json(c) FROM customers c", None), ("SELECT ROW(ssn, id) FROM customers", f"row~customers.id+{S}"),
    ("SELECT ARRAY[ssn] FROM customers", f"array~{S}"), ("SELECT ARRAY(SELECT ssn FROM customers)", f"array~{S}"),
    ("SELECT array_agg(ssn) FROM customers", f"array_agg~{S}"), ("SELECT string_agg(ssn, ',') FROM customers", f"string_agg~{S}"),
    ("SELECT max(ssn) FROM customers", f"max~{S}"), ("SELECT upper(ssn) FROM customers", f"upper~{S}"),
    ("SELECT ssn || '' AS a FROM customers", f"a~{S}"), ("SELECT COALESCE(name, ssn) FROM customers", f"coalesce~customers.name+{S}"),
    ("SELECT CASE WHEN id = 1 THEN ssn ELSE name END AS a FROM customers", None), ("SELECT ssn::int FROM customers", f"ssn~{S}"),
    ("SELECT NULLIF(ssn, '') FROM customers", f"nullif~{S}"), ("SELECT lag(ssn) OVER (ORDER BY id) FROM customers", None),
    ("SELECT first_value(ssn) OVER () AS a FROM customers", f"a~{S}"), ("SELECT unnest(ARRAY[ssn]) AS a FROM customers", f"a~{S}"),
    ("SELECT a FROM customers, unnest(ARRAY[ssn]) a", f"a~{S}"), ("SELECT value FROM customers c, json_each(row_to_json(c))", None),
    ("SELECT count(*) FROM customers", "count="), ("SELECT id, count(*) FROM customers GROUP BY id", "id=customers.id count="),
    ("SELECT 1, 'a'", "*= *="), ("SELECT", ""), ("SELECT now()", "now="), ("SELECT name AS ssn FROM customers", "ssn=customers.name"),
    ("SELECT ssn FROM hr.staff", "ssn=hr.staff.ssn"), ("DELETE FROM customers RETURNING ssn", f"ssn={S}"),
    ("UPDATE customers SET name = '' RETURNING ssn AS a", f"a={S}"), ("INSERT INTO customers (id) VALUES (1) RETURNING ssn", f"ssn={S}"),
    ("UPDATE customers SET name = '' RETURNING old.ssn, new.ssn", f"ssn={S} ssn={S}"),
    ("UPDATE customers SET name = '' RETURNING WITH (OLD AS o, NEW AS n) o.ssn, n.name", f"ssn={S} name=customers.name"),
    ("DELETE FROM audit USING customers RETURNING customers.ssn", f"ssn={S}"),
    ("MERGE INTO audit USING customers c ON true WHEN MATCHED THEN DELETE RETURNING c.ssn", f"ssn={S}"),
    ("UPDATE audit SET what = '' FROM secrets RETURNING number", f"number={S}"), ("DELETE FROM secrets RETURNING number", None),
    ("COPY customers (ssn, id) TO STDOUT", f"ssn={S} id=customers.id"), ("COPY (SELECT ssn AS a FROM customers) TO STDOUT", f"a={S}"),
    ("COPY (TABLE secrets) TO STDOUT", f"id=customers.id number={S}"), ("COPY customers FROM STDIN", "none"),
    ("COPY customers TO '/tmp/x'", "none"), ("SELECT ssn FROM customers LIMIT 0", f"ssn={S}"), ("DELETE FROM customers", "none"),
    ("BEGIN", "none"), ("CREATE TABLE x AS SELECT ssn FROM customers", "none"), ("DECLARE c CURSOR FOR SELECT ssn FROM customers", "none"),
    ("PREPARE p AS SELECT ssn FROM customers", "none"), ("SELECT ssn FROM old_orders", None), ("SELECT nothing FROM customers", None),
    ("SELECT ssn FROM nowhere", None), ("SELECT what FROM events", "what=events.what"), ("SELECT tags FROM people", "tags=people.tags"),
    ("SELECT tags[1] FROM people", None), ("SELECT (home).city FROM people", None),
    ('SELECT "Odd Name" FROM people', "Odd Name=people.Odd Name"), ("SELECT ctid, tableoid FROM customers", None), ("SELECT ssn_of(1)", None),
    ("SELECT * FROM find('x')", None), ("SELECT total(1)", None),
]  # fmt: skip


def masks_nothing(found: str) -> bool:
    """Whether someone who masks customers.ssn by this output would mask no column of it."""
    return found != "unknown" and "?" not in found and S not in found


@pytest.mark.parametrize(("text", "expected"), [(text, expected) for text, expected in OUTPUT if expected is not None])
def test_values_are_followed_to_their_columns(text: str, expected: str) -> None:
    found, wanted = output(text).split(" "), expected.split(" ")
    if "Odd" in expected:
        assert output(text) == expected
        return
    assert len(found) == len(wanted)
    for one, want in zip(found, wanted, strict=True):
        assert one == want or (want[0] == "*" and one.partition("=")[2] == want[2:]) or one.rstrip("?") == want


# Where ssn may come out, in whatever shape: its origin stands somewhere, or the output is said to be unsure.
MAY_HOLD = [
    text
    for text, expected in OUTPUT
    if expected is None and ("customers" in text or "ssn" in text or "secrets" in text)
]
HARMLESS = {
    "SELECT id FROM customers JOIN orders USING (id)", "SELECT u.id FROM customers JOIN orders USING (id) AS u",
    "SELECT ctid, tableoid FROM customers", "SELECT ssn FROM customers AS c (ssn)",
}  # fmt: skip


@pytest.mark.parametrize("text", [text for text in MAY_HOLD if text not in HARMLESS])
def test_nothing_comes_back_unmasked_by_another_shape(text: str) -> None:
    assert not masks_nothing(output(text))
