from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.errors import Refusal
from extproc.record import log as log_module
from extproc.record import pace
from extproc.record.chain import genesis, verify
from extproc.record.log import SegmentLog
from tests.unit.record.logs import events, open_log


def add(log: SegmentLog, exchange: str = "x", kind: str = "k", blob: bytes = b"") -> int:
    return log.append("s", exchange, kind, {"b": 1, "a": "ä"}, blob)


def count_syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    real, calls = os.fdatasync, list[int]()

    def counted(fd: int) -> None:
        calls.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", counted)
    return calls


class Disk:
    """A disk whose sync fails, or waits, for as long as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()
        real: Callable[[int], None] = os.fdatasync

        def sync(fd: int) -> None:
            self.gate.wait(10)
            if self.broken:
                raise OSError(errno.EIO, "broken")
            real(fd)

        monkeypatch.setattr(os, "fdatasync", sync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit runs in the thread."""
    monkeypatch.setattr(pace, "INLINE_BELOW", -1.0)
    monkeypatch.setattr(pace, "TRY_BELOW", -1.0)


async def refused(log: SegmentLog, ticket: int) -> None:
    with pytest.raises(Refusal) as caught:
        await log.wait(ticket)
    assert caught.value.code.name == "record_unavailable"
    assert not log.is_durable(ticket)


def test_one_sync_wakes_everybody_who_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_syncs(monkeypatch)

    async def main() -> None:
        log = open_log(tmp_path)

        async def one() -> None:
            ticket = add(log)
            assert not log.is_durable(ticket)
            await log.wait(ticket)
            assert log.is_durable(ticket)

        await asyncio.gather(*(one() for _ in range(50)))
        assert len(calls) == 1
        log.close()

    asyncio.run(main())
    assert len(events(tmp_path)) == 50


@pytest.mark.usefixtures("slow")
def test_in_a_thread_a_group_waits_for_the_one_under_way_and_then_goes_as_one(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        disk.gate.clear()
        first = asyncio.create_task(log.wait(add(log)))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(log.wait(add(log))) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in [first, *rest])
        disk.gate.set()
        await asyncio.gather(first, *rest)
        log.close()

    asyncio.run(main())
    found = events(tmp_path)
    assert [event.seq for event in found] == [1, 2, 3, 4, 5, 6]
    assert not verify(found, prev_hash=genesis("worker-0-aa")).problem


