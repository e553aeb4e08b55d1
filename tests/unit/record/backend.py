"""Messages of a PostgreSQL backend, and connections in a log as the gateway records them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from extproc.record.bodies import BACKEND, BodyRecord
from extproc.record.log import SegmentLog
from tests.unit.record.logs import IDENTITY, ticking


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">i", len(body) + 4) + body


def described(*columns: tuple[str, int], form: int = 0) -> bytes:
    """RowDescription: names and type OIDs."""
    fields = (name.encode() + b"\0" + struct.pack(">IhIhih", 0, 0, oid, -1, -1, form) for name, oid in columns)
    return message("T", struct.pack(">H", len(columns)) + b"".join(fields))


def row(*values: bytes | str | None) -> bytes:
    encoded = (value.encode() if isinstance(value, str) else value for value in values)
    parts = (struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v for v in encoded)
    return message("D", struct.pack(">H", len(values)) + b"".join(parts))


def complete(tag: str) -> bytes:
    return message("C", tag.encode() + b"\0")


def report(kind: str, **fields: str) -> bytes:
    """E or N. PostgreSQL's own order: severity first."""
    return message(kind, b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items()) + b"\0")


def ready(status: str = "I") -> bytes:
    return message("Z", status.encode())


def customers(count: int) -> bytes:
    rows = b"".join(row(str(n), None if n % 2 else f"name-{n}") for n in range(1, count + 1))
    return described(("id", 23), ("name", 25)) + rows + complete(f"SELECT {count}") + ready()


def opened(log: SegmentLog, number: int = 1, *, session: str = "s-1", **more: Any) -> None:
    payload = {
        "identity": IDENTITY, "resource": "db", "source": {"address": "192.0.2.7"}, "number": number, "database": "app",
        "user": "reader", "application_name": "psql", "protocol": "3.0", "tls": "TLSv1.3", **more,
    }  # fmt: skip
    log.append(session, f"c-{number}", "connection.opened", payload)


def closed(log: SegmentLog, number: int = 1, *, session: str = "s-1", outcome: str = "terminated") -> None:
    payload = {"number": number, "statements": 1, "outcome": outcome, "duration_ms": 12.5}
    log.append(session, f"c-{number}", "connection.closed", payload)


def attempt(
    log: SegmentLog,
    exchange: str,
    text: str,
    *,
    number: int = 1,
    session: str = "s-1",
    action: str = "allow",
    parameters: Sequence[Any] = (),
    statement: int = 1,
) -> None:
    sql = {"text": text, "parameters": list(parameters), "protocol": "extended" if parameters else "simple"}
    payload = {
        "identity": IDENTITY, "resource": "db", "summary": " ".join(text.split())[:200], "operation": {"sql": sql},
        "connection": f"c-{number}", "number": number, "statement": statement,
        "decision": {"action": action, "reason": "", "rule": "sql.read", "revision": "1"},
    }  # fmt: skip
    log.append(session, exchange, "request.attempt", payload)


def sink(
    log: SegmentLog,
    exchange: str,
    *,
    kind: str = "response.body",
    media_type: str = BACKEND,
    limit: int = 1 << 20,
    level: Any = "full",
) -> BodyRecord:
    """A body that writes an event for each addition."""
    about = {"limit": limit, "media_type": media_type.encode(), "level": level, "clock": ticking(), "key": b"k"}
    return BodyRecord(log, "s-1", exchange, kind, **about)


def body(log: SegmentLog, exchange: str, data: bytes, **more: Any) -> None:
    made = sink(log, exchange, **more)
    made.add(data)
    made.close()


def ended(log: SegmentLog, exchange: str, *, session: str = "s-1", outcome: str = "released", **more: Any) -> None:
    payload = {
        "outcome": outcome,
        "rows": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "masked": {},
        "command": "",
        "sqlstate": "",
    }
    log.append(session, exchange, "exchange.closed", {**payload, "duration_ms": 1.5, **more})


def statement(
    log: SegmentLog, exchange: str, text: str, data: bytes, *, columns: Sequence[Any] = (), number: int = 1, **more: Any
) -> None:
    """A whole statement that went through, with what came back."""
    attempt(log, exchange, text, number=number)
    log.append("s-1", exchange, "request.released", {"held": False})
    log.append("s-1", exchange, "response.head", {"columns": list(columns)})
    body(log, exchange, data)
    ended(log, exchange, **{"bytes_out": len(data), **more})
