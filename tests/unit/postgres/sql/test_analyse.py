"""Query strings of several statements: what the first ones do to the meaning of the next, and what they set."""

from __future__ import annotations

import pytest

from extproc.postgres.sql.model import Setting
from extproc.postgres.sql.steps import moves_names
from tests.unit.postgres.sql.seen import analysed, statements

MOVES = """
SET search_path = hr
SET LOCAL search_path = hr
SELECT set_config('search_path', 'hr', false)
SELECT 1 FROM customers WHERE set_config('Search_Path', 'hr', true) = 'hr'
DO $$BEGIN SET search_path = hr; END$$
RESET search_path
SET search_path TO DEFAULT
RESET ALL
DISCARD ALL
"""
DEFINES = """
CREATE VIEW v AS SELECT 1
ALTER TABLE audit RENAME TO x
DROP TABLE audit
DO $$BEGIN EXECUTE 'x'; END$$
SELECT run('x')
SELECT unheard_of()
"""
CHANGES = MOVES.strip().splitlines() + DEFINES.strip().splitlines()


@pytest.mark.parametrize("text", MOVES.strip().splitlines())
def test_what_moves_names_is_known(text: str) -> None:
    assert moves_names(analysed(text).steps[0])


@pytest.mark.parametrize("text", ["SET timezone = 'UTC'", "SHOW search_path", "SELECT 1", "RESET timezone"])
def test_what_moves_no_names_is_known_too(text: str) -> None:
    assert not moves_names(analysed(text).steps[0])


@pytest.mark.parametrize("first", CHANGES)
def test_what_follows_a_change_in_the_same_string_is_not_sure(first: str) -> None:
    text = f"{first}; SELECT ssn FROM customers"
    last = statements(text)[-1]
    assert not last.sure
    assert "same string" in last.doubts[-1]
    assert not analysed(text).steps[-1].output_sure


@pytest.mark.parametrize("first", ["SET work_mem = 100", "BEGIN", "SELECT purge()", "DELETE FROM audit"])
def test_other_statements_do_not_make_the_next_unsure(first: str) -> None:
    text = f"{first}; SELECT ssn FROM customers"
    assert statements(text)[-1].sure
    assert analysed(text).steps[-1].output_sure


@pytest.mark.parametrize(
    "text",
    [
        "SET role = x",
        "SELECT set_config('role', 'x', false)",
        "WITH a AS (SELECT set_config('role', 'x', false)) SELECT * FROM a",
        "DO $$BEGIN PERFORM set_config('role', 'x', false); END$$",
        "EXPLAIN ANALYZE SELECT set_config('role', 'x', false)",
        "COPY (SELECT set_config('role', 'x', false)) TO STDOUT",
    ],
)
def test_what_is_set_anywhere_stands_in_the_step(text: str) -> None:
    assert analysed(text).steps[0].settings == (Setting("role", "x"),)


def test_what_is_prepared_is_not_set_yet() -> None:
    (step,) = analysed("PREPARE a AS SELECT set_config('role', 'x', false)").steps
    assert step.settings == ()
    assert step.inner is not None
    assert step.inner.steps[0].settings == (Setting("role", "x"),)
