"""A whole gateway for tests: `extproc up` with a real Envoy, on free ports, in a short temporary state dir."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).resolve().parents[2]
CREDENTIAL = "planted-credential-5f1e0c77"


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


ALLOW_ALL = """package extproc

decision := {"action": "allow", "rule": "test.allow"}
"""


@dataclass
class Gateway:
    """Configure, `start()`, use, `stop()`. Everything lives under `home`, which is removed at the end."""

    upstream_port: int
    policy: str = ALLOW_ALL
    resource: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    database: Mapping[str, Any] = field(default_factory=dict)  # a resource "db" of kind postgres: what differs
    login: tuple[str, str] = ("", "")  # the role and password that the gateway has for it
    workers: int = 1
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="xg-")))
    process: subprocess.Popen[bytes] | None = None
    ready: dict[str, Any] = field(default_factory=dict)
    _tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / "extproc.yaml"

    @property
    def state(self) -> Path:
        return self.home / "s"

    def write(self) -> Path:
        ports = {name: free_port() for name in ("listen", "resource", "control", "metrics", "issuer")}
        base = f"http://127.0.0.1:{ports['issuer']}"
        people = {"issuer": f"{base}/people", "audience": "extproc-console", "actor_claim": "preferred_username"}
        resource = {
            "name": "app",
            "hosts": ["app.localhost"],
            "port": ports["resource"],
            "upstream": f"http://127.0.0.1:{self.upstream_port}",
            "credential": "app",
            **self.resource,
        }
        document: dict[str, Any] = {
            "version": 1,
            "development": True,
            "state_dir": "s",
            "listen": f"127.0.0.1:{ports['listen']}",
            "workers": self.workers,
            "control": {"listen": f"127.0.0.1:{ports['control']}"},
            "metrics": {"listen": f"127.0.0.1:{ports['metrics']}"},
            "identity": {
                "jobs": [{"issuer": f"{base}/jobs", "audience": "extproc-gateway"}],
                "people": [people],
                "actors": {"octocat": "mona"},
                "dev_issuer": {"listen": f"127.0.0.1:{ports['issuer']}"},
            },
            "policy": {"engine": "embedded", "path": "policy"},
            "credentials": {"app": {"kind": "bearer", "env": "APP_TOKEN"}},
            "resources": [{k: v for k, v in resource.items() if v is not None}],
            **self.settings,
        }
        if self.database:
            database = {"name": "db", "kind": "postgres", "port": free_port(), "credential": "db", **self.database}
            if "tls" not in database:
                database["plaintext"] = True
            document["resources"].append({k: v for k, v in database.items() if v is not None})
            login = {"kind": "password", "username": self.login[0], "env": "DB_PASSWORD"}
            document["credentials"] = {"db": login, **document["credentials"]}
        (self.home / "policy").mkdir(exist_ok=True)
        (self.home / "policy" / "policy.rego").write_text(self.policy)
        self.config.write_text(yaml.safe_dump(document))
        return self.config

    def start(self) -> Gateway:
        if not self.config.exists():
            self.write()
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*EXTPROC, "up", "-c", str(self.config), "--ready-file", str(ready)],
                cwd=self.home,
                env={**os.environ, "APP_TOKEN": CREDENTIAL, "DB_PASSWORD": self.login[1], **self.environ},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("not ready: " + (self.home / "up.log").read_text()[-4000:])
            time.sleep(0.02)
        self.ready = json.loads(ready.read_text())
        return self

    def govern(self, policy: str) -> None:
        """Another policy from now on, as whoever edits the file of a running gateway has it. For one worker."""
        file, log, told = self.home / "policy" / "policy.rego", self.home / "up.log", "policy reloaded"
        if file.read_text() == policy:
            return
        before = log.read_text().count(told)
        file.write_text(policy)
        deadline = time.monotonic() + 20
        while log.read_text().count(told) == before:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.02)

    def stop(self, *, remove: bool = True) -> int:
        code = 0
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                code = self.process.wait()
        if remove:
            shutil.rmtree(self.home, ignore_errors=True)
        return code

    # --- the people and jobs who use it

    @property
    def url(self) -> str:
        return str(self.ready["resources"][self.resource.get("name", "app")]["url"])

    @property
    def database_port(self) -> int:
        return int(
            next(one["port"] for one in yaml.safe_load(self.config.read_text())["resources"] if one["name"] == "db")
        )

    def dsn(self, token: str | None = None, **more: Any) -> str:
        """For libpq and psycopg."""
        given = {
            "host": "127.0.0.1",
            "port": self.database_port,
            "user": "job",
            "dbname": str(self.database["upstream"]).rpartition("/")[2],
            "password": self.token() if token is None else token,
            "sslmode": "disable",
            **more,
        }
        return " ".join(f"{name}={value}" for name, value in given.items())

    @property
    def ready_port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def control(self) -> str:
        return str(self.ready["control"])

    def cli(self, *args: str, token: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "EXTPROC_TOKEN": token} if token else dict(os.environ)
        return subprocess.run(
            [*EXTPROC, *args, "-c", str(self.config)], env=env, capture_output=True, text=True, check=check, timeout=60
        )

    def token(self, *args: str) -> str:
        """Minted once for the same arguments: a second process for each would take most of the tests' time."""
        if args not in self._tokens:
            self._tokens[args] = self.cli("dev", "token", *args).stdout.strip()
        return self._tokens[args]

    def person(self, name: str = "dana", group: str = "data-owners") -> str:
        return self.token("--person", name, "--group", group)

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        token = self.token() if token is None else token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=options.pop("timeout", 20), **options)

    def pids(self, role: str) -> list[int]:
        """The processes of a role (worker, control, envoy, issuer) that live now."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children}
        return [pid for pid, command in commands.items() if any(part.endswith(role.encode()) for part in command[:4])]

    def text_of_everything(self) -> bytes:
        """Every byte the gateway left on disk: logs, records, databases, rendered configuration."""
        return b"".join(path.read_bytes() for path in sorted(self.home.rglob("*")) if path.is_file())


EXTPROC = (sys.executable, "-m", "extproc.cli")
