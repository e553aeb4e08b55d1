"""
The hash chain: pure functions. Changing, removing or reordering an event changes every hash after it.

    content = seq u64 | time f64 | lengths of session, exchange, kind u16 each, of payload and blob u32 each | the five
    hash    = SHA-256(tag | previous hash | content)

All lengths stand before the variable parts, so two different events never have the same content. The first event of a
log links to `genesis(log name)`, so one log cannot be passed off as another.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from extproc.model import JSON, Event

HASH_SIZE: Final = 32
MAX_NAME: Final = 0xFFFF  # bytes of a session, exchange or kind
_HEAD: Final = struct.Struct(">QdHHHII")
_EVENT_TAG: Final = b"extproc.event.1\0"
_LOG_TAG: Final = b"extproc.log.1\0"


class Content(NamedTuple):
    """The parts of an event that are hashed; texts are UTF-8, `payload` is canonical JSON."""

    seq: int
    time: float
    session: bytes
    exchange: bytes
    kind: bytes
    payload: bytes
    blob: bytes


def canonical(payload: JSON) -> bytes:
    """JSON with sorted keys and no spaces. Raises `TypeError` for what is not JSON or not Unicode."""
    return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)


def genesis(log_name: str) -> bytes:
    """What the first event of a log links to."""
    return hashlib.sha256(_LOG_TAG + log_name.encode()).digest()


def encode(content: Content) -> bytes:
    """The bytes that are hashed and written. Raises `struct.error` where a part is too long."""
    seq, time, session, exchange, kind, payload, blob = content
    head = _HEAD.pack(seq, time, len(session), len(exchange), len(kind), len(payload), len(blob))
    return b"".join((head, session, exchange, kind, payload, blob))


def decode(data: bytes) -> Content:
    """The inverse of `encode`. Raises `ValueError` unless every byte is accounted for."""
    if len(data) < _HEAD.size:
        raise ValueError("shorter than its head")
    seq, time, *lengths = _HEAD.unpack_from(data)
    if _HEAD.size + sum(lengths) != len(data):
        raise ValueError("lengths do not add up")
    parts, at = [], _HEAD.size
    for length in lengths:
        parts.append(data[at : at + length])
        at += length
    return Content(seq, time, *parts)


def link(prev_hash: bytes, content: bytes) -> bytes:
    """The hash of an event, from the hash before it and its encoded content."""
    return hashlib.sha256(b"".join((_EVENT_TAG, prev_hash, content))).digest()


def content_of(event: Event) -> bytes:
    """The encoded content of an event that was read."""
    names = (event.session.encode(), event.exchange.encode(), event.kind.encode())
    return encode(Content(event.seq, event.time, *names, canonical(event.payload), event.blob))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`checked` events hold; `problem` says what is wrong with the next one (empty: nothing)."""

    checked: int
    last_hash: bytes
    problem: str = ""


def verify(events: Iterable[Event], *, prev_hash: bytes, seq: int = 1) -> Verdict:
    """Whether `events` are an unbroken run that begins with number `seq` and links to `prev_hash`."""
    checked = 0
    for event in events:
        problem = broken_link(event, prev_hash=prev_hash, seq=seq + checked)
        if not problem and link(event.prev_hash, content_of(event)) != event.hash:
            problem = "the event does not have the hash that it states"
        if problem:
            return Verdict(checked, prev_hash, problem)
        prev_hash = event.hash
        checked += 1
    return Verdict(checked, prev_hash)


def broken_link(event: Event, *, prev_hash: bytes, seq: int) -> str:
    """What is wrong between an event and the one before it, or an empty string."""
    if event.seq != seq:
        return f"event {event.seq} stands where event {seq} belongs"
    if event.prev_hash != prev_hash:
        return f"event {event.seq} does not link to the event before it"
    return ""
