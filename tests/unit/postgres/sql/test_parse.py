from __future__ import annotations

from collections.abc import Callable

import postgast
import pytest
from google.protobuf.message import DecodeError

from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.parse import inner, parse


def refused(text: str) -> SqlError:
    with pytest.raises(SqlError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize("text", ["", " \n\t", ";", " ; ;; ", "-- nothing", "/* nothing /* at */ all */", "--\n;/**/;"])
def test_an_empty_query_string_has_no_statements(text: str) -> None:
    assert parse(text) == []


def test_each_statement_comes_with_its_own_text() -> None:
    found = parse("SELECT 'ü;' ; /* é */ DELETE FROM a -- ;\n;; TABLE b;")
    assert [one.text for one in found] == ["SELECT 'ü;'", "DELETE FROM a", "TABLE b"]
    assert [type(one.node).__name__ for one in found] == ["SelectStmt", "DeleteStmt", "SelectStmt"]


def test_a_syntax_error_has_the_grammars_words_and_the_position_in_characters() -> None:
    error = refused("SELECT 'üüü' FORM x y")
    assert (error.sqlstate, str(error), error.position) == ("42601", 'syntax error at or near "x"', 19)
    assert refused("SELECT (").position == len("SELECT (") + 1
    assert refused("SELECT 'open").sqlstate == "42601"
    assert refused("SELECT $99999999999").sqlstate == "42601"


def test_what_is_no_text_is_refused() -> None:
    for text, position in [("SELECT 1 \0; DROP TABLE a", 10), ("\0", 1), ("SELECT '\ud800'", 9)]:
        error = refused(text)
        assert (error.sqlstate, error.position) == ("22021", position)


# What protobuf would not read by itself (100 levels), and what libpg_query's grammar stops at.
DEEP: dict[str, Callable[[int], str]] = {
    "calls": lambda n: "SELECT " + "f(" * n + "1" + ")" * n,
    "operators": lambda n: "SELECT " + " || ".join(["a"] * n),
    "casts": lambda n: "SELECT 1" + "::int" * n,
    "subqueries": lambda n: "SELECT * FROM (" * n + "SELECT 1" + ") x" * n,
    "unions": lambda n: " UNION ".join(["SELECT 1"] * n),
    "joins": lambda n: "SELECT 1 FROM a" + " JOIN b ON true" * n,
    "case": lambda n: "SELECT " + "CASE WHEN true THEN " * n + "1" + " END" * n,
    "with": lambda n: "WITH a AS (" * n + "SELECT 1" + ") SELECT 1" * n,
    "not": lambda n: "SELECT " + "NOT " * n + "a",
    "arrays": lambda n: "SELECT " + "ARRAY[" * n + "1" + "]" * n,
}


@pytest.mark.parametrize("name", DEEP)
def test_nesting_is_read_as_far_as_real_statements_go_and_refused_beyond(name: str) -> None:
    make = DEEP[name]
    assert len(parse(make(60))) == 1
    for levels in (1000, 3000, 30_000):
        assert refused(make(levels)).sqlstate == "54001"


def test_what_nests_deeper_than_protobuf_reads_is_the_same_tree() -> None:
    node = parse(DEEP["calls"](60))[0].node
    call = inner(inner(node.target_list[0]).val)
    depth = 0
    while type(call).__name__ == "FuncCall":
        depth, call = depth + 1, inner(call.args[0])
    assert depth == 60
    # Other messages of this process are read within the usual limit.
    with pytest.raises(DecodeError):
        postgast.parse(DEEP["calls"](60))


def test_parentheses_alone_make_no_depth() -> None:
    assert len(parse("SELECT " + "(" * 1000 + "1" + ")" * 1000)) == 1
    assert refused("SELECT " + "(" * 100_000 + "1" + ")" * 100_000).sqlstate == "54001"


def test_the_number_of_statements_is_limited() -> None:
    assert len(parse("SELECT 1;" * 1000)) == 1000
    assert refused("SELECT 1;" * 1001).sqlstate == "54000"


def test_an_empty_node_stays_as_it_is() -> None:
    empty = postgast.pg_query_pb2.Node()
    assert inner(empty) is empty
