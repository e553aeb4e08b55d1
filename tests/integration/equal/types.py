"""Types and values: what each type reads, what it refuses, and how it comes back as text, in binary, in arrays and rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.integration.equal.client import Talk
from tests.integration.equal.says import extended, simple

# The last of each list are refused by the type.
TYPES: Final[dict[str, list[str]]] = {
    "boolean": ["t", "false", "on", "0", " yes ", "maybe", ""],
    "smallint": ["0", "-32768", "32767", " 7 ", "32768", "1.5", "x"],
    "integer": ["0", "-2147483648", "2147483647", "+5", "2147483648", "1e3", ""],
    "bigint": ["0", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "seven"],
    "numeric": ["0", "-0.000", "12345678901234567890.123456789", "1e100", "NaN", "Infinity", "-inf", "1.5.5", "--1"],
    "numeric(6,2)": ["0", "9999.994", "-1.005", "NaN", "10000", "Infinity"],
    "real": ["0", "-0", "3.4028235e38", "1e-45", "NaN", "infinity", "1e39", "1e-50", "pi"],
    "double precision": ["0", "0.1", "1.7976931348623157e308", "5e-324", "-Infinity", "NaN", "1e309", "1e-400", "0x"],
    "money": ["0", "-12.34", "$1,234.56", "92233720368547758.07", "1e30", "abc"],
    "text": ["", "plain", "ünïcödé ✓ 𝄞", "tab\there", "back\\slash", "quo''te", "x" * 300],
    "varchar(5)": ["", "abc", "abc       ", "ünïcö", "toolong"],
    "char(4)": ["", "ab", "abcd", "ab  ", "abcde"],
    '"char"': ["", "a", "abc", "\\101"],
    "name": ["", "a", "n" * 80],
    "bytea": ["", "\\x", "\\xdeadBEEF", "abc", "a\\\\b", "\\000\\377", "\\x0", "\\xzz", "\\8"],
    "date": ["2026-02-28", "0001-01-01", "infinity", "4713-01-01 BC", "epoch", "2026-02-30", "13/13/2026", "x"],
    "time": ["00:00", "23:59:59.999999", "24:00", "04:05 PM", "25:00", "noonish"],
    "timetz": ["00:00+00", "23:59:59.5-12:30", "12:00 UTC", "24:00:01"],
    "timestamp": [
        "2026-01-02 03:04:05.678901",
        "infinity",
        "-infinity",
        "epoch",
        "1066-10-14",
        "2026-01-01 25:00",
        "x",
    ],
    "timestamptz": [
        "2026-01-02 03:04:05.6+05:30",
        "infinity",
        "epoch",
        "2026-07-01 Europe/Berlin",
        "2026-01-01 UTC+99",
    ],
    "interval": ["0", "1 year 2 mons -3 days", "P1Y2M3DT4H5M6.7S", "-1:02:03", "1 fortnight", "1 blink"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "a0eebc99", "g" * 32],
    "json": ['{"a": [1, null, true, "\\u00e9"]}', "null", ' {"b" : 1 , "b":2} ', "{a:1}", '"\\ud800"', ""],
    "jsonb": ['{"b": 1, "a": [1.50, null]}', '"x"', "[]", '{"k": 1, "k": 2}', '{"a"}', "nul", '"\\u0000"'],
    "jsonpath": ["$.a[*] ? (@ > 1)", "strict $", "$[", "@"],
    "xml": ["<a/>", "<a b='c'>text</a>", "<a", "plain text"],
    "inet": ["10.1.2.3", "10.0.0.0/8", "::1", "2001:db8::/32", "10.1.2.3/33", "300.0.0.1"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32", "10.1.2.3/8", "x"],
    "macaddr": ["08:00:2b:01:02:03", "08002b010203", "08:00:2b:01:02"],
    "macaddr8": ["08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03", "zz"],
    "bit(4)": ["1010", "0000", "101", "10101", "12"],
    "bit varying(6)": ["", "101", "xA", "1010101", "b2"],
    "point": ["(1,2)", "-1.5,1e10", "(1)", "1,x"],
    "line": ["{1,2,3}", "[(0,0),(1,1)]", "{0,0,1}"],
    "lseg": ["[(0,0),(1,1)]", "((0,0),1)"],
    "box": ["(1,1),(0,0)", "((2,3),(4,5))", "(1,1)"],
    "path": ["((0,0),(1,1))", "[(0,0),(1,1)]", "(0,0", "[]"],
    "polygon": ["((0,0),(1,1),(1,0))", "(1)"],
    "circle": ["<(0,0),5>", "((1,1),0)", "<(0,0),-1>"],
    "int4range": ["[1,5)", "empty", "(,)", "[3,3]", "(3,3)", "[5,1]", "[1;5]"],
    "int8range": ["[1,9223372036854775807)", "(,1]", "x"],
    "numrange": ["[1.5,2.5]", "(,0.1)", "[a,b]"],
    "daterange": ["[2026-01-01,2026-02-01)", "empty", "[2026-02-01,2026-01-01]"],
    "tsrange": ['["2026-01-01 00:00","2026-01-02 00:00")', "[x,y]"],
    "tstzrange": ['["2026-01-01 00:00+00",)', "(,"],
    "int4multirange": ["{}", "{[1,3),[5,7)}", "{[1,5),[3,7)}", "{1}", "[1,2)"],
    "int4[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={1,2}", "{{1},{2,3}}", "{1", "{x}"],
    "text[]": ["{}", '{a,"b,c",NULL,"NULL"}', '{"quo\\"te","back\\\\slash"}', "{a,}", '{"a}'],
    "date[]": ["{2026-01-01,NULL}", "{x}"],
    "tsvector": ["a fat cat", "'a':1A b:2,3", "", "a:"],
    "tsquery": ["fat & (rat | !cat)", "a <-> b", "a &", "()"],
    "oid": ["0", "4294967295", "-1", "4294967296", "x"],
    "regclass": ["customers", "pg_catalog.pg_class", "16384", "0", "nowhere", "a.b.c.d"],
    "regtype": ["int4", "timestamp with time zone", "text[]", "notype"],
    "regproc": ["now", "nofunc"],
    "regprocedure": ["abs(integer)", "abs(text)", "abs"],
    "regoper": ["||/", "+", "###"],
    "regrole": ["app", "nobody_here"],
    "regnamespace": ["public", "nospace"],
    "xid": ["0", "4294967295", "x"],
    "xid8": ["0", "18446744073709551615", "x"],
    "pg_lsn": ["0/0", "16/B374D848", "x/y"],
    "txid_snapshot": ["10:20:10,14,15", "31:12:"],
    "mood": ["sad", "happy", "angry"],
    "pair": ["(1,a)", "(,)", "(1)", "(x,a)"],
    "positive": ["1", "99", "0", "-1"],
    "void": [""],
    "nonsense": ["1"],
}
MADE: Final = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
"""


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def talks(names: list[str] | None = None) -> Iterator[Talk]:
    for kind in names or TYPES:
        for value in TYPES[kind]:
            yield from _of_value(kind, value)
        yield from _of_table(kind, TYPES[kind])


