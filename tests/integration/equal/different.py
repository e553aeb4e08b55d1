"""
Where the gateway must answer in another way than the server would: the whole list, each with its reason.

An answer is told in short: SQLSTATEs of errors, tags of completed commands, the state that ReadyForQuery tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.integration.equal.client import Message, Talk
from tests.integration.equal.says import extended, simple
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.talking import SYNC, bind, execute, parse


@dataclass(frozen=True, slots=True)
class Different:
    """`before` is said first, in the same connection, and is the same."""

    reason: str
    talk: Talk
    straight: str
    gateway: str
    before: Sequence[Talk] = ()
    same_text: bool = False  # errors have the same SQLSTATE, message and position; only DETAIL, HINT and F, L, R differ


BEGIN: Final = (simple("BEGIN"),)
GRAMMAR: Final = "the grammar is read in the gateway: the error has no file, line and routine, and tells the exchange"
NOT_SENT: Final = GRAMMAR + "; nothing reached the server, so its transaction lives on"
NAMES: Final = "the names of statements and cursors are known in the gateway; nothing reached the server"
PINNED: Final = "what changes the meaning of statements stays as the gateway read them"
OWN: Final = "the name on the server is the gateway's own, so that a name known to the gateway means nothing else there"
RUNS_BY_NAME: Final = "what is run by name is decided before the string is sent, and the name would be given by it"
REFCURSOR: Final = "what a cursor shows that a function opened is not known"
LIMITS: Final = "what is too large or too deep is not analysed, so it is not sent"
DIFFERENT: Final = [
    Different(GRAMMAR, simple("SELEC 1"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("SELECT 1; SELEC 2"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("SELECT 'a' 'b'"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("SELECT 'open"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple('SELECT ""'), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("/* open"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("SELECT 'ünï' FRUM x"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, simple("CREATE TABLE t (a int,)"), "42601 I", "42601 I", same_text=True),
    Different(GRAMMAR, extended("SELEC 1"), "42601 I", "42601 I", same_text=True),
    Different(NOT_SENT, simple("SELEC 1"), "42601 E", "42601 T", BEGIN, same_text=True),
    Different(NOT_SENT, extended("SELEC 1"), "42601 E", "42601 T", BEGIN, same_text=True),
    Different(NAMES, simple("EXECUTE nothing"), "26000 I", "26000 I", same_text=True),
    Different(NAMES, simple("EXECUTE nothing"), "26000 E", "26000 T", BEGIN, same_text=True),
    Different(NAMES, simple("DEALLOCATE nothing"), "26000 I", "26000 I", same_text=True),
    Different(NAMES, simple("FETCH nothing"), "34000 I", "34000 I", same_text=True),
    Different(NAMES, simple("CLOSE nothing"), "34000 I", "34000 I", same_text=True),
    Different(NAMES, Talk("Bind", bind(statement="nothing") + SYNC), "26000 I", "26000 I", same_text=True),
    Different(NAMES, Talk("Execute", execute("nothing") + SYNC), "34000 I", "34000 I", same_text=True),
    Different(NAMES, Talk("Describe S", message(b"D", b"Snothing\0") + SYNC), "26000 I", "26000 I", same_text=True),
    Different(NAMES, Talk("Describe P", message(b"D", b"Pnothing\0") + SYNC), "34000 I", "34000 I", same_text=True),
    Different(NAMES, Talk("a taken name", parse("SELECT 1", "a") * 2 + SYNC), "42P05 I", "42P05 I"),
    Different(NAMES, Talk("a taken portal", parse("SELECT 1") + bind(portal="a") * 2 + SYNC), "42P03 I", "42P03 I"),
    Different(RUNS_BY_NAME, simple("PREPARE a AS SELECT 1; EXECUTE a"), "PREPARE SELECT 1 I", "26000 I"),
    Different(
        RUNS_BY_NAME,
        simple("BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; COMMIT"),
        "BEGIN DECLARE CURSOR FETCH 1 COMMIT I",
        "34000 I",
    ),
    Different(
        REFCURSOR,
        simple("FETCH ALL FROM named"),
        "FETCH 1 T",
        "34000 T",
        (
            simple(
                "CREATE FUNCTION pg_temp.c() RETURNS refcursor LANGUAGE plpgsql"
                " AS $$DECLARE c refcursor := 'named'; BEGIN OPEN c FOR SELECT 1; RETURN c; END$$"
            ),
            *BEGIN,
            simple("SELECT pg_temp.c()"),
        ),
    ),
    Different(
        OWN,
        Talk("too many values", parse("SELECT 1", "s") + bind("s", values=["1"]) + execute() + SYNC),
        "08P01 I",
        "08P01 I",
    ),
    Different(
        OWN,
        simple("SELECT name FROM pg_prepared_statements"),
        "SELECT 1 I",
        "SELECT 1 I",
        (Talk("a name", parse("SELECT 1", "s") + SYNC),),
    ),
    Different(OWN, simple("PREPARE extproc_1 AS SELECT 1"), "PREPARE I", "0A000 I"),
    *(
        Different(PINNED, simple(text), done, "42501 I")
        for text, done in {
            "SET transform_null_equals = on": "SET I",
            "SET standard_conforming_strings = off": "SET I",
            "SET backslash_quote = on": "SET I",
            "SET array_nulls = off": "SET I",
            "SET quote_all_identifiers = on": "SET I",
            "SET client_encoding = 'LATIN1'": "SET I",
            "SET NAMES 'LATIN1'": "SET I",
            "SET ROLE app": "SET I",
            "RESET ROLE": "RESET I",
            "SET SESSION AUTHORIZATION app": "SET I",
            "SET session_replication_role = replica": "42501 I",
            "SET max_connections = 5": "55P02 I",
            "SET my.own = 'x'": "SET I",
            "SET default_tablespace = pg_default": "SET I",
            "SELECT set_config('array_nulls', 'off', false)": "SELECT 1 I",
            "SELECT set_config('work_' || 'mem', '1MB', false)": "SELECT 1 I",
            "DO $$BEGIN SET array_nulls = off; END$$": "DO I",
            "UPDATE pg_settings SET setting = 'off' WHERE name = 'array_nulls'": "UPDATE 0 I",
            "BEGIN; SET LOCAL array_nulls = off; COMMIT": "BEGIN SET COMMIT I",
        }.items()
    ),
    Different(LIMITS, simple("SELECT length('" + "x" * 1_100_000 + "')"), "SELECT 1 I", "08P01 (end)"),
    Different(LIMITS, simple("SELECT " + "(" * 5500 + "1" + ")" * 5500), "SELECT 1 I", "54001 I"),
    Different(LIMITS, simple(";".join(["SELECT 1"] * 1001)), " ".join(["SELECT 1"] * 1001) + " I", "54000 I"),
    Different(
        "by OID, with arguments that nothing reads",
        Talk("a function call", message(b"F", (1397).to_bytes(4, "big") + b"\0\0\0\1\0\0\0\2-5\0\0")),
        "I",
        "0A000 I",
    ),
    Different(
        "whoever may NOTIFY chose the text: detectors look at it",
        simple("NOTIFY news, 'to ada@example.com'"),
        "NOTIFY I",
        "NOTIFY I",
        (simple("LISTEN news"),),
    ),
    Different(
        "a setting that is reported may hold what a function put into it: detectors look at it",
        simple("SET application_name = 'ada@example.com'"),
        "SET I",
        "SET I",
    ),
]


def summary(messages: Sequence[Message]) -> str:
    return " ".join(part for one in messages if (part := _part(one)))


def _part(one: Message) -> str:
    if one.kind == "E":
        return fields(one)["C"]
    if one.kind in "CZ":
        return one.body.rstrip(b"\0").decode()
    return "(end)" if one.kind == "(end)" else ""


def fields(error: Message) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode() for part in error.body.split(b"\0") if part}
