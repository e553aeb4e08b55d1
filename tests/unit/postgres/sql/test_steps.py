from __future__ import annotations

from typing import Any

import pytest

from extproc.postgres.sql.model import Setting, Step
from extproc.postgres.sql.parse import parse
from extproc.postgres.sql.steps import options_of, settings_of, step_of


def step(text: str) -> Step:
    return step_of(parse(text)[0].node)


# What differs from a plain Step of that kind.
STEPS: dict[str, dict[str, Any]] = {
    "BEGIN": {"transaction": "begin"},
    "BEGIN READ ONLY": {"transaction": "begin"},
    "BEGIN READ WRITE": {"transaction": "begin", "read_write": True},
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ /* */ WRITE": {"transaction": "begin", "read_write": True},
    "BEGIN READ ONLY READ WRITE": {"transaction": "begin", "read_write": True},
    "COMMIT AND CHAIN": {"transaction": "commit"},
    "END": {"transaction": "commit"},
    "ABORT": {"transaction": "rollback"},
    "ROLLBACK AND NO CHAIN": {"transaction": "rollback"},
    'SAVEPOINT "A"': {"transaction": "savepoint"},
    "RELEASE SAVEPOINT a": {"transaction": "release"},
    "ROLLBACK TO SAVEPOINT a": {"transaction": "rollback_to"},
    "PREPARE TRANSACTION 'a'": {"transaction": "prepare", "changes_catalog": True},
    "COMMIT PREPARED 'a'": {"transaction": "commit_prepared", "changes_catalog": True},
    "ROLLBACK PREPARED 'a'": {"transaction": "rollback_prepared", "changes_catalog": True},
    "SET TRANSACTION READ WRITE": {
        "read_write": True, "settings": (Setting("transaction_read_only", "0", local=True),)},
    "SET TRANSACTION READ ONLY": {"settings": (Setting("transaction_read_only", "1", local=True),)},
    "SET TRANSACTION SNAPSHOT 'a'": {"settings": (Setting("transaction_snapshot", "a", local=True),)},
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE": {
        "read_write": True,
        "settings": (Setting("default_transaction_read_only", "0"),
                     Setting("default_transaction_isolation", "serializable"))},
    'SET "Transaction_Read_Only" = off': {
        "read_write": True, "settings": (Setting("transaction_read_only", "off"),)},
    "SET LOCAL default_transaction_read_only TO 'no'": {
        "read_write": True, "settings": (Setting("default_transaction_read_only", "no", local=True),)},
    "SET transaction_read_only FROM CURRENT": {
        "read_write": True, "settings": (Setting("transaction_read_only", None),)},
    "SET transaction_read_only = true": {"settings": (Setting("transaction_read_only", "true"),)},
    "SET DateStyle = ISO, DMY": {"settings": (Setting("datestyle", "iso, dmy"),)},
    "SET LOCAL a.b TO -1.5": {"settings": (Setting("a.b", "-1.5", local=True),)},
    "SET SESSION work_mem = 64": {"settings": (Setting("work_mem", "64"),)},
    "SET search_path = a, \"B\", 'c d'": {"settings": (Setting("search_path", 'a, "B", "c d"'),)},
    "SET search_path = ''": {"settings": (Setting("search_path", '""'),)},
    "SET SCHEMA 'x'": {"settings": (Setting("search_path", "x"),)},
    "SET TIME ZONE 'UTC'": {"settings": (Setting("timezone", "UTC"),)},
    "SET TIME ZONE -7": {"settings": (Setting("timezone", "-7"),)},
    "SET TIME ZONE INTERVAL '1' HOUR": {"settings": (Setting("timezone", "INTERVAL '1'"),)},
    "SET ROLE boss": {"settings": (Setting("role", "boss"),)},
    "SET LOCAL ROLE NONE": {"settings": (Setting("role", "none", local=True),)},
    "SET SESSION AUTHORIZATION 'boss'": {"settings": (Setting("session_authorization", "boss"),)},
    "SET NAMES 'SJIS'": {"settings": (Setting("client_encoding", "SJIS"),)},
    "SET XML OPTION DOCUMENT": {"settings": (Setting("xmloption", "DOCUMENT"),)},
    "SET TIME ZONE LOCAL": {"reset": "timezone"},
    "SET NAMES": {"reset": "client_encoding"},
    "SET role TO DEFAULT": {"reset": "role"},
    "SET SESSION AUTHORIZATION DEFAULT": {"reset": "session_authorization"},
    "RESET ROLE": {"reset": "role"},
    'RESET "Role"': {"reset": "role"},
    "RESET SESSION AUTHORIZATION": {"reset": "session_authorization"},
    "RESET ALL": {"reset": "*"},
    "DISCARD ALL": {"discard": "all", "changes_catalog": True},
    "DISCARD TEMPORARY": {"discard": "temp", "changes_catalog": True},
    "DISCARD PLANS": {"discard": "plans"},
    "DISCARD SEQUENCES": {"discard": "sequences"},
    "PREPARE P AS DELETE FROM a": {"prepares": "p"},
    'PREPARE "P" (int) AS SELECT 1': {"prepares": "P"},
    "EXECUTE P (1)": {"executes": "p", "output_sure": False},
    "EXPLAIN ANALYZE EXECUTE p": {"executes": "p", "output_sure": False},
    "CREATE TABLE a AS EXECUTE p": {"executes": "p", "changes_catalog": True},
    "EXPLAIN CREATE TABLE a AS EXECUTE p": {"executes": "p", "output_sure": False, "changes_catalog": True},
    "DEALLOCATE PREPARE p": {"deallocates": "p"},
    'DEALLOCATE "all"': {"deallocates": "all"},
    "DEALLOCATE ALL": {"deallocates": "*"},
    "DECLARE C BINARY SCROLL CURSOR WITH HOLD FOR SELECT 1": {"declares": "c"},
    "FETCH BACKWARD ALL IN c": {"fetches": "c", "output_sure": False},
    "MOVE 3 FROM c": {"fetches": "c"},
    "CLOSE c": {"closes": "c"},
    "CLOSE ALL": {"closes": "*"},
    "SELECT 1": {"output_sure": False},
    "SELECT 1 INTO a": {"changes_catalog": True},
    "DELETE FROM a": {"output_sure": False},
    "CALL p()": {"output_sure": False, "changes_catalog": True},
    "DO 'BEGIN END'": {"changes_catalog": True},
    "SHOW ALL": {"output_sure": False},
    "LISTEN a": {},
    "UNLISTEN *": {},
    "NOTIFY a": {},
    "TRUNCATE a": {},
    "VACUUM a": {},
    "SET CONSTRAINTS ALL DEFERRED": {},
    "LOAD 'a'": {"changes_catalog": True},
    "CREATE VIEW a AS SELECT 1": {"changes_catalog": True},
    "ALTER TABLE a RENAME TO b": {"changes_catalog": True},
    "DROP TABLE a": {"changes_catalog": True},
    "GRANT a TO b": {"changes_catalog": True},
    "CREATE EXTENSION dblink": {"changes_catalog": True},
    "ALTER ROLE a SET search_path = b": {"changes_catalog": True},
    "COPY a TO '/tmp/x'": {"output_sure": False},
    "COPY a TO PROGRAM 'x'": {"output_sure": False},
}  # fmt: skip


