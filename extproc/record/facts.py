"""What one event says of its session and its exchange, for lists. Missing or odd values count as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extproc.model import JSON, Event


@dataclass(frozen=True, slots=True)
class Facts:
    """None is "this event does not say"."""

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


_NOTHING = Facts()


def facts_of(event: Event) -> Facts:
    payload = event.payload
    match event.kind:
        case "session.opened":
            return replace(_identity(payload), resource=_text(payload, "resource"))
        case "request.attempt":
            action = _text(_object(payload, "decision"), "action")
            summary, resource = _text(payload, "summary"), _text(payload, "resource")
            return replace(_identity(payload), resource=resource, summary=summary, action=action)
        case "request.refused":
            status, outcome = _number(payload, "status"), _text(payload, "code")
            return Facts(summary=_text(payload, "summary"), outcome=outcome, status=status)
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
            )
    return _NOTHING


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