def _of_value(kind: str, value: str) -> Iterator[Talk]:
    shown = literal(value)
    array = kind if kind.endswith("[]") else f"{kind}[]"
    yield simple(f"SELECT {shown}::{kind} AS a")
    yield simple(f"SELECT ARRAY[{shown}, NULL]::{array}, ROW({shown}::{kind}, NULL, 'x')")
    yield extended(f"SELECT $1::{kind}", value)
    yield extended(f"SELECT $1::{kind}, NULL::{kind}, {shown}::{kind}", value, results=[1])
    yield extended(f"SELECT ARRAY[$1::{kind}, NULL]", value, results=[1])
    yield simple(f"SELECT pg_typeof({shown}::{kind}), CAST({shown} AS {kind})::text, to_json({shown}::{kind})")


def _of_table(kind: str, values: list[str]) -> Iterator[Talk]:
    table = '"t ' + kind.replace('"', "") + '"'
    yield simple(f"CREATE TABLE {table} (id int PRIMARY KEY, a {kind}, b {kind}[])")
    for number, value in enumerate(values):
        yield extended(
            f"INSERT INTO {table} VALUES ({number}, $1, ARRAY[$1]) RETURNING id, a, b", value, results=[number % 2]
        )
    yield simple(f"INSERT INTO {table} (id) VALUES (100)")
    yield simple(f"SELECT * FROM {table} ORDER BY id")
    yield extended(f"SELECT * FROM {table} ORDER BY id", results=[1])
    yield extended(f"SELECT id, a, b FROM {table} ORDER BY id", results=[0, 1, 0])
    yield simple(f"SELECT a, count(*), min(b) FROM {table} GROUP BY a ORDER BY a")
    yield simple(f"COPY {table} TO STDOUT")
    yield simple(f"COPY {table} TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)")
    yield simple(f"COPY {table} TO STDOUT (FORMAT binary)")
    yield simple(f"UPDATE {table} SET a = NULL WHERE id = 0 RETURNING *")
    yield simple(f"DROP TABLE {table}")
