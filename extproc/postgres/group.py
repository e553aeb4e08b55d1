"""What goes to the server together in the extended protocol, and the answers to it, each in its place."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from extproc.errors import Refusal
from extproc.postgres import wire
from extproc.postgres.answer import Answer, fields_of
from extproc.postgres.backend import Rows
from extproc.postgres.events import CancelServer, ToServer
from extproc.postgres.link import ServerGone, Steps, masked
from extproc.postgres.names import Portal, Prepared
from extproc.postgres.results import Results, finish, in_time, refuse
from extproc.postgres.sql.model import Step
from extproc.postgres.talk import ENDS, Talk
from extproc.postgres.wire import Message

_FLUSH: Final = wire.message(b"H")
_SYNC: Final = wire.message(b"S")
# A name that no statement has: to bind it fails, and takes the implicit transaction with it.
_POISON: Final = wire.message(b"B", b"\0extproc_refused\0" + bytes(6))
_REPLY: Final = {b"P": b"1", b"B": b"2", b"C": b"3"}


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
    """It ended with an error: everything up to Sync is skipped. `known`: the server knows, and skips it itself."""

    def __init__(self, *, known: bool) -> None:
        super().__init__()
        self.known = known


def answers(talk: Talk, pending: Sequence[Pending], guard: Guard, portal: Portal | None) -> Steps:
    """Every answer to a group; an execution's within the time that policy gives it. Raises `Failed`."""
    steps = _answers(talk, pending, guard, portal)
    # What a server says first may wait in its buffer until the execution is through: the time runs from the start.
    yield from in_time(portal.permit, steps) if portal is not None and portal.permit is not None else steps


def _answers(talk: Talk, pending: Sequence[Pending], guard: Guard, portal: Portal | None) -> Steps:
    yield from replies(talk, pending, guard)
    if portal is not None and portal.answer is not None:
        yield from execution(talk, portal, portal.answer)


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
            body = masked(found.body, touched=guard.touched) if guard.masked else found.body
            link.say(wire.message(found.kind, body))
            if found.kind == b"E":
                raise Failed(known=True)
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
        yield from _to_the_end(talk, results)
        suspended = results.ended == b"s"
        if not suspended:
            yield from finish(talk, answer)
    except Refusal as refusal:
        yield CancelServer()
        yield from refuse(talk, answer, refusal)
        yield from _drop_rest(talk, results)
        talk.names.portal_closed(portal.name)
    finally:
        if not suspended:
            answer.abandon("aborted")  # where it did not come to its end
            portal.over()
    if answer.failed:
        raise Failed(known=results.ended == b"E")


def _to_the_end(talk: Talk, results: Results) -> Steps:
    while not results.ended:
        found = yield from talk.link.from_server()
        if isinstance(found, Message) and found.kind == b"T":
            raise ServerGone("the server spoke out of turn")
        yield from results.take(found)


def _drop_rest(talk: Talk, results: Results) -> Steps:
    """What was refused still comes: it is dropped, up to the end of the execution."""
    while not results.ended:
        yield from results.drop((yield from talk.link.from_server()))


class Transaction:
    """
    What runs between two Syncs. `dirty`: something ran in the implicit transaction that ends with Sync, which a refusal
    must undo.
    """

    def __init__(self) -> None:
        self.dirty = False
        self._block: bool | None = None  # whether BEGIN or its end was among it, None where neither was

    def runs(self, status: bytes) -> None:
        """Something runs, with this status of the last ReadyForQuery."""
        self.dirty = self.dirty or not (status != b"I" if self._block is None else self._block)

    def done(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.transaction == "begin":  # takes what ran before it into its block
                self.dirty, self._block = False, True
            elif step.transaction in ENDS:
                self.dirty = self._block = False


def undo(talk: Talk, *, sync: bool) -> Steps:
    """A refusal in the middle: the server gets an error too, and undoes what ran before it."""
    yield ToServer(_POISON + (_SYNC if sync else _FLUSH))
    yield from talk.link.until(b"E")
    if sync:
        yield from synced(talk)


def synced(talk: Talk) -> Steps:
    """ReadyForQuery, after Sync."""
    ready = yield from talk.link.until(b"Z")
    talk.at_ready(ready.body)
