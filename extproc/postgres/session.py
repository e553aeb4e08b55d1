"""
One connection as a state machine without I/O: what the relay brings in, commands and waits out.

    HELLO ─password→ IDENTIFIED ─connected→ READY ⇄ (simple | extended) ─Terminate→ OVER

Whatever goes wrong ends with an error to the client and nothing more to the server. Closing it early (the client left)
records how far it came.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from extproc.connecting import on_connect
from extproc.errors import Refusal
from extproc.identity.base import Proof
from extproc.model import Identity, PostgresResource, Session
from extproc.pipeline import Arrival, Services
from extproc.postgres import problem, settings, wire
from extproc.postgres.events import ClientSent, Connect, Connected, Hello, ReadCatalog, Receive, Side
from extproc.postgres.extended import Extended
from extproc.postgres.link import Link, ServerGone, Steps
from extproc.postgres.operation import Connecting
from extproc.postgres.reading import Reading
from extproc.postgres.simple import refuse_call, run_query
from extproc.postgres.talk import Context, Talk
from extproc.postgres.wire import Message, ProtocolViolation, Reader

NEWEST: Final = 2  # minor version of the protocol
_EXTENDED: Final = frozenset({b"P", b"B", b"D", b"C", b"E", b"H", b"S"})
_COPY: Final = frozenset({b"d", b"c", b"f"})
_CLEARTEXT: Final = wire.message(b"R", (3).to_bytes(4, "big"))
_OK: Final = wire.message(b"R", bytes(4))


class Connection:
    """
    `run()` is the whole connection. `new_exchange` makes names for exchanges; `statement_limit` and `row_limit` (bytes)
    bound a statement with its parameters, and one message of the server's.
    """

    def __init__(
        self,
        connection: str,
        resource: PostgresResource,
        services: Services,
        hello: Hello,
        new_exchange: Callable[[], str],
        *,
        statement_limit: int,
        row_limit: int,
        control_url: str = "",
    ) -> None:
        self.id = connection
        self._resource = resource
        self._services = services
        self._hello = hello
        self._new_exchange = new_exchange
        self._control_url = control_url
        self._link = Link(statement_limit=statement_limit, row_limit=row_limit)
        self._session: Session | None = None
        self._number = 0
        self._talk: Talk | None = None
        self._began = services.clock()
        self.refusal: Refusal | None = None

    @property
    def ready(self) -> bool:
        """It is logged in."""
        return self._talk is not None

    def run(self) -> Steps:
        outcome = "aborted"
        try:
            outcome = yield from self._through()
            yield from self._link.flush()
        except Refusal as refusal:
            self.refusal, outcome = refusal, refusal.code.name
            refusal.session = refusal.session or (self._session.id if self._session else "")
            yield from self._last_words(refusal)
        finally:
            self._close(outcome)

    def _through(self) -> Generator[Any, Any, str]:
        """How it ended. Raises `Refusal` where the client is still there to be told."""
        try:
            talk = yield from self._log_in()
            yield from self._serve(talk)
        except ProtocolViolation as error:
            raise Refusal("protocol_error", f"the client sent {error}") from None
        except ServerGone as error:
            raise Refusal("upstream_unavailable", str(error)) from None
        return "terminated"

    def _last_words(self, refusal: Refusal) -> Steps:
        exchange = self._talk.exchange if self._talk else self.id
        error = problem.error(refusal, exchange=exchange, control_url=self._control_url)
        self._link.say(error)
        yield from self._link.flush()

    # --- the start

    def _log_in(self) -> Generator[Any, Any, Talk]:
        hello = self._hello
        self._negotiate()
        parameters, doubt = self._parameters()
        proof = yield from self._proof(doubt)
        about = Connecting(
            database=self._resource.database,
            application_name=hello.parameters.get("application_name", ""),
            protocol=f"{hello.version[0]}.{min(hello.version[1], NEWEST)}",
            tls=hello.tls,
        )
        arrival = Arrival(
            exchange=self.id,
            resource=self._resource,
            operation=about,
            proof=lambda: required(proof),
            source={"address": hello.source},
            doubt=doubt,
        )
        identity, self._session, self._number = yield from on_connect(arrival, self._services)
        connected: Connected = yield Connect(self._credential(identity), tuple(parameters.items()), self._number)
        self._link.parameters.update(connected.parameters)
        reading: Reading = yield ReadCatalog()
        self._greet(connected)
        self._talk = Talk(self._context(required(proof), connected), self._link, reading)
        return self._talk

    def _parameters(self) -> tuple[dict[str, str], Refusal | None]:
        """What of the startup message goes on, or why nothing does."""
        given, resource = self._hello.parameters, self._resource
        if resource.tls is not None and not self._hello.tls:
            return {}, Refusal("plaintext_refused")
        # libpq names the user as database where none is asked for.
        if given.get("database", "") not in ("", given.get("user", ""), resource.database):
            reason = f"this connection leads to the database {resource.database} alone"
            return {}, Refusal("login_refused", reason, sqlstate="3D000")
        try:
            return settings.startup_parameters(given), None
        except Refusal as refusal:
            return {}, refusal

    def _proof(self, doubt: Refusal | None) -> Generator[Any, Any, Proof | Refusal]:
        """
        A certificate, or the token as a cleartext password, which is never asked for where the connection is not
        private. Why there is none is recorded as any refusal is.
        """
        if doubt is not None and doubt.code.name == "plaintext_refused":
            return doubt
        if self._hello.certificate is not None:
            return self._hello.certificate
        self._link.say(_CLEARTEXT)
        yield from self._link.flush()
        message: Message | None = None
        while message is None:
            event = yield Receive(Side.CLIENT)
            assert isinstance(event, ClientSent)
            self._link.client.feed(event.data)
            if self._link.client.first != b"p":  # nothing else is waited for, however much of it is to come
                raise ProtocolViolation("something else than a password")
            message = self._link.client.next()
        reader = Reader(message.body)
        token = reader.string()
        reader.end()
        return token.decode("utf-8", "replace") if token else Refusal("identity_missing")

    def _credential(self, identity: Identity) -> str:
        name = self._resource.credential_for(identity.groups)
        if not name:
            raise Refusal("login_refused", "no role of this database is for the groups of this identity")
        return name

    def _negotiate(self) -> None:
        """NegotiateProtocolVersion comes before anything else."""
        version, parameters = self._hello.version, self._hello.parameters
        unknown = [name for name in parameters if name.startswith("_pq_.")]
        if version[1] > NEWEST or unknown:
            body = (3 << 16 | min(version[1], NEWEST)).to_bytes(4, "big") + len(unknown).to_bytes(4, "big")
            self._link.say(wire.message(b"v", body + b"".join(name.encode() + b"\0" for name in unknown)))

    def _greet(self, connected: Connected) -> None:
        link = self._link
        link.say(_OK)
        for name, value in connected.parameters.items():
            if name in settings.REPORTED:
                link.say(wire.message(b"S", name.encode() + b"\0" + value.encode() + b"\0"))
        link.say(wire.message(b"K", connected.process.to_bytes(4, "big") + connected.key))
        link.say(wire.ready(b"I"))

    def _context(self, proof: Proof, connected: Connected) -> Context:
        return Context(
            connection=self.id,
            number=self._number,
            resource=self._resource,
            services=self._services,
            proof=proof,
            source=self._hello.source,
            user=connected.user,
            control_url=self._control_url,
            new_exchange=self._new_exchange,
        )

    # --- the conversation

    def _serve(self, talk: Talk) -> Steps:
        extended = Extended(talk)
        while True:
            message = yield from self._link.from_client()
            kind = message.kind
            if kind == b"X":
                return
            if kind in _EXTENDED:
                yield from extended.handle(message)
            elif kind in _COPY:
                continue  # what follows a COPY that failed: the server ignores it too
            elif extended.skipping:
                continue
            elif kind == b"Q":
                yield from extended.settle()
                if not extended.skipping:
                    yield from run_query(talk, message.body, extended.undo)
                    extended.over()
            elif kind == b"F":
                yield from refuse_call(talk, extended.undo)
                extended.over()
            else:
                raise ProtocolViolation("a message out of turn")

    # --- the end

    def _close(self, outcome: str) -> None:
        """Never waits, never raises."""
        session = self._session
        if session is None:
            return
        talk, services = self._talk, self._services
        try:
            if talk is not None:
                talk.names.transaction_ended()
            payload = {
                "number": self._number,
                "statements": talk.statements if talk else 0,
                "outcome": outcome,
                "duration_ms": round((services.clock() - self._began) * 1000, 3),
            }
            services.recorder.append(session.id, self.id, "connection.closed", payload)
        except Refusal as refusal:
            services.meter.refused(self._resource.name, refusal.code.name)


def required(proof: Proof | Refusal) -> Proof:
    if isinstance(proof, Refusal):
        raise proof
    return proof
