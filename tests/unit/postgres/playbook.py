"""
Drives a PostgreSQL connection without sockets: `>>` gives it what one side sent, and what it says comes back.

    play = logged_in(Policy({"action": "allow"}))
    assert (play >> client(query("SELECT 1"))).kinds == ">Q"
    assert (play >> server(result(["a"], ["1"]), ready())).kinds == "<T <D <C <Z"

`>` goes to the server, `<` to the client, `!` asks the server to cancel. Waits are performed by a `Desk` that answers at
once; the database's catalog is the small shop of the tests of the analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.errors import Refusal
from extproc.identity.base import Proof
from extproc.model import JSON, Approval, Identity, PostgresResource
from extproc.postgres.events import (
    CancelServer,
    ClientSent,
    Connect,
    Connected,
    Deadline,
    Hello,
    ReadCatalog,
    Receive,
    ServerClosed,
    ServerSent,
    Side,
    ToClient,
    ToServer,
)
from extproc.postgres.reading import Reading
from extproc.postgres.session import Connection
from extproc.waits import Wait
from tests.unit.playbook import JOB, NOW, Desk, MemoryRecorder, Meter, Policy, Sessions, Verifier, services
from tests.unit.postgres.sql.shop import shop
from tests.unit.postgres.talking import PARSED, SYNC, Heard, heard, parse, password, ready

RESOURCE = PostgresResource("shop", "postgres", "shop.internal:5432", credential="shop", database="shop", host="db")
HELLO = Hello((3, 0), {"user": "job", "database": "shop"}, "192.0.2.7:5555")
PARAMETERS = {"server_version": "18.6", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
ALLOW = {"action": "allow"}
DENY = {"action": "deny", "reason": "not on a Friday", "rule": "fridays"}
HOLD = {"action": "hold", "reason": "ask first", "hold": {"approvers": ["dba"]}}
MASK = {"action": "allow", "redact": [{"columns": ["ssn"]}]}
READING = Reading(shop())  # analyses are the same for all plays


def client(*messages: bytes) -> ClientSent:
    return ClientSent(b"".join(messages))


def server(*messages: bytes) -> ServerSent:
    return ServerSent(b"".join(messages))


GONE = ServerClosed()


def approved(approval: Approval) -> Approval:
    return Approval(approval.id, "approved", approval.request, approval.expires_at, decided_by=("dba",))


class ExpiringVerifier(Verifier):
    def verify(self, proof: Proof, now: float) -> Identity:
        if isinstance(proof, str) and now >= JOB.expires_at:
            raise Refusal("identity_expired")
        found = super().verify(proof if isinstance(proof, str) else "good", now)
        assert isinstance(found, Identity)
        return found


@dataclass
class NamingRecorder(MemoryRecorder):
    exchanges: list[str] = field(default_factory=list)  # of each event

    def append(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes = b"") -> int:
        ticket = super().append(session, exchange, kind, payload, blob)
        self.exchanges.append(exchange)
        return ticket


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one event, in order: `>` and `<` with messages, `!`."""

    all: list[tuple[str, Heard | None]]

    @property
    def kinds(self) -> str:
        return " ".join(to + (one.kind if one else "") for to, one in self.all)

    def to(self, side: str) -> list[Heard]:
        return [one for to, one in self.all if to == side and one is not None]

    @property
    def told(self) -> str:
        """The kinds of what the client hears, as one word."""
        return "".join(one.kind for one in self.client)

    @property
    def sent(self) -> str:
        """The kinds of what the server hears, as one word."""
        return "".join(one.kind for one in self.server)

    @property
    def cancels(self) -> bool:
        return ("!", None) in self.all

    @property
    def client(self) -> list[Heard]:
        return self.to("<")

    @property
    def server(self) -> list[Heard]:
        return self.to(">")

    @property
    def error(self) -> dict[str, str]:
        """The fields of the only error for the client."""
        (found,) = [one for one in self.client if one.kind == "E"]
        return found.fields

    @property
    def rows(self) -> list[list[bytes | None]]:
        return [one.values for one in self.client if one.kind == "D"]


