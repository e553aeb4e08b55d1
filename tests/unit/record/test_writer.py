from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from extproc.record.chain import genesis, verify
from extproc.record.segment import segments
from extproc.record.writer import Entry, SegmentWriter
from tests.unit.record.logs import events, items

NAME = "worker-0-aa"


def entries(count: int = 1, blob: bytes = b"") -> list[Entry]:
    return [Entry(1.0, b"s", b"x", b"k", b"{}", blob)] * count


def whole(folder: Path) -> int:
    """How many events the log holds, and that they are an unbroken chain."""
    found = events(folder)
    verdict = verify(found, prev_hash=genesis(NAME))
    assert not verdict.problem
    return verdict.checked


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    real = getattr(os, name)

    def broken(*args: object) -> object:
        monkeypatch.setattr(os, name, real)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, broken)


def test_segments_rotate_and_the_chain_goes_on(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, NAME, segment_size=2000)
    for _ in range(10):
        writer.commit(entries(3, bytes(100)))
    writer.close()
    files = segments(tmp_path)[NAME]
    assert [number for number, _ in files] == list(range(1, len(files) + 1))
    assert len(files) > 3
    assert all(path.stat().st_size <= 2000 for _, path in files)
    assert whole(tmp_path) == 30


def test_a_group_larger_than_a_segment_stays_whole(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, NAME, segment_size=500)
    writer.commit(entries(20, bytes(100)))
    writer.commit(entries(1))
    writer.close()
    assert len(segments(tmp_path)[NAME]) == 2
    assert whole(tmp_path) == 21


def test_nobody_else_can_read_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir(mode=0o755)
    writer = SegmentWriter(folder, NAME)
    writer.commit(entries())
    writer.close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{NAME}-000001.seg").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("call", "number"), [("fdatasync", errno.EIO), ("write", errno.ENOSPC)])
def test_after_a_failure_the_old_file_is_cut_and_never_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    writer = SegmentWriter(tmp_path, NAME)
    writer.commit(entries(2))
    first = tmp_path / f"{NAME}-000001.seg"
    before = first.read_bytes()
    fail_once(monkeypatch, call, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        writer.commit(entries(5))
    assert first.read_bytes() == before
    writer.commit(entries(1))
    writer.close()
    assert first.read_bytes() == before
    assert len(segments(tmp_path)[NAME]) == 2
    assert whole(tmp_path) == 3


def test_a_write_that_ends_early_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, NAME)
    writer.commit(entries(1))
    real, calls = os.write, 0

    def full(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[:10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        writer.commit(entries(1))
    assert calls == 2
    monkeypatch.undo()
    writer.commit(entries(1))
    writer.close()
    assert whole(tmp_path) == 2


def test_a_failure_in_the_first_group_of_a_segment_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path, NAME)
    fail_once(monkeypatch, "fdatasync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        writer.commit(entries(1))
    assert items(tmp_path) == []
    assert segments(tmp_path) == {}
    writer.commit(entries(1))
    writer.close()
    assert whole(tmp_path) == 1


def test_nothing_is_written_until_what_was_given_up_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path, NAME)
    writer.commit(entries(1))

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(os, "ftruncate", broken)
    with pytest.raises(OSError, match="broken"):
        writer.commit(entries(1))
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    with pytest.raises(OSError, match="broken"):
        writer.commit(entries(1))  # the cut still fails
    assert len(segments(tmp_path)[NAME]) == 1
    monkeypatch.undo()
    writer.commit(entries(1))
    writer.close()
    assert whole(tmp_path) == 2


def test_a_log_that_is_already_there_is_continued_in_a_new_segment(tmp_path: Path) -> None:
    for _ in range(2):
        writer = SegmentWriter(tmp_path, NAME)
        writer.commit(entries(2))
        writer.close()
    assert len(segments(tmp_path)[NAME]) == 2
    assert whole(tmp_path) == 4
