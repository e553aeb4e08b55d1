"""How approvals stand in SQLite: the schema, and a request as JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import orjson

from extproc.errors import Refusal
from extproc.model import Approval, ApprovalRequest, HoldTerms, Identity

SCHEMA_VERSION: Final = 1

# `seq` numbers the changes, so that who watches can go on where they were, even after a restart.
SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS approvals (
        id TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'used')),
        once_key TEXT NOT NULL,
        grant_key TEXT NOT NULL,
        request BLOB NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        usable_until REAL NOT NULL DEFAULT 0,
        granted_until REAL NOT NULL DEFAULT 0,
        required INTEGER NOT NULL
    ) STRICT
    """,
    # Two processes that open the same thing at once cannot both get a row of their own.
    "CREATE UNIQUE INDEX IF NOT EXISTS approvals_pending ON approvals (once_key) WHERE state = 'pending'",
    "CREATE INDEX IF NOT EXISTS approvals_once ON approvals (once_key) WHERE state = 'approved'",
    "CREATE INDEX IF NOT EXISTS approvals_grant ON approvals (grant_key) WHERE state = 'approved'",
    "CREATE INDEX IF NOT EXISTS approvals_state ON approvals (state, created_at)",
    "CREATE INDEX IF NOT EXISTS approvals_seq ON approvals (seq)",
    """
    CREATE TABLE IF NOT EXISTS answers (
        approval TEXT NOT NULL,
        person TEXT NOT NULL,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        approve INTEGER NOT NULL,
        justification TEXT NOT NULL,
        answered_at REAL NOT NULL,
        PRIMARY KEY (approval, person)
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS waiters (
        approval TEXT NOT NULL,
        waiter TEXT NOT NULL,
        seen REAL NOT NULL,
        PRIMARY KEY (approval, waiter)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS waiters_waiter ON waiters (waiter)",
)
COLUMNS: Final = "id, state, request, expires_at, granted_until, required"


def dump_request(request: ApprovalRequest) -> bytes:
    """Raises `Refusal` where a claim is nothing that JSON has."""
    try:
        return orjson.dumps(request, default=_plain)
    except TypeError:
        raise Refusal("approval_unavailable") from None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def load_request(raw: bytes) -> ApprovalRequest:
    """Raises `Refusal` where the row is not one of ours."""
    try:
        document: dict[str, Any] = orjson.loads(raw)
        identity, terms = document.pop("identity"), document.pop("terms")
        return ApprovalRequest(
            identity=Identity(**{**identity, "groups": tuple(identity["groups"])}),
            terms=HoldTerms(**{**terms, "approvers": tuple(terms["approvers"])}),
            **document,
        )
    except (KeyError, TypeError, ValueError):
        raise Refusal("approval_unavailable") from None


def load_approval(db: sqlite3.Connection, row: tuple[Any, ...]) -> Approval:
    """An approval from `COLUMNS` and its answers."""
    approval_id, state, request, expires_at, granted_until, required = row
    wanted = 0 if state == "denied" else 1
    answers = db.execute(
        "SELECT name, justification FROM answers WHERE approval = ? AND approve = ? ORDER BY answered_at, person",
        (approval_id, wanted),
    ).fetchall()
    texts = [(name, text) for name, text in answers if text]
    return Approval(
        id=approval_id,
        state=state,
        request=load_request(request),
        expires_at=expires_at,
        granted_until=granted_until,
        decided_by=tuple(name for name, _ in answers),
        justification=texts[0][1] if len(texts) == 1 else "\n".join(f"{name}: {text}" for name, text in texts),
        required=required,
    )
