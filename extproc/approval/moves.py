"""Every move an approval can make, as statements inside the store's transaction."""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final

from extproc.approval.base import ApprovalError
from extproc.approval.rows import COLUMNS, dump_request, load_approval
from extproc.approval.rules import likeness
from extproc.errors import Refusal
from extproc.model import Approval, ApprovalRequest, ApprovalState, Identity

LEAST_USABLE: Final = 600.0  # seconds that a yes for once is good at least, so that a dropped client can send again
LAPSE: Final = 30.0  # seconds without a sign of life after which a waiter counts as gone

# Constants only are put into these texts; values are always bound.
_NEXT: Final = "seq = (SELECT coalesce(max(seq), 0) + 1 FROM approvals)"
_OVERDUE: Final = (
    "(state = 'pending' AND expires_at <= ?1)"
    " OR (state = 'approved' AND granted_until = 0 AND usable_until <= ?1)"
    " OR (state = 'approved' AND granted_until > 0 AND granted_until <= ?1)"
)
_FIND: Final = f"SELECT {COLUMNS} FROM approvals WHERE id = ?"  # noqa: S608
_ANY_OVERDUE: Final = f"SELECT 1 FROM approvals WHERE {_OVERDUE} LIMIT 1"  # noqa: S608
_EXPIRE: Final = f"UPDATE approvals SET state = 'expired', {_NEXT} WHERE {_OVERDUE} RETURNING id"  # noqa: S608
_SETTLE: Final = f"UPDATE approvals SET state = ?, {_NEXT} WHERE id = ? AND state = 'pending'"  # noqa: S608
_TOUCH: Final = f"UPDATE approvals SET {_NEXT} WHERE id = ?"  # noqa: S608
_USE: Final = (
    f"UPDATE approvals SET state = 'used', {_NEXT}"  # noqa: S608
    " WHERE id = ? AND state = 'approved' AND granted_until = 0 AND usable_until > ? RETURNING id"
)
_INSERT: Final = (
    "INSERT INTO approvals (id, seq, state, once_key, grant_key, request, created_at, expires_at, required)"
    " VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM approvals), 'pending', ?, ?, ?, ?, ?, ?)"
)
_SAME_PERSON: Final = "approval = ? AND (person = ? OR (issuer = ? AND subject = ?))"
_ANSWERED: Final = f"SELECT 1 FROM answers WHERE {_SAME_PERSON}"  # noqa: S608
_TAKE_BACK: Final = f"DELETE FROM answers WHERE {_SAME_PERSON}"  # noqa: S608


def find(db: sqlite3.Connection, approval_id: str) -> Approval | None:
    row = db.execute(_FIND, (approval_id,)).fetchone()
    return load_approval(db, row) if row else None


def load(db: sqlite3.Connection, approval_id: str) -> Approval:
    found = find(db, approval_id)
    if found is None:
        raise Refusal("approval_unavailable")
    return found


def usable(db: sqlite3.Connection, once: str, grant: str, now: float) -> str | None:
    """A yes for the same request that nobody used yet, or a window grant that covers it."""
    row = db.execute(
        "SELECT id FROM approvals WHERE state = 'approved' AND ("
        " (once_key = ?1 AND granted_until = 0 AND usable_until > ?3)"
        " OR (grant_key = ?2 AND ?2 <> '' AND granted_until > ?3)"
        ") ORDER BY created_at LIMIT 1",
        (once, grant, now),
    ).fetchone()
    return str(row[0]) if row else None


def pending(db: sqlite3.Connection, once: str) -> str | None:
    row = db.execute("SELECT id FROM approvals WHERE state = 'pending' AND once_key = ?", (once,)).fetchone()
    return str(row[0]) if row else None


def insert(
    db: sqlite3.Connection, request: ApprovalRequest, now: float, *, required: int, once: str, grant: str
) -> str:
    approval_id = "a-" + secrets.token_hex(8)
    until = now + request.terms.timeout
    db.execute(_INSERT, (approval_id, once, grant, dump_request(request), request.created_at, until, required))
    return approval_id


def join(db: sqlite3.Connection, approval_id: str, waiter: str, now: float) -> None:
    db.execute("INSERT OR REPLACE INTO waiters VALUES (?, ?, ?)", (approval_id, waiter, now))


def leave(db: sqlite3.Connection, approval_id: str, waiter: str, now: float) -> None:
    db.execute("DELETE FROM waiters WHERE approval = ? AND waiter = ?", (approval_id, waiter))
    others = db.execute("SELECT 1 FROM waiters WHERE approval = ? AND seen > ?", (approval_id, now - LAPSE))
    if others.fetchone() is None:
        settle(db, approval_id, "cancelled")


def settle(db: sqlite3.Connection, approval_id: str, state: ApprovalState) -> None:
    """From pending, and from nowhere else."""
    if db.execute(_SETTLE, (state, approval_id)).rowcount:
        db.execute("DELETE FROM waiters WHERE approval = ?", (approval_id,))


def any_overdue(db: sqlite3.Connection, now: float) -> bool:
    return db.execute(_ANY_OVERDUE, (now,)).fetchone() is not None


def expire(db: sqlite3.Connection, now: float) -> int:
    rows = db.execute(_EXPIRE, (now,)).fetchall()
    db.executemany("DELETE FROM waiters WHERE approval = ?", rows)
    return len(rows)


def use(db: sqlite3.Connection, approval_id: str, now: float) -> bool:
    if db.execute(_USE, (approval_id, now)).fetchall():
        return True
    window = db.execute(
        "SELECT 1 FROM approvals WHERE id = ? AND state = 'approved' AND granted_until > ?", (approval_id, now)
    )
    return window.fetchone() is not None


def answer(
    db: sqlite3.Connection, approval_id: str, person: Identity, *, approve: bool, justification: str, now: float
) -> None:
    """
    One answer a person, whichever of account name and subject is the same. Who said yes may still say no: a no is
    never kept out. Raises `ApprovalError`.
    """
    name = likeness(person.actor)
    same = (approval_id, name, person.issuer, person.subject)
    if approve and db.execute(_ANSWERED, same).fetchone():
        raise ApprovalError("already_answered", "this person has answered already")
    db.execute(_TAKE_BACK, same)
    db.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (approval_id, name, person.issuer, person.subject, person.actor, int(approve), justification, now),
    )


def count_yes(db: sqlite3.Connection, approval_id: str) -> int:
    row = db.execute("SELECT count(*) FROM answers WHERE approval = ? AND approve = 1", (approval_id,)).fetchone()
    return int(row[0])


def approve(db: sqlite3.Connection, approval: Approval, now: float) -> None:
    terms = approval.request.terms
    window = now + terms.grant_seconds if terms.grant_seconds > 0 and terms.scope else 0.0
    usable_until = max(approval.expires_at, now + LEAST_USABLE)
    db.execute(
        "UPDATE approvals SET granted_until = ?, usable_until = ? WHERE id = ?", (window, usable_until, approval.id)
    )
    settle(db, approval.id, "approved")


def touch(db: sqlite3.Connection, approval_id: str) -> None:
    """Something about it changed that is not its state: the first of two people said yes."""
    db.execute(_TOUCH, (approval_id,))
