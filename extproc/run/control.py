"""The control process: the REST interface for people, metrics, the records' index, the end of overdue approvals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from extproc import logs
from extproc.approval.store import SqliteApprovalStore
from extproc.config import Config
from extproc.console.app import app
from extproc.console.problem import ON_PROBLEM, Guard
from extproc.errors import ConfigError
from extproc.identity.keys import HttpKeyFetcher
from extproc.identity.oidc import IssuerRule, OidcVerifier
from extproc.run.heartbeat import beat_forever

_EVERY: Final = 1.0  # seconds between two updates of the index, and two looks for what is overdue
_GRACE: Final = 3  # seconds for requests under way on a stop

log = logging.getLogger("extproc.control")


def main(config: Config) -> None:
    """Run until SIGTERM. Raises `ConfigError` where an address cannot be listened on."""
    logs.setup("control")
    uvloop.run(serve(config))


async def serve(config: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = SqliteApprovalStore(config.state_dir / "approvals.db", actors=dict(config.identity.actors))
    verifier = OidcVerifier(people_rules(config), development=config.development)
    keys = HttpKeyFetcher(verifier)
    url = config.control.public_url or f"http://{config.control.listen}"
    console = app(store, verifier, keys, clock=time.time, development=config.development, public_url=url)
    with (
        listening("control.listen", config.control.listen) as control_socket,
        listening("metrics.listen", config.metrics.listen) as metrics_socket,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="index") as index_thread,
    ):
        servers = [Server(console, control_socket), Server(metrics_app(config), metrics_socket)]
        serving = [asyncio.create_task(server.serve_bound()) for server in servers]
        index = RecordIndex(config, index_thread)
        others = [
            asyncio.create_task(beat_forever()),
            asyncio.create_task(keys.refresh_forever()),
            asyncio.create_task(repeat("the index of the records", index.update)),
            asyncio.create_task(repeat("the end of approvals", lambda: asyncio.to_thread(store.expire, time.time()))),
        ]
        stopping = asyncio.create_task(stop.wait())
        log.info("serving")
        await asyncio.wait([*serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        console.state.stopping = True
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
        for task in (*others, stopping):
            task.cancel()
        await asyncio.gather(*others, stopping, return_exceptions=True)


def people_rules(config: Config) -> list[IssuerRule]:
    """Issuers of people only: a job's token opens nothing here."""
    return [
        IssuerRule(
            issuer=rule.issuer,
            audience=rule.audience,
            algorithms=tuple(rule.algorithms),
            kind="person",
            actor_claim=rule.actor_claim,
            groups_claim=rule.groups_claim,
        )
        for rule in config.identity.people
    ]


async def repeat(what: str, step: Callable[[], Awaitable[object]]) -> None:
    """Do `step` every second. What fails is told once, and tried again."""
    failing = False
    while True:
        try:
            await step()
            failing = False
        except Exception:
            if not failing:
                log.exception("%s cannot be brought up to date; trying again", what)
            failing = True
        await asyncio.sleep(_EVERY)


class RecordIndex:
    """The records' index, on a thread of its own: its connection belongs to that thread."""

    def __init__(self, config: Config, thread: ThreadPoolExecutor) -> None:
        self._config = config
        self._thread = thread
        self._update: Callable[[], object] | None = None

    async def update(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._step)

    def _step(self) -> None:
        if self._update is None:
            from extproc.record.index import Index  # noqa: PLC0415 - the control process answers without it too

            state_dir = self._config.state_dir
            self._update = Index(state_dir / "index.db", state_dir / "records").update
        self._update()


# --- serving


class Server(uvicorn.Server):
    """A server on a socket that is bound already. Signals are for the process, which stops its servers in order."""

    def __init__(self, served: ASGIApp, bound: socket.socket) -> None:
        settings = uvicorn.Config(
            served,
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(settings)
        self._bound = bound

    async def serve_bound(self) -> None:
        await self.serve(sockets=[self._bound])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def listening(field: str, address: str) -> Iterator[socket.socket]:
    """A socket on `host:port`. Raises `ConfigError` that names the field."""
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        bound = socket.create_server(where[:2], family=family)
    except OSError as error:
        raise ConfigError(f"{field}: cannot listen on {address}: {error.strerror or 'unknown host'}") from None
    with bound:
        yield bound


def metrics_app(config: Config) -> Starlette:
    """All processes' metrics, added up. Carries labels of codes and resources only, so it asks for no token."""
    folder = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or config.state_dir / "metrics")

    def collect() -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    async def metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(collect), media_type=CONTENT_TYPE_LATEST)

    guard = Middleware(Guard, development=config.development)
    return Starlette(routes=[Route("/metrics", metrics)], middleware=[guard], exception_handlers=ON_PROBLEM)
