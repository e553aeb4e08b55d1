from __future__ import annotations

import time

import pytest

from extproc.postgres.sql import limits
from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.parse import parse

LARGE_AND_HARMLESS = {
    "in list": "SELECT 1 FROM a WHERE b IN (" + ",".join(["12"] * 100_000) + ")",
    "rows with casts": "INSERT INTO t VALUES " + ", ".join(["(1::int, 'a'::text, now() - '1 day'::interval)"] * 8000),
    "or": "SELECT 1 WHERE " + " OR ".join(["a = 1"] * 20_000),
    "pairs": "SELECT 1 WHERE " + " OR ".join(["(a = 1 AND b BETWEEN 2 AND 3)"] * 10_000),
    "case": "UPDATE t SET a = CASE" + " WHEN (id = 1) THEN 'x'" * 15_000 + " END WHERE id > 0",
    "columns": "ALTER TABLE t " + ", ".join(["ADD COLUMN a int NOT NULL DEFAULT 1 + 1"] * 5000),
    "statements": "UPDATE t SET a = a + 1 WHERE b = 'x' AND c = 'y';" * 1000,
    "comments": "SELECT 1" + " -- a line of words\n" * 20_000,
    "one string": "SELECT '" + "- + ( /* '' " * 80_000 + "'",
    "a banner": "/" + "*" * 3000 + "/ SELECT 1 " + "-" * 3000,
}
# Each ends the process, or takes minutes, in libpg_query alone.
HOSTILE = {
    "operators": "SELECT 1" + "+1" * 500_000,
    "operators, long": "SELECT 1" + "+1" * 60_000,
    "casts": "SELECT 1" + "::x" * 100_000,
    "joins": "SELECT 1 FROM a" + " JOIN b ON true" * 60_000,
    "joins with commas": "SELECT 1 FROM a" + " JOIN b ON c IN (1, 2) AND d, e" + " JOIN b ON f AND g" * 50_000,
    "unions": "SELECT 1, 2" + " UNION SELECT 1, 2" * 50_000,
    "keywords that are names": "SELECT a" + "+x.and+x.or" * 50_000,
    "names in a CASE": "SELECT CASE WHEN a" + "+x.when" * 90_000 + " THEN 1 END",
    "a label that is no CASE": "SELECT 1 case, a" + "+x.when+x.and" * 50_000,
    "between": "SELECT a" + " BETWEEN 1 AND 2 IS NULL" * 40_000,
    "case as operand": "SELECT 1" + "+CASE WHEN 1 THEN 2 END" * 40_000,
    "groups as first operand": "SELECT " + "(" * 900 + "1" + ("+1" * 200 + ")") * 900,
    "is null": "SELECT a" + " IS NULL" * 100_000,
    "comments in comments": "/*" * 100_000 + "*/" * 100_000,
    "comments in a row": "SELECT 1 " + "/*/*/*/*/" * 50_000,
    "signs": "SELECT " + "+-" * 400_000 + "1",
    "warnings": "CREATE GLOBAL TEMP TABLE a();" * 30_000,
    "statements": "SELECT 1;" * 100_000,
    "tokens": "SELECT " + "1," * 500_000 + "1",
}


@pytest.mark.parametrize("name", LARGE_AND_HARMLESS)
def test_large_texts_that_nest_little_are_read(name: str) -> None:
    text = LARGE_AND_HARMLESS[name]
    limits.plain(text)
    assert parse(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_end_or_stop_the_process_is_refused_soon(name: str) -> None:
    started = time.process_time()
    with pytest.raises(SqlError) as caught:
        parse(HOSTILE[name])
    assert caught.value.sqlstate in ("54000", "54001")
    assert time.process_time() - started < 5


def test_a_text_of_more_than_a_megabyte_is_refused() -> None:
    assert parse("SELECT '" + "a" * (limits.MOST_BYTES - 9) + "'")
    with pytest.raises(SqlError) as caught:
        parse("SELECT '" + "ü" * (limits.MOST_BYTES // 2) + "'")
    assert caught.value.sqlstate == "54000"


def test_a_large_text_with_a_token_error_is_a_syntax_error_at_its_place() -> None:
    text = "SELECT 'ü', " * 1000 + "'open"
    with pytest.raises(SqlError) as caught:
        parse(text)
    assert (caught.value.sqlstate, caught.value.position) == ("42601", text.rindex("'") + 1)
