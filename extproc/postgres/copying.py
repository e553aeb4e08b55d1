"""COPY … FROM STDIN: the client's data on its way to the server, recorded as a request's body is."""

from __future__ import annotations

from typing import Final

from extproc.errors import Refusal
from extproc.lane import Lane, recorded
from extproc.postgres import wire
from extproc.postgres.answer import Answer
from extproc.postgres.events import ToServer
from extproc.postgres.link import Steps
from extproc.postgres.sql.model import Step
from extproc.postgres.talk import Talk
from extproc.postgres.wire import Message, ProtocolViolation, Reader
from extproc.redact.detectors import ALL
from extproc.redact.stream import DetectorFilter

_BATCH: Final = 64 * 1024  # bytes that go to the server together
COPY_FAIL: Final = wire.message(b"f", b"refused by the gateway\0")


def copy_in(talk: Talk, answer: Answer, step: Step | None, response: Message, *, extended: bool) -> Steps:
    """
    From CopyInResponse to the end of the data; what the server says to it comes after (or before, if it fails).

    Raises `Refusal`, once the server knows that no more data comes.
    """
    # An extended COPY is answered only when the server is told to.
    last = wire.message(b"H") if extended else b""
    try:
        yield from answer.open_empty()
        talk.link.say(wire.message(b"G", response.body))
        lane = _lane(talk, answer, step)
        try:
            yield from _data(talk, answer, lane, last)
        finally:
            lane.close()
    except Refusal:
        yield ToServer(COPY_FAIL + last)
        raise


def _data(talk: Talk, answer: Answer, lane: Lane, last: bytes) -> Steps:
    link = talk.link
    held: list[bytes] = []
    size = 0
    while True:
        found = yield from link.from_either()
        if found is None:
            if (failed := _said(talk)) is not None:
                yield from answer.message(b"E", failed.body)
                return
        elif found.kind == b"d":
            yield from _through(lane, found.body)
            answer.took(len(found.body))
            held.append(wire.message(b"d", found.body))
            size += len(found.body)
            if size < _BATCH and link.client.peek() == b"d":
                continue
            yield ToServer(b"".join(held))
            held, size = [], 0
        elif found.kind in b"cf":
            yield ToServer(_end(found) + last)
            return
        elif found.kind not in (b"H", b"S"):  # which the server ignores here
            raise ProtocolViolation("a message that COPY does not know")


def _end(found: Message) -> bytes:
    """CopyDone, or CopyFail with the client's reason."""
    reader = Reader(found.body)
    if found.kind == b"f":
        reader.string()
    reader.end()
    return wire.message(found.kind, found.body)


def _said(talk: Talk) -> Message | None:
    """The server spoke while data was on its way: an error ends it, anything else is by the way."""
    while (found := talk.link.server_next()) is not None:
        if isinstance(found, Message) and found.kind == b"E":
            return found
        talk.link.by_the_way(found)
    return None


def _lane(talk: Talk, answer: Answer, step: Step | None) -> Lane:
    """What a job sends is recorded with everything masked that a detector finds; binary data is only counted."""
    services = talk.context.services
    binary = step is None or step.copy is None or step.copy.format == "binary"
    sink = recorded(
        answer.permit,
        "request.body",
        services,
        media_type=b"application/octet-stream" if binary else b"text/plain",
        level="metadata" if binary else answer.permit.level,
    )
    masks = [] if binary else [DetectorFilter(ALL, "mask", key=services.mask_key, json=False)]
    return Lane([], sink, record_filters=masks)


def _through(lane: Lane, data: bytes) -> Steps:
    for step in lane.push(data, end=False):
        if not isinstance(step, bytes):
            yield step
