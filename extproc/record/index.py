"""
What the logs hold, by session and exchange, in SQLite. Nothing stands only here: a lost index is built again.

It also remembers how far it has read each log, and the hash there. A log that later is shorter, or does not link to
that hash, was changed: a problem, kept until the index file is removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from extproc.model import JSON
from extproc.record.cursor import Files, Head, Problem, read_on, shrunk, start_of
from extproc.record.facts import facts_of
from extproc.record.segment import Record, segments
from extproc.sqlitefile import switch_to_wal

_GROUP: Final = 2000  # events in one transaction
_FORMAT: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS logs (
    log TEXT PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS problems (
    file TEXT NOT NULL, offset INTEGER NOT NULL, what TEXT NOT NULL, PRIMARY KEY (file, offset, what)
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY, first REAL NOT NULL, last REAL NOT NULL,
    issuer TEXT, subject TEXT, actor TEXT, resource TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_last ON sessions (last);
CREATE TABLE IF NOT EXISTS exchanges (
    session TEXT NOT NULL, exchange TEXT NOT NULL, log TEXT NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    first_segment INTEGER NOT NULL, first_offset INTEGER NOT NULL, last_segment INTEGER NOT NULL,
    last_offset INTEGER NOT NULL, summary TEXT, action TEXT, outcome TEXT, status INTEGER, held INTEGER,
    bytes_in INTEGER, bytes_out INTEGER, rows_out INTEGER, connection INTEGER, kind TEXT, sqlstate TEXT,
    PRIMARY KEY (session, exchange, log)
) STRICT, WITHOUT ROWID;
"""
_DROP: Final = "DROP TABLE IF EXISTS logs; DROP TABLE IF EXISTS sessions; DROP TABLE IF EXISTS exchanges;"
_PUT_SESSION: Final = """
INSERT INTO sessions VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
    first = min(first, ?2), last = max(last, ?2), issuer = coalesce(?3, issuer), subject = coalesce(?4, subject),
    actor = coalesce(?5, actor), resource = coalesce(?6, resource)
"""
_PUT_EXCHANGE: Final = """
INSERT INTO exchanges VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT DO UPDATE SET
    last = ?4, last_segment = ?5, last_offset = ?6, summary = coalesce(?7, summary), action = coalesce(?8, action),
    outcome = coalesce(?9, outcome), status = coalesce(?10, status), held = coalesce(?11, held),
    bytes_in = coalesce(?12, bytes_in), bytes_out = coalesce(?13, bytes_out), rows_out = coalesce(?14, rows_out),
    connection = coalesce(?15, connection), kind = coalesce(?16, kind), sqlstate = coalesce(?17, sqlstate)
"""
_SESSIONS: Final = """
SELECT s.session, coalesce(issuer, ''), coalesce(subject, ''), coalesce(actor, ''), coalesce(resource, ''),
    s.first, s.last, count(*) FILTER (WHERE kind IS NULL),
    count(*) FILTER (WHERE kind IS NULL AND
        outcome NOT IN ('released', 'unread', 'aborted', 'prepared', 'suspended', 'failed')),
    coalesce(sum(held), 0), coalesce(sum(bytes_out), 0), count(DISTINCT connection), coalesce(sum(rows_out), 0)
FROM (
    SELECT * FROM sessions WHERE (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR resource = ?2)
    ORDER BY last DESC, session LIMIT ?3
) AS s JOIN exchanges USING (session) GROUP BY session ORDER BY s.last DESC, s.session
"""
_EXCHANGES: Final = """
SELECT session, exchange, first, last, coalesce(summary, ''), coalesce(action, ''), coalesce(outcome, ''),
    coalesce(status, 0), coalesce(held, 0), coalesce(bytes_in, 0), coalesce(bytes_out, 0), coalesce(rows_out, 0),
    coalesce(connection, 0), coalesce(sqlstate, '')
FROM exchanges WHERE session = ? AND kind IS NULL ORDER BY first, exchange
"""
_CONNECTIONS: Final = """
SELECT coalesce(connection, 0) AS number, coalesce(max(exchange) FILTER (WHERE kind IS NOT NULL), ''), min(first),
    max(last), coalesce(max(summary) FILTER (WHERE kind IS NOT NULL), ''),
    coalesce(max(outcome) FILTER (WHERE kind IS NOT NULL), ''), count(*) FILTER (WHERE kind IS NULL),
    coalesce(sum(rows_out), 0), coalesce(sum(bytes_out), 0)
FROM exchanges WHERE session = ? GROUP BY number ORDER BY number = 0, number
"""
_PLACES: Final = """
SELECT log, min(first_segment << 40 | first_offset), max(last_segment << 40 | last_offset) FROM exchanges
WHERE session = ?1 AND (?2 IS NULL OR exchange = ?2) AND (?3 IS NULL OR coalesce(connection, 0) = ?3)
GROUP BY log ORDER BY log
"""
_OF_CONNECTION: Final = "SELECT exchange FROM exchanges WHERE session = ? AND coalesce(connection, 0) = ?"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """
    A session in a list. Times are epoch seconds; `bytes_out` and `rows` went to the client. "-": refused without a
    session. A statement counts as a request; `connections` is 0 where the protocol has none (HTTP).
    """

    session: str
    issuer: str
    subject: str
    actor: str
    resource: str
    first: float
    last: float
    requests: int
    refused: int
    held: int
    bytes_out: int
    connections: int
    rows: int

    def document(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ExchangeRow:
    """
    An exchange in a list. `action` is policy's; `outcome` is "released", "unread" (the body passed by), "aborted", the
    code of a refusal, or empty while it goes on (of SQL also "prepared", "suspended", "failed"); `status` is the
    response's or the refusal's, 0 while unknown.
    Of statements: `rows` went to the client, `connection` is the number of theirs, `sqlstate` that of its error.
    """

    session: str
    exchange: str
    first: float
    last: float
    summary: str
    action: str
    outcome: str
    status: int
    held: int
    bytes_in: int
    bytes_out: int
    rows: int
    connection: int
    sqlstate: str

    def document(self) -> dict[str, JSON]:
        return {**asdict(self), "held": bool(self.held)}


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """
    A connection of a session, and what its statements come to. `connection` is its id (empty: it was opened in an
    earlier session), `outcome` how it ended, empty while it is open. Number 0 collects statements of no known one.
    """

    number: int
    connection: str
    first: float
    last: float
    summary: str
    outcome: str
    statements: int
    rows: int
    bytes_out: int

    def document(self) -> dict[str, JSON]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a log has events of a session: the first and the last of them, each as segment and offset."""

    log: str
    first: tuple[int, int]
    last: tuple[int, int]


class Index:
    """Used by one thread at a time; several processes may update it at once. Raises `sqlite3.Error`, `OSError`."""

    def __init__(self, path: Path, records_dir: Path) -> None:
        self._records = records_dir
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
        switch_to_wal(self._db)
        self._db.execute("PRAGMA synchronous = NORMAL")
        if self._db.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            self._db.executescript(_DROP)
        self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {_FORMAT};")

    def close(self) -> None:
        self._db.close()

    # --- reading the logs

    def update(self) -> int:
        """Read what the logs have gained; how many events that were."""
        heads = self.heads()  # before the files: another process may be further than an older look at the folder
        found = segments(self._records)
        problems = [p for log, head in heads.items() if (p := shrunk(log, head, found.get(log, []))) is not None]
        if problems:
            self._start_over(problems)
        return sum(self._update_log(log, files) for log, files in found.items())

    def _start_over(self, problems: list[Problem]) -> None:
        with self._writing():
            for problem in problems:
                self._put_problem(problem)
            self._db.execute("DELETE FROM logs")
            self._db.execute("DELETE FROM sessions")
            self._db.execute("DELETE FROM exchanges")

    def _update_log(self, log: str, files: Files) -> int:
        count = 0
        while True:
            with self._writing():
                before = head = self.heads().get(log, start_of(log))
                for item, head in islice(read_on(before, files), _GROUP):
                    if isinstance(item, Record):
                        self._put(log, head.segment, item)
                        count += 1
                    elif isinstance(item, Problem):
                        self._put_problem(item)
                if head == before:
                    return count
                place = (log, head.segment, head.offset, head.seq, head.hash)
                self._db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?, ?)", place)

    def _put(self, log: str, segment: int, record: Record) -> None:
        event = record.event
        if event.exchange == "-":
            return  # the log's own notes
        facts = facts_of(event)
        # Session "-" is of all resources, and a number in it is of some other session.
        resource, number = (facts.resource, facts.connection) if event.session != "-" else (None, None)
        self._db.execute(_PUT_SESSION, (event.session, event.time, facts.issuer, facts.subject, facts.actor, resource))
        place = (event.session, event.exchange, log, event.time, segment, record.offset)
        said = (facts.summary, facts.action, facts.outcome, facts.status, facts.held, facts.bytes_in, facts.bytes_out)
        of_sql = (facts.rows, number, facts.kind, facts.sqlstate)
        self._db.execute(_PUT_EXCHANGE, (*place, *said, *of_sql))

    def _put_problem(self, problem: Problem) -> None:
        row = (problem.file, problem.offset, problem.what)
        self._db.execute("INSERT OR IGNORE INTO problems VALUES (?, ?, ?)", row)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- queries

    def heads(self) -> dict[str, Head]:
        """How far each log was read."""
        rows = self._db.execute("SELECT log, segment, offset, seq, hash FROM logs ORDER BY log")
        return {row[0]: Head(*row[1:]) for row in rows}

    def problems(self) -> list[Problem]:
        rows = self._db.execute("SELECT file, offset, what FROM problems ORDER BY file, offset, what")
        return [Problem(*row) for row in rows]

    def sessions(self, *, resource: str | None = None, limit: int = 50) -> list[SessionRow]:
        """The latest first."""
        return self._sessions(None, resource, limit)

    def session(self, session: str) -> SessionRow | None:
        return next(iter(self._sessions(session, None, 1)), None)

    def _sessions(self, session: str | None, resource: str | None, limit: int) -> list[SessionRow]:
        rows = self._db.execute(_SESSIONS, (session, resource, limit))
        return [SessionRow(*row) for row in rows]

    def exchanges(self, session: str) -> list[ExchangeRow]:
        """In the order in which they began."""
        rows = self._db.execute(_EXCHANGES, (session,))
        return [ExchangeRow(*row) for row in rows]

    def connections(self, session: str) -> list[ConnectionRow]:
        """By number; none for a session of HTTP. What belongs to no known connection comes last."""
        rows = [ConnectionRow(*row) for row in self._db.execute(_CONNECTIONS, (session,))]
        return rows if any(row.number for row in rows) else []

    def exchanges_of(self, session: str, number: int) -> frozenset[str]:
        """The ids of a connection's statements, and its own."""
        return frozenset(row[0] for row in self._db.execute(_OF_CONNECTION, (session, number)))

    def spans(self, session: str, exchange: str | None = None, *, connection: int | None = None) -> list[Span]:
        """Where to read a session's events, or those of one exchange or of one connection."""
        rows = self._db.execute(_PLACES, (session, exchange, connection))
        return [Span(log, divmod(first, 1 << 40), divmod(last, 1 << 40)) for log, first, last in rows]
