"""`extproc up`: Envoy, the workers and the control process of one machine, kept alive and stopped in order."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
from prometheus_client import multiprocess

from extproc.config import Config
from extproc.config.fields import database as database_of
from extproc.errors import ConfigError
from extproc.run import envoy, state
from extproc.run.child import Child

_LOOK = 0.1  # seconds between two looks at the children
_READY_WITHIN = 30.0  # seconds

log = logging.getLogger("extproc.up")


class Supervisor:
    """Runs until SIGTERM or SIGINT; a second signal stops at once."""

    def __init__(self, config: Config, path: Path, envoy_config: Path) -> None:
        self._config = config
        self._path = path
        self._stop = 0
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(config.state_dir / "metrics")}

        # Credentials are for workers alone: the others listen where people and metrics come from.
        secret = {spec.env for spec in config.credentials.values()}

        def extproc(name: str, *arguments: str, beats: bool = True) -> Child:
            command = [sys.executable, "-m", "extproc.cli", *arguments, "-c", str(path)]
            given = {n: v for n, v in environ.items() if arguments[0] == "worker" or n not in secret}
            return Child(name, command, environ=given, beats=beats, on_death=self._forget)

        self.workers = [extproc(f"worker-{index}", "worker", "--index", str(index)) for index in range(config.workers)]
        self.others = [extproc("control", "control")]
        if config.identity.dev_issuer:
            self.others.append(extproc("issuer", "dev", "issuer", beats=False))
        # Envoy gets no credential: only what it needs to run.
        bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR")}
        log_file = config.state_dir / "logs" / "envoy.log"
        self.envoy = Child("envoy", envoy.command(envoy_config), environ=bare, beats=False, stderr=log_file)
        self._admin = envoy.Admin(config.state_dir / "run" / "admin.sock")

    @property
    def children(self) -> list[Child]:
        return [*self.workers, *self.others, self.envoy]

    def run(self, on_ready: Callable[[], None]) -> int:
        """0 after an orderly stop. Raises `ConfigError` where the gateway does not come up."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        try:
            for child in self.children:
                child.start()
            if self._await_ready():
                on_ready()
            self._watch()
        finally:
            self._shut_down()
        return 0

    def pids(self) -> dict[str, int]:
        return {child.name: child.pid for child in self.children}

    def _signalled(self, _number: int, _frame: object) -> None:
        self._stop += 1
        if self._stop > 1:
            for child in self.children:
                child.kill()

    def _forget(self, pid: int) -> None:
        multiprocess.mark_process_dead(pid, str(self._config.state_dir / "metrics"))  # type: ignore[no-untyped-call]

    def _await_ready(self) -> bool:
        deadline = time.monotonic() + _READY_WITHIN
        # One client for all looks: to make one takes 18 ms of a processor, which the children need now.
        with httpx.Client(timeout=1.0, trust_env=False) as client:
            while not self._stop:
                for child in self.children:
                    if not child.alive:
                        raise ConfigError(
                            f"{child.name} did not come up; see {self._config.state_dir / 'logs'} and above"
                        )
                if self._answers(client):
                    return True
                if time.monotonic() > deadline:
                    raise ConfigError(f"not ready within {_READY_WITHIN:.0f} s; see {self._config.state_dir / 'logs'}")
                time.sleep(0.02)
        return False

    def _answers(self, client: httpx.Client) -> bool:
        urls = [f"http://{self._config.control.listen}/healthz"]
        if self._config.identity.dev_issuer:
            urls.append(f"http://{self._config.identity.dev_issuer.listen}/jobs/.well-known/openid-configuration")
        try:
            reached = all(client.get(url).is_success for url in urls)
        except httpx.HTTPError:
            return False
        return reached and self._admin.ready(self._config.workers, len(self._config.postgres))

    def _watch(self) -> None:
        while not self._stop:
            now = time.monotonic()
            for child in self.children:
                child.watch(now)
            time.sleep(_LOOK)

    def _shut_down(self) -> None:
        """First no new connections, then the workers answer what they hold, and Envoy delivers it; then the rest."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._admin.stop_listening()
        _stop(self.workers, self._config.timeouts.drain + 4)
        _stop([self.envoy, *self.others], 5)


def _stop(children: list[Child], within: float) -> None:
    until = time.monotonic() + within
    for child in children:
        child.terminate()
    for child in children:
        if not child.wait(until):
            log.error("%s did not stop in time: killed", child.name)


def addresses(config: Config, pids: dict[str, int]) -> dict[str, object]:
    """What `--ready-file` says, and what people are told."""
    host, _, port = config.listen.rpartition(":")
    resources = {
        resource.name: {
            "url": f"http://{host}:{resource.port}" if resource.port else f"http://{resource.hosts[0]}:{port}",
            "hosts": list(resource.hosts),
        }
        for resource in config.http
    }
    for database in config.postgres.values():
        name = database_of(database.upstream).name
        resources[database.name] = {"url": f"postgres://{host}:{database.port}/{quote(name, safe='')}", "hosts": []}
    issuer = config.identity.dev_issuer
    return {
        "development": config.development,
        "listen": f"http://{config.listen}",
        "control": config.control.public_url or f"http://{config.control.listen}",
        "metrics": f"http://{config.metrics.listen}/metrics",
        "issuer": f"http://{issuer.listen}" if issuer else None,
        "state_dir": str(config.state_dir),
        "resources": resources,
        "pids": pids,
    }


def up(config: Config, path: Path, ready_file: Path | None, say: Callable[[dict[str, object]], None]) -> int:
    """Prepare, check, run. Raises `ConfigError` before anything is started."""
    from extproc.envoyconf.render import render  # noqa: PLC0415 - half a second that only `up` needs

    state.prepare(config.state_dir)
    held = state.lock(config.state_dir)
    try:
        state.clear_metrics(config.state_dir)
        envoy_config = config.state_dir / "run" / "envoy.json"
        envoy_config.write_text(render(config))
        envoy.validate(envoy_config)
        supervisor = Supervisor(config, path, envoy_config)

        def on_ready() -> None:
            told = addresses(config, supervisor.pids())
            if ready_file is not None:
                temporary = ready_file.with_name(ready_file.name + ".new")
                temporary.write_text(json.dumps(told, indent=2) + "\n")
                temporary.replace(ready_file)
            say(told)

        return supervisor.run(on_ready)
    finally:
        os.close(held)
