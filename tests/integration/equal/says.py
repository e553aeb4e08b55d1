"""Frontend messages, written as PostgreSQL's documentation has them ("Message Formats"), and the talks made of them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.equal.client import Talk

SYNC, FLUSH, COPY_DONE = b"S\0\0\0\4", b"H\0\0\0\4", b"c\0\0\0\4"
Value = bytes | str | None


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(text: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    oids = len(types).to_bytes(2, "big") + b"".join(one.to_bytes(4, "big") for one in types)
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0" + oids)


def bind(
    values: Sequence[Value] = (),
    *,
    statement: str = "",
    portal: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    body = portal.encode() + b"\0" + statement.encode() + b"\0" + _shorts(formats)
    body += len(values).to_bytes(2, "big") + b"".join(_value(one) for one in values)
    return message(b"B", body + _shorts(results))


def describe(kind: str, name: str = "") -> bytes:
    return message(b"D", kind.encode() + name.encode() + b"\0")


def execute(portal: str = "", most: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + most.to_bytes(4, "big"))


def close(kind: str, name: str = "") -> bytes:
    return message(b"C", kind.encode() + name.encode() + b"\0")


def copy_data(*chunks: bytes) -> bytes:
    return b"".join(message(b"d", one) for one in chunks)


def copy_fail(why: str) -> bytes:
    return message(b"f", why.encode() + b"\0")


def _shorts(values: Sequence[int]) -> bytes:
    return len(values).to_bytes(2, "big") + b"".join(one.to_bytes(2, "big") for one in values)


def _value(value: Value) -> bytes:
    if value is None:
        return b"\xff\xff\xff\xff"
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(4, "big") + data


def simple(text: str, more: bytes = b"") -> Talk:
    """`more` goes with it: the data of a COPY."""
    return Talk(f"simple: {text}", query(text) + more)


def extended(text: str, *values: Value, results: Sequence[int] = (), formats: Sequence[int] = ()) -> Talk:
    """Parse, Bind, Describe, Execute, Sync, as libpq sends them."""
    data = parse(text) + bind(values, formats=formats, results=results) + describe("P") + execute() + SYNC
    how = "binary" if 1 in results else "text"
    return Talk(f"extended, {how}: {text} {[*values] or ''}", data)
