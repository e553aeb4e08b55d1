"""Masks over what real servers send: rows in both formats, and copied lines that a server reads again."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.adapt import Transformer
from psycopg.pq import Format

from extproc.model import Strategy
from extproc.postgres.answer import fields_of
from extproc.postgres.backend import Backend, Rows
from extproc.postgres.masking.copyrows import CopyMask
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan
from extproc.postgres.masking.rows import RowMask
from extproc.postgres.masking.values import type_info
from extproc.postgres.sql.model import CopyShape
from extproc.redact.detectors import ALL
from tests.integration.postgres import DATABASE, SUPERUSER, Server
from tests.unit.postgres.talking import SYNC, bind, describe, execute, parse, query, startup

KEY = b"k" * 32
VALUES: dict[str, tuple[str, Any]] = {  # a column of that type, with that value, comes out as that
    "text": ("'Write to jane@example.com or 123-45-6789.'", "Write to **** or ****."),
    "varchar": ("'4111 1111 1111 1111'", "****"),
    "jsonb": ("""'{"a": ["jane@example.com", 4111111111111111]}'""", {"a": ["****", 0]}),
    "json": (r"""'{"a": "jane\u0040example.com"}'""", {"a": "****"}),
    "text[]": ("ARRAY['jane@example.com', NULL, 'a \"b\\c', '']", ["****", None, 'a "b\\c', ""]),
    "numeric": ("4111111111111111.25", decimal.Decimal(0)),
    "numeric[]": ("ARRAY[4111111111111111, 1.5]", [decimal.Decimal(0), decimal.Decimal("1.5")]),
    "int8": ("4111111111111111", 0),
    "int8[]": ("ARRAY[4111111111111111, 7]", [0, 7]),
    "jsonb[]": ("""ARRAY['"jane@example.com"', '1']::jsonb[]""", ["****", 1]),
    "date": ("'2024-02-29'", dt.date(2024, 2, 29)),
    "int4": ("64", 64),
    "float8": ("0.4111111111111111", 0.4111111111111111),
    "uuid": ("'40404040-4040-4040-4040-404040404040'", None),
    "bytea": ("'jane@example.com'", b"jane@example.com"),
}


class Raw:
    """A connection as bytes. The superuser is trusted over the unix socket."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(server.socket))
        self._socket.sendall(startup(user=SUPERUSER, database=DATABASE))
        self._backend = Backend(1 << 24)
        self.until_ready()

    def until_ready(self) -> list[Any]:
        found: list[Any] = []
        while True:
            while (one := self._backend.next()) is not None:
                found.append(one)
                if not isinstance(one, Rows) and one.kind == b"Z":
                    return found
            data = self._socket.recv(65536)
            assert data
            self._backend.feed(data)

    def simple(self, text: str) -> list[Any]:
        self._socket.sendall(query(text))
        return self.until_ready()

    def extended(self, text: str, binary: int) -> list[Any]:
        self._socket.sendall(parse(text) + bind(results=[binary]) + describe("P") + execute() + SYNC)
        return self.until_ready()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    with contextlib.closing(Raw(server)) as connected:
        yield connected


@pytest.fixture
def connection(server: Server) -> Iterator[psycopg.Connection]:
    home, port = str(server.home), server.port
    with psycopg.connect(host=home, port=port, user=SUPERUSER, dbname="app", autocommit=True) as connected:
        yield connected


