"""One worker: assembles the rooms around the pipeline and serves Envoy's streams on its own unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from extproc import logs
from extproc.approval.broker import Broker
from extproc.approval.store import SqliteApprovalStore
from extproc.budget import Budget
from extproc.config import Config
from extproc.credential.provider import Credentials, CredentialSpec
from extproc.errors import ConfigError
from extproc.http.exchange import Exchange
from extproc.identity.base import IdentityVerifier
from extproc.identity.keys import HttpKeyFetcher
from extproc.identity.mtls import CertificateVerifier, ClientRule, Verifiers
from extproc.identity.oidc import IssuerRule, OidcVerifier
from extproc.metrics import PrometheusMeter
from extproc.pipeline import Services
from extproc.policy.base import PolicyEngine, PolicyServer
from extproc.policy.embedded import EmbeddedEngine
from extproc.record.log import SegmentLog
from extproc.record.sessions import SqliteSessionBook
from extproc.record.tally import Tally
from extproc.redact.text import mask
from extproc.run.heartbeat import beat_forever
from extproc.server.grpc_aio import GrpcTransport
from extproc.server.perform import Performer

if TYPE_CHECKING:
    from extproc.postgres.relay import PostgresRelay

log = logging.getLogger("extproc.worker")

POLICY_RELOAD = 1.0  # seconds between looks at the policy's files


def main(config: Config, index: int) -> None:
    """Run worker `index` until SIGTERM."""
    logs.setup(f"worker-{index}")
    uvloop.run(Worker(config, index).serve())


class Worker:
    def __init__(self, config: Config, index: int) -> None:
        self._config = config
        self._index = index
        self._credentials = credentials(config)
        self._resources = {resource.name: resource.to_model(config.recording.level) for resource in config.http}

    async def serve(self) -> None:
        config = self._config
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        name = f"worker-{self._index}-{secrets.token_hex(4)}"
        recorder = SegmentLog(config.state_dir / "records", name, clock=time.time, deadline=config.timeouts.record)
        tokens = OidcVerifier(issuer_rules(config), development=config.development)
        verifier = Verifiers(tokens, CertificateVerifier(client_rules(config)))
        keys = HttpKeyFetcher(tokens)
        broker = Broker(SqliteApprovalStore(config.state_dir / "approvals.db", actors=dict(config.identity.actors)))
        async with contextlib.AsyncExitStack() as stack:
            engine, server = await open_policy(config, stack)
            services = self._services(stack, recorder=recorder, verifier=verifier, engine=engine, leave=broker.leave)
            performer = Performer(keys, server, recorder, broker, services.meter)
            transport = GrpcTransport(
                f"unix:{config.socket_path(self._index)}",
                self._exchanges(services),
                performer.perform,
                idle=config.timeouts.idle,
            )
            tasks = [
                asyncio.create_task(beat_forever()),
                asyncio.create_task(keys.refresh_forever()),
                asyncio.create_task(reload_forever(engine)),
            ]
            relays = self._relays(services, performer)
            await transport.start()
            for relay in relays:
                await relay.start()
            gc.collect()
            gc.freeze()  # what is loaded now stays: the collector need not look at it again
            log.info("serving")
            await stop.wait()
            log.info("draining")
            await asyncio.gather(transport.refuse_new(), *(relay.refuse_new() for relay in relays))
            await broker.drain()
            grace = config.timeouts.drain
            await asyncio.gather(transport.drain(grace), *(relay.drain(grace) for relay in relays))
            for task in tasks:
                task.cancel()
            recorder.close()

    def _services(
        self,
        stack: contextlib.AsyncExitStack,
        *,
        recorder: SegmentLog,
        verifier: IdentityVerifier,
        engine: PolicyEngine,
        leave: Callable[[str], None],
    ) -> Services:
        """What is written a little later is written when `stack` ends."""
        config = self._config
        book = SqliteSessionBook(config.state_dir / "sessions.db")
        sessions = Tally(book, exact=lambda: engine.reads is None or "session" in engine.reads)
        stack.callback(sessions.close)
        meter = PrometheusMeter()
        stack.callback(meter.flush)
        return Services(
            verifier=verifier,
            engine=engine,
            recorder=recorder,
            sessions=sessions,
            credentials=self._credentials,
            meter=meter,
            mask=mask,
            leave_approval=leave,
            clock=time.time,
            mask_key=(config.state_dir / "keys" / "mask.key").read_bytes(),
            body_cap=config.limits.request_body,
            bodies=Budget(config.limits.request_bodies),
            record_cap=config.recording.body_limit,
            hold_cap=config.timeouts.hold,
            development=config.development,
        )

    def _relays(self, services: Services, performer: Performer) -> list[PostgresRelay]:
        """One for each database."""
        databases = self._config.postgres
        if not databases:
            return []
        from extproc.postgres.relay import Limits, PostgresRelay  # noqa: PLC0415 - a parser that HTTP does not need

        return [
            PostgresRelay(
                resource.to_model(self._config.recording.level),
                services,
                performer.perform,
                self._credentials,
                worker=self._index,
                socket_of=functools.partial(self._config.pg_socket_path, place),
                limits=Limits(self._config.limits.statement, self._config.limits.row),
                control_url=config_url(self._config),
            )
            for place, resource in databases.items()
        ]

    def _exchanges(self, services: Services) -> Callable[[], Exchange]:
        resource_of = self._resources.get
        control = config_url(self._config)

        def make() -> Exchange:
            return Exchange("x-" + secrets.token_hex(8), services, resource_of, control)

        return make


def config_url(config: Config) -> str:
    return config.control.public_url or f"http://{config.control.listen}"


def issuer_rules(config: Config) -> list[IssuerRule]:
    """Issuers of jobs only: a person's token opens no resource."""
    return [
        IssuerRule(
            issuer=rule.issuer,
            audience=rule.audience,
            algorithms=tuple(rule.algorithms),
            kind="job",
            groups_claim=rule.groups_claim,
        )
        for rule in config.identity.jobs
    ]


def client_rules(config: Config) -> dict[str, tuple[ClientRule, ...]]:
    """Whose client certificates count, for each resource that takes any."""
    return {
        resource.name: tuple(ClientRule(one.subject, tuple(one.groups)) for one in resource.tls.client_identities)
        for resource in config.postgres.values()
        if resource.tls and resource.tls.client_ca
    }


def credentials(config: Config) -> Credentials:
    specs = {
        name: CredentialSpec(
            kind=spec.kind,
            env=spec.env or "",
            file=Path(spec.file) if spec.file else None,
            username=spec.username or "",
            header=spec.header or "authorization",
            certificate=Path(spec.certificate or ""),
            key=Path(spec.key or ""),
        )
        for name, spec in config.credentials.items()
    }
    return Credentials(specs, os.environ)


async def open_policy(config: Config, stack: contextlib.AsyncExitStack) -> tuple[PolicyEngine, PolicyServer | None]:
    """The engine that the configuration names. Raises `ConfigError`: a bad policy never starts."""
    if config.policy.engine == "embedded":
        if config.policy.path is None:
            raise ConfigError("policy.path: the embedded engine needs the folder of the policy")
        return EmbeddedEngine(Path(config.policy.path)), None
    from extproc.policy.opa import OpaEngine, OpaServer  # noqa: PLC0415 - aiohttp, only where it is used

    server = await stack.enter_async_context(OpaServer(str(config.policy.url), config.policy.timeout))
    return OpaEngine(), server


async def reload_forever(engine: PolicyEngine) -> None:
    while isinstance(engine, EmbeddedEngine):
        await asyncio.sleep(POLICY_RELOAD)
        engine.reload_if_changed()
