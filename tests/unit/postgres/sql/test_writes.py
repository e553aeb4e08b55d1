"""INSERT, UPDATE, DELETE and MERGE: what is written, from where, and what comes back of it."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import output, statements, uses, writes

# A statement, and what it does with customers.ssn.
USES: list[tuple[str, str]] = [
    ("INSERT INTO orders (note) SELECT ssn FROM customers", "write"),
    ("INSERT INTO orders (note) SELECT upper(ssn) FROM customers", "argument write"),
    ("INSERT INTO orders (note) VALUES ((SELECT ssn FROM customers LIMIT 1))", "write"),
    ("INSERT INTO customers (ssn) VALUES ('1')", "write"),
    ("INSERT INTO customers VALUES (1, 'a')", ""),
    ("INSERT INTO customers (id) VALUES (1) RETURNING ssn", "project"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (ssn) DO NOTHING", "predicate"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT ((lower(ssn))) DO NOTHING", "argument predicate"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) WHERE ssn > '5' DO NOTHING", "predicate"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET ssn = '1'", "write"),
    ("INSERT INTO customers AS c (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = c.ssn", "write"),
    ("INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE customers.ssn = 'x'",
     "predicate"),
    ("INSERT INTO orders (id, note) SELECT 1, ssn FROM customers ON CONFLICT (id) DO UPDATE SET product = excluded.note",
     "write"),
    ("UPDATE customers SET ssn = '1' WHERE id = 1", "write"),
    ("UPDATE customers SET name = ssn WHERE id = 1", "write"),
    ("UPDATE customers SET (id, ssn) = (1, '1')", "write"),
    ("UPDATE customers SET (id, name) = (SELECT 1, ssn)", "write"),
    ("UPDATE customers SET name = 'x' WHERE ssn = '1'", "predicate"),
    ("UPDATE orders SET note = c.ssn FROM customers c WHERE c.id = customer_id", "write"),
    ("UPDATE orders SET note = 'x' FROM customers c WHERE c.ssn = note", "predicate"),
    ("UPDATE customers SET name = 'x' RETURNING ssn", "project"),
    ("UPDATE customers SET name = 'x' RETURNING old.ssn", "project"),
    ("UPDATE customers SET name = 'x' RETURNING WITH (OLD AS before) before.ssn, lower(new.ssn)", "argument project"),
    ("DELETE FROM customers WHERE ssn = '1'", "predicate"),
    ("DELETE FROM customers RETURNING *", "project"),
    ("DELETE FROM orders USING customers c WHERE c.ssn = note RETURNING c.ssn", "predicate project"),
    ("MERGE INTO orders o USING customers c ON c.ssn = o.note WHEN MATCHED THEN DELETE", "predicate"),
    ("MERGE INTO orders o USING customers c ON c.id = o.id WHEN MATCHED AND c.ssn > '5' THEN DO NOTHING", "predicate"),
    ("MERGE INTO orders o USING customers c ON c.id = o.id WHEN MATCHED THEN UPDATE SET note = c.ssn", "write"),
    ("MERGE INTO orders o USING customers c ON c.id = o.id WHEN NOT MATCHED THEN INSERT (note) VALUES (c.ssn)", "write"),
    ("MERGE INTO customers c USING orders o ON c.id = o.id WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING c.ssn",
     "project"),
    ("INSERT INTO secrets (number) VALUES ('x')", "write"),
    ("WITH d AS (DELETE FROM customers RETURNING ssn) SELECT 1 FROM d WHERE ssn > '5'", "predicate project"),
    ("WITH s AS (SELECT ssn FROM customers) INSERT INTO audit (what) SELECT ssn FROM s", "write"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), USES)
def test_what_a_column_is_for(text: str, expected: str) -> None:
    assert " ".join(sorted(uses(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO orders (note) VALUES ('x')", "none"),
        ("INSERT INTO audit (what) VALUES ('x') RETURNING what AS w", "w=audit.what"),
        ("INSERT INTO audit (what) SELECT ssn FROM customers RETURNING what", "what=audit.what+customers.ssn"),
        ("INSERT INTO audit (what) SELECT upper(ssn) FROM customers RETURNING what", "what~audit.what+customers.ssn"),
        ("INSERT INTO audit SELECT 1, now(), ssn FROM customers RETURNING audit",
         "audit~audit.at+audit.id+audit.what+customers.ssn"),
        ("UPDATE audit SET what = c.ssn FROM customers c RETURNING what, c.name",
         "what=audit.what+customers.ssn name=customers.name"),
        ("UPDATE audit SET (id, what) = (SELECT id, ssn FROM customers LIMIT 1) RETURNING new.what",
         "what=audit.what+customers.ssn"),
        ("WITH d AS (DELETE FROM customers RETURNING ssn AS x) SELECT * FROM d", "x=customers.ssn"),
        ("MERGE INTO audit a USING customers c ON a.id = c.id WHEN MATCHED THEN UPDATE SET what = c.ssn RETURNING a.what",
         "what=audit.what+customers.ssn"),
        ("INSERT INTO secrets (number) VALUES ('x') RETURNING number", "number=customers.ssn"),
    ],
)  # fmt: skip
def test_what_comes_back_may_be_what_was_written_just_now(text: str, expected: str) -> None:
    assert output(text) == expected


def test_a_write_in_a_with_is_a_statement_of_its_own() -> None:
    select, delete, *_ = statements("WITH d AS (DELETE FROM customers WHERE id = 1 RETURNING id) SELECT * FROM d")
    assert (select.kind, select.writes, select.via) == ("select", (), ())
    assert (delete.kind, delete.where, delete.via) == ("delete", True, ("cte",))
    assert "public.customers" in delete.writes


def test_a_write_in_a_with_of_a_write_is_too() -> None:
    found = statements("WITH d AS (DELETE FROM audit RETURNING id) INSERT INTO people (id) SELECT id FROM d")
    assert [(one.kind, one.writes) for one in found] == [
        ("insert", ("public.people",)),
        ("delete", ("public.audit",)),
    ]


def test_triggers_run_with_what_fires_them() -> None:
    insert, nested = statements("INSERT INTO orders (id) VALUES (1)")
    assert [one.name for one in insert.functions] == ["public.note_order"]
    assert (nested.kind, nested.writes, nested.via) == ("insert", ("public.audit",), ("trigger:public.note_order",))


def test_foreign_keys_carry_a_delete_on() -> None:
    assert writes("DELETE FROM customers WHERE id = 1") == "audit customers orders"  # audit by the trigger on orders
    assert writes("INSERT INTO customers (id) VALUES (1)") == "customers"


def test_writing_a_view_writes_the_table_behind_it() -> None:
    assert writes("INSERT INTO secrets (number) VALUES ('x')") == "customers secrets"


def test_partitions_are_written_with_their_table_and_the_other_way_round() -> None:
    assert writes("DELETE FROM events WHERE ip = 'x'") == "events events_2026"
    assert writes("DELETE FROM events_2026 WHERE ip = 'x'") == "events events_2026"


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("DELETE FROM old_orders", "rules on public.old_orders"),
        ("DELETE FROM nowhere", "unknown table nowhere"),
        ("INSERT INTO customers (nix) VALUES (1)", "unknown column nix"),
        ("UPDATE customers SET nix = 1", "unknown column nix"),
    ],
)
def test_what_cannot_be_told_is_a_doubt(text: str, doubt: str) -> None:
    (found, *_) = statements(text)
    assert not found.sure
    assert found.doubts == (doubt,)
    assert statements("SELECT * FROM old_orders")[0].sure  # rules are for what writes
