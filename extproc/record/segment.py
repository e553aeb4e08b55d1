"""
Segments on disk: a log is the files `<log name>-000001.seg`, `-000002.seg`, … in order.

    file    = "EXTPROC" | version u8 | record*
    record  = length u32 | CRC-32 of those four bytes u32 | previous hash 32 | hash 32 | content (chain.py)

`length` counts what follows the CRC. The CRC tells a damaged length from an incomplete last record: only the latter is
what a crash leaves behind. All numbers are big-endian.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from extproc.model import Event
from extproc.record.chain import HASH_SIZE, decode, link

VERSION: Final = 1
MAGIC: Final = b"EXTPROC" + bytes([VERSION])
MAX_RECORD: Final = 128 * 1024 * 1024  # bytes; more is damage, whatever the CRC says
_FRAME: Final = struct.Struct(">II")
_NAME: Final = re.compile(r"(?P<log>.+)-(?P<number>[0-9]{6,})\.seg")
_ZEROS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """An event whose own hash holds, at bytes `offset` to `end` of its file."""

    path: Path
    offset: int
    end: int
    event: Event


@dataclass(frozen=True, slots=True)
class Fault:
    """Something at `offset` that is no event. `torn`: the incomplete end that a crash leaves; all else is damage."""

    path: Path
    offset: int
    what: str
    torn: bool = False


def segment_path(folder: Path, log_name: str, number: int) -> Path:
    return folder / f"{log_name}-{number:06d}.seg"


def segments(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """Every log's segments in order. A folder that is not there has none."""
    found: dict[str, list[tuple[int, Path]]] = {}
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault(match["log"], []).append((int(match["number"]), folder / name))
    return {log: sorted(found[log]) for log in sorted(found)}


def frame(prev_hash: bytes, own_hash: bytes, content: bytes) -> bytes:
    """One record as it stands in a file."""
    length = (2 * HASH_SIZE + len(content)).to_bytes(4, "big")
    return b"".join((length, zlib.crc32(length).to_bytes(4, "big"), prev_hash, own_hash, content))


def read_segment(path: Path, start: int = 0) -> Iterator[Record | Fault]:
    """
    What stands in a segment from byte `start` (0: from its magic) to its end.

    A record that does not have its hash is a fault, and reading goes on behind it; a damaged length ends the reading.
    Raises `OSError`.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if start == 0:
            fault = _check_magic(path, file.read(len(MAGIC)))
            if fault is not None:
                yield fault
                return
            start = len(MAGIC)
        file.seek(start)
        yield from _records(path, file, start, size)


def read_log(files: list[tuple[int, Path]]) -> Iterator[Record | Fault]:
    """All segments of one log, one after the other. Raises `OSError`."""
    for _, path in files:
        yield from read_segment(path)


def _check_magic(path: Path, found: bytes) -> Fault | None:
    if found == MAGIC:
        return None
    if MAGIC.startswith(found) or not found.strip(b"\0"):
        return Fault(path, 0, "the file ends within its first bytes", torn=True)
    if found[:-1] == MAGIC[:-1]:
        return Fault(path, 0, f"version {found[-1]} of the format is not known here")
    return Fault(path, 0, "this is no segment")


def _records(path: Path, file: BinaryIO, offset: int, size: int) -> Iterator[Record | Fault]:
    while offset < size:
        head = file.read(_FRAME.size)
        length = _length(head)
        if length is None:
            yield _no_length(path, file, offset, head)
            return
        end = offset + _FRAME.size + length
        if end > size:
            yield Fault(path, offset, "the last record is incomplete", torn=True)
            return
        yield _record(path, offset, end, file.read(length))
        offset = end


def _length(head: bytes) -> int | None:
    if len(head) < _FRAME.size:
        return None
    length, check = _FRAME.unpack(head)
    if zlib.crc32(head[:4]) != check or not 2 * HASH_SIZE < length <= MAX_RECORD:
        return None
    return int(length)


def _no_length(path: Path, file: BinaryIO, offset: int, head: bytes) -> Fault:
    if len(head) < _FRAME.size:
        return Fault(path, offset, "the last record is incomplete", torn=True)
    # Some file systems give a file its new length before its bytes: after a crash its end reads as zeros.
    while not head.strip(b"\0"):
        head = file.read(_ZEROS)
        if not head:
            return Fault(path, offset, "the file ends in zeros", torn=True)
    return Fault(path, offset, "a record's length is damaged; what follows cannot be read")


def _record(path: Path, offset: int, end: int, data: bytes) -> Record | Fault:
    prev_hash, own_hash, content = data[:HASH_SIZE], data[HASH_SIZE : 2 * HASH_SIZE], data[2 * HASH_SIZE :]
    if link(prev_hash, content) != own_hash:
        return Fault(path, offset, "the record does not have the hash that it states")
    event: Event | None
    try:
        seq, time, session, exchange, kind, payload, blob = decode(content)
        names = (session.decode(), exchange.decode())
        event = Event(*names, seq, time, kind.decode(), orjson.loads(payload), blob, prev_hash, own_hash)
    except ValueError:
        event = None
    if event is None or not isinstance(event.payload, dict) or not math.isfinite(event.time) or event.seq >= 1 << 63:
        return Fault(path, offset, "the record cannot be read, though it has its hash")
    return Record(path, offset, end, event)
