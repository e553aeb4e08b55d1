"""A real Envoy and our transport in this process, so that a test can put a fault into any phase of an exchange."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from extproc.config import load
from extproc.envoyconf.render import render
from extproc.http.events import BodyArrived, Direction, Event, HeadersArrived, TrailersArrived
from extproc.http.exchange import Exchange, Steps
from extproc.pipeline import Services
from extproc.run import envoy
from extproc.server.grpc_aio import GrpcTransport
from extproc.waits import NextEvent, Wait
from tests.integration.gateway import free_port
from tests.integration.upstream import Upstream
from tests.unit.playbook import RESOURCE, Policy, services

PHASES: dict[str, tuple[Direction, type]] = {
    "request headers": (Direction.REQUEST, HeadersArrived),
    "request body": (Direction.REQUEST, BodyArrived),
    "response headers": (Direction.RESPONSE, HeadersArrived),
    "response body": (Direction.RESPONSE, BodyArrived),
    "response trailers": (Direction.RESPONSE, TrailersArrived),
}
Fault = Callable[[], Steps]


@dataclass(frozen=True)
class Hang(NextEvent):
    """A wait that never ends."""


class FaultyExchange(Exchange):
    """An exchange that, at the first event of a phase, does something else."""

    def __init__(self, *args: Any, phase: str, fault: Fault) -> None:
        super().__init__(*args)
        self._where = PHASES[phase]
        self._fault = fault

    def run(self) -> Steps:
        steps = super().run()
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return
            result = yield step
            if isinstance(step, NextEvent) and self._here(result):
                yield from self._fault()
                return

    def _here(self, event: Event) -> bool:
        return (event.direction, type(event)) == self._where


@dataclass
class Bench:
    """`start()`, send requests to `url`, `stop()`."""

    upstream: Upstream
    make: Callable[[Services], Exchange]
    policy: Policy
    transport: type[GrpcTransport] = GrpcTransport
    step: float = 1.0
    idle: float = 3.0
    resource: dict[str, Any] = field(default_factory=dict)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="xb-")))

    def start(self) -> Bench:
        self._port = free_port()
        config = load(self._written())
        for name in ("run", "logs"):
            (config.state_dir / name).mkdir(parents=True, mode=0o700)
        self._serve(f"unix:{config.state_dir}/run/worker-0.sock")
        rendered = self.home / "envoy.json"
        rendered.write_text(render(config))
        with (self.home / "envoy.log").open("wb") as log:
            self._envoy = subprocess.Popen(envoy.command(rendered), stdout=log, stderr=log)
        admin = envoy.Admin(config.state_dir / "run" / "admin.sock")
        deadline = time.monotonic() + 20
        while not admin.ready(1):
            assert time.monotonic() < deadline, (self.home / "envoy.log").read_text()
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        self._envoy.kill()
        self._envoy.wait()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def client(self, timeout: float = 15) -> httpx.Client:
        headers = {"authorization": "Bearer good", "host": "app.localhost"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    def _written(self) -> Path:
        ports = [free_port() for _ in range(2)]
        document = {
            "version": 1,
            "state_dir": "s",
            "listen": f"127.0.0.1:{self._port}",
            "workers": 1,
            "control": {"listen": f"127.0.0.1:{ports[0]}"},
            "metrics": {"listen": f"127.0.0.1:{ports[1]}"},
            "identity": {"jobs": [{"issuer": "https://issuer", "audience": "x"}]},
            "policy": {"path": "policy"},
            "resources": [
                {
                    "name": "app",
                    "hosts": ["app.localhost"],
                    "upstream": f"http://127.0.0.1:{self.upstream.port}",
                    **self.resource,
                }
            ],
        }
        path = self.home / "extproc.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def _serve(self, address: str) -> None:
        ready = threading.Event()

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            transport = self.transport(address, self._exchange, perform, step=self.step, idle=self.idle)
            await transport.start()
            ready.set()
            await self._stopping.wait()
            await transport.drain(0.2)

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _exchange(self) -> Exchange:
        return self.make(services(self.policy, clock=time.time))


async def perform(wait: Wait) -> object:
    """Nothing waits here but what a test wants to wait for ever."""
    if isinstance(wait, Hang):
        await asyncio.sleep(3600)
    return None


def plain(services: Services) -> Exchange:
    return Exchange("x-1", services, {"app": RESOURCE}.get)


def faulty(phase: str, fault: Fault) -> Callable[[Services], Exchange]:
    return lambda services: FaultyExchange("x-1", services, {"app": RESOURCE}.get, phase=phase, fault=fault)


Performer = Callable[[Wait], Awaitable[object]]
