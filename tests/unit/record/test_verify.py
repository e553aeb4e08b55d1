from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.record.cursor import Head
from extproc.record.index import Index
from extproc.record.segment import segments
from extproc.record.verify import Report, verify
from extproc.record.writer import Entry, SegmentWriter
from tests.unit.record.logs import open_log, records, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of three segments, and one of one."""
    folder = tmp_path / "records"
    writer = SegmentWriter(folder, "worker-0-aa", segment_size=800)
    for number in range(12):
        writer.commit([Entry(1.0, b"s", b"x", b"k", b'{"n":%d}' % number, bytes(50))])
    writer.close()
    write(folder, 3, "worker-1-bb")
    assert len(segments(folder)["worker-0-aa"]) == 3
    return folder


@pytest.fixture
def heads(tmp_path: Path, folder: Path) -> Iterator[dict[str, Head]]:
    index = Index(tmp_path / "index.db", folder)
    index.update()
    yield index.heads()
    index.close()


def check(folder: Path, heads: dict[str, Head] | None = None) -> Report:
    return verify(folder, heads=heads or {})


def test_whole_logs_verify(folder: Path, heads: dict[str, Head]) -> None:
    report = check(folder, heads)
    assert (report.logs, report.segments, report.events) == (2, 4, 15)
    assert report.problems == report.torn == []
    assert verify(folder, heads={}, logs={"worker-1-bb"}).events == 3


def test_a_bit_flipped_anywhere_is_a_problem_with_its_file_and_place(folder: Path) -> None:
    random.seed(2)
    for _, path in segments(folder)["worker-0-aa"]:
        whole = path.read_bytes()
        for position in random.sample(range(len(whole)), 60):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
            first = check(folder).problems[0]
            assert first.file == path.name
            assert first.offset <= position
        path.write_bytes(whole)


def test_a_record_that_was_removed_repeated_or_swapped_is_a_problem(folder: Path) -> None:
    path = segments(folder)["worker-0-aa"][1][1]
    whole = path.read_bytes()
    found = [r for r in records(folder) if r.path == path]
    cut = [whole[r.offset : r.end] for r in found]
    head = whole[: found[0].offset]
    for changed in (cut[1:], [cut[0], *cut[2:]], [cut[0], cut[0], *cut[1:]], [cut[1], cut[0], *cut[2:]]):
        path.write_bytes(head + b"".join(changed))
        assert check(folder).problems, len(changed)
    path.write_bytes(whole)
    assert not check(folder).problems


def test_a_segment_that_was_removed_or_swapped_is_a_problem(folder: Path) -> None:
    one, two, _ = (path for _, path in segments(folder)["worker-0-aa"])
    kept = two.read_bytes()
    two.unlink()
    assert check(folder).problems
    shutil.copy(one, two)
    assert check(folder).problems
    two.write_bytes(kept)
    assert not check(folder).problems


def test_a_log_under_another_name_is_a_problem(folder: Path) -> None:
    (folder / "worker-1-bb-000001.seg").rename(folder / "worker-9-zz-000001.seg")
    assert check(folder).problems


def test_a_tail_cut_at_an_event_is_found_by_what_the_index_remembers(folder: Path, heads: dict[str, Head]) -> None:
    last = records(folder)[-1]
    with last.path.open("r+b") as file:
        file.truncate(last.offset)
    assert not check(folder).problems
    assert [p.file for p in check(folder, heads).problems] == [last.path.name]


def test_a_log_written_anew_is_found_by_what_the_index_remembers(folder: Path, heads: dict[str, Head]) -> None:
    (folder / "worker-1-bb-000001.seg").unlink()
    log = open_log(folder, "worker-1-bb")
    for number in range(3):
        log.append("s-1", f"x-{number}", "request.attempt", {"n": number, "summary": f"PUT /{number}"})
        log.flush()
    log.close()
    assert not check(folder).problems
    assert any("not the one indexed" in p.what for p in check(folder, heads).problems)


def test_a_log_that_vanished_is_found_by_what_the_index_remembers(folder: Path, heads: dict[str, Head]) -> None:
    (folder / "worker-1-bb-000001.seg").unlink()
    assert [p.what for p in check(folder, heads).problems] == ["the file is gone"]


def test_an_incomplete_end_is_told_and_is_no_problem(folder: Path) -> None:
    path = folder / "worker-1-bb-000001.seg"
    path.write_bytes(path.read_bytes()[:-3])
    report = check(folder)
    assert report.problems == []
    assert [torn.file for torn in report.torn] == [path.name]
    assert report.document()["ok"] is True


def test_events_that_a_disk_did_not_take_are_counted(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append("-", "-", "log.resumed", {"lost": 3})
    log.close()
    assert check(tmp_path).lost == 3
