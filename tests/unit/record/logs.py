"""Writes small logs for tests, and reads them back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from extproc.model import Event
from extproc.record.log import SegmentLog
from extproc.record.segment import Fault, Record, read_log, segments

NOW = 1_800_000_000.0
IDENTITY: dict[str, Any] = {
    "issuer": "https://issuer", "subject": "repo:acme/billing", "kind": "job", "claims": {"actor": "octocat"},
    "groups": [],
}  # fmt: skip


def ticking(start: float = NOW) -> Callable[[], float]:
    times = itertools.count()
    return lambda: start + next(times)


def open_log(folder: Path, name: str = "worker-0-aa") -> SegmentLog:
    return SegmentLog(folder, name, clock=ticking(), deadline=1.0)


def write(folder: Path, count: int, name: str = "worker-0-aa") -> Path:
    """`count` events, each flushed; the path of the first segment."""
    log = open_log(folder, name)
    for number in range(count):
        log.append("s-1", f"x-{number}", "request.attempt", {"n": number, "summary": f"GET /{number}"})
        log.flush()
    log.close()
    return folder / f"{name}-000001.seg"


def items(folder: Path, name: str = "worker-0-aa") -> list[Record | Fault]:
    return list(read_log(segments(folder).get(name, [])))


def events(folder: Path, name: str = "worker-0-aa") -> list[Event]:
    found = items(folder, name)
    assert all(isinstance(item, Record) for item in found), found
    return [item.event for item in found if isinstance(item, Record)]


def records(folder: Path, name: str = "worker-0-aa") -> list[Record]:
    return [item for item in items(folder, name) if isinstance(item, Record)]


def exchange(log: SegmentLog, session: str, name: str, *, summary: str = "GET /", bytes_out: int = 5) -> None:
    """A whole exchange, as the pipeline records it, without bodies."""
    attempt = {
        "identity": IDENTITY, "resource": "app", "summary": summary, "operation": {"method": "GET"},
        "decision": {"action": "allow", "reason": "", "rule": "r", "revision": "1"},
    }  # fmt: skip
    log.append(session, name, "session.opened", {"identity": IDENTITY, "resource": "app"})
    log.append(session, name, "request.attempt", attempt)
    log.append(session, name, "request.released", {"held": False})
    log.append(session, name, "response.head", {"status": 200, "headers": []})
    closed = {"outcome": "released", "status": 200, "bytes_in": 0, "bytes_out": bytes_out, "masked": {"email": 2}}
    log.append(session, name, "exchange.closed", {**closed, "duration_ms": 1.5})
