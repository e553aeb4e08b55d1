from __future__ import annotations

import os
from pathlib import Path

import pytest

from extproc.record.segment import MAGIC, Fault, Record, segments
from tests.unit.record.logs import items, records, write


def last_fault(folder: Path) -> Fault:
    found = items(folder)[-1]
    assert isinstance(found, Fault)
    return found


def test_every_cut_within_the_last_record_is_a_torn_end_and_loses_only_that_record(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    last = records(tmp_path)[-1]
    for size in range(last.end - 1, last.offset, -7):
        os.truncate(path, size)
        assert len(records(tmp_path)) == 2
        fault = last_fault(tmp_path)
        assert fault.torn
        assert fault.offset == last.offset


@pytest.mark.parametrize("size", [0, 3, len(MAGIC)])
def test_a_file_that_ends_before_its_first_record_holds_nothing_and_no_damage(tmp_path: Path, size: int) -> None:
    os.truncate(write(tmp_path, 1), size)
    assert all(isinstance(item, Fault) and item.torn for item in items(tmp_path))


def test_an_end_of_zeros_is_torn(tmp_path: Path) -> None:
    path = write(tmp_path, 2)
    with path.open("ab") as file:
        file.write(bytes(200_000))
    assert len(records(tmp_path)) == 2
    assert last_fault(tmp_path).torn


def test_zeros_with_something_behind_them_are_damage(tmp_path: Path) -> None:
    path = write(tmp_path, 2)
    with path.open("ab") as file:
        file.write(bytes(100_000) + b"x")
    assert not last_fault(tmp_path).torn


def test_every_flipped_bit_is_damage_and_never_a_torn_end(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ (1 << position % 8)]) + whole[position + 1 :])
        faults = [item for item in items(tmp_path) if isinstance(item, Fault)]
        assert faults, position
        assert not any(fault.torn for fault in faults), position
        assert faults[0].offset <= position
        assert faults[0].path == path


def test_a_damaged_record_does_not_hide_those_behind_it(tmp_path: Path) -> None:
    path = write(tmp_path, 3)
    middle = records(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[middle.end - 1] ^= 1
    path.write_bytes(data)
    assert [type(item) for item in items(tmp_path)] == [Record, Fault, Record]


def test_a_later_format_is_named_and_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    path.write_bytes(MAGIC[:-1] + b"\x09" + path.read_bytes()[len(MAGIC) :])
    assert "version 9" in last_fault(tmp_path).what


def test_segments_are_ordered_by_number_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("a-000002.seg", "a-000010.seg", "a-000001.seg", "a-1000000.seg", "b-b-000001.seg", "notes.txt"):
        (tmp_path / name).touch()
    found = segments(tmp_path)
    assert list(found) == ["a", "b-b"]
    assert [number for number, _ in found["a"]] == [1, 2, 10, 1_000_000]
    assert segments(tmp_path / "missing") == {}
