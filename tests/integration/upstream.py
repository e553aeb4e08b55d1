"""An upstream that counts what reaches it: every byte of every request, before any HTTP parsing can hide one."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import threading
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

SSN = "123-45-6789"
CARD = "4111 1111 1111 1111"
MAIL = "jane.doe@example.com"


@dataclass
class Seen:
    """One request as the upstream saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Upstream:
    """Runs on a thread of its own; `seen` and `bytes_in` may be read at any time."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    bytes_in: int = 0
    delay: float = 0.0
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    def start(self) -> Upstream:
        ready = threading.Event()

        def run() -> None:
            loop = asyncio.new_event_loop()
            self._loop = loop
            server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            loop.run_forever()
            server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.05))
            loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(5)
        return self

    def stop(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(5)

    def clear(self) -> None:
        self.seen.clear()
        self.bytes_in = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as partial:
            self.bytes_in += len(partial.partial)
            return False
        self.bytes_in += len(head)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = [(k, v.strip()) for k, _, v in (line.partition(":") for line in lines[1:] if line)]
        seen = Seen(method, target, headers)
        self.seen.append(seen)
        if (seen.get("upgrade") or "").lower() == "websocket":
            await self._websocket(seen, reader, writer)
            return False
        await self._body(seen, reader)
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._answer(seen, writer)
        return True

    async def _body(self, seen: Seen, reader: asyncio.StreamReader) -> None:
        if (seen.get("transfer-encoding") or "") == "chunked":
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                if size == 0:
                    while (await reader.readuntil(b"\r\n")) != b"\r\n":
                        pass
                    return
                seen.body += await reader.readexactly(size)
                self.bytes_in += size
                await reader.readexactly(2)
        length = int(seen.get("content-length") or 0)
        while length:
            data = await reader.read(min(length, 65536))
            if not data:
                raise ConnectionResetError
            seen.body += data
            self.bytes_in += len(data)
            length -= len(data)

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(seen.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        route = ROUTES.get(url.path.strip("/").split("/")[0], echo)
        await route(self, seen, query, writer)
        await writer.drain()

    async def _websocket(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        A WebSocket echo, just enough of RFC 6455: whole frames of any length, pings answered. On `/…/leak` a text gets
        the injected credential back.
        """
        key = (seen.get("sec-websocket-key") or "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        writer.write(f"{head}sec-websocket-accept: {accept}\r\n\r\n".encode())
        while True:
            first, data = await self._frame(reader)
            opcode = first & 0x0F
            if opcode == 9:
                first = first & 0xF0 | 10
            elif opcode == 1 and seen.target.endswith("/leak"):
                data = (seen.get("authorization") or "").removeprefix("Bearer ").encode()
            writer.write(bytes([first]) + _length(len(data)) + data)
            await writer.drain()
            if opcode == 8:
                # What waits in a filter when the upstream hangs up is lost (RFC 6455, 7.1.1 lets it do so at once).
                await asyncio.sleep(0.2)
                return

    async def _frame(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """One masked frame (RFC 6455, 5.2): its first byte and its data."""
        first, second = await reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        mask = await reader.readexactly(4)
        masked = await reader.readexactly(length)
        self.bytes_in += length
        pad = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        return first, (int.from_bytes(masked, "big") ^ pad).to_bytes(length, "big")


def _length(size: int) -> bytes:
    if size < 126:
        return bytes([size])
    return b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")


Query = dict[str, str]


def respond(
    writer: asyncio.StreamWriter, body: bytes, content_type: str, *, status: str = "200 OK", extra: str = ""
) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    writer.write(head.encode("latin-1") + body)


async def echo(_: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    headers = [pair for pair in seen.headers if pair[0].lower() != "authorization"]  # giving it back is `leak`'s part
    document = {"method": seen.method, "target": seen.target, "headers": headers, "size": len(seen.body)}
    respond(writer, json.dumps(document).encode(), "application/json")


async def record(_: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    document = {"ssn": SSN, "card": CARD, "email": MAIL, "note": "clean", "number": 4111111111111111}
    respond(writer, json.dumps(document).encode(), "application/json", extra='etag: "abc"\r\n')


async def packed(_: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(json.dumps({"ssn": SSN, "pad": "x" * 5000}).encode())
    coding = query.get("coding", "gzip")
    respond(writer, body, "application/json", extra=f"content-encoding: {coding}\r\n")


async def stream(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    """`bytes` of text with an SSN every 1000 bytes, written in pieces of `cut` bytes."""
    total, cut = int(query.get("bytes", "100000")), int(query.get("cut", "65536"))
    unit = ("x" * 987 + "," + SSN + "\n").encode()
    body = unit * (total // len(unit))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
    for start in range(0, len(body), cut):
        piece = body[start : start + cut]
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        if query.get("pause"):
            await asyncio.sleep(float(query["pause"]))
    writer.write(b"0\r\n\r\n")


async def big(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    """`mb` MB of text without ever holding them."""
    unit = ("x" * 987 + "," + SSN + "\n").encode() * 1000
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(int(query.get("mb", "300"))):
        writer.write(b"%x\r\n%s\r\n" % (len(unit), unit))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def bomb(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    """`mb` MB of one character (`of`, a number), in one gzip member of a thousandth of that."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    unit = bytes([int(query.get("of", "48"))]) * 1_000_000
    head = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)
    same = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)  # nothing refers back, so it may be repeated
    total = int(query.get("mb", "1000"))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\n")
    writer.write(b"transfer-encoding: chunked\r\n\r\n")
    for piece in (head, *[same] * (total - 1)):
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def sse(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number in range(int(query.get("events", "3"))):
        event = f"data: event {number}{query.get('say', '')}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(float(query.get("pause", "0.5")))
    writer.write(b"0\r\n\r\n")


async def leak(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    """Gives the injected credential back, in the way asked for."""
    secret = (seen.get("authorization") or "").removeprefix("Bearer ").encode()
    where = query.get("where", "body")
    if where == "header":
        respond(writer, b"{}", "application/json", extra=f"x-debug: {secret.decode()}\r\n")
    elif where == "base64":
        respond(writer, base64.b64encode(b"{" + secret + b"}"), "text/plain")
    elif where == "split":
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
        for byte in b"before " + secret + b" after":
            writer.write(b"1\r\n%c\r\n" % byte)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.write(b"0\r\n\r\n")
    else:
        respond(writer, b"token=" + secret, "text/plain")


async def redirect(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    respond(writer, b"", "text/plain", status="302 Found", extra=f"location: {query.get('to', '/')}\r\n")


async def trailers(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n")
    writer.write(b"5\r\nhello\r\n0\r\nx-sum: " + SSN.encode() + b"\r\n\r\n")


async def image(up: Upstream, seen: Seen, query: Query, writer: asyncio.StreamWriter) -> None:
    respond(writer, b"\x89PNG" + bytes(1000), "image/png")


Route = Callable[[Upstream, Seen, Query, asyncio.StreamWriter], Awaitable[None]]
ROUTES: dict[str, Route] = {
    "record.json": record,
    "packed": packed,
    "stream": stream,
    "big": big,
    "bomb": bomb,
    "sse": sse,
    "leak": leak,
    "redirect": redirect,
    "trailers": trailers,
    "image": image,
}
