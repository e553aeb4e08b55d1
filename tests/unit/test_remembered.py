"""The last ones that were asked for, and no more."""

from __future__ import annotations

import pytest

from extproc.remembered import Remembered


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    known: Remembered[str, int] = Remembered(2)
    known.put("a", 1)
    known.put("b", 2)
    assert known.get("a") == 1
    assert known.put("c", 3) == 3
    assert [known.get(name) for name in "abc"] == [1, None, 3]
    assert len(known) == 2


def test_what_is_put_again_takes_no_other_place() -> None:
    known: Remembered[str, int] = Remembered(2)
    for value in (1, 2, 3):
        known.put("a", value)
    known.put("b", 4)
    assert (known.get("a"), known.get("b"), len(known)) == (3, 4, 2)


def test_one_or_all_are_forgotten() -> None:
    known: Remembered[str, int] = Remembered(9)
    for number, name in enumerate("abc"):
        known.put(name, number)
    known.forget("b")
    assert [known.get(name) for name in "abc"] == [0, None, 2]
    with pytest.raises(KeyError):
        known.forget("b")
    known.clear()
    assert not known
