"""One end's bytes between asyncio and a driver: what came is kept, within bounds, and what goes waits for room."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

_KEPT: Final = 256 * 1024  # bytes that may wait to be taken, before the peer is made to wait
_ROOM: Final = 256 * 1024  # bytes that may wait to be sent
_DRAIN: Final = 0.5  # seconds in which a client over TLS may end the connection itself


class Channel(asyncio.Protocol):
    """`wake` is called whenever something has changed: bytes came, there is room again, the peer is gone."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.gone = False
        self.full = False
        self._transport: asyncio.Transport | None = None
        self._chunks: deque[bytes] = deque()
        self._kept = 0
        self._paused = False
        self._finishing = False

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_ROOM)

    def data_received(self, data: bytes) -> None:
        if self._finishing:
            return
        self._chunks.append(data)
        self._kept += len(data)
        if self._kept >= _KEPT and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self.wake()

    def connection_lost(self, _error: Exception | None) -> None:
        self.gone = True
        self.full = False
        self.wake()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.wake()

    # --- the driver's side

    @property
    def transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionError("not connected")
        return self._transport

    @property
    def empty(self) -> bool:
        return not self._chunks

    @property
    def choked(self) -> bool:
        """The peer is made to wait until something of what came is taken."""
        return self._paused

    def take(self) -> bytes | None:
        """What came next, or None."""
        if not self._chunks:
            return None
        data = self._chunks.popleft()
        self._kept -= len(data)
        if self._paused and self._kept < _KEPT and not self.gone:
            self._paused = False
            self.transport.resume_reading()
        return data

    def put_back(self, data: bytes) -> None:
        if data:
            self._chunks.appendleft(data)
            self._kept += len(data)

    def send(self, data: bytes) -> None:
        if not self.gone:
            self.transport.write(data)

    def close(self) -> None:
        """Send what is left, then end."""
        if self._transport is not None:
            self._transport.close()

    def finish(self, within: float) -> None:
        """
        Send what is left and let the peer end it, at most so many seconds later. What still comes is thrown away: a
        socket that is closed with bytes unread takes back what it sent last, here the reason (RFC 1122, 4.2.2.13).
        """
        if self._transport is None or self.gone:
            return
        self._finishing = True
        self._chunks.clear()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            loop.call_later(_DRAIN, self.close)
        loop.call_later(within, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def about(self, name: str) -> Any:
        return self.transport.get_extra_info(name)


async def next_chunk(channel: Channel) -> bytes:
    """For what is read before a driver takes over. Empty where the peer is gone."""
    loop = asyncio.get_running_loop()
    while True:
        data = channel.take()
        if data is not None:
            return data
        if channel.gone:
            return b""
        woken: asyncio.Future[None] = loop.create_future()
        before = channel.wake
        channel.wake = lambda woken=woken: None if woken.done() else woken.set_result(None)  # type: ignore[misc]
        try:
            await woken
        finally:
            channel.wake = before
