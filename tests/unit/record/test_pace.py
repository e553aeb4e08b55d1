from __future__ import annotations

from extproc.record.pace import INLINE_BELOW, TRY_BELOW, TRY_EVERY, Pace

QUICK, SLOW, STUCK = INLINE_BELOW / 4, TRY_BELOW / 2, TRY_BELOW * 4


def paced(*commits: tuple[float, float], each: float = 0.01) -> list[bool]:
    """Whether each commit ran on the loop; of a pair the seconds that it takes there, and in a thread."""
    pace, now, found = Pace(), 0.0, []
    for there, in_thread in commits:
        inline = pace.inline(now)
        found.append(inline)
        pace.took(there if inline else in_thread, inline=inline)
        now += each
    return found


def test_a_quick_disk_is_waited_for() -> None:
    assert all(paced(*[(QUICK, SLOW)] * 500))


def test_one_slow_commit_among_quick_ones_is_no_slow_disk() -> None:
    assert all(paced(*[(QUICK, SLOW)] * 10, (4 * INLINE_BELOW, SLOW), *[(QUICK, SLOW)] * 10))


def test_a_disk_that_was_slow_for_a_while_is_waited_for_again() -> None:
    found = paced(*[(STUCK, SLOW)] * 3, *[(QUICK, SLOW)] * 300)
    first = found.index(False)
    again = found.index(True, first)
    assert TRY_EVERY <= (again - first + 1) * 0.01 <= TRY_EVERY + 0.5
    assert all(found[again:])


def test_a_slow_disk_holds_up_everybody_once_a_second_at_most() -> None:
    found = paced(*[(SLOW, SLOW)] * 1000)
    assert sum(found) <= 15


def test_a_disk_that_is_stuck_is_not_tried() -> None:
    assert sum(paced(*[(STUCK, STUCK)] * 1000)) == 1
