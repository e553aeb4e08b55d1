"""Names of columns that have none, as the server gives them (test_postgres_lineage.py holds more against real ones)."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import analysed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1", "?column?"),
        ("'a'", "?column?"),
        ("id + 1", "?column?"),
        ("c.ssn", "ssn"),
        ("(c).ssn", "ssn"),
        ("c", "c"),
        ("tags[1]", "tags"),
        ("upper(ssn)", "upper"),
        ("pg_catalog.upper(ssn)", "upper"),
        ("ssn::text", "ssn"),
        ("1::bigint", "int8"),
        ("'x'::text::varchar", "text"),
        ("CASE WHEN true THEN 1 END", "case"),
        ("CASE WHEN true THEN 1 ELSE ssn END", "ssn"),
        ("coalesce(1, 2)", "coalesce"),
        ("nullif(1, 2)", "nullif"),
        ("greatest(1, 2)", "greatest"),
        ("least(1, 2)", "least"),
        ("ARRAY[1]", "array"),
        ("ROW(1)", "row"),
        ("EXISTS (SELECT 1)", "exists"),
        ("(SELECT ssn)", "ssn"),
        ("(SELECT 1)", "?column?"),
        ("(SELECT 1)::bigint", "?column?"),
        ("(VALUES (1))", "column1"),
        ("ARRAY(SELECT 1)", "array"),
        ("1 IN (SELECT 1)", "?column?"),
        ("current_user", "current_user"),
        ("current_timestamp", "current_timestamp"),
        ('ssn COLLATE "C"', "ssn"),
        ("extract(year FROM born)", "extract"),
        ("1 AS x", "x"),
    ],
)
def test_names(text: str, name: str) -> None:
    (step,) = analysed(f"SELECT {text} FROM customers c, people").steps
    assert step.output is not None
    assert [one.name for one in step.output] == [name]
