"""Reads logs onwards from a remembered place, and says what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from extproc.record.chain import broken_link, genesis
from extproc.record.segment import Fault, Record, read_segment

Files = list[tuple[int, Path]]  # a log's segments in order: number, path


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log was read: segment and offset behind the last event, that event's number and hash."""

    segment: int
    offset: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be, at byte `offset` of `file` (its name)."""

    file: str
    offset: int
    what: str


def start_of(log: str) -> Head:
    return Head(0, 0, 0, genesis(log))


def read_on(head: Head, files: Files) -> Iterator[tuple[Record | Fault | Problem, Head]]:
    """
    What stands behind `head`, each with the head after it.

    A `Fault` is an incomplete end; damage and broken links are `Problem`s, and an event behind a broken link comes too.
    Raises `OSError`.
    """
    for number, path in files:
        if number < head.segment:
            continue
        for item in read_segment(path, head.offset if number == head.segment else 0):
            if isinstance(item, Fault):
                yield item if item.torn else Problem(path.name, item.offset, item.what), head
                continue
            broken = broken_link(item.event, prev_hash=head.hash, seq=head.seq + 1)
            if broken:
                yield Problem(path.name, item.offset, broken), head
            head = Head(number, item.end, item.event.seq, item.event.hash)
            yield item, head


def shrunk(log: str, head: Head, files: Files) -> Problem | None:
    """What is wrong with a log that no longer reaches as far as it did when `head` was read."""
    path = dict(files).get(head.segment)
    if path is None:
        return Problem(f"{log}-{head.segment:06d}.seg", 0, "the file is gone")
    size = path.stat().st_size
    if size < head.offset:
        return Problem(path.name, size, f"the file was {head.offset} bytes long or longer")
    return None
