from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from extproc.record.chain import Content, Verdict, decode, encode, genesis, verify
from tests.unit.record.logs import events, write

CONTENT = Content(1, 2.5, b"s", b"x", b"k", b"{}", b"blob")


def test_content_comes_back_as_it_was_encoded() -> None:
    assert decode(encode(CONTENT)) == CONTENT


def test_two_events_that_differ_only_in_where_a_text_ends_have_different_content() -> None:
    one = CONTENT._replace(session=b"ab", exchange=b"c")
    other = CONTENT._replace(session=b"a", exchange=b"bc")
    assert encode(one) != encode(other)


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:10]])
def test_content_with_bytes_too_many_or_too_few_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=r"shorter|add up"):
        decode(change(encode(CONTENT)))


def test_an_unbroken_run_verifies(tmp_path: Path) -> None:
    write(tmp_path, 4)
    found = events(tmp_path)
    assert verify(found, prev_hash=genesis("worker-0-aa")) == Verdict(4, found[-1].hash)


def test_a_changed_removed_or_swapped_event_is_found_where_it_stands(tmp_path: Path) -> None:
    write(tmp_path, 4)
    found = events(tmp_path)
    changed = dataclasses.replace(found[1], payload={"n": 99})
    for bad in (
        [found[0], changed, *found[2:]],
        [found[0], *found[2:]],
        [found[0], found[2], found[1], found[3]],
        [found[0], dataclasses.replace(found[1], blob=b"x"), *found[2:]],
    ):
        verdict = verify(bad, prev_hash=genesis("worker-0-aa"))
        assert verdict.checked == 1
        assert verdict.problem


def test_one_log_cannot_pass_for_another(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert "link" in verify(events(tmp_path), prev_hash=genesis("worker-1-aa")).problem
