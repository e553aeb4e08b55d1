from __future__ import annotations

import asyncio
from typing import Any

import pytest

from extproc.postgres.channel import Channel, next_chunk

FULL = 256 * 1024


class Transport(asyncio.Transport):
    """What a channel does to its socket."""

    def __init__(self) -> None:
        super().__init__({"peername": "there"})
        self.sent = b""
        self.reading = True
        self.ended = ""
        self.limits: int | None = None
        self.plain = True

    def write(self, data: Any) -> None:
        assert not self.ended
        self.sent += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = high

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def can_write_eof(self) -> bool:
        return self.plain

    def write_eof(self) -> None:
        self.ended = "half"

    def is_closing(self) -> bool:
        return bool(self.ended)


def connected() -> tuple[Channel, Transport, list[str]]:
    woken: list[str] = []
    channel, transport = Channel(lambda: woken.append("")), Transport()
    channel.connection_made(transport)
    return channel, transport, woken


def test_chunks_come_as_they_came() -> None:
    channel, _, woken = connected()
    assert channel.take() is None
    channel.data_received(b"one")
    channel.data_received(b"two")
    assert len(woken) == 2
    assert not channel.empty
    assert [channel.take(), channel.take(), channel.take()] == [b"one", b"two", None]
    channel.put_back(b"zero")
    channel.put_back(b"")
    channel.data_received(b"one")
    assert [channel.take(), channel.take(), channel.take()] == [b"zero", b"one", None]


def test_a_peer_that_is_not_listened_to_has_to_wait() -> None:
    channel, transport, _ = connected()
    seen = []
    for data in (bytes(FULL - 1), b"x", b"what was on its way"):
        channel.data_received(data)
        seen.append((transport.reading, channel.choked))
    channel.take()
    seen.append((transport.reading, channel.choked))
    assert seen == [(True, False), (False, True), (False, True), (True, False)]


def test_one_that_is_gone_is_not_asked_to_go_on() -> None:
    channel, transport, _ = connected()
    channel.data_received(bytes(FULL))
    channel.connection_lost(None)
    assert channel.take() == bytes(FULL)  # what it said still counts
    assert not transport.reading


def test_room_is_told() -> None:
    channel, transport, woken = connected()
    assert transport.limits == FULL
    full = []
    for change in (channel.pause_writing, channel.resume_writing):
        change()
        full.append(channel.full)
    assert full == [True, False]
    assert len(woken) == 1


def test_nobody_waits_for_room_at_a_peer_that_is_gone() -> None:
    channel, transport, woken = connected()
    channel.pause_writing()
    channel.connection_lost(ConnectionResetError())
    assert (channel.gone, channel.full, len(woken)) == (True, False, 1)
    channel.send(b"nothing")
    assert transport.sent == b""


def test_the_end() -> None:
    channel, transport, _ = connected()
    channel.send(b"last")
    channel.close()
    assert (transport.sent, transport.ended) == (b"last", "closed")
    channel, transport, _ = connected()
    channel.abort()
    assert transport.ended == "aborted"
    for never in (Channel(lambda: None),):
        never.close()
        never.abort()
        with pytest.raises(ConnectionError):
            never.about("peername")


@pytest.mark.asyncio
async def test_before_a_driver_takes_over_chunks_are_waited_for() -> None:
    channel, _, woken = connected()
    channel.data_received(b"one")
    assert await next_chunk(channel) == b"one"
    waiting = asyncio.create_task(next_chunk(channel))
    await asyncio.sleep(0)
    channel.resume_writing()  # woken for nothing
    await asyncio.sleep(0)
    assert not waiting.done()
    channel.data_received(b"two")
    channel.data_received(b"three")
    assert await waiting == b"two"
    assert await next_chunk(channel) == b"three"
    before = len(woken)
    channel.data_received(b"four")
    assert len(woken) == before + 1  # whoever was woken before is again
    channel.take()
    channel.connection_lost(None)
    assert await next_chunk(channel) == b""


@pytest.mark.asyncio
async def test_whoever_stops_waiting_leaves_everything_as_it_was() -> None:
    channel, _, woken = connected()
    waiting = asyncio.create_task(next_chunk(channel))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    channel.data_received(b"x")
    assert len(woken) == 1
    assert channel.take() == b"x"


async def finishing(channel: Channel) -> None:
    channel.finish(0.01)
    channel.data_received(b"the rest of a large statement")
    await asyncio.sleep(0.02)


@pytest.mark.parametrize(("plain", "ended"), [(True, "half"), (False, "aborted")])
def test_its_last_bytes_are_not_taken_back_by_what_the_peer_still_sends(plain: bool, ended: str) -> None:
    channel, transport, _ = connected()
    transport.plain = plain
    channel.data_received(bytes(FULL))
    channel.send(b"why")
    asyncio.run(finishing(channel))
    assert (transport.sent, transport.reading, transport.ended) == (b"why", True, ended)
    assert channel.empty


def test_one_that_is_gone_needs_no_end() -> None:
    channel, transport, _ = connected()
    channel.connection_lost(None)
    asyncio.run(finishing(channel))
    assert not transport.ended