@pytest.mark.parametrize("text", STEPS)
def test_a_step_tells_what_the_connection_must_know(text: str) -> None:
    found = step(text)
    assert found == Step(found.kind, **STEPS[text])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("COPY a TO STDOUT", ("stdout",)),
        ("COPY a FROM STDIN", ("stdin",)),
        ("COPY a TO '/tmp/x'", ("file",)),
        ("COPY a FROM PROGRAM 'x'", ("program",)),
        ("EXPLAIN SELECT 1", ()),
        ("EXPLAIN ANALYZE SELECT 1", ("analyze",)),
        ("EXPLAIN ANALYSE VERBOSE SELECT 1", ("analyze",)),
        ("EXPLAIN (VERBOSE, ANALYZE) SELECT 1", ("analyze",)),
        ("EXPLAIN (ANALYZE 1) SELECT 1", ("analyze",)),
        ("EXPLAIN (ANALYZE 'ON') SELECT 1", ("analyze",)),
        ("EXPLAIN (ANALYZE false, ANALYZE true) SELECT 1", ("analyze",)),
        ("EXPLAIN (ANALYZE false) SELECT 1", ()),
        ("EXPLAIN (ANALYZE 0, VERBOSE) SELECT 1", ()),
        ("EXPLAIN (ANALYZE OFF) SELECT 1", ()),
        ("BEGIN READ WRITE", ("read_write",)),
        ("SET TRANSACTION READ WRITE", ("read_write",)),
        ("SET transaction_read_only = 0", ("read_write",)),
        ("BEGIN", ()),
        ("SELECT 1", ()),
    ],
)
def test_options_that_policy_is_told(text: str, options: tuple[str, ...]) -> None:
    assert options_of(parse(text)[0].node) == options


def test_a_setting_back_to_its_default_sets_nothing() -> None:
    assert settings_of(parse("SET a TO DEFAULT")[0].node) == ()
    assert settings_of(parse("RESET a")[0].node) == ()