@pytest.mark.parametrize("binary", [0, 1])
def test_detectors_find_the_same_in_both_formats(raw: Raw, binary: int) -> None:
    text = "SELECT " + ", ".join(f"{value}::{name}" for name, (value, _) in VALUES.items())
    answer = raw.extended(text, binary)
    (described,) = [fields_of(one.body) for one in answer if not isinstance(one, Rows) and one.kind == b"T"]
    (sent,) = [one for one in answer if isinstance(one, Rows)]
    columns = tuple(MaskColumn(one.name, type_info(one.type, {}), int(one.binary)) for one in described)
    mask = RowMask(MaskPlan(columns, {"mask": ALL}, KEY))
    body = mask.feed(sent.buffer, sent.start, sent.ends)[7:]
    at = 0
    for one, (name, (_, expected)) in zip(described, VALUES.items(), strict=True):
        size = int.from_bytes(body[at : at + 4], "big")
        value = body[at + 4 : at + 4 + size]
        at += 4 + size
        if expected is not None:
            assert Transformer().get_loader(one.type, Format(binary)).load(value) == expected, name
    assert at == len(body)
    assert mask.counts == {"email": 5, "ssn": 1, "credit_card": 6}


STRANGE = [
    ("jane@example.com", "a\tb\\c\nd\re\"f'g|h", "123-45-6789"),
    (None, "", "x"),
    ("\\N", "\\.", "NULL"),
    ("x@y.zz", "\b\v\f \u00e9", "4111 1111 1111 1111"),
]
FORMS = [
    ("", CopyShape("out")),
    ("DELIMITER '|'", CopyShape("out", delimiter="|")),
    ("DELIMITER '@'", CopyShape("out", delimiter="@")),
    ("DELIMITER '-'", CopyShape("out", delimiter="-")),
    ("FORMAT csv", CopyShape("out", format="csv", delimiter=",", null="")),
    ("FORMAT csv, HEADER", CopyShape("out", format="csv", delimiter=",", null="", header=True)),
    ("FORMAT csv, NULL 'NULL'", CopyShape("out", format="csv", delimiter=",", null="NULL")),
    (
        "FORMAT csv, QUOTE '''', ESCAPE '\\'",
        CopyShape("out", format="csv", delimiter=",", null="", quote="'", escape="\\"),
    ),
    (
        "FORMAT csv, DELIMITER '@', QUOTE '-'",
        CopyShape("out", format="csv", delimiter="@", null="", quote="-", escape="-"),
    ),
]


@pytest.mark.parametrize(("options", "shape"), FORMS, ids=[options or "text" for options, _ in FORMS])
@pytest.mark.parametrize("way", [None, "mask", "hash"])
def test_a_server_reads_masked_lines_as_the_masked_values(
    raw: Raw, connection: psycopg.Connection, options: str, shape: CopyShape, way: Strategy | None
) -> None:
    connection.execute("DROP TABLE IF EXISTS strange, again; CREATE TABLE strange (a text, b text, c text)")
    connection.execute("CREATE TABLE again (LIKE strange)")
    for row in STRANGE:
        connection.execute("INSERT INTO strange VALUES (%s, %s, %s)", row)
    extra = f"({options})" if options else ""
    answer = raw.simple(f"COPY strange TO STDOUT {extra}")
    columns = tuple(MaskColumn(name, type_info(25, {}), 0, way if name == "b" else None) for name in "abc")
    mask = CopyMask(shape, MaskPlan(columns, {"mask": ALL}, KEY))
    rows = [one for one in answer if isinstance(one, Rows)]
    out = b"".join(mask.feed(one.buffer, one.start, one.ends) for one in rows)
    mask.end()
    backend = Backend(1 << 24)
    backend.feed(out)
    found = backend.next()
    assert isinstance(found, Rows)
    marks = [found.start, *found.ends]
    with connection.cursor().copy(f"COPY again FROM STDIN {extra}") as copy:
        for start, end in pairwise(marks):
            copy.write(found.buffer[start + 5 : end])
    masked = RowMask(MaskPlan(columns, {"mask": ALL}, KEY))
    answer = raw.simple("SELECT * FROM strange")
    (sent,) = [one for one in answer if isinstance(one, Rows)]
    expected = masked.feed(sent.buffer, sent.start, sent.ends)
    (read,) = [one for one in raw.simple("SELECT * FROM again") if isinstance(one, Rows)]
    assert read.all() == expected
    assert mask.counts == masked.counts
