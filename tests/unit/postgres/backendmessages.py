"""What the tests of masking share: messages built, and read again in the plainest way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from hypothesis import strategies as st

from extproc.postgres.framing import run

CAP = 1 << 24
FRAGMENTS = [
    b"4111 1111 1111 1111", b"4111111111111111", b"123-45-6789", b"jane@example.com", b"a%40b.org", b"x@y.zz", b"@",
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-x", b"ghp_" + b"a1" * 18, b"AKIAIOSFODNN7EXAMPLE",
    b"DE89 3704 0044 0532 0130 00", b"-----BEGIN RSA PRIVATE KEY-----", b"-----END RSA PRIVATE KEY-----", b"eyJ",
    b"\\", b"\\n", b'"', b" ", b".", b"%40", b"%", b"1", b"0.", b"9", b"a", b"Z", b"-", b"\n", b",", b"\t", b"|", b"\r",
    b"\xc3\xa9", b"%20", b"A", b"example", b"com", b"_", b"+", b"'", b"{", b"}", b"\\.", b"\\N", b"/",
]  # fmt: skip
# 46 to 58 bytes, 92 and 1: lengths that look like a dot, a digit, a backslash and its stand-in.
_FILL = [b"x" * size for size in (33, 36, 39, 40, 46, 76, 300, 4100)]
texts = st.lists(st.sampled_from(FRAGMENTS + _FILL), max_size=6).map(b"".join)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def row(fields: Iterable[bytes | None]) -> bytes:
    values = list(fields)
    parts = [struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in values]
    return message(b"D", struct.pack("!H", len(values)) + b"".join(parts))


def bodies(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        size = int.from_bytes(stream[at + 1 : at + 5], "big")
        assert at + 1 + size <= len(stream)
        yield stream[at + 5 : at + 1 + size]
        at += 1 + size


def rows(stream: bytes) -> list[list[bytes | None]]:
    """The fields of DataRow messages; fails where anything does not fit."""
    found = []
    for body in bodies(stream):
        fields: list[bytes | None] = []
        at = 2
        for _ in range(int.from_bytes(body[:2], "big")):
            size = int.from_bytes(body[at : at + 4], "big", signed=True)
            fields.append(None if size < 0 else body[at + 4 : at + 4 + size])
            assert -1 <= size <= len(body) - at - 4
            at += 4 + max(size, 0)
        assert at == len(body)
        found.append(fields)
    return found


def ends(stream: bytes) -> list[int]:
    end, found = run(stream, 0, stream[0], CAP) if stream else (0, [])
    assert end == len(stream)
    return found


def in_batches(stream: bytes, sizes: Sequence[int]) -> Iterator[tuple[bytes, int, list[int]]]:
    """The same messages as reads of so many would bring them, each batch somewhere in its buffer."""
    all_ends, at, done = ends(stream), 0, 0
    for size in (*sizes, len(all_ends)):
        batch = all_ends[done : done + size]
        if batch:
            yield stream, at, batch
            at, done = batch[-1], done + len(batch)
