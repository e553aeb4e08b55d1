"""
Where the next commit runs: on the event loop while the disk is quick, in a thread when it is not.

A thread's time says little: to go on it waits for the interpreter, 5 ms at a time while the loop is busy. Taken for the
disk's, it kept commits in the thread for ever once one had been slow, which cost 8 ms per statement where 1 was enough.
So commits are tried on the loop again now and then, where what a thread takes lets hope.
"""

from __future__ import annotations

from typing import Final

INLINE_BELOW: Final = 0.002  # seconds a commit may take, on average, and still run on the loop
TRY_BELOW: Final = 0.02  # seconds in a thread that may be quick without it; a try holds up everybody as long at worst
TRY_EVERY: Final = 1.0  # seconds
_SMOOTHING: Final = 0.2


class Pace:
    """`now` is in seconds of a clock that only goes forwards. Used by the loop's thread and the commit's in turns."""

    def __init__(self) -> None:
        self._seconds = 0.0  # what a commit takes, smoothed
        self._tried = float("-inf")

    def inline(self, now: float) -> bool:
        if self._seconds < INLINE_BELOW:
            self._tried = now
            return True
        if self._seconds < TRY_BELOW and now - self._tried >= TRY_EVERY:
            self._tried = now
            return True
        return False

    def took(self, seconds: float, *, inline: bool) -> None:
        if inline and seconds < INLINE_BELOW <= self._seconds:
            self._seconds = seconds  # a try that went well
        else:
            self._seconds += _SMOOTHING * (seconds - self._seconds)
