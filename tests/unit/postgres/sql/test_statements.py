"""Every kind of statement has a place in the list."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import analysed, output, statements, uses, writes

KINDS = [
    ("SELECT 1", "select"),
    ("COPY customers TO STDOUT", "copy"),
    ("EXPLAIN SELECT 1", "explain"),
    ("SHOW search_path", "show"),
    ("SET a.b = 1", "set"),
    ("RESET ALL", "reset"),
    ("BEGIN", "begin"),
    ("COMMIT", "commit"),
    ("SAVEPOINT a", "savepoint"),
    ("LISTEN a", "listen"),
    ("NOTIFY a", "notify"),
    ("LOCK customers", "lock"),
    ("VACUUM customers", "vacuum"),
    ("DISCARD ALL", "discard"),
    ("CHECKPOINT", "checkpoint"),
    ("CLOSE c", "close"),
    ("FETCH c", "fetch"),
    ("MOVE c", "move"),
    ("DEALLOCATE p", "deallocate"),
    ("EXECUTE p (1)", "execute"),
    ("TRUNCATE audit", "truncate"),
    ("CALL close_month('2026-01-01')", "call"),
    ("CREATE ROLE x", "create_role"),
    ("ALTER SYSTEM SET a = 1", "alter_system"),
    ("GRANT ci TO x", "grant"),
    ("REASSIGN OWNED BY a TO b", "reassign_owned"),
]


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_kinds(text: str, kind: str) -> None:
    found = statements(text)[0]
    assert (found.kind, found.sure) == (kind, True)


def test_copy_of_a_table_shows_its_columns() -> None:
    assert output("COPY customers (id, ssn) TO STDOUT") == "id=customers.id ssn=customers.ssn"
    assert uses("COPY customers TO STDOUT") == {"project"}
    assert statements("COPY customers TO STDOUT")[0].options == ("stdout",)
    assert statements("COPY customers TO PROGRAM 'x'")[0].options == ("program",)


def test_copy_of_a_query_is_a_query() -> None:
    copy, select = statements("COPY (SELECT ssn FROM customers WHERE id = 1) TO STDOUT")
    assert (copy.tables, select.kind, select.via, select.where) == ((), "select", ("copy",), True)
    assert output("COPY (SELECT ssn FROM customers) TO STDOUT") == "ssn=customers.ssn"


def test_copy_from_writes() -> None:
    assert writes("COPY audit FROM STDIN") == "audit"
    assert uses("COPY customers (ssn) FROM STDIN") == {"write"}
    assert uses("COPY customers (id) FROM STDIN WHERE ssn > '5'") == {"predicate"}
    assert writes("COPY orders FROM STDIN") == "audit orders"  # by the trigger
    assert output("COPY audit FROM STDIN") == "none"


def test_explain_shows_what_would_run() -> None:
    explain, delete, *_ = statements("EXPLAIN ANALYZE DELETE FROM customers WHERE ssn > '5'")
    assert (explain.options, delete.kind, delete.via) == (("analyze",), "delete", ("explain",))
    assert uses("EXPLAIN SELECT id FROM customers WHERE ssn > '5'") == {"predicate"}
    assert output("EXPLAIN SELECT ssn FROM customers") == "QUERY PLAN~"


def test_what_makes_a_table_of_a_query_writes_what_it_takes() -> None:
    for text in ("CREATE TABLE x AS SELECT ssn FROM customers", "SELECT ssn INTO x FROM customers",
                 "CREATE MATERIALIZED VIEW x AS SELECT ssn FROM customers"):  # fmt: skip
        assert "write" in uses(text), text
        assert writes(text) == "x", text
        assert statements(text)[0].kind == "create_table_as"
        assert output(text) == "none"
    assert statements("CREATE TEMP TABLE x AS SELECT 1")[0].writes == ("pg_temp.x",)


def test_a_table_that_is_read_to_make_itself_is_read_all_the_same() -> None:
    create, select = statements("CREATE TABLE IF NOT EXISTS customers AS SELECT ssn FROM customers")
    assert (create.tables, create.writes) == (("public.customers",), ("public.customers",))
    assert (select.tables, select.writes) == (("public.customers",), ())


def test_a_truncate_that_cascades_may_empty_anything() -> None:
    assert statements("TRUNCATE audit")[0].sure
    assert not statements("TRUNCATE customers CASCADE")[0].sure


def test_a_procedure_is_followed() -> None:
    call, update, *_ = statements("CALL close_month('2026-01-01')")
    assert [one.name for one in call.functions] == ["public.close_month"]
    assert (update.kind, update.via) == ("update", ("function:public.close_month",))
    assert output("CALL close_month('2026-01-01')") == "none"


def test_a_block_is_its_statements() -> None:
    found = statements("DO $$BEGIN IF true THEN DROP TABLE customers; END IF; PERFORM purge(); END$$")
    assert [(one.kind, one.via) for one in found[:3]] == [("do", ()), ("drop", ("do",)), ("select", ("do",))]
    assert ("delete", ("do", "function:public.purge")) in [(one.kind, one.via) for one in found]


def test_settings_and_modes_are_told() -> None:
    (setting,) = statements("SET LOCAL Search_Path TO a, b")[0].settings
    assert (setting.name, setting.value, setting.local) == ("search_path", "a, b", True)
    assert statements("BEGIN READ WRITE")[0].options == ("read_write",)
    assert statements("BEGIN READ ONLY")[0].options == ()


def test_what_comes_back_of_the_rest() -> None:
    assert output("SHOW search_path") == "search_path="
    assert output("BEGIN") == "none"
    assert output("FETCH c") == "unknown"
    assert analysed("MOVE c").steps[0].output is None
