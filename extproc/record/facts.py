"""What one event says of its session and its exchange, for lists. Missing or odd values count as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extproc.model import JSON, Event


@dataclass(frozen=True, slots=True)
class Facts:
    """
    None is "this event does not say". `connection` is a connection's number in its session; `kind` is "connection" for
    the connection itself, which is no request.
    """

    issuer: str | None = None
    subject: str | None = None
    actor: str | None = None
    resource: str | None = None
    summary: str | None = None
    action: str | None = None
    outcome: str | None = None
    status: int | None = None
    held: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    rows: int | None = None
    connection: int | None = None
    kind: str | None = None
    sqlstate: str | None = None


_NOTHING = Facts()


def facts_of(event: Event) -> Facts:
    payload = event.payload
    match event.kind:
        case "session.opened":
            return replace(_identity(payload), resource=_text(payload, "resource"))
        case "request.attempt":
            action = _text(_object(payload, "decision"), "action")
            summary, resource = _text(payload, "summary"), _text(payload, "resource")
            return replace(
                _identity(payload), resource=resource, summary=summary, action=action, connection=_connection(payload)
            )
        case "request.refused":
            status, outcome = _number(payload, "status"), _text(payload, "code")
            summary, connection = _text(payload, "summary"), _connection(payload)
            return Facts(summary=summary, outcome=outcome, status=status, connection=connection)
        case "hold.opened":
            return Facts(held=1)
        case "response.head":
            return Facts(status=_number(payload, "status"))
        case "exchange.closed":
            return Facts(
                outcome=_text(payload, "outcome"),
                status=_number(payload, "status") or None,
                bytes_in=_number(payload, "bytes_in"),
                bytes_out=_number(payload, "bytes_out"),
                rows=_number(payload, "rows"),
                sqlstate=_text(payload, "sqlstate"),
            )
        case "connection.opened" | "connection.closed":
            return _of_connection(payload)
    return _NOTHING


def _of_connection(payload: Mapping[str, JSON]) -> Facts:
    """The summary is what the client asked for: `app as reader, psql`. The closing event has none."""
    database, user, client = (_text(payload, name) or "" for name in ("database", "user", "application_name"))
    summary = database + (f" as {user}" if user else "") + (f", {client}" if client else "")
    return replace(
        _identity(payload),
        resource=_text(payload, "resource"),
        summary=summary or None,
        outcome=_text(payload, "outcome"),
        connection=_number(payload, "number"),
        kind="connection",
    )


def _connection(payload: Mapping[str, JSON]) -> int | None:
    """Of a statement: its connection's number stands beside the operation or in it."""
    beside = _number(payload, "number")
    return beside if beside is not None else _number(_object(payload, "operation"), "number")


def _identity(payload: Mapping[str, JSON]) -> Facts:
    identity = _object(payload, "identity")
    actor = _text(_object(identity, "claims"), "actor")
    return Facts(issuer=_text(identity, "issuer"), subject=_text(identity, "subject"), actor=actor)


def _object(payload: Mapping[str, JSON], name: str) -> Mapping[str, JSON]:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def _text(payload: Mapping[str, JSON], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) else None


def _number(payload: Mapping[str, JSON], name: str) -> int | None:
    value = payload.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None