@dataclass
class Play:
    """One connection under test. `wait_for` may answer (or refuse) waits before the desk does; it says None to pass."""

    policy: Policy = field(default_factory=Policy)
    resource: PostgresResource = RESOURCE
    hello: Hello = HELLO
    desk: Desk = field(default_factory=Desk)
    wait_for: Callable[[Any], Any] = lambda _wait: None
    reading: Reading = READING
    statement_limit: int = 100_000
    connected: Connected | Refusal = field(
        default_factory=lambda: Connected("ci", dict(PARAMETERS), 41, b"\1\2\3\4"),
    )
    options: dict[str, Any] = field(default_factory=dict)  # of the services

    def __post_init__(self) -> None:
        self.recorder, self.meter, self.sessions = NamingRecorder(), Meter(), Sessions()
        self.now, self.over = NOW, False
        self.side: Side | None = None  # that it waits for
        self.steps: list[Any] = []  # waits and questions to the relay, in order
        self.left: list[str] = []
        self.deadlines: list[float | None] = []
        self._exchanges = 0
        usual = {
            "verifier": ExpiringVerifier(),
            "recorder": self.recorder,
            "sessions": self.sessions,
            "meter": self.meter,
            "leave_approval": self.left.append,
            "clock": lambda: self.now,
        }
        self.services = services(self.policy, **{**usual, **self.options})
        self.connection = Connection(
            "c-1",
            self.resource,
            self.services,
            self.hello,
            self._new_exchange,
            statement_limit=self.statement_limit,
            row_limit=1 << 20,
            control_url="http://control",
        )
        self._run = self.connection.run()
        self.greeting = self._go(lambda: next(self._run))

    def __rshift__(self, event: ClientSent | ServerSent | ServerClosed) -> Said:
        """Give one event, which it must be waiting for; what it says until it waits for the next one."""
        assert not self.over, "the connection has ended"
        assert self.side in (Side.BOTH, Side.CLIENT if isinstance(event, ClientSent) else Side.SERVER), self.side
        return self._go(lambda: self._run.send(event))

    def throw(self, code: str) -> Said:
        """The relay ends what is waited for: a drain."""
        return self._go(lambda: self._run.throw(Refusal(code)))

    def leave(self) -> None:
        """The client is gone."""
        self._run.close()
        self.over = True

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of that kind in the record."""
        return [payload for found, payload, _ in self.recorder.events if found == kind]

    @property
    def closings(self) -> list[dict[str, Any]]:
        return self.said("exchange.closed")

    def _go(self, begin: Callable[[], Any]) -> Said:
        said: list[tuple[str, Heard | None]] = []
        go = begin
        while True:
            try:
                step = go()
            except StopIteration:
                self.over = True
                return Said(said)
            if isinstance(step, Receive):
                self.side = step.side
                return Said(said)
            go = self._do(step, said)

    def _do(self, step: Any, said: list[tuple[str, Heard | None]]) -> Callable[[], Any]:
        if isinstance(step, ToClient):
            said += [("<", one) for one in heard(step.data)]
        elif isinstance(step, ToServer):
            said += [(">", one) for one in heard(step.data)]
        elif isinstance(step, CancelServer):
            said.append(("!", None))
        elif isinstance(step, Deadline):
            self.deadlines.append(step.seconds)
        else:
            self.steps.append(step)
            try:
                result = self._perform(step)
            except Refusal as refusal:
                error = refusal
                return lambda: self._run.throw(error)
            return lambda: self._run.send(result)
        return lambda: self._run.send(None)

    def _perform(self, step: Any) -> Any:
        found = self.wait_for(step)
        if found is not None:
            return found
        if isinstance(step, Connect):
            if isinstance(self.connected, Refusal):
                raise self.connected
            return self.connected
        if isinstance(step, ReadCatalog):
            return self.reading
        assert isinstance(step, Wait)
        return self.desk.perform(step)

    def _new_exchange(self) -> str:
        self._exchanges += 1
        return f"x-{self._exchanges}"


def logged_in(*answers: dict[str, Any], **options: Any) -> Play:
    """A connection that is ready for statements; `answers` are policy's."""
    play = Play(Policy(*answers), **options)
    said = play >> client(password())
    assert said.kinds.endswith("<Z"), said.kinds
    return play


def names_of(one: Heard) -> list[bytes]:
    """The two names at the beginning of Parse and Bind, the one of the others."""
    return one.body[one.kind in "DC" :].split(b"\0")[: 2 if one.kind in "PB" else 1]


def prepared(text: str = "SELECT id FROM customers", *answers: dict[str, Any], name: str = "s") -> Play:
    """A connection with a statement that the server has, under the gateway's own name."""
    play = logged_in(*answers or (ALLOW,))
    said = play >> client(parse(text, name), SYNC)
    assert said.kinds == ">P >S"
    assert (play >> server(PARSED, ready())).kinds == "<1 <Z"
    return play
