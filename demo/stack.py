"""Starts the upstreams and the gateway, and stops all of them, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import yaml
from itsdangerous import URLSafeSerializer

from demo import certificates, customers
from demo.database import Database, DatabaseError
from demo.psql import Psql, find

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "demo" / "extproc.yaml"
DATA = ROOT / ".extproc" / "demo"
# Datasette answers the gateway alone: whoever has no credential gets nothing, however they reach it.
_DATASETTE = {"allow": {"id": "gateway"}, "databases": {"customers": {"allow_sql": {"id": "gateway"}}}}


class NotReady(Exception):  # noqa: N818
    """A part of the stack did not come up; the text says which and where to look."""


@dataclass(frozen=True)
class Stack:
    """A running gateway. `ready` is what `extproc up --ready-file` wrote; `folder` has the demo's own files."""

    config: Path
    folder: Path
    ready: dict[str, Any]
    gateway: subprocess.Popen[bytes]

    @property
    def customers(self) -> str:
        return str(self.ready["resources"]["customers"]["url"])

    @property
    def control(self) -> str:
        return str(self.ready["control"])

    @property
    def psql(self) -> Psql:
        return find()

    @property
    def database_resource(self) -> str:
        """The one that psql connects to: with TLS, or without where psql has none."""
        return "customers-db" if self.psql.tls else "customers-db-plain"

    @property
    def database(self) -> str:
        return str(self.ready["resources"][self.database_resource]["url"])

    @property
    def conninfo(self) -> str:
        """How psql gets there: it checks the gateway's certificate against the demo's CA, where it can."""
        host, port = ("localhost" if self.psql.tls else "127.0.0.1"), urlsplit(self.database).port
        where = f"host={host} port={port} dbname=customers"
        if not self.psql.tls:
            return f"{where} sslmode=disable"
        return f"{where} sslmode=verify-full sslrootcert={beside(self.folder / 'ca.crt')}"

    @property
    def database_log(self) -> str:
        """Every statement that reached PostgreSQL."""
        return (self.folder / "postgres.log").read_text()

    def extproc(self, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the gateway's as a user would."""
        environ = {**os.environ, "EXTPROC_TOKEN": token} if token else dict(os.environ)
        command = [sys.executable, "-m", "extproc.cli", *arguments, "-c", str(self.config)]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def token(self, *arguments: str) -> str:
        result = self.extproc("dev", "token", *arguments)
        if result.returncode != 0:
            raise NotReady(result.stderr.strip())
        return result.stdout.strip()


@contextlib.contextmanager
def running(*, free_ports: bool) -> Iterator[Stack]:
    """The whole stack, ready to use. With `free_ports` beside whatever else runs; else on the ports of extproc.yaml."""
    DATA.mkdir(parents=True, exist_ok=True, mode=0o700)
    customers.ensure(DATA / "customers.db")
    config = _on_free_ports() if free_ports else CONFIG
    folder = config.parent if free_ports else DATA
    document = yaml.safe_load(config.read_text())
    log_path = folder / "demo.log"
    with contextlib.ExitStack() as stack:
        for port in _upstream_ports(document):
            if _listens(port):
                raise NotReady(f"port {port} is taken: does `make run` run already in another terminal?")
        certificates.write(folder)  # not before: another one that runs keeps its own
        log, database_log = (stack.enter_context(_private(folder / name)) for name in ("demo.log", "postgres.log"))
        upstream = stack.enter_context(_process(*_datasette(document, config.parent), log))
        database = stack.enter_context(_database(document, config.parent, folder, database_log))
        ready_file = DATA / f"ready-{os.getpid()}.json"
        stack.callback(ready_file.unlink, missing_ok=True)
        command = [sys.executable, "-m", "extproc.cli", "up", "-c", str(config), "--ready-file", str(ready_file)]
        gateway = stack.enter_context(_process(command, {}, log))
        _start(database)  # while the gateway comes up
        ready = _await_ready(ready_file, gateway, upstream, _upstream_ports(document)[0], log_path)
        yield Stack(config, folder, ready, gateway)


def _on_free_ports() -> Path:
    """A copy of extproc.yaml in a folder of its own (short: sockets lie in it), with every port replaced."""
    folder = Path(tempfile.mkdtemp(prefix="extproc-demo-"))
    text = CONFIG.read_text()
    ports = ("8080", "8081", "8082", "8083", "8090", "8001", "5433", "5434", "5435")
    for port, free in zip(ports, _free_ports(len(ports)), strict=True):
        text = text.replace(f":{port}", f":{free}").replace(f"port: {port}", f"port: {free}")
    # Credentials of its own too: a new one in a shared file would lock a gateway out that runs beside it.
    text = text.replace("../.extproc/demo/", "").replace("../.extproc", "s")
    path = folder / "extproc.yaml"
    path.write_text(text.replace("../rego", str(ROOT / "rego")))
    return path


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each another one."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _upstream_ports(document: dict[str, Any]) -> list[int]:
    """Of Datasette, and of PostgreSQL."""
    return [int(urlsplit(document["resources"][n]["upstream"]).port or 0) for n in (0, 1)]


def _private(path: Path) -> IO[bytes]:
    """Written anew, for its owner alone: it may quote what was asked."""
    path.touch(mode=0o600)
    return path.open("wb")


def beside(path: Path) -> str:
    """As it is typed in this folder."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


def _database(document: dict[str, Any], base: Path, folder: Path, log: IO[bytes]) -> Database:
    password_file = (base / document["credentials"]["gateway"]["file"]).resolve()
    return Database(folder, _upstream_ports(document)[1], password_file, log)


def _start(database: Database) -> None:
    try:
        database.start(DATA / "customers.db", DATA)
    except DatabaseError as error:
        raise NotReady(str(error)) from None


def _datasette(document: dict[str, Any], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Datasette's command and environment; and the credential that opens it, made anew each time, in `folder`."""
    secret = secrets.token_hex(32)
    metadata = DATA / "datasette.json"
    metadata.write_text(json.dumps(_DATASETTE))
    datasette = str(Path(sys.executable).with_name("datasette"))
    cookie = URLSafeSerializer(secret, "actor").dumps({"a": {"id": "gateway"}})
    path = (folder / document["credentials"]["datasette"]["file"]).resolve()
    path.touch(mode=0o600)
    path.write_text(f"ds_actor={cookie}\n")
    settings = ["--setting", "default_page_size", "20", "--setting", "max_returned_rows", "1000"]
    options = ["-h", "127.0.0.1", "-p", str(_upstream_ports(document)[0]), "-m", str(metadata), *settings]
    return [datasette, "serve", "-i", str(DATA / "customers.db"), *options], {"DATASETTE_SECRET": secret}


@contextlib.contextmanager
def _process(command: list[str], environ: dict[str, str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this block: asked first, then killed."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(
    ready_file: Path, gateway: subprocess.Popen[bytes], upstream: subprocess.Popen[bytes], port: int, log: Path
) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for name, process in (("the gateway", gateway), ("Datasette", upstream)):
            if process.poll() is not None:
                raise NotReady(f"{name} did not come up:\n{log.read_text()[-3000:]}")
        if ready_file.exists() and _listens(port):
            document: dict[str, Any] = json.loads(ready_file.read_text())
            return document
        time.sleep(0.05)
    raise NotReady(f"not ready within 60 s; see {log}")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False
