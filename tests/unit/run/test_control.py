"""The control process as a process: answers, counts, expires, and stops cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.unit.approval.people import asked, opened

CONFIG = """
version: 1
development: true
state_dir: s
listen: 127.0.0.1:{0}
control: {{listen: 127.0.0.1:{1}}}
metrics: {{listen: 127.0.0.1:{2}}}
identity:
  jobs: [{{issuer: http://127.0.0.1:{3}/jobs, audience: extproc-gateway}}]
  people: [{{issuer: http://127.0.0.1:{3}/people, audience: extproc-console}}]
policy: {{engine: embedded, path: rego}}
resources: [{{name: app, hosts: [app.localhost], upstream: http://127.0.0.1:9000}}]
"""


@dataclass
class Control:
    folder: Path
    ports: list[int]
    process: subprocess.Popen[bytes]

    def get(self, path: str, port: int = 1) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.ports[port]}{path}", trust_env=False)

    def ready(self) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            assert self.process.poll() is None, self.errors()
            try:
                self.get("/healthz")
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        pytest.fail("never ready")

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(folder: Path, ports: list[int]) -> Control:
    (folder / "extproc.yaml").write_text(CONFIG.format(*ports))
    environ = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    with (folder / "stderr").open("wb") as errors:
        command = [sys.executable, "-m", "extproc.cli", "control", "-c", str(folder / "extproc.yaml")]
        return Control(folder, ports, subprocess.Popen(command, stderr=errors, env=environ))


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = start(tmp_path, free_ports(4))
    try:
        made.ready()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_it_answers_expires_and_stops_cleanly(control: Control) -> None:
    refused = control.get("/v1/approvals")
    assert refused.status_code == 401
    assert refused.headers["x-extproc-development"] == "true"
    store = opened(control.folder / "s")
    overdue = store.open(asked(created_at=time.time() - 100), time.time() - 100)
    until = time.monotonic() + 5
    while time.monotonic() < until and store.list("pending"):
        time.sleep(0.05)
    (expired,) = store.list("expired")
    assert expired.id == overdue.id
    store.close()
    metrics = control.get("/metrics", port=2)
    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain")
    assert control.get("/v1/approvals", port=2).status_code == 404
    assert control.get("/metrics").status_code == 404
    control.process.send_signal(signal.SIGTERM)
    assert control.process.wait(8) == 0
    assert "Traceback" not in control.errors()
    for line in control.errors().splitlines():
        assert '"level":"error"' not in line.replace(" ", "")


def test_an_address_in_use_is_a_wrong_configuration_that_names_its_field(tmp_path: Path) -> None:
    ports = free_ports(4)
    with socket.create_server(("127.0.0.1", ports[2])):
        made = start(tmp_path, ports)
        try:
            assert made.process.wait(20) == 2
        finally:
            made.process.kill()
            made.process.wait()
    assert "metrics.listen" in made.errors()
    assert "Traceback" not in made.errors()
