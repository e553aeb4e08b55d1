"""What every SQLite file of ours has in common."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

_BUSY: Final = 5.0  # seconds


def switch_to_wal(db: sqlite3.Connection) -> None:
    """Processes that start together on a new file meet here, and SQLite does not wait for this one lock."""
    until = time.monotonic() + _BUSY
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
