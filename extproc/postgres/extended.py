"""
The extended protocol, one execution at a time.

Parse, Bind, Describe and Close are kept until something must be answered (Execute, Flush, Sync). Then everything that
they lead to is decided, and they go to the server together. Nothing else is sent before the server has answered: so
the gateway and the server always mean the same by a name, and a statement is decided in the state in which it runs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from extproc.errors import Refusal
from extproc.pipeline import Permit
from extproc.postgres import wire
from extproc.postgres.answer import Answer
from extproc.postgres.bind import read_bind, read_target, write_bind
from extproc.postgres.events import ToServer
from extproc.postgres.group import Failed, Guard, Pending, Transaction, answers, synced, undo
from extproc.postgres.link import Steps
from extproc.postgres.names import Portal, Prepared
from extproc.postgres.operation import SqlOperation
from extproc.postgres.simple import decoded, refused
from extproc.postgres.sql.model import Analysis
from extproc.postgres.talk import Talk
from extproc.postgres.terms import terms_of
from extproc.postgres.wire import Message, Reader
from extproc.waits import FetchKeys

_FLUSH: Final = wire.message(b"H")
_SYNC: Final = wire.message(b"S")
_MANY, _LARGE = 500, 1024 * 1024  # messages and bytes that wait for a Flush, Sync or Execute at most


class Extended:
    """`skipping`: after an error, until Sync."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._pending: list[Pending] = []
        self._size = 0  # bytes of them
        self._guard = Guard()
        self._sent = False  # something went to the server since the last Sync
        self._unsynced = False  # and a simple query came behind it: since PostgreSQL 17 its end may wait for the Sync
        self._transaction = Transaction()
        self.skipping = False

    def handle(self, message: Message) -> Steps:
        """Raises `Refusal` where the connection cannot go on."""
        if message.kind == b"S":
            Reader(message.body).end()
            yield from self._sync()
        elif not self.skipping:
            try:
                yield from self._take(message.kind, Reader(message.body))
            except Refusal as refusal:
                yield from self._refuse(refusal)

    def settle(self) -> Steps:
        """A simple query comes: what was said before it goes first."""
        if self._pending and not self.skipping:
            try:
                yield from self._decide_pending(None)
                yield from self._send(sync=False)  # a Sync that comes next comes after the query
            except Refusal as refusal:
                yield from self._refuse(refusal)
        self._unsynced = self._unsynced or self._sent

    def undo(self) -> Steps:
        """It was refused, and an error in a simple query ends all that was not ended with Sync."""
        if self._transaction.dirty:
            yield from undo(self._talk, sync=True)
        elif self._sent:
            yield ToServer(_SYNC)
            yield from synced(self._talk)

    def over(self) -> None:
        """ReadyForQuery: all that was said has been answered."""
        self.skipping = self._sent = False
        self._transaction = Transaction()
        self._guard = Guard()
        self._pending, self._size = [], 0
        self._talk.names.forget_coming()
        self._talk.at_rest = True

    def _take(self, kind: bytes, reader: Reader) -> Steps:
        match kind:
            case b"P":
                yield from self._parse(reader)
            case b"B":
                self._bind(reader)
            case b"D":
                self._describe(reader)
            case b"C":
                self._close(reader)
            case b"E":
                yield from self._execute(reader)
            case b"H":
                reader.end()
                yield from self._decide_pending(None)
                yield from self._send()
        if len(self._pending) >= _MANY or self._size >= _LARGE:
            yield from self._decide_pending(None)
            yield from self._send()

    # --- what is kept

    def _keep(self, one: Pending) -> None:
        self._pending.append(one)
        self._size += len(one.data)

    def _parse(self, reader: Reader) -> Steps:
        talk = self._talk
        name, text = reader.string(), decoded(reader.string())
        types = tuple(reader.uint32() for _ in range(reader.count()))
        reader.end()
        if name and talk.names.find_statement(name):
            raise Refusal("statement_refused", "a prepared statement of that name exists", sqlstate="42P05")
        analysis, doubt = yield from self._understand(text)
        if doubt is not None:
            yield from talk.decide(talk.operation(analysis, "extended", step="prepare"), doubt)
        sent = talk.names.as_sent(analysis)
        prepared = Prepared(name, talk.names.give(name), text, analysis, types)
        talk.names.coming_statements[name] = prepared
        body = wire.text(prepared.server) + wire.text(sent.encode()) + len(types).to_bytes(2, "big")
        body += b"".join(one.to_bytes(4, "big") for one in types)
        self._keep(Pending(b"P", wire.message(b"P", body), prepared))

    def _bind(self, reader: Reader) -> None:
        names, bind = self._talk.names, read_bind(reader)
        prepared = names.statement(bind.statement)
        if bind.portal and names.find_portal(bind.portal):
            raise Refusal("statement_refused", "a portal of that name exists", sqlstate="42P03")
        server = names.give(bind.portal)
        portal = Portal(bind.portal, server, prepared, bind.parameters(prepared.types), bind.results)
        names.coming_portals[bind.portal] = portal
        self._keep(Pending(b"B", write_bind(bind, server, prepared.server), portal))

    def _describe(self, reader: Reader) -> None:
        kind, name = read_target(reader)
        names = self._talk.names
        if kind == b"P" and names.is_cursor(name) and not names.find_portal(name):
            # A cursor of SQL's is a portal under its own name; drivers ask for its columns this way.
            self._keep(Pending(b"D", wire.message(b"D", kind + wire.text(name))))
            return
        subject = names.statement(name) if kind == b"S" else names.portal(name)
        self._keep(Pending(b"D", wire.message(b"D", kind + wire.text(subject.server)), subject))

    def _close(self, reader: Reader) -> None:
        """To close what does not exist is no error."""
        kind, name = read_target(reader)
        names = self._talk.names
        found = names.find_statement(name) if kind == b"S" else names.find_portal(name)
        data = wire.message(b"C", kind + wire.text(found.server if found else b"extproc_none"))
        names.closes(kind, name)
        self._keep(Pending(b"C", data, closes=(kind, name)))

    # --- what is decided

    def _execute(self, reader: Reader) -> Steps:
        portal = self._talk.names.portal(reader.string())
        most = reader.take(4)
        reader.end()
        yield from self._open(portal)
        yield from self._decide_pending(portal)
        known = portal.shape() is not None or any(
            one.kind == b"D" and (one.subject is portal or one.subject is portal.prepared) for one in self._pending
        )
        if not known:
            describe = wire.message(b"D", b"P" + wire.text(portal.server))
            self._keep(Pending(b"D", describe, portal, quiet=True))
        yield from self._send(wire.message(b"E", wire.text(portal.server) + most), portal)

    def _open(self, portal: Portal) -> Steps:
        """Decide an execution, unless that was done when it was bound, or it goes on with the next part."""
        talk = self._talk
        if portal.permit is None or portal.operation is None:
            yield from self._decide(portal)
        else:
            self._look_at_identity()
            if portal.operation.definitions != talk.reading.catalog.fingerprint:
                raise Refusal("statement_refused", "definitions changed since the statement was bound")

    def _decide(self, portal: Portal) -> Steps:
        prepared = portal.prepared
        analysis, doubt = yield from self._understand(prepared.text)
        if analysis is not prepared.analysis:  # names mean something else: so may its columns
            prepared.analysis, prepared.fields, portal.fields = analysis, None, None
        operation = self._talk.operation(prepared.analysis, "extended", portal.parameters)
        portal.permit = yield from self._ask(operation, doubt)
        portal.operation, prepared.decided = operation, True
        talk = self._talk
        portal.answer = Answer(portal.permit, operation, talk.context.services, talk.link, talk.reading)

    def _ask(self, operation: SqlOperation, doubt: Refusal | None) -> Generator[Any, Any, Permit]:
        permit: Permit = yield from self._talk.decide(operation, doubt)
        rules = permit.decision.redact
        touched = self._guard.touched or terms_of(operation.analysis, rules).touched
        self._guard = Guard(self._guard.masked or bool(rules), touched)
        return permit

    def _decide_pending(self, executed: Portal | None) -> Steps:
        """
        What is about to reach the server beside the execution: a portal runs immutable functions when it is bound
        (planning), so it is decided like its execution; a statement is parsed and described, so policy is asked too.
        """
        for one in self._pending:
            portal = one.subject
            if one.kind == b"B" and isinstance(portal, Portal) and portal is not executed and portal.permit is None:
                yield from self._decide(portal)
        for one in self._pending:
            if one.kind == b"P" and isinstance(one.subject, Prepared) and not one.subject.decided:
                yield from self._decide_prepare(one.subject)

    def _decide_prepare(self, prepared: Prepared) -> Steps:
        operation = self._talk.operation(prepared.analysis, "extended", step="prepare")
        permit = yield from self._ask(operation, None)
        prepared.decided = True
        recorder = self._talk.context.services.recorder
        recorder.append(permit.session.id, permit.exchange, "exchange.closed", {"outcome": "prepared"})

    def _look_at_identity(self) -> None:
        """What was decided before goes on; the token must still be good. Raises `Refusal`."""
        context = self._talk.context
        if isinstance(context.services.verifier.verify(context.proof, context.services.clock()), FetchKeys):
            raise Refusal("identity_unavailable")

    def _understand(self, text: str) -> Generator[Any, Any, tuple[Analysis, Refusal | None]]:
        self._talk.at_rest = not self._sent
        return (yield from self._talk.understand(text))

    # --- what is sent

    def _send(self, execute: bytes = b"", portal: Portal | None = None, *, sync: bool | None = None) -> Steps:
        """Everything that is pending and an execution, then every answer to it. `sync`: None where it comes next."""
        talk, guard = self._talk, self._guard
        pending, self._pending, self._size = self._pending, [], 0
        if not (pending or execute or sync):
            return
        # Sync is taken along where it comes next: one way to the server less. Not into a COPY, which ignores it, nor
        # where a refusal of what comes back still has to undo what ran before.
        alone = not (self._transaction.dirty or (portal is not None and portal.copies_in))
        if sync is None and alone and talk.link.client.peek() == b"S":
            sync = self._take_sync()
        self._sent, talk.at_rest = True, False
        if execute:
            self._transaction.runs(talk.status)
        yield ToServer(b"".join(one.data for one in pending) + execute + (_SYNC if sync else _FLUSH))
        try:
            yield from answers(talk, pending, guard, portal)
            if portal is not None:
                self._transaction.done(portal.prepared.analysis.steps)
        except Failed as failed:
            self.skipping = True
            if portal is not None and portal.answer is not None:
                portal.answer.abandon("failed")
                portal.over()
            if not failed.known and not sync:
                yield from self._undo()
        if sync:
            yield from synced(talk)
            talk.link.say(wire.ready(talk.status))
            self.over()

    def _take_sync(self) -> bool:
        message = self._talk.link.client.next()
        assert message is not None
        Reader(message.body).end()
        return True

    # --- Sync, and refusals

    def _sync(self) -> Steps:
        if not self.skipping:
            try:
                yield from self._decide_pending(None)
            except Refusal as refusal:
                yield from self._refuse(refusal)
        unsynced, self._unsynced = self._unsynced and self._talk.status != b"I", False
        if self._sent or self._pending or unsynced:
            yield from self._send(sync=True)
        else:
            # Nothing of it reached the server: it has nothing to say either.
            self._talk.link.say(wire.ready(self._talk.status))
            self.over()

    def _refuse(self, refusal: Refusal) -> Steps:
        """Nothing of what is pending goes on; what ran before it in the same implicit transaction is undone."""
        self._pending, self._size = [], 0
        self._talk.names.forget_coming()
        yield from refused(self._talk, refusal)
        self.skipping = True
        yield from self._undo()

    def _undo(self) -> Steps:
        if self._transaction.dirty:
            self._transaction.dirty = False
            yield from undo(self._talk, sync=False)
