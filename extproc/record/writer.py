"""
Writes a log's segments: one call, one group of events, one fdatasync. Blocking; used by one thread at a time.

What a failed write or sync leaves behind is cut off, and the file gets no further event: after a failed fsync the
kernel may have dropped the dirty pages and report success next time (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from extproc.record.chain import Content, encode, genesis, link
from extproc.record.segment import MAGIC, Record, frame, read_segment, segment_path, segments

SEGMENT_SIZE: Final = 64 * 1024 * 1024  # bytes; a group that is larger by itself still stays in one file
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Entry(NamedTuple):
    """An event before it has its place in the log. Texts are UTF-8, `payload` is canonical JSON."""

    time: float
    session: bytes
    exchange: bytes
    kind: bytes
    payload: bytes
    blob: bytes


class SegmentWriter:
    """
    `commit` returns when its events are on disk, and raises when none of them counts as written.

    A log of that name that is already there is continued, in a new segment. Raises `OSError` where the folder cannot
    be made or read.
    """

    def __init__(self, folder: Path, log_name: str, *, segment_size: int = SEGMENT_SIZE) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        _sync_folder(folder.parent)
        self._folder = folder
        self._log_name = log_name
        self._segment_size = segment_size
        self._number, self._seq, self._hash = _last_of(folder, log_name)
        self._fd = -1
        self._path = folder
        self._offset = 0  # durable bytes of the open segment
        self._unclean: tuple[Path, int] | None = None  # a file to be cut back to so many bytes

    def commit(self, entries: Sequence[Entry]) -> None:
        """Raises `OSError`; the log ends then where it ended before, and the next call begins a new segment."""
        try:
            self._clean_up()
            data, last_hash = self._chained(entries)
            if self._fd < 0 or (self._offset > len(MAGIC) and self._offset + len(data) > self._segment_size):
                self._begin()
            _write_all(self._fd, data)
            os.fdatasync(self._fd)
        except BaseException:
            self._give_up()
            raise
        self._offset += len(data)
        self._seq += len(entries)
        self._hash = last_hash

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _chained(self, entries: Sequence[Entry]) -> tuple[bytes, bytes]:
        frames = []
        prev_hash = self._hash
        for seq, entry in enumerate(entries, self._seq + 1):
            content = encode(Content(seq, *entry))
            own_hash = link(prev_hash, content)
            frames.append(frame(prev_hash, own_hash, content))
            prev_hash = own_hash
        return b"".join(frames), prev_hash

    def _begin(self) -> None:
        """Open the next segment. Its name is durable before any event in it can be."""
        self.close()
        number = self._number + 1
        while (path := segment_path(self._folder, self._log_name, number)).exists():
            number += 1
        self._fd = os.open(path, _FLAGS, 0o600)
        self._path, self._number, self._offset = path, number, 0
        _write_all(self._fd, MAGIC)
        self._offset = len(MAGIC)
        _sync_folder(self._folder)

    def _give_up(self) -> None:
        """Never trust the open file again, and cut off what may stand in it behind its last durable event."""
        if self._fd < 0:
            return
        self._unclean = (self._path, self._offset)
        self.close()
        try:
            self._clean_up()
        except OSError:
            return  # tried again before the next event

    def _clean_up(self) -> None:
        # Events that were given up must not come back beside those that take their numbers.
        if self._unclean is None:
            return
        path, size = self._unclean
        if size <= len(MAGIC):
            path.unlink(missing_ok=True)
            _sync_folder(self._folder)
            self._number -= 1
        else:
            _cut(path, size)
        self._unclean = None


def _last_of(folder: Path, log_name: str) -> tuple[int, int, bytes]:
    """The number of a log's last segment, and the number and hash of its last event."""
    found = segments(folder).get(log_name, [])
    for _, path in reversed(found):
        last = None
        for item in read_segment(path):
            if isinstance(item, Record):
                last = item.event
        if last is not None:
            return found[-1][0], last.seq, last.hash
    return (found[-1][0] if found else 0), 0, genesis(log_name)


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    if written < len(data):
        rest = memoryview(data)
        while written < len(data):
            written += os.write(fd, rest[written:])


def _cut(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
