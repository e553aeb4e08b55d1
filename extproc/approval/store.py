"""Approvals in SQLite, shared by all processes of a machine. WAL with `synchronous=FULL`: what was answered stays."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from extproc.approval import moves
from extproc.approval.base import ApprovalError
from extproc.approval.rows import COLUMNS, SCHEMA, SCHEMA_VERSION, load_approval
from extproc.approval.rules import Actors, grant_key, may_answer, once_key
from extproc.errors import ConfigError, Refusal
from extproc.model import Approval, ApprovalRequest, ApprovalState, Identity
from extproc.sqlitefile import switch_to_wal

LISTED: Final = 1000  # approvals in one list

_BUSY: Final = 2.0  # seconds to wait for another process's write
_LIST: Final = f"SELECT {COLUMNS} FROM approvals WHERE ?1 IS NULL OR state = ?1 ORDER BY created_at DESC, id LIMIT ?2"  # noqa: S608
# Changes of one number stay together, so that none is skipped where the list is cut.
_CHANGES: Final = (
    f"SELECT seq, {COLUMNS} FROM approvals WHERE seq > ?1 AND seq <="  # noqa: S608
    " (SELECT max(seq) FROM (SELECT seq FROM approvals WHERE seq > ?1 ORDER BY seq LIMIT ?2)) ORDER BY seq, id"
)

log = logging.getLogger("extproc.approval")


class SqliteApprovalStore:
    """
    The `ApprovalStore`. `actors` is the configuration's `identity.actors`: job actor → person's account name.

    A yes for once is usable until the approval would have expired, and for `moves.LEAST_USABLE` seconds at least.
    Every write is one immediate transaction: no two processes can decide, use or open the same thing at once.
    """

    def __init__(self, path: Path, *, actors: dict[str, str]) -> None:
        self._actors = Actors(actors)
        self._lock = threading.Lock()
        self._watch_lock = threading.Lock()
        with _unavailable():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = _connect(path)
            switch_to_wal(self._db)
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare(path)
            # Only other connections' writes change `data_version`: this one never writes, so it sees everybody's.
            self._watch = _connect(path)
            self._watch.execute("PRAGMA query_only = ON")
            self._watch.execute("PRAGMA busy_timeout = 0")

    def close(self) -> None:
        with self._lock, self._watch_lock:
            self._db.close()
            self._watch.close()

    # --- the worker's side

    def open(self, request: ApprovalRequest, now: float, waiter: str = "") -> Approval:
        required = self._actors.required(request)
        once, grant = once_key(request, required), grant_key(request, required)
        with self._write() as db:
            moves.expire(db, now)
            found = moves.usable(db, once, grant, now) or moves.pending(db, once)
            if found is None:
                found = moves.insert(db, request, now, required=required, once=once, grant=grant)
            approval = moves.load(db, found)
            if waiter and approval.state == "pending":
                moves.join(db, found, waiter, now)
            return approval

    def use(self, approval_id: str, now: float) -> bool:
        with self._write() as db:
            return moves.use(db, approval_id, now)

    def join(self, approval_id: str, waiter: str, now: float) -> None:
        with self._write() as db:
            approval = moves.find(db, approval_id)
            if approval is not None and approval.state == "pending":
                moves.join(db, approval_id, waiter, now)

    def leave(self, approval_id: str, waiter: str, now: float) -> None:
        with self._write() as db:
            moves.leave(db, approval_id, waiter, now)

    def cancel(self, approval_id: str, now: float) -> None:  # noqa: ARG002 - the seam's signature
        with self._write() as db:
            moves.settle(db, approval_id, "cancelled")

    def touch(self, waiter: str, now: float) -> None:
        with self._write() as db:
            db.execute("UPDATE waiters SET seen = max(seen, ?) WHERE waiter = ?", (now, waiter))

    # --- people's side

    def decide(self, approval_id: str, person: Identity, *, approve: bool, justification: str, now: float) -> Approval:
        text = justification.strip()
        with self._write() as db:
            approval = moves.find(db, approval_id)
            if approval is None:
                raise ApprovalError("not_found", "no such approval")
            may_answer(person, approval.request, self._actors)
            if approval.state != "pending" or now >= approval.expires_at:
                raise ApprovalError("too_late", "the approval is not pending any more")
            if approve and approval.request.terms.justify and not text:
                raise ApprovalError("justification_required", "the terms ask for a justification")
            moves.answer(db, approval_id, person, approve=approve, justification=text, now=now)
            # Where the configuration has learned since that nobody knows the requester, the stricter number counts.
            required = max(approval.required, self._actors.required(approval.request))
            if not approve:
                moves.settle(db, approval_id, "denied")
            elif moves.count_yes(db, approval_id) >= required:
                moves.approve(db, approval, now)
            else:
                moves.touch(db, approval_id)
            return moves.load(db, approval_id)

    def expire(self, now: float) -> int:
        with self._read() as db:
            if not moves.any_overdue(db, now):
                return 0  # no write, so nobody who watches is woken
        with self._write() as db:
            return moves.expire(db, now)

    # --- reading

    def get(self, approval_id: str) -> Approval | None:
        with self._read() as db:
            return moves.find(db, approval_id)

    def list(self, state: ApprovalState | None = None) -> list[Approval]:
        with self._read() as db:
            return [load_approval(db, row) for row in db.execute(_LIST, (state, LISTED)).fetchall()]

    def settled(self, approval_ids: Collection[str]) -> Sequence[Approval]:
        with self._read() as db:
            pending = {row[0] for row in db.execute("SELECT id FROM approvals WHERE state = 'pending'")}
            found = [moves.find(db, approval_id) for approval_id in approval_ids if approval_id not in pending]
            return [approval for approval in found if approval is not None]

    def changes(self, since: int) -> tuple[int, Sequence[Approval]]:
        with self._read() as db:
            rows = db.execute(_CHANGES, (since, LISTED)).fetchall()
            return (rows[-1][0] if rows else since), [load_approval(db, row[1:]) for row in rows]

    def position(self) -> int:
        with self._read() as db:
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM approvals").fetchone()[0])

    def version(self) -> int:
        with _unavailable(), self._watch_lock:
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    # --- inside

    def _prepare(self, path: Path) -> None:
        with self._write() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise ConfigError(f"{path}: written by a newer version of the gateway")
            if version < SCHEMA_VERSION:
                for statement in SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: committed, and on disk, when it is left well."""
        with _unavailable(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """One transaction: an approval and its answers are of the same moment."""
        with _unavailable(), self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=_BUSY, check_same_thread=False)


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    """Whatever the database cannot do is one answer. Its own text could quote values: only its code is told."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorname", None) or type(error).__name__
        log.warning("the approvals' database failed: %s", code)
        raise Refusal("approval_unavailable") from None
