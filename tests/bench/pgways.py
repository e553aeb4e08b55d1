"""Ways to one and the same PostgreSQL server, for measuring: straight, through PgBouncer, through the gateway."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from demo.account import own, owner
from tests.integration.database import running
from tests.integration.gateway import ROOT, Gateway, free_port
from tests.integration.postgres import DATABASE, PASSWORDS, Server

CONNECTIONS = 600
SETTINGS = {"max_connections": 2 * CONNECTIONS + 50, "shared_buffers": "256MB"}  # PgBouncer keeps its own
_TICKS = os.sysconf("SC_CLK_TCK")
_DETECT = """[
	{"detect": ["credit_card", "ssn", "iban", "email"], "strategy": "mask"},
	{"detect": ["aws_key_id", "github_token", "jwt", "private_key"], "strategy": "drop"},
]"""
# What is masked goes by table, so that one gateway serves every workload.
ROWS_POLICY = f"""package extproc

default decision := {{"action": "deny"}}

tables contains table if {{
	some statement in input.sql.statements
	some table in statement.tables
}}

decision := {{"action": "deny", "rule": "bench.job"}} if {{
	input.identity.claims.repository != "acme/billing"
}} else := {{"action": "allow", "rule": "bench.column", "redact": [{{"columns": ["email"]}}]}} if {{
	"public.by_column" in tables
}} else := {{"action": "allow", "rule": "bench.detector", "redact": {_DETECT}}} if {{
	"public.by_detector" in tables
}} else := {{"action": "allow", "rule": "bench.plain"}}
"""


@dataclass(frozen=True)
class Way:
    """`behind` are the processes of the relay, `envoy` those of Envoy."""

    name: str
    dsn: str
    behind: Sequence[int] = ()
    envoy: Sequence[int] = ()

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)

    def cpu(self) -> tuple[float, float]:
        """Seconds that the relay and Envoy have used so far, with the kernel's part."""
        return sum(map(_seconds, self.behind)), sum(map(_seconds, self.envoy))

    def memory(self) -> float:
        """Resident MB of the relay."""
        return sum(_status(pid, "VmRSS") for pid in self.behind) / 1024

    def forget_peak(self) -> None:
        for pid in self.behind:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM

    def peak(self) -> float:
        """The most resident MB since `forget_peak`."""
        return sum(_status(pid, "VmHWM") for pid in self.behind) / 1024


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def direct(server: Server) -> Way:
    return Way("direct", _dsn(server.port, "app", PASSWORDS["app"]))


def _dsn(port: int, user: str, password: str) -> str:
    return f"host=127.0.0.1 port={port} user={user} dbname={DATABASE} password={password} sslmode=disable"


@contextlib.contextmanager
def pgbouncer(server: Server) -> Iterator[Way | None]:
    """A server connection for each client's, as the gateway has it. None where it is not installed."""
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        yield None
        return
    home, port = Path(tempfile.mkdtemp(prefix="xq-")), free_port()
    upstream = f"host=127.0.0.1 port={server.port} dbname={DATABASE} user=app password={PASSWORDS['app']}"
    (home / "users").write_text(f'"app" "{PASSWORDS["app"]}"\n')
    (home / "ini").write_text(
        f"[databases]\n{DATABASE} = {upstream}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = plain\nauth_file = {home}/users\npool_mode = session\nmax_client_conn = 1000\n"
        f"default_pool_size = {CONNECTIONS}\nlogfile =\nunix_socket_dir =\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    own(home, *home.iterdir())
    process = subprocess.Popen(
        [binary, "-q", str(home / "ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **owner()
    )
    way = Way("pgbouncer", _dsn(port, "app", PASSWORDS["app"]), behind=[process.pid])
    try:
        _await(way)
        yield way
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _await(way: Way) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            way.connect().close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def gateway(server: Server, *, policy: str = "") -> Iterator[Way]:
    """One worker, records durable on disk. Without `policy`: the one that is shipped, with pgbench's tables open."""
    folder = Path(tempfile.mkdtemp(prefix="xpol-"))
    options: dict[str, Any] = {"policy": policy}
    if not policy:
        shutil.copytree(ROOT / "rego" / "policy", folder, dirs_exist_ok=True)
        data = json.loads((folder / "data.json").read_text())
        data["extproc"]["tables"].append("public.pgbench_accounts")
        (folder / "data.json").write_text(json.dumps(data))
        options = {"settings": {"policy": {"engine": "embedded", "path": str(folder)}}}
    database = {"connections": CONNECTIONS, "labels": {"data": "customers"}}
    try:
        with running(server, database=database, **options) as made:
            yield _way(made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _way(made: Gateway) -> Way:
    return Way("gateway", made.dsn(), behind=made.pids("worker"), envoy=made.pids("envoy"))
