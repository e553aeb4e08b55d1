from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import zstandard

from extproc.model import JSON, MaskRule, RecordLevel
from extproc.record import bodies
from extproc.record.bodies import BACKEND, PIECE, BodyRecord, is_text, media_type_of
from extproc.redact.detectors import DETECTORS
from extproc.redact.plan import plan


class Memory:
    def __init__(self) -> None:
        self.events: list[tuple[dict[str, Any], bytes]] = []

    def append(self, session: str, exchange: str, kind: str, payload: Mapping[str, JSON], blob: bytes = b"") -> int:
        assert (session, kind) == ("s", "response.body")
        self.events.append((dict(payload), blob))
        return len(self.events)

    def is_durable(self, ticket: int) -> bool:
        return ticket <= len(self.events)

    async def wait(self, ticket: int) -> None: ...

    def written(self, ticket: int) -> asyncio.Future[bool]:
        raise AssertionError("nobody waits here")

    def data(self) -> bytes:
        return b"".join(zstandard.ZstdDecompressor().decompress(blob) for _, blob in self.events if blob)

    def total(self) -> dict[str, Any]:
        total = self.events[-1][0]["total"]
        assert isinstance(total, dict)
        return total


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def record(
    memory: Memory,
    *,
    limit: int = 10 * PIECE,
    media_type: bytes = b"text/plain; charset=utf-8",
    level: RecordLevel = "full",
    clock: Clock | None = None,
    exchange: str = "x",
) -> BodyRecord:
    return BodyRecord(
        memory, "s", exchange, "response.body",
        limit=limit, media_type=media_type, level=level, clock=clock or Clock(), key=b"k" * 32,
    )  # fmt: skip


def test_a_short_body_is_one_event_with_its_totals() -> None:
    memory = Memory()
    sink = record(memory)
    assert sink.add(b"hello ") is None
    assert sink.add(b"world") is None
    assert sink.close() == 1
    assert sink.close() == 1
    [(payload, blob)] = memory.events
    total = payload.pop("total")
    assert payload == {"offset": 0, "size": 11, "media_type": "text/plain", "encoding": "zstd"}
    assert zstandard.ZstdDecompressor().decompress(blob) == b"hello world"
    assert {**total, "hmac": len(total["hmac"])} == {"size": 11, "recorded": 11, "truncated": False, "hmac": 64}


def test_a_body_of_no_bytes_leaves_no_event() -> None:
    memory = Memory()
    sink = record(memory)
    assert sink.add(b"") is None
    assert sink.close() == 0
    assert memory.events == []


def test_each_mebibyte_becomes_an_event_whose_ticket_must_be_waited_for() -> None:
    memory = Memory()
    sink = record(memory)
    chunks = [bytes([number]) * 300_000 for number in range(10)]
    tickets = [sink.add(chunk) for chunk in chunks]
    sink.close()
    assert [ticket for ticket in tickets if ticket is not None] == [2, 4]
    assert memory.data() == b"".join(chunks)
    assert all(payload["size"] <= PIECE for payload, _ in memory.events)
    offsets = [payload["offset"] for payload, _ in memory.events]
    sizes = [payload["size"] for payload, _ in memory.events]
    assert offsets == [0, *itertools.accumulate(sizes[:-1])]


def test_bytes_are_recorded_at_least_every_second() -> None:
    memory, clock = Memory(), Clock()
    sink = record(memory, clock=clock)
    assert sink.add(b"a") is None
    clock.now += 1
    assert sink.add(b"b") == 1
    assert sink.add(b"c") is None
    clock.now += 5
    assert sink.add(b"d") == 2
    assert memory.data() == b"abcd"


def test_a_body_that_stalls_is_recorded_without_another_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "EVERY", 0.01)

    async def main() -> None:
        memory = Memory()
        sink = record(memory)
        sink.add(b"a")
        await asyncio.sleep(0.05)
        assert memory.data() == b"a"
        sink.add(b"b")
        sink.close()
        await asyncio.sleep(0.03)
        assert len(memory.events) == 2

    asyncio.run(main())


