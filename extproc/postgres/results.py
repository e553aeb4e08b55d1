"""What a server says to a statement: each kind of message has its place, and none passes that has none."""

from __future__ import annotations

from typing import Final

from extproc.errors import Refusal
from extproc.pipeline import Permit
from extproc.postgres import wire
from extproc.postgres.answer import Answer, fields_of
from extproc.postgres.backend import Rows
from extproc.postgres.copying import COPY_FAIL, copy_in
from extproc.postgres.events import CancelServer, Deadline, ToServer
from extproc.postgres.link import Steps
from extproc.postgres.sql.model import Step
from extproc.postgres.talk import Talk
from extproc.postgres.wire import Message

# PostgreSQL documentation, "Message Formats". Left out, so that they end the connection: authentication, keys and
# function results (V), which nothing here asks for, and CopyBothResponse (W): replication is not open.
_SPOKEN: Final = frozenset({b"C", b"I", b"E", b"N", b"c", b"s"})
_KNOWN: Final = _SPOKEN | {b"T", b"H", b"G"}
_LAST: Final = frozenset({b"C", b"I", b"E", b"s"})  # what an execution ends with


class Results:
    """
    The results of a query string's `steps` (or of one execution's single step), in order. `ended`: the kind of the
    message that has ended a step, empty while it goes on; an execution says no more then.
    """

    def __init__(self, talk: Talk, answer: Answer, steps: tuple[Step, ...], *, extended: bool) -> None:
        self._talk = talk
        self._answer = answer
        self._steps = steps
        self._extended = extended
        self._at = 0
        self.ended = b""

    @property
    def step(self) -> Step | None:
        return self._steps[self._at] if self._at < len(self._steps) else None

    def take(self, found: Message | Rows) -> Steps:
        """One message, or one run of rows. Raises `Refusal` where it may not go on, `ServerGone` if out of turn."""
        answer = self._answer
        if isinstance(found, Rows):
            if self._extended and not answer.described:  # rows without columns have a description without columns
                yield from answer.open((), self.step)
            yield from answer.rows(found)
            return
        step = self._learn(found)
        if found.kind == b"T":
            yield from answer.open(fields_of(found.body), step)
            yield from answer.message(b"T", found.body)
        elif found.kind == b"H":
            yield from answer.open_copy(step)
            yield from answer.message(b"H", found.body)
        elif found.kind == b"G":
            try:
                yield from copy_in(self._talk, answer, step, found, extended=self._extended)
            finally:
                self.ended = b"E" if answer.failed else b""
        elif found.kind in _SPOKEN:
            yield from answer.message(found.kind, found.body)

    def drop(self, found: Message | Rows) -> Steps:
        """What follows a refusal does not go on. What it did is done all the same."""
        if isinstance(found, Message):
            self._learn(found)
            if found.kind == b"G":
                yield ToServer(COPY_FAIL + (wire.message(b"H") if self._extended else b""))

    def _learn(self, found: Message) -> Step | None:
        """What the server has done is done, whatever becomes of the message: the step that it belongs to."""
        step, self.ended = self.step, found.kind if found.kind in _LAST else b""
        if found.kind in b"CI":
            self._at += 1
            if step is not None:
                self._talk.done(step)
        elif found.kind == b"E" and step is not None:
            self._talk.failed(step)
        elif found.kind not in _KNOWN:
            self._talk.link.by_the_way(found)
        return step


def until_ready(talk: Talk, answer: Answer, steps: tuple[Step, ...]) -> Steps:
    """The results of a simple query, up to ReadyForQuery. What may not go on is dropped, and the client told why."""
    link = talk.link
    results = Results(talk, answer, steps, extended=False)
    refused: Refusal | None = None
    while True:
        found = yield from link.from_server()
        if isinstance(found, Message) and found.kind == b"Z":
            break
        if refused is not None:
            yield from results.drop(found)
            continue
        try:
            yield from results.take(found)
        except Refusal as refusal:
            refused = refusal
            yield CancelServer()
            yield from refuse(talk, answer, refusal)
    talk.at_ready(found.body)
    if refused is None:
        yield from finish(talk, answer)
    link.say(wire.ready(talk.status))


def in_time(permit: Permit, steps: Steps) -> Steps:
    """What a statement says, within the seconds that policy gives it. The server's own error tells the client."""
    seconds = permit.decision.limits.seconds
    if seconds is None:
        yield from steps
        return
    yield Deadline(seconds)
    try:
        yield from steps
    except Exception:
        yield Deadline(None)
        raise
    yield Deadline(None)


def finish(talk: Talk, answer: Answer) -> Steps:
    """The closing record is durable, or what has not gone yet does not go."""
    try:
        yield from answer.finish()
    except Refusal as refusal:
        talk.link.unsay()
        yield from refuse(talk, answer, refusal)


def refuse(talk: Talk, answer: Answer, refusal: Refusal) -> Steps:
    """Record it, and tell the client. Raises it again if it is fatal."""
    yield from answer.refuse(refusal)
    talk.tell(refusal, answer.permit.exchange)
