from __future__ import annotations

import postgast
import pytest

from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.parse import parse

KINDS = {
    "SELECT 1": "select",
    "VALUES (1)": "select",
    "TABLE a": "select",
    "SELECT 1 INTO a": "create_table_as",
    "SELECT 1 INTO a UNION SELECT 2 UNION SELECT 3": "create_table_as",
    "(SELECT 1 INTO a) UNION SELECT 2": "create_table_as",
    "CREATE TABLE a AS SELECT 1": "create_table_as",
    "CREATE MATERIALIZED VIEW a AS SELECT 1": "create_table_as",
    "INSERT INTO a VALUES (1)": "insert",
    "UPDATE a SET b = 1": "update",
    "DELETE FROM a": "delete",
    "MERGE INTO a USING b ON c WHEN MATCHED THEN DELETE": "merge",
    "COPY a TO STDOUT": "copy",
    "EXPLAIN SELECT 1": "explain",
    "DECLARE c CURSOR FOR SELECT 1": "declare_cursor",
    "FETCH c": "fetch",
    "MOVE c": "move",
    "CLOSE c": "close",
    "PREPARE p AS SELECT 1": "prepare",
    "EXECUTE p": "execute",
    "DEALLOCATE p": "deallocate",
    "CALL p()": "call",
    "DO 'BEGIN END'": "do",
    "SET a.b = 1": "set",
    "SET TRANSACTION READ ONLY": "set",
    "SET ROLE a": "set",
    "SET ROLE NONE": "set",
    "SET a.b TO DEFAULT": "set",
    "RESET a.b": "reset",
    "RESET ALL": "reset",
    "SHOW ALL": "show",
    "LISTEN a": "listen",
    "UNLISTEN *": "unlisten",
    "NOTIFY a, 'b'": "notify",
    "TRUNCATE a": "truncate",
    "BEGIN": "begin",
    "START TRANSACTION": "begin",
    "COMMIT": "commit",
    "END": "commit",
    "ROLLBACK": "rollback",
    "ABORT": "rollback",
    "SAVEPOINT a": "savepoint",
    "RELEASE a": "release",
    "ROLLBACK TO a": "rollback_to",
    "PREPARE TRANSACTION 'a'": "prepare_transaction",
    "COMMIT PREPARED 'a'": "commit_prepared",
    "ROLLBACK PREPARED 'a'": "rollback_prepared",
    "LOCK a": "lock",
    "VACUUM a": "vacuum",
    "ANALYZE a": "analyze",
    "CLUSTER a": "cluster",
    "REINDEX TABLE a": "reindex",
    "CHECKPOINT": "checkpoint",
    "LOAD 'a'": "load",
    "DISCARD ALL": "discard",
    "SET CONSTRAINTS ALL DEFERRED": "set_constraints",
    "CREATE VIEW a AS SELECT 1": "create_view",
    "CREATE TABLE a (b int)": "create_table",
    "CREATE INDEX ON a (b)": "create_index",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1": "create_function",
    "CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()": "create_trigger",
    "CREATE ROLE a": "create_role",
    "CREATE EXTENSION a": "create_extension",
    "CREATE SCHEMA a": "create_schema",
    "CREATE RULE r AS ON INSERT TO a DO NOTHING": "create_rule",
    "DROP TABLE a": "drop",
    "DROP FUNCTION f": "drop",
    "DROP ROLE a": "drop_role",
    "ALTER TABLE a ADD b int": "alter_table",
    "ALTER TABLE a RENAME TO b": "rename",
    "ALTER ROLE a SET b.c = 1": "alter_role_set",
    "ALTER SYSTEM SET a = 1": "alter_system",
    "GRANT SELECT ON a TO b": "grant",
    "REVOKE SELECT ON a FROM b": "revoke",
    "GRANT a TO b": "grant",
    "REVOKE a FROM b": "revoke",
    "COMMENT ON TABLE a IS 'b'": "comment",
    "REFRESH MATERIALIZED VIEW a": "refresh_materialized_view",
    "CREATE DATABASE a": "create_database",
    "SECURITY LABEL ON TABLE a IS 'b'": "security_label",
}


@pytest.mark.parametrize("text", KINDS)
def test_kinds_are_named_as_the_commands_are(text: str) -> None:
    assert kind_of(parse(text)[0].node) == KINDS[text]


def test_every_statement_of_the_grammar_has_a_name_in_snake_case() -> None:
    names = [name for name in dir(postgast.pg_query_pb2) if name.endswith("Stmt")]
    kinds = [kind_of(getattr(postgast.pg_query_pb2, name)()) for name in names]
    assert len(kinds) > 100
    assert all(kind == kind.lower() and kind.replace("_", "").isalpha() for kind in kinds)
    assert not any("_stmt" in kind for kind in kinds)