def test_tickets_grow_and_events_come_back_as_they_were(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    tickets = [add(log, blob=b"\0\xff"), add(log, "other")]
    assert tickets == sorted(set(tickets))
    log.flush()
    assert all(log.is_durable(ticket) for ticket in tickets)
    log.close()
    event = events(tmp_path)[0]
    assert (event.session, event.exchange, event.kind) == ("s", "x", "k")
    assert event.payload == {"a": "ä", "b": 1}
    assert list(event.payload) == ["a", "b"]
    assert event.blob == b"\0\xff"


def test_an_event_that_nobody_waits_for_is_written_within_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        ticket = add(log)
        began = time.monotonic()
        while not log.is_durable(ticket):
            assert time.monotonic() - began < 1
            await asyncio.sleep(0.02)
        log.close()

    asyncio.run(main())


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_failed_sync_refuses_its_waiters_and_the_log_recovers_by_itself(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "thread":
        monkeypatch.setattr(pace, "INLINE_BELOW", -1.0)
        monkeypatch.setattr(pace, "TRY_BELOW", -1.0)

    async def main() -> list[int]:
        log = open_log(tmp_path)
        good = add(log, "x-1")
        await log.wait(good)
        disk.broken = True
        bad = [add(log, "x-2"), add(log, "x-3")]
        await asyncio.gather(*(refused(log, ticket) for ticket in bad))
        disk.broken = False
        later = add(log, "x-4")
        await log.wait(later)
        assert log.is_durable(good)
        assert not any(log.is_durable(ticket) for ticket in bad)
        log.close()
        return [good, *bad, later]

    tickets = asyncio.run(main())
    assert tickets == sorted(set(tickets))
    found = events(tmp_path)
    assert [(e.exchange, e.kind) for e in found] == [("x-1", "k"), ("-", "log.resumed"), ("x-4", "k")]
    assert found[1].payload == {"lost": 2}
    assert not verify(found, prev_hash=genesis("worker-0-aa")).problem


def test_an_exchange_that_lost_an_event_can_never_prove_a_later_one(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        disk.broken = True
        await refused(log, add(log, "x-1", "request.attempt"))
        disk.broken = False
        await refused(log, add(log, "x-1", "request.released"))
        await log.wait(add(log, "x-2"))
        await refused(log, add(log, "x-1", "exchange.closed"))
        log.close()

    asyncio.run(main())
    assert [e.kind for e in events(tmp_path) if e.exchange == "x-1"] == ["request.released", "exchange.closed"]


@pytest.mark.usefixtures("slow")
def test_an_event_appended_while_an_earlier_one_was_being_lost_is_refused_too(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        disk.broken = True
        disk.gate.clear()
        attempt = asyncio.create_task(refused(log, add(log, "x-1")))
        await asyncio.sleep(0.01)
        mine, other = add(log, "x-1"), add(log, "x-2")
        waits = [asyncio.create_task(refused(log, mine)), asyncio.create_task(log.wait(other))]
        disk.gate.set()
        await attempt
        disk.broken = False
        await asyncio.gather(*waits)
        assert log.is_durable(other)
        assert not log.is_durable(mine)
        log.close()

    asyncio.run(main())


@pytest.mark.usefixtures("slow")
def test_a_disk_that_hangs_is_refused_at_the_deadline(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, "w", clock=lambda: 1.0, deadline=0.05)
        disk.gate.clear()
        began = time.monotonic()
        await asyncio.gather(refused(log, add(log)), refused(log, add(log)))
        assert time.monotonic() - began < 1
        disk.gate.set()
        log.close()

    asyncio.run(main())


@pytest.mark.usefixtures("slow")
def test_each_wait_has_a_deadline_of_its_own(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, "w", clock=lambda: 1.0, deadline=0.2)
        disk.gate.clear()
        first = log.written(add(log))
        await asyncio.sleep(0.1)
        second = log.written(add(log))
        assert not await first
        assert not second.done()
        assert not await second
        disk.gate.set()
        assert await log.written(add(log))
        log.close()

    asyncio.run(main())


def test_what_is_written_or_lost_is_known_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        ticket = add(log)
        assert await log.written(ticket)
        assert log.written(ticket).result()
        assert not log.written(-1).result()
        log.close()

    asyncio.run(main())


def test_a_client_that_leaves_while_waiting_disturbs_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        leaving = asyncio.create_task(log.wait(add(log)))
        staying = asyncio.create_task(log.wait(add(log)))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert leaving.cancelled() or leaving.done()
        log.close()

    asyncio.run(main())
    assert len(events(tmp_path)) == 2


def test_the_buffer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_UNFLUSHED", 10_000)
    log = open_log(tmp_path)
    for _ in range(5):
        add(log, blob=bytes(1400))
    with pytest.raises(Refusal, match="record_unavailable"):
        add(log, blob=bytes(1400))
    log.flush()
    add(log, blob=bytes(1000))
    log.close()


def test_a_full_disk_never_fills_the_buffer_for_good(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MAX_UNFLUSHED", 10_000)
    log = open_log(tmp_path)
    disk.broken = True
    for _ in range(20):
        add(log, blob=bytes(4000))
        with pytest.raises(Refusal):
            log.flush()
    log.close()


@pytest.mark.parametrize("payload", [{"a": "\ud800"}, {"a": object()}])
def test_an_event_that_is_not_json_is_refused_alone(tmp_path: Path, payload: dict[str, object]) -> None:
    log = open_log(tmp_path)
    with pytest.raises(Refusal, match="record_unavailable"):
        log.append("s", "x", "k", payload)
    add(log)
    log.close()
    assert len(events(tmp_path)) == 1


def test_a_ticket_that_was_never_given_is_not_durable(tmp_path: Path) -> None:
    async def main() -> None:
        log = open_log(tmp_path)
        assert log.is_durable(0)
        for ticket in (-1, 1, 99):
            await refused(log, ticket)
        log.close()

    asyncio.run(main())


def test_a_closed_log_takes_nothing_more_and_has_written_everything(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    ticket = add(log)
    log.close()
    log.close()
    assert log.is_durable(ticket)
    with pytest.raises(Refusal, match="record_unavailable"):
        add(log)


def test_lost_tickets_stay_lost_when_the_oldest_gaps_are_forgotten(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_MAX_GAPS", 2)
    log = open_log(tmp_path)
    lost = []
    for number in range(5):
        disk.broken = True
        lost.append(add(log, f"x-{number}"))
        with pytest.raises(Refusal):
            log.flush()
        disk.broken = False
        add(log, f"y-{number}")
        log.flush()
    assert not any(log.is_durable(ticket) for ticket in lost)
    assert log.is_durable(lost[-1] + 1)
    log.close()
