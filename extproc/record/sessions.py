"""
Sessions and their counters, shared by all processes of a machine: one row of SQLite for each.

Called on the event loop for every request. WAL with `synchronous=NORMAL`: a killed process loses nothing, a power cut
may lose the last counts, never the file's consistency. What must survive a power cut stands in the segment log.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path
from typing import Final

from extproc.errors import Refusal
from extproc.model import Identity, Resource, Session
from extproc.sqlitefile import switch_to_wal

IDLE: Final = 1800.0  # seconds without a request or a new connection after which a session is closed
_BUSY: Final = 1.0  # seconds to wait for another process's write
_RUN_CLAIMS: Final = ("run_id", "run_attempt", "check_run_id")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY,
    generation INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    rows_out INTEGER NOT NULL,
    seen REAL NOT NULL,
    connections INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID
"""
# Files of before there were connections.
_ADD_CONNECTIONS: Final = "ALTER TABLE sessions ADD COLUMN connections INTEGER NOT NULL DEFAULT 0"
_COLUMNS: Final = "SELECT name FROM pragma_table_info('sessions')"
# One statement, so one transaction: read and reserve cannot be interleaved by another worker. ?3 requests and ?4
# connections are added. Connections are numbered on in the next generation: they may idle longer than their session.
_OPEN: Final = f"""
INSERT INTO sessions (key, generation, requests, bytes_out, rows_out, seen, connections)
VALUES (?1, 1, ?3, 0, 0, ?2, ?4)
ON CONFLICT (key) DO UPDATE SET
    generation = generation + (excluded.seen - seen > {IDLE}),
    requests = iif(excluded.seen - seen > {IDLE}, 0, requests) + ?3,
    bytes_out = iif(excluded.seen - seen > {IDLE}, 0, bytes_out),
    rows_out = iif(excluded.seen - seen > {IDLE}, 0, rows_out),
    seen = max(seen, excluded.seen),
    connections = connections + ?4
RETURNING generation, requests, bytes_out, rows_out, connections
"""  # noqa: S608 - a constant
_ADD: Final = """
UPDATE sessions SET
    bytes_out = bytes_out + ?2, rows_out = rows_out + ?3, requests = requests + ?4, seen = max(seen, ?5)
WHERE key = ?1 RETURNING bytes_out, rows_out
"""


class SqliteSessionBook:
    """
    The `SessionBook`. Every call is one short write; raises `Refusal("record_unavailable")` where it cannot be made.

    Requests and new connections keep a session open, bytes and rows do not. What an older generation still releases
    counts in the current one.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        # The first statements of two processes that start together may meet: SQLite's own waiting serves there.
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        switch_to_wal(self._db)
        self._db.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint syncs, on the loop: at SQLite's 1000 pages it takes 4 ms, at these 1 ms, as much in all.
        self._db.execute("PRAGMA wal_autocheckpoint = 250")
        self._bring_up_to_date()
        self._db.execute("PRAGMA busy_timeout = 0")

    def open(self, identity: Identity, resource: Resource, now: float) -> Session:
        """Join or begin the session and count this request in it."""
        return self._open(identity, resource, now, requests=1)[0]

    def open_connection(self, identity: Identity, resource: Resource, now: float) -> tuple[Session, int]:
        """Join or begin the session, without a request; the number is never given twice for one session key."""
        return self._open(identity, resource, now, connections=1)

    def reserve(self, session: Session, *, size: int = 0, rows: int = 0) -> tuple[int, int]:
        """Add bytes and rows before they are released; the session's new totals of both."""
        return self.add(session.key, size=size, rows=rows)

    def count(self, session: Session, *, size: int = 0, rows: int = 0) -> None:
        """Add bytes and rows whose totals nobody waits for."""
        self.add(session.key, size=size, rows=rows)

    def add(self, key: str, *, requests: int = 0, size: int = 0, rows: int = 0, seen: float = 0.0) -> tuple[int, int]:
        """Add to the counters of a session that is there. `seen`: when the last of these requests came."""
        bytes_out, rows_out = self._write(_ADD, (bytes.fromhex(key), size, rows, requests, seen))
        return bytes_out, rows_out

    def close(self) -> None:
        self._db.close()

    def _open(
        self, identity: Identity, resource: Resource, now: float, *, requests: int = 0, connections: int = 0
    ) -> tuple[Session, int]:
        key = session_key(identity, resource.name)
        generation, *counts, number = self._write(_OPEN, (key, now, requests, connections))
        text = key.hex()
        return Session(f"s-{text[:16]}-{generation}", text, generation, *counts), number

    def _bring_up_to_date(self) -> None:
        """Make the table, or give an older one what it lacks. Processes that start together take turns."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(_SCHEMA)
        if ("connections",) not in self._db.execute(_COLUMNS).fetchall():
            self._db.execute(_ADD_CONNECTIONS)
        self._db.execute("COMMIT")

    def _write(self, statement: str, values: tuple[object, ...]) -> tuple[int, ...]:
        try:
            rows = self._db.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            rows = self._retry(statement, values, error)
        except sqlite3.Error:
            raise Refusal("record_unavailable") from None
        if len(rows) != 1:
            raise Refusal("record_unavailable")
        return tuple(rows[0])

    def _retry(self, statement: str, values: tuple[object, ...], error: sqlite3.Error) -> list[tuple[int, ...]]:
        """Another process holds the lock, for some 20 µs: SQLite's own waiting sleeps 1 ms and more."""
        give_up = time.monotonic() + _BUSY
        while _is_busy(error) and time.monotonic() < give_up:
            time.sleep(0.00002)
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as again:
                error = again
        raise Refusal("record_unavailable")


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def session_key(identity: Identity, resource: str) -> bytes:
    """One identity's run against one resource: SHA-256 over length-prefixed parts; a missing claim is no empty one."""
    parts = [identity.issuer, identity.subject, resource]
    parts += [str(identity.claims[name]) if name in identity.claims else "" for name in _RUN_CLAIMS]
    present = bytes(name in identity.claims for name in _RUN_CLAIMS)
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return hashlib.sha256(
        b"".join((b"extproc.session.1\0", present, *(len(e).to_bytes(4, "big") + e for e in encoded)))
    ).digest()
