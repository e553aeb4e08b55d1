from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.postgres.events import ReadCatalog
from extproc.postgres.reading import Reading
from extproc.postgres.talk import LOOK_AGAIN
from tests.unit.postgres.playbook import ALLOW, READING, Play, client, logged_in, server
from tests.unit.postgres.sql.shop import TEXT, shop, table
from tests.unit.postgres.talking import (
    BOUND,
    PARSED,
    SYNC,
    bind,
    complete,
    describe,
    execute,
    failure,
    of,
    parse,
    query,
    ready,
    result,
)

MASK = {"action": "allow", "redact": [{"columns": ["public.customers.ssn"]}]}
TEMPORARY = table(99_000, "customers", f"id 23, ssn {TEXT}", schema="pg_temp_3")


def changed() -> Reading:
    """The shop after a temporary table has taken the name of a table."""
    catalog = shop((TEMPORARY,), search_path=("pg_temp_3", "pg_catalog", "public"))
    return Reading(dataclasses.replace(catalog, fingerprint="changed"))


def reads(play: Play) -> list[bool]:
    """Whether each look at the catalog since the login was in a transaction."""
    return [step.in_transaction for step in play.steps if isinstance(step, ReadCatalog)][1:]


def run(play: Play, text: str, *tags: str, status: str = "I") -> None:
    assert (play >> client(query(text))).kinds.endswith(">Q")
    play >> server(*[complete(tag) for tag in tags], ready(status))


def test_the_catalog_is_read_once_and_looked_at_again_after_a_while() -> None:
    play = logged_in()
    for _ in range(3):
        run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == []
    play.now += LOOK_AGAIN + 1
    run(play, "SELECT 1", "SELECT 1")
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [False]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMP TABLE customers (id int)",
        "DO $$ BEGIN EXECUTE 'CREATE TABLE x ()'; END $$",
        "SELECT run('CREATE TABLE x ()')",
        "DISCARD TEMP",
        "ALTER TABLE customers RENAME TO c",
    ],
)
def test_after_what_may_change_definitions_they_are_read_again(text: str) -> None:
    play = logged_in()
    run(play, text, "CREATE TABLE")
    run(play, "SELECT 1", "SELECT 1")
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [False]


@pytest.mark.parametrize(
    "text",
    [
        "DO $$ BEGIN SET search_path = hr; COMMIT; RAISE EXCEPTION 'x'; END $$",
        "CALL close_month('2026-01-01'); DROP TABLE orders",
    ],
)
def test_also_where_it_failed(text: str) -> None:
    """A procedure may have committed what it did before the error."""
    play = logged_in()
    play >> client(query(text))
    done = [complete("CALL")] if text.startswith("CALL") else []
    play >> server(*done, failure("P0001"), ready())
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [False]


def test_also_inside_of_the_transaction_and_once_more_when_it_has_ended() -> None:
    play = logged_in()
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "CREATE TEMP TABLE customers (id int)", "CREATE TABLE", status="T")
    run(play, "SELECT 1", "SELECT 1", status="T")
    assert reads(play) == [True]
    run(play, "ROLLBACK", "ROLLBACK")
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [True, False]


def test_a_rollback_to_a_savepoint_changes_definitions_back() -> None:
    play = logged_in()
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "SAVEPOINT a", "SAVEPOINT", status="T")
    run(play, "CREATE TEMP TABLE customers (id int)", "CREATE TABLE", status="T")
    run(play, "SELECT 1", "SELECT 1", status="T")
    run(play, "ROLLBACK TO a", "ROLLBACK", status="T")
    run(play, "SELECT 1", "SELECT 1", status="T")
    assert reads(play) == [True, True]


def test_after_a_failure_of_the_transaction_nothing_is_read_until_it_has_ended() -> None:
    play = logged_in()
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "CREATE TEMP TABLE customers (id int)", "CREATE TABLE", status="T")
    play >> client(query("SELECT 1/0"))
    play >> server(failure(), ready("E"))
    assert reads(play) == [True]
    run(play, "ROLLBACK", "ROLLBACK")
    assert reads(play) == [True]
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [True, False]


@pytest.mark.parametrize("first", ["ROLLBACK", "COMMIT", "ROLLBACK TO a", "ROLLBACK AND CHAIN", "ABORT", "END"])
def test_what_follows_the_end_of_a_changed_transaction_in_the_same_string_is_unsure(first: str) -> None:
    """Names were read with the transaction's own definitions, which go with it."""
    play = logged_in(MASK)
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "CREATE TEMP TABLE customers (id int, ssn text)", "CREATE TABLE", status="T")
    play.reading = changed()
    run(play, "SELECT ssn || '' FROM customers", "SELECT 0", status="T")
    said = play >> client(query(f"{first}; SELECT ssn || '' FROM customers"))
    assert said.kinds == "<E <Z"
    assert "code column_protected" in said.error["D"]
    assert said.client[-1].body == b"T"


