"""Refusals as RFC 9457 problem documents."""

from __future__ import annotations

import orjson

from extproc.errors import PROBLEM_BASE, Refusal
from extproc.http.events import Answer, Pairs

CHALLENGES: Pairs = ((b"www-authenticate", b'Basic realm="extproc-gateway", Bearer realm="extproc-gateway"'),)


def problem(refusal: Refusal, *, exchange: str = "", control_url: str = "", dev: bool) -> Answer:
    """The client's answer: stable `type`, the reason, the rule, the session, and for a hold the approval's address."""
    document: dict[str, object] = {
        "type": PROBLEM_BASE + refusal.code.name,
        "title": refusal.code.title,
        "status": refusal.status,
        "detail": refusal.reason,
    }
    if refusal.rule:
        document["rule"] = refusal.rule
    if refusal.session:
        document["session"] = refusal.session
    if exchange:
        document["exchange"] = exchange
    if refusal.approval:
        document["approval"] = refusal.approval
        if control_url:
            document["approval_url"] = f"{control_url}/v1/approvals/{refusal.approval}"
    headers: Pairs = (
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    if dev:
        document["development"] = True
        headers += ((b"x-extproc-development", b"true"),)
    if refusal.status == 401:
        headers += CHALLENGES
    if refusal.retry_after:
        headers += ((b"retry-after", str(refusal.retry_after).encode()),)
    return Answer(refusal.status, headers, orjson.dumps(document) + b"\n", f"extproc_{refusal.code.name}")
