"""The simple protocol: one Query message, decided as a whole before any of it reaches the server."""

from __future__ import annotations

from collections.abc import Callable

from extproc.errors import Refusal
from extproc.postgres import wire
from extproc.postgres.answer import Answer
from extproc.postgres.events import ToServer
from extproc.postgres.link import Steps
from extproc.postgres.results import in_time, until_ready
from extproc.postgres.sql.model import Analysis
from extproc.postgres.talk import Talk
from extproc.postgres.wire import ProtocolViolation, Reader

Undo = Callable[[], Steps]


def run_query(talk: Talk, body: bytes, undo: Undo) -> Steps:
    """`undo` ends what the client began before it. Raises `Refusal` where the connection cannot go on."""
    reader = Reader(body)
    raw = reader.string()
    reader.end()
    text = decoded(raw)
    try:
        analysis, doubt = yield from talk.understand(text)
        operation = talk.operation(analysis, "simple")
        sent = talk.names.as_sent(analysis)
        permit = yield from talk.decide(operation, doubt)
    except Refusal as refusal:
        yield from refused(talk, refusal)
        yield from undo()
        talk.link.say(wire.ready(talk.status))
        return
    answer = Answer(permit, operation, talk.context.services, talk.link, talk.reading)
    # A simple query ends the unnamed statement and portal (PostgreSQL documentation, "Extended Query").
    talk.names.statements.pop(b"", None)
    talk.names.portal_closed(b"")
    try:
        yield ToServer(wire.message(b"Q", wire.text(sent.encode())))
        yield from in_time(permit, until_ready(talk, answer, analysis.steps))
    finally:
        answer.abandon("aborted")


def refuse_call(talk: Talk, undo: Undo) -> Steps:
    """FunctionCall: by OID, with arguments that nothing here reads."""
    doubt = Refusal("statement_refused", "function calls by message are not open: use SELECT")
    operation = talk.operation(Analysis("(function call by message)", (), ()), "simple")
    try:
        yield from talk.decide(operation, doubt)
    except Refusal as refusal:
        yield from refused(talk, refusal)
    yield from undo()
    talk.link.say(wire.ready(talk.status))


def refused(talk: Talk, refusal: Refusal) -> Steps:
    """Tell the client; the connection and its transaction stay as they were. Raises it again if it is fatal."""
    talk.tell(refusal, talk.exchange)
    yield from talk.link.relieve()


def decoded(raw: bytes) -> str:
    """The connection's encoding is UTF8 on both sides. Raises `ProtocolViolation`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation("a statement that is not UTF-8") from None
