"""What goes to the server together in the extended protocol, and the answers to it, each in its place."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from extproc.errors import Refusal
from extproc.postgres import wire
from extproc.postgres.answer import Answer, fields_of
from extproc.postgres.backend import Rows
from extproc.postgres.events import CancelServer
from extproc.postgres.link import ServerGone, Steps
from extproc.postgres.names import Portal, Prepared
from extproc.postgres.notices import mask_fields
from extproc.postgres.results import Results, drop, finish, refuse
from extproc.postgres.talk import Talk
from extproc.postgres.wire import Message

_REPLY: Final = {b"P": b"1", b"B": b"2", b"C": b"3"}
_LAST: Final = frozenset({b"C", b"I", b"E", b"s"})  # what an execution ends with


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that has not gone to the server. `quiet`: of our own making, its reply is not the client's."""

    kind: Literal[b"P", b"B", b"D", b"C"]
    data: bytes
    subject: Prepared | Portal | None = None
    quiet: bool = False
    closes: tuple[bytes, bytes] = (b"", b"")  # S or P, and the client's name


@dataclass(frozen=True, slots=True)
class Guard:
    """How errors that come before an execution are masked: as they are, by detectors, or whole (`touched`)."""

    masked: bool = False
    touched: bool = False


class Failed(Exception):  # noqa: N818 - named for what happened
    """The execution ended with an error: the server skips everything up to Sync, and so must we."""


def replies(talk: Talk, pending: Sequence[Pending], guard: Guard) -> Steps:
    """The answers to Parse, Bind, Describe and Close. Raises `Failed`."""
    for one in pending:
        yield from _reply(talk, one, guard)


def _reply(talk: Talk, one: Pending, guard: Guard) -> Steps:
    found = yield from _expect(talk, guard)
    if one.kind == b"D" and found.kind == b"t":
        if not one.quiet:
            talk.link.say(wire.message(found.kind, found.body))
        found = yield from _expect(talk, guard)
    if found.kind not in ((_REPLY[one.kind],) if one.kind in _REPLY else (b"T", b"n")):
        raise ServerGone("the server spoke out of turn")
    if not one.quiet:
        talk.link.say(wire.message(found.kind, found.body))
    _learn(talk, one, found)


def _expect(talk: Talk, guard: Guard) -> Generator[Any, Any, Message]:
    link = talk.link
    while True:
        found = yield from link.from_server()
        if isinstance(found, Rows):
            raise ServerGone("the server spoke out of turn")
        if found.kind in (b"E", b"N"):
            body = mask_fields(found.body, touched=guard.touched) if guard.masked else found.body
            link.say(wire.message(found.kind, body))
            if found.kind == b"E":
                raise Failed
        elif found.kind not in (b"S", b"A") or not link.asynchronous(found):
            return found


def _learn(talk: Talk, one: Pending, found: Message) -> None:
    names, subject = talk.names, one.subject
    if one.kind == b"P" and isinstance(subject, Prepared):
        names.parsed(subject)
    elif one.kind == b"B" and isinstance(subject, Portal):
        names.bound(subject)
    elif one.kind == b"D" and subject is not None:
        subject.fields = fields_of(found.body) if found.kind == b"T" else ()
    elif one.kind == b"C":
        kind, name = one.closes
        if kind == b"S":
            names.statements.pop(name, None)
        else:
            names.portal_closed(name)


def execution(talk: Talk, portal: Portal, answer: Answer) -> Steps:
    """What an execution says, to its end or to the next part of it. Raises `Failed`."""
    results = Results(talk, answer, portal.prepared.analysis.steps, extended=True)
    suspended = False
    try:
        if not portal.opened:
            portal.opened = True
            if shape := portal.shape():
                yield from answer.open(shape, results.step)
        suspended = (yield from _to_the_end(talk, results)) == b"s"
        if not suspended:
            yield from finish(talk, answer)
    except Refusal as refusal:
        yield CancelServer()
        yield from refuse(talk, answer, refusal)
        yield from _drop_rest(talk)
        talk.names.portal_closed(portal.name)
        raise Failed from None
    finally:
        if not suspended:
            answer.abandon("aborted")  # where it did not come to its end
            portal.over()
    if answer.failed:
        raise Failed


def _to_the_end(talk: Talk, results: Results) -> Generator[Any, Any, bytes]:
    while True:
        found = yield from talk.link.from_server()
        if isinstance(found, Message) and found.kind == b"T":
            raise ServerGone("the server spoke out of turn")
        yield from results.take(found)
        if isinstance(found, Message) and found.kind in _LAST:
            return found.kind


def _drop_rest(talk: Talk) -> Steps:
    """What was refused still comes: it is dropped, up to the end of the execution."""
    while True:
        found = yield from talk.link.from_server()
        drop(talk, found)
        if isinstance(found, Message) and found.kind in _LAST:
            return


def ready(talk: Talk) -> Steps:
    """ReadyForQuery, after Sync."""
    while True:
        found = yield from talk.link.from_server()
        if isinstance(found, Message) and found.kind == b"Z":
            break
        if isinstance(found, Rows) or not talk.link.asynchronous(found):
            raise ServerGone("the server spoke out of turn")
    talk.at_ready(found.body)
    talk.link.say(wire.ready(talk.status))
