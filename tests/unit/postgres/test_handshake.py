from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from extproc.postgres.channel import Channel
from extproc.postgres.handshake import Plain, receive_start
from extproc.postgres.wire import ProtocolViolation
from tests.unit.postgres.talking import startup

pytestmark = pytest.mark.asyncio

SSL, GSS, CANCEL = (struct.pack("!II", 8, code) for code in (80877103, 80877104, 80877102))
START = startup(user="job")
HELLO = b"\x16\x03\x01\x02\x00\x01\x00"  # the beginning of a TLS ClientHello


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Plain, socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        async with asyncio.timeout(5):
            yield Plain(ours), ours, theirs


async def negotiated(*parts: bytes, offer_tls: bool = True) -> tuple[bool, bytes, bytes]:
    """Whether TLS comes next, what was answered and what is left of what was sent, one part after each answer."""
    async with pair() as (plain, ours, theirs):
        deciding = asyncio.create_task(plain.negotiate(offer_tls=offer_tls))
        answers = b""
        for number, part in enumerate(parts, 1):
            theirs.sendall(part)
            if number < len(parts):
                answers += await asyncio.get_running_loop().sock_recv(theirs, 10)
        secure = await deciding
        with contextlib.suppress(BlockingIOError):
            answers += theirs.recv(10)
        left = plain.head
        with contextlib.suppress(BlockingIOError):
            left += ours.recv(1000)
        return secure, answers, left


async def test_tls_is_begun_where_it_is_offered() -> None:
    assert await negotiated(SSL) == (True, b"S", b"")
    assert await negotiated(SSL, START, offer_tls=False) == (False, b"N", START)


async def test_encryption_by_gss_is_refused_politely() -> None:
    assert await negotiated(GSS, START) == (False, b"N", START)
    assert await negotiated(GSS, SSL) == (True, b"NS", b"")
    assert await negotiated(SSL, GSS, START, offer_tls=False) == (False, b"NN", START)


async def test_clear_text_and_cancel_requests_are_left_to_whoever_reads_them() -> None:
    for data in (START, struct.pack("!IIII", 16, 80877102, 7, 9)):
        assert await negotiated(data) == (False, b"", data)


async def test_tls_may_come_directly() -> None:
    async with pair() as (plain, ours, theirs):
        theirs.sendall(HELLO[:3])
        assert await plain.negotiate(offer_tls=True)
        assert plain.direct
        assert ours.recv(10) == HELLO[:3]  # nothing of it was taken
        with pytest.raises(BlockingIOError):
            theirs.recv(10)


async def test_but_not_where_it_is_not_spoken() -> None:
    with pytest.raises(ProtocolViolation):
        await negotiated(HELLO, offer_tls=False)


@pytest.mark.parametrize("request_", [SSL, GSS])
@pytest.mark.parametrize("behind", [b"x", START, HELLO])
async def test_bytes_behind_a_request_are_refused(request_: bytes, behind: bytes) -> None:
    """Somebody on the way put them there (CVE-2021-23214)."""
    with pytest.raises(ProtocolViolation):
        await negotiated(request_ + behind)


async def test_nobody_asks_for_ever() -> None:
    with pytest.raises(ProtocolViolation):
        await negotiated(GSS, GSS, GSS)


async def test_slow_bytes() -> None:
    async with pair() as (plain, _, theirs):
        deciding = asyncio.create_task(plain.negotiate(offer_tls=True))
        for byte in SSL:
            theirs.sendall(bytes([byte]))
            await asyncio.sleep(0.002)
        assert await deciding


@pytest.mark.parametrize("sent", [b"", SSL[:4]])
async def test_a_client_that_gives_up(sent: bytes) -> None:
    async with pair() as (plain, _, theirs):
        deciding = asyncio.create_task(plain.negotiate(offer_tls=True))
        await asyncio.sleep(0)
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(EOFError):
            await deciding


async def test_exactly_as_much_is_taken_as_is_asked_for() -> None:
    async with pair() as (plain, ours, theirs):
        theirs.sendall(b"abcd")
        assert await plain.take(3) == b"abc"
        assert ours.recv(10) == b"d"
        theirs.close()
        with pytest.raises(EOFError):
            await plain.take(1)


# --- the startup message


async def started(*chunks: bytes, gone: bool = True) -> tuple[bytes, bytes]:
    channel = Channel(lambda: None)
    for chunk in chunks:
        channel.data_received(chunk)
    channel.gone = gone
    return await receive_start(channel)


async def test_a_startup_message_and_what_came_behind_it() -> None:
    assert await started(START + b"p...") == (START[4:], b"p...")
    assert await started(*[bytes([byte]) for byte in START]) == (START[4:], b"")


@pytest.mark.parametrize("length", [0, 4, 7, 10_001, 1 << 31, 0xFFFFFFFF])
async def test_impossible_lengths_are_refused_before_the_body_is_there(length: int) -> None:
    with pytest.raises(ProtocolViolation):
        await started(struct.pack("!I", length), gone=False)


@pytest.mark.parametrize("data", [b"", START[:3], START[:-1]])
async def test_one_that_does_not_come_whole(data: bytes) -> None:
    with pytest.raises(EOFError):
        await started(data) if data else await started()