def test_beyond_the_limit_bytes_are_only_counted_and_hashed() -> None:
    memory, whole = Memory(), Memory()
    sink, other = record(memory, limit=10), record(whole)
    for piece in (b"12345678", b"abcdef", b"ghi"):
        sink.add(piece)
        other.add(piece)
    sink.close()
    other.close()
    assert memory.data() == b"12345678ab"
    assert [(p["offset"], p["size"], p["encoding"]) for p, _ in memory.events] == [(0, 10, "zstd"), (10, 7, "none")]
    assert memory.total() == {**whole.total(), "recorded": 10, "truncated": True}


@pytest.mark.parametrize(
    ("media_type", "level"),
    [
        (b"image/png", "full"), (b"application/octet-stream", "full"), (b"application/zip", "redacted"),
        (b"application/x-git-upload-pack-result", "full"), (b"", "full"), (b"text/plain", "metadata"),
        (b"text/plain; charset=utf-16", "full"),
    ],
)  # fmt: skip
def test_binary_bodies_and_metadata_leave_no_byte_in_the_record(media_type: bytes, level: RecordLevel) -> None:
    memory, clock = Memory(), Clock()
    sink = record(memory, media_type=media_type, level=level, clock=clock)
    sink.add(b"secret")
    clock.now += 2
    assert sink.add(b"secret") == 1  # how much passed is recorded on the way
    sink.close()
    assert all(blob == b"" for _, blob in memory.events)
    assert memory.total()["size"] == 12
    assert memory.total()["truncated"] is True


def test_messages_of_postgresql_are_kept_as_they_were_released_and_are_no_text() -> None:
    memory = Memory()
    sink = record(memory, media_type=BACKEND.encode())
    sink.add(b"Z\0\0\0\x05I")
    sink.close()
    assert memory.data() == b"Z\0\0\0\x05I"
    assert memory.events[0][0]["media_type"] == BACKEND
    assert not is_text(BACKEND.encode())  # no detector may be asked to read them
    counted = Memory()
    sink = record(counted, media_type=BACKEND.encode(), level="metadata")
    sink.add(b"Z\0\0\0\x05I")
    sink.close()
    assert counted.data() == b""


def test_equal_bodies_of_two_exchanges_have_different_hashes() -> None:
    hashes = set()
    for exchange in ("x-1", "x-2"):
        memory = Memory()
        sink = record(memory, exchange=exchange, level="metadata")
        sink.add(b"password")
        sink.close()
        hashes.add(memory.total()["hmac"])
    assert len(hashes) == 2


def test_one_large_addition_becomes_pieces() -> None:
    memory = Memory()
    sink = record(memory, limit=2 * PIECE + 5)
    assert sink.add(bytes(3 * PIECE)) == 4
    sink.close()
    assert [p["size"] for p, _ in memory.events] == [PIECE, PIECE, 5, PIECE - 5, 0]
    assert memory.total()["recorded"] == 2 * PIECE + 5


def test_a_header_is_not_recorded_beyond_its_media_type() -> None:
    assert media_type_of(b"Application/JSON; token=abc") == "application/json"
    assert media_type_of(b"not a type") == ""
    assert media_type_of(b"text/" + b"a" * 100) == ""
    assert is_text(b"application/problem+json; charset=UTF-8")
    assert not is_text(b"application/vnd.ms-excel")


def test_whatever_is_recorded_in_full_can_be_masked() -> None:
    types = [*sorted(bodies._TEXT_TYPES), "text/plain", "text/x-new", "image/svg+xml", "a/b+json", "", "image/png", "x"]
    charsets = [*sorted(bodies._CHARSETS), '"utf-8"', "utf-16", "utf-7", "ibm037", "'utf-16le'", ""]
    headers = [
        f"{name}{mark}{charset}" for name in types for mark in ("; charset=", ";Charset =") for charset in charsets
    ]
    recorded = [header.encode() for header in [*types, *headers] if is_text(header.encode())]
    assert len(recorded) > 100
    assert not any(b"utf-16" in header for header in recorded)
    for header in recorded:
        assert plan((MaskRule(detect=tuple(DETECTORS)),), header, key=b"k")
