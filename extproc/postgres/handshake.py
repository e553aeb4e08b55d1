"""The first bytes of a client: SSLRequest, GSSENCRequest, direct TLS, and then its startup message or CancelRequest."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from extproc.postgres.channel import Channel, next_chunk
from extproc.postgres.wire import GSS_REQUEST, MAX_STARTUP, SSL_REQUEST, ProtocolViolation

_TLS_RECORD: Final = 0x16  # of a ClientHello
_REQUESTS: Final = 3  # that may come before the startup message


class Plain:
    """
    A socket before TLS: takes exactly what it asks for, so that nothing of the clear text is left when TLS begins.

    `direct`: the client began with TLS itself (`sslnegotiation=direct`). `head`: the first bytes of a message that asks
    for no encryption, once they were read.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.direct = False
        self.head = b""

    async def take(self, count: int) -> bytes:
        """Raises `EOFError`."""
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < count:
            more = await loop.sock_recv(self._sock, count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    async def negotiate(self, *, offer_tls: bool) -> bool:
        """Whether TLS comes next. Raises `ProtocolViolation`, `EOFError`."""
        loop = asyncio.get_running_loop()
        for _ in range(_REQUESTS):
            if await self._first() == _TLS_RECORD:
                if not offer_tls:
                    raise ProtocolViolation("TLS, which is not spoken here")
                self.direct = True
                return True
            self.head = await self.take(8)
            request = int.from_bytes(self.head[4:], "big") if self.head[:4] == b"\0\0\0\x08" else 0
            if request not in (SSL_REQUEST, GSS_REQUEST):
                return False
            self.head = b""
            if self._pending():
                # Somebody put bytes behind the request that the client never sent through TLS (CVE-2021-23214).
                raise ProtocolViolation("bytes before the answer to a request for encryption")
            secure = request == SSL_REQUEST and offer_tls
            await loop.sock_sendall(self._sock, b"S" if secure else b"N")
            if secure:
                return True
        raise ProtocolViolation("too many requests for encryption")

    async def _first(self) -> int:
        """The next byte, which stays where it is. Raises `EOFError`."""
        await self._readable()
        data = self._sock.recv(1, socket.MSG_PEEK)
        if not data:
            raise EOFError
        return data[0]

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._sock.fileno(), lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self._sock.fileno())

    def _pending(self) -> bool:
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False


async def receive_start(channel: Channel) -> tuple[bytes, bytes]:
    """
    The startup message or CancelRequest (without its length), and what came behind it.

    Raises `ProtocolViolation`, `EOFError`.
    """
    buffer = b""
    while True:
        if len(buffer) >= 4:
            length = int.from_bytes(buffer[:4], "big")
            if not 8 <= length <= MAX_STARTUP:
                raise ProtocolViolation("a startup message of an impossible length")
            if len(buffer) >= length:
                return buffer[4:length], buffer[length:]
        data = await next_chunk(channel)
        if not data:
            raise EOFError
        buffer += data
