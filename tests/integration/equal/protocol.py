"""Conversations of the extended protocol, of COPY and of large results: what drivers send, and what they should not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.integration.equal.client import Talk
from tests.integration.equal.says import extended, simple
from tests.unit.postgres.talking import (
    COPY_DONE,
    FLUSH,
    SYNC,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    parse,
    query,
)

SERIES: Final = "SELECT i, 'row ' || i AS t, NULL::int AS n FROM generate_series(1, $1::int) i"


def run(text: str, *values: bytes | str | None, statement: str = "") -> bytes:
    """Without Sync."""
    return parse(text, statement) + bind(statement, values=values) + describe("P") + execute()


def statements() -> Iterator[Talk]:
    """Named and unnamed, prepared once and executed often."""
    yield Talk("parse and describe", parse(SERIES, "s1") + describe("S", "s1") + SYNC)
    for number in range(1, 8):
        yield Talk(f"execution {number}", bind(values=[str(number)], statement="s1") + describe("P") + execute() + SYNC)
    yield Talk("no describe", bind(values=["2"], statement="s1") + execute() + SYNC)
    yield Talk(
        "no describe, binary", bind(values=[b"\0\0\0\3"], statement="s1", formats=[1], results=[1]) + execute() + SYNC
    )
    yield Talk(
        "mixed formats", bind(values=["1"], statement="s1", results=[1, 0, 0]) + describe("P") + execute() + SYNC
    )
    yield Talk("too few formats", bind(values=["1"], statement="s1", results=[1, 0]) + execute() + SYNC)
    yield Talk("a bad value", bind(values=["x"], statement="s1") + execute() + SYNC)
    yield Talk("a bad binary value", bind(values=[b"\0\1"], statement="s1", formats=[1]) + execute() + SYNC)
    yield Talk("parsed twice", parse("SELECT 1", "s2") + SYNC)
    yield Talk("closed", close("S", "s2") + close("S", "s2") + close("S", "never") + close("P", "never") + SYNC)
    yield Talk("parsed again", run("SELECT 2, 'two'", statement="s2") + SYNC)
    yield Talk("closed and parsed at once", close("S", "s2") + run("SELECT 3", statement="s2") + SYNC)
    yield Talk("the unnamed one", parse("SELECT $1::text") + describe("S") + bind(values=["a"]) + execute() + SYNC)
    yield Talk(
        "the unnamed one again", bind(values=["b"]) + execute() + bind(values=[None]) + describe("P") + execute() + SYNC
    )
    yield Talk("replaced", parse("SELECT 'new'") + bind() + execute() + SYNC)
    yield Talk("types given", parse("SELECT $1, $2, $3", types=[23, 25, 1082]) + describe("S") + SYNC)
    yield Talk("types half given", parse("SELECT $1 + 1, $2", types=[0, 1700]) + describe("S") + SYNC)
    yield Talk("types unknown", parse("SELECT $1") + describe("S") + bind(values=["u"]) + execute() + SYNC)
    yield Talk("parameters without a number", run("SELECT $2::int", None, "1") + SYNC)
    yield Talk("an empty string", parse("") + bind() + describe("P") + execute() + SYNC)
    yield Talk("a comment", parse("-- x") + describe("S") + bind() + execute() + SYNC)
    yield Talk("two statements", parse("SELECT 1; SELECT 2") + SYNC)
    yield Talk("a changed table", run("CREATE TABLE p1 (a int)") + SYNC)
    yield Talk("its statement", run("SELECT * FROM p1", statement="p") + SYNC)
    yield simple("ALTER TABLE p1 ADD b text")
    yield Talk("cached plan must not change", bind(statement="p") + execute() + SYNC)
    yield Talk("parsed anew", close("S", "p") + run("SELECT * FROM p1", statement="p") + SYNC)
    yield simple("DROP TABLE p1")
    yield Talk("gone", bind(statement="p") + execute() + SYNC)
    yield simple("DEALLOCATE s2")
    yield Talk("deallocated by SQL", parse("SELECT 1", "s2") + SYNC)
    yield simple("DEALLOCATE ALL")
    yield Talk("after all are gone", parse("SELECT 1", "s1") + bind(statement="s1") + execute() + SYNC)
    yield extended("SET datestyle = 'SQL'")
    yield extended("SELECT '2026-01-02'::date")
    yield extended("RESET ALL")
    yield extended("DISCARD ALL")


def portals() -> Iterator[Talk]:
    yield Talk("in parts", parse(SERIES) + bind(values=["7"]) + describe("P") + execute(most=3) * 3 + SYNC)
    yield Talk("in parts, beyond the end", parse(SERIES) + bind(values=["2"]) + execute(most=2) * 3 + SYNC)
    yield Talk("suspended at Sync", parse(SERIES) + bind(values=["7"], portal="c") + execute("c", 2) + SYNC)
    yield simple("BEGIN")
    yield Talk("a portal", parse(SERIES, "s") + bind(values=["9"], statement="s", portal="c") + execute("c", 2) + SYNC)
    yield Talk("it goes on", execute("c", 3) + SYNC)
    yield simple("FETCH 1 FROM c")
    yield simple('MOVE FORWARD 1 IN "c" -- by SQL')
    yield extended("FETCH 1 c", results=[1])
    yield Talk("two at once", bind(values=["4"], statement="s", portal="d") + execute("d", 1) + execute("c", 1) + SYNC)
    yield Talk("described", describe("P", "c") + describe("P", "d") + SYNC)
    yield simple("SELECT name, is_holdable FROM pg_cursors WHERE name = 'none'")
    yield Talk("closed", close("P", "c") + SYNC)
    yield simple("CLOSE d")
    yield simple("DECLARE k CURSOR FOR SELECT generate_series(1, 4) AS a")
    yield Talk("a cursor by its name", describe("P", "k") + SYNC)
    yield extended("FETCH 2 FROM k")
    yield extended("FETCH 2 FROM k", results=[1])
    yield extended("MOVE 1 FROM k")
    yield extended("CLOSE k")
    yield simple("COMMIT")
    yield Talk("an insert in parts", parse("SELECT 1") + bind() + execute(most=1) + execute(most=1) + SYNC)
    yield Talk("nothing to fetch", run("CREATE TEMP TABLE po (a int)") + SYNC)
    yield Talk(
        "returning in parts",
        parse("INSERT INTO po SELECT generate_series(1, 3) RETURNING a") + bind() + execute(most=2) * 2 + SYNC,
    )
    yield Talk("executed twice", parse("INSERT INTO po VALUES (9)") + bind() + execute() + execute() + SYNC)
    yield Talk("no columns", run("SELECT FROM po") + SYNC)
    yield simple("SELECT count(*) FROM po")


def pipelines() -> Iterator[Talk]:
    """Many statements before one Sync, and many Syncs before anything is read."""
    yield Talk("three, one sync", run("SELECT 1") + run("SELECT 2, 'b'") + run("SELECT 3") + SYNC)
    yield Talk("three syncs", (run("SELECT 1") + SYNC) * 3, readies=3)
    yield Talk("flushes", parse("SELECT 1") + FLUSH + bind() + FLUSH + execute() + FLUSH + SYNC)
    yield Talk("an error in the middle", run("SELECT 1") + run("SELECT 1/0") + run("SELECT 3") + SYNC)
    yield Talk("a parse error in the middle", run("SELECT 1") + run("SELECT nothing") + run("SELECT 3") + SYNC)
    yield Talk("and after it", run("SELECT 4") + SYNC)
    yield Talk("errors and syncs", (run("SELECT 1/0") + SYNC + run("SELECT 5") + SYNC) * 2, readies=4)
    yield Talk(
        "queries between", run("SELECT 1") + SYNC + query("SELECT 2; SELECT 3") + run("SELECT 4") + SYNC, readies=3
    )
    yield simple("CREATE TABLE pipe (a int PRIMARY KEY)")
    yield Talk(
        "an implicit transaction", run("INSERT INTO pipe VALUES (1)") + run("INSERT INTO pipe VALUES (1)") + SYNC
    )
    yield simple("SELECT * FROM pipe")
    yield Talk("begin in a pipeline", run("BEGIN") + run("INSERT INTO pipe VALUES (2)") + run("COMMIT") + SYNC)
    yield Talk(
        "a failed block",
        run("BEGIN") + run("INSERT INTO pipe VALUES (2)") + SYNC + run("SELECT 1") + SYNC + run("ROLLBACK") + SYNC,
        readies=3,
    )
    insert = parse("INSERT INTO pipe VALUES ($1)", "ins")
    yield Talk(
        "executemany",
        insert + b"".join(bind(values=[str(n)], statement="ins") + execute() for n in range(10, 60)) + SYNC,
    )
    yield simple("SELECT count(*), sum(a) FROM pipe")
    yield Talk("only a sync", SYNC)
    yield Talk("only syncs", SYNC * 5, readies=5)
    yield Talk("a flush and a sync", FLUSH + SYNC)
    yield simple("DROP TABLE pipe")


def copies() -> Iterator[Talk]:
    yield simple("CREATE TABLE cp (a int, b text, c date)")
    rows = copy_data(b"1\tone\t2026-01-01\n", b"2\t\\N\t\\N\n3\tth", b"ree\\t\\n\t\\N\n")
    yield simple("COPY cp FROM STDIN", rows + COPY_DONE)
    yield simple("COPY cp (a, b) FROM STDIN (FORMAT csv, HEADER)", copy_data(b'a,b\n4,"fo,ur"\n5,\n') + COPY_DONE)
    yield simple("COPY cp FROM STDIN (FORMAT text, DELIMITER '|', NULL 'nil')", copy_data(b"6|nil|nil\n") + COPY_DONE)
    yield simple("SELECT * FROM cp ORDER BY a")
    yield simple("COPY cp FROM STDIN", copy_data(b"x\ty\tz\n") + COPY_DONE)
    yield simple("COPY cp FROM STDIN", copy_data(b"1\ttoo few\n") + COPY_DONE)
    yield simple("COPY cp FROM STDIN", copy_data(b"1\tt\t\\N\textra\n") + COPY_DONE)
    yield simple("COPY cp FROM STDIN", copy_data(b"7\tnot kept\t\\N\n") + copy_fail("changed my mind"))
    yield simple("COPY cp FROM STDIN", COPY_DONE)
    yield simple("COPY cp FROM STDIN", copy_data(b"8\tend\t\\N\n\\.\n") + COPY_DONE)
    yield simple("COPY nothing FROM STDIN", copy_data(b"1\n") + COPY_DONE)
    yield simple("COPY cp (nothing) FROM STDIN", COPY_DONE)
    yield simple("COPY cp FROM STDIN (FORMAT binary)", copy_data(b"not binary") + COPY_DONE)
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    tuples = b"\0\3\0\0\0\4\0\0\0\x09\0\0\0\2hi\xff\xff\xff\xff" + b"\xff\xff"
    yield simple("COPY cp FROM STDIN (FORMAT binary)", copy_data(header, tuples) + COPY_DONE)
    for more in (
        "",
        " (FORMAT csv)",
        " (FORMAT binary)",
        " (HEADER)",
        " (DELIMITER ',')",
        " (FORCE_QUOTE *, FORMAT csv)",
    ):
        yield simple(f"COPY cp TO STDOUT{more}")
        yield extended(f"COPY (SELECT a, b FROM cp ORDER BY a) TO STDOUT{more}")
    yield simple("COPY (DELETE FROM cp WHERE a > 6 RETURNING a) TO STDOUT")
    yield simple("COPY (SELECT 1/0) TO STDOUT")
    yield simple("COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT")
    yield simple("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 2000)) TO STDOUT")
    yield simple("COPY cp TO '/tmp/nowhere'")
    yield simple("COPY cp FROM PROGRAM 'true'")
    yield simple("COPY cp TO STDOUT; SELECT 1; COPY cp TO STDOUT (FORMAT csv)")
    yield simple("COPY cp FROM STDIN; SELECT count(*) FROM cp", rows + COPY_DONE)
    into = parse("COPY cp FROM STDIN") + bind() + describe("P") + execute()
    yield Talk("extended copy in", into + rows + COPY_DONE + SYNC)
    yield Talk("extended copy in, failed", into + copy_data(b"x\n") + COPY_DONE + SYNC)
    yield Talk("extended copy in, given up", into + rows + copy_fail("no") + SYNC)
    yield simple("BEGIN")
    yield simple("COPY cp FROM STDIN", copy_data(b"x\n") + COPY_DONE)
    yield simple("SELECT 1")
    yield simple("ROLLBACK")
    yield Talk("copy data out of turn", copy_data(b"x") + COPY_DONE + query("SELECT 1"))
    yield simple(
        "COPY cp FROM STDIN", copy_data(*(b"%d\t%s\t\\N\n" % (n, b"y" * 300) for n in range(3000))) + COPY_DONE
    )
    yield simple("SELECT count(*), sum(length(b)) FROM cp")
    yield simple("DROP TABLE cp")


def large() -> Iterator[Talk]:
    for how in (simple, extended):
        yield how("SELECT i, repeat(chr(65 + i % 26), i % 500) FROM generate_series(1, 8000) i")
        yield how("SELECT repeat('x', 3000000)")
        yield how("SELECT '" + "y" * 200_000 + "'")
    yield extended("SELECT length($1::text), $1::bytea = ''", "z" * 700_000)
    yield extended("SELECT i, i::text, i::numeric, i::float8 FROM generate_series(1, 8000) i", results=[1])
    yield simple("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600)))
    yield simple("; ".join(f"SELECT {n}" for n in range(300)))
    yield Talk("a long pipeline", run("SELECT repeat('p', 10000)") * 200 + SYNC)


def unfinished() -> Iterator[Talk]:
    """A query where a Sync was due. From 17 on the server itself is confused by what comes next; it must be as confused."""
    yield Talk("a query without a sync before it", run("SELECT 1") + query("SELECT 2") + SYNC, readies=2)
    yield simple("SELECT 3")


GROUPS: Final = {
    "statements": statements,
    "portals": portals,
    "pipelines": pipelines,
    "copies": copies,
    "large": large,
    "unfinished": unfinished,
}