def test_nor_does_it_follow_a_search_path_that_goes_with_the_transaction() -> None:
    play = logged_in(MASK)
    run(play, "BEGIN; SET LOCAL search_path = hr", "BEGIN", "SET", status="T")
    play.reading = Reading(shop(search_path=("pg_catalog", "hr")))
    said = play >> client(query("COMMIT; SELECT 1"))
    assert "code column_protected" in said.error["D"]


def test_a_search_path_is_looked_at_when_it_was_changed_and_when_its_transaction_ends() -> None:
    play = logged_in()
    run(play, "SET search_path = hr", "SET")
    for _ in range(3):
        run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [False]
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "SET LOCAL search_path = public", "SET", status="T")
    for _ in range(2):
        run(play, "SELECT 1", "SELECT 1", status="T")
    assert reads(play) == [False, True]
    run(play, "ROLLBACK", "ROLLBACK")
    run(play, "SELECT 1", "SELECT 1")
    assert reads(play) == [False, True, False]


def test_what_needs_no_names_needs_no_look() -> None:
    """SET TRANSACTION comes before any query; the end of a transaction must be possible in any case."""
    play = logged_in()
    run(play, "BEGIN; SET LOCAL search_path = hr", "BEGIN", "SET", status="T")
    run(play, "SET TRANSACTION READ ONLY", "SET", status="T")
    run(play, "ROLLBACK", "ROLLBACK")
    assert reads(play) == []


def test_names_are_resolved_as_they_are_now() -> None:
    play = logged_in(MASK)
    run(play, "SET search_path = hr", "SET")
    play.reading = Reading(shop(search_path=("pg_catalog", "hr")))
    run(play, "SELECT ssn || '' FROM staff", "SELECT 0")
    assert play.policy.asked[-1]["sql"]["statements"][0]["tables"] == ["hr.staff"]


def test_in_a_pipeline_definitions_cannot_be_read_so_nothing_follows_their_change() -> None:
    play = logged_in()
    play >> client(parse("CREATE TABLE x ()"), bind(), execute())
    play >> server(PARSED, BOUND, b"n\0\0\0\4", complete("CREATE TABLE"))
    said = play >> client(parse("SELECT 1"), bind(), execute(), SYNC)
    assert said.error["M"] == "after a change of definitions the next statement needs a Sync"
    assert ">E" not in said.kinds


def test_a_catalog_that_cannot_be_read_ends_the_connection() -> None:
    play = logged_in()
    run(play, "CREATE TABLE x ()", "CREATE TABLE")

    def fail(wait: Any) -> None:
        if isinstance(wait, ReadCatalog):
            raise Refusal("upstream_unavailable")

    play.wait_for = fail
    said = play >> client(query("SELECT 1"))
    assert said.kinds == "<E"
    assert said.error["S"] == "FATAL"
    assert play.over


# --- what runs by name


def test_a_prepared_statement_is_decided_when_it_runs() -> None:
    play = logged_in(ALLOW)
    run(play, "PREPARE x AS SELECT ssn FROM customers", "PREPARE")
    said = play >> client(query("EXECUTE x"))
    assert said.kinds == ">Q"
    kinds = [(one["kind"], one["via"]) for one in play.policy.asked[-1]["sql"]["statements"]]
    assert kinds == [("execute", []), ("select", ["execute"])]


def test_and_masked_by_what_it_selects() -> None:
    play = logged_in(MASK)
    run(play, "PREPARE x AS SELECT ssn AS harmless FROM customers", "PREPARE")
    play >> client(query("EXECUTE x"))
    (found,) = of("customers", "ssn")
    said = play >> server(result([dataclasses.replace(found, name="harmless")], ["078-05-1120"]), ready())
    assert said.rows == [[b"****"]]


def test_a_prepare_that_failed_made_no_name() -> None:
    play = logged_in()
    play >> client(query("PREPARE x AS SELECT 1"))
    play >> server(failure(), ready())
    assert (play >> client(query("EXECUTE x"))).error["C"] == "26000"


def test_what_runs_by_name_must_stand_alone() -> None:
    play = logged_in()
    run(play, "PREPARE x AS SELECT 1", "PREPARE")
    said = play >> client(query("DEALLOCATE x; PREPARE x AS SELECT 2; EXECUTE x"))
    assert "code statement_refused" in said.error["D"]


def test_cursors_are_masked_by_what_they_select() -> None:
    play = logged_in(MASK)
    run(play, "BEGIN", "BEGIN", status="T")
    run(play, "DECLARE c CURSOR FOR SELECT ssn FROM customers", "DECLARE CURSOR", status="T")
    play >> client(query("FETCH ALL FROM c"))
    assert (play >> server(result(of("customers", "ssn"), ["078-05-1120"]), ready("T"))).rows == [[b"****"]]
    # Drivers ask for a cursor's columns by the extended protocol.
    assert (play >> client(describe("P", "c"), SYNC)).kinds == ">D >S"


def test_the_same_text_is_analysed_once() -> None:
    assert READING.analyse("SELECT 1 AS once") is READING.analyse("SELECT 1 AS once")
