"""Drives an exchange without sockets: `>>` gives it an event, and what it says comes back as a list of commands.

Waits are performed by a `Desk` that answers at once, unless a test wants them otherwise.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from extproc.budget import Budget
from extproc.credential.base import Credential
from extproc.errors import Refusal
from extproc.http.events import BodyArrived, Command, Direction, Event, HeadersArrived, TrailersArrived
from extproc.http.exchange import Exchange
from extproc.identity.base import Proof
from extproc.model import JSON, Approval, Headers, HttpResource, Identity, Resource, Session
from extproc.pipeline import Services
from extproc.redact.text import mask
from extproc.waits import (
    AskPolicy,
    AwaitApproval,
    Durable,
    FetchKeys,
    NextEvent,
    OpenApproval,
    UseApproval,
    Wait,
)

NOW = 1_800_000_000.0
JOB = Identity("https://issuer", "repo:acme/billing", "job", {"actor": "octocat", "run_id": "7"}, NOW + 600)
RESOURCE = HttpResource("app", "http", "http://app.internal:80", credential="app", hosts=("app.localhost",))
REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE
SECRET = b"upstream-secret-value"


def headers(**named: str) -> Headers:
    pseudo = {"method": "GET", "path": "/", "authority": "app.localhost", "scheme": "http", "status": ""}
    pairs = []
    for name, default in pseudo.items():
        value = named.pop(name, default)
        if value:
            pairs.append((b":" + name.encode(), value.encode()))
    return Headers((*pairs, *((k.replace("_", "-").encode(), v.encode()) for k, v in named.items())))


def ask(*, end: bool = True, route: str = "app", **named: str) -> HeadersArrived:
    named.setdefault("authorization", "Bearer good")
    return HeadersArrived(REQUEST, headers(**named), end, route, "127.0.0.1")


def reply(status: str = "200", *, end: bool = False, **named: str) -> HeadersArrived:
    pairs = ((b":status", status.encode()), *((k.replace("_", "-").encode(), v.encode()) for k, v in named.items()))
    return HeadersArrived(RESPONSE, Headers(pairs), end)


def body(direction: Direction, data: bytes, *, end: bool = False) -> BodyArrived:
    return BodyArrived(direction, data, end)


def trailers(direction: Direction, **named: str) -> TrailersArrived:
    return TrailersArrived(
        direction, Headers(tuple((k.replace("_", "-").encode(), v.encode()) for k, v in named.items()))
    )


@dataclass
class MemoryRecorder:
    events: list[tuple[str, dict[str, Any], bytes]] = field(default_factory=list)
    broken: bool = False

    def append(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes = b"") -> int:
        if self.broken:
            raise Refusal("record_unavailable")
        self.events.append((kind, dict(payload), blob))
        return len(self.events)

    def is_durable(self, ticket: int) -> bool:
        return True

    async def wait(self, ticket: int) -> None: ...

    def written(self, ticket: int) -> asyncio.Future[bool]:
        raise AssertionError("everything is durable at once")

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]

    def text(self) -> bytes:
        return b"".join(orjson.dumps(payload) + blob for _, payload, blob in self.events)


class Verifier:
    def verify(self, proof: Proof, now: float) -> Identity | FetchKeys:
        if proof != "good":
            raise Refusal("identity_invalid")
        return JOB


class Policy:
    """Answers from a list, the last answer again and again; keeps what it was asked."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers) or [{"action": "allow"}]
        self.asked: list[dict[str, Any]] = []

    reads = None

    @property
    def revision(self) -> str:
        return "r1"

    def evaluate(self, document: bytes) -> tuple[bytes, str] | AskPolicy:
        self.asked.append(orjson.loads(document))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return orjson.dumps(answer), "r1"


class Sessions:
    total = rows = connections = 0

    def open(self, identity: Identity, resource: Resource, now: float) -> Session:
        return Session("s-1", "key", 1, 1)

    def open_connection(self, identity: Identity, resource: Resource, now: float) -> tuple[Session, int]:
        self.connections += 1
        return Session("s-1", "key", 1, 0), self.connections

    def reserve(self, session: Session, *, size: int = 0, rows: int = 0) -> tuple[int, int]:
        self.total += size
        self.rows += rows
        return self.total, self.rows

    def count(self, session: Session, *, size: int = 0, rows: int = 0) -> None:
        self.reserve(session, size=size, rows=rows)


class Meter:
    def __init__(self) -> None:
        self.verdicts: list[str] = []
        self.codes: list[str] = []
        self.stages: list[str] = []

    def verdict(self, resource: str, verdict: str) -> None:
        self.verdicts.append(verdict)

    def stage(self, name: str, seconds: float) -> None:
        self.stages.append(name)

    def refused(self, resource: str, code: str) -> None:
        self.codes.append(code)


class Vault:
    def get(self, name: str) -> Credential:
        return Credential(b"authorization", b"Bearer " + SECRET, (SECRET,))


@dataclass
class Desk:
    """Performs waits. `approve` says how people answer."""

    approve: Callable[[Approval], Approval] | None = None
    usable: bool = True
    waits: list[Wait] = field(default_factory=list)
    approval: Approval | None = None

    def perform(self, wait: Wait) -> object:
        self.waits.append(wait)
        match wait:
            case Durable() | FetchKeys():
                return None
            case OpenApproval(request):
                self.approval = Approval("a-1", "pending", request, NOW + 60)
                return self.approval
            case AwaitApproval():
                assert self.approval is not None
                assert self.approve is not None
                return self.approve(self.approval)
            case UseApproval():
                return self.usable
        raise AssertionError(wait)


def services(engine: Policy, **other: Any) -> Services:
    """What is decided with in tests; `other` is what differs."""
    usual = {
        "verifier": Verifier(),
        "recorder": MemoryRecorder(),
        "sessions": Sessions(),
        "credentials": Vault(),
        "meter": Meter(),
        "mask": mask,
        "leave_approval": lambda _approval: None,
        "clock": lambda: NOW,
        "mask_key": b"k" * 32,
    }
    return Services(engine=engine, **{**usual, **other})


class Play:
    """One exchange under test."""

    def __init__(
        self, policy: Policy | None = None, resource: HttpResource = RESOURCE, desk: Desk | None = None
    ) -> None:
        self.recorder, self.meter, self.policy = MemoryRecorder(), Meter(), policy or Policy()
        self.desk = desk or Desk()
        self.left: list[str] = []
        self.sessions = Sessions()
        self.services = services(
            self.policy,
            recorder=self.recorder,
            sessions=self.sessions,
            meter=self.meter,
            leave_approval=self.left.append,
            body_cap=1000,
        )
        self.exchange = Exchange("x-1", self.services, {resource.name: resource}.get, "http://control")
        self.steps = self.exchange.run()
        assert isinstance(next(self.steps), NextEvent)

    def share(self, bodies: Budget) -> None:
        """Use a budget that other plays use too."""
        self.exchange._services = dataclasses.replace(self.services, bodies=bodies)

    def __rshift__(self, event: Event) -> list[Command]:
        """Give one event; returns the commands until the next event is wanted, or the end."""
        said: list[Command] = []
        try:
            step = self.steps.send(event)
            while not isinstance(step, NextEvent):
                if isinstance(step, Wait):
                    try:
                        result = self.desk.perform(step)
                    except Refusal as refusal:
                        step = self.steps.throw(refusal)
                        continue
                    step = self.steps.send(result)
                else:
                    said.append(step)
                    step = self.steps.send(None)
        except StopIteration:
            pass
        return said
