"""
Where in a batch of messages a value may begin that a detector would find.

One search over the whole batch, with the detectors' own triggers (`redact/detectors.py`), instead of one for each
field. On the wire a field stands behind its length, an int32 whose last byte may be a digit or a dot, so triggers that
ask for something else before a value are relaxed there. What is found is a superset: fields that hold a candidate are
looked at by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from extproc.redact.detectors import DETECTORS, finder

LARGE: Final = 4096  # bytes of a message from which on its fields must be looked at, candidates or not

# What a trigger asks for before a value, and the lengths (of fields below 4096 bytes) that would not do.
_RELAXED: Final = {
    "ssn": (rb"[^0-9]", rb"\x00\x00[\x00-\x0f][0-9]"),
    "credit_card": (rb"(?:[^0-9.]|[^0-9]\.)", rb"\x00\x00[\x00-\x0f](?:[0-9]\.?|\.)"),
}
_JSON_ESCAPE: Final = rb"\\u"  # may hide anything, and only a parser of JSON tells
# As the trigger of `email`, but for the byte before. A pattern that begins with one plain byte is fast in `re`.
_SIGN: Final = re.compile(rb"@[A-Za-z0-9]")
_ENCODED: Final = re.compile(rb"%40[A-Za-z0-9]")


class Candidates:
    """
    `addresses`: places of one byte before each `@` or `%40`, which are cheap to find and most of what is found.
    `others`: places where any other trigger begins, at least one in each field that holds one, or in its length.
    """

    def __init__(self, names: Collection[str], *, json: bool = False, escapes: bytes = b"") -> None:
        self._email = "email" in names
        triggers = [_relaxed(name, DETECTORS[name].trigger) for name in sorted(names) if name != "email"]
        triggers += [_JSON_ESCAPE] * json + [escapes] * bool(escapes)
        self._others = finder(b"|".join(b"(?:" + one + b")" for one in triggers)) if triggers else None

    def addresses(self, buffer: bytes, start: int, end: int) -> list[int]:
        """Places of the byte before the sign, in order."""
        if not self._email:
            return []
        found = [sign.start() - 1 for sign in _SIGN.finditer(buffer, start + 1, end)]
        if buffer.find(b"%40", start, end) >= 0:
            found += [sign.start() - 1 for sign in _ENCODED.finditer(buffer, start + 1, end)]
            found.sort()
        return found

    def others(self, buffer: bytes, start: int, end: int) -> list[int]:
        if self._others is None:
            return []
        found: list[int] = []
        first, append = self._others, found.append
        while True:
            # Matches never go beyond a field: behind each stands a length, of bytes that no value contains.
            at, start = first(buffer, start, end)
            if at < 0:
                return found
            append(at)


def _relaxed(name: str, trigger: bytes) -> bytes:
    if name not in _RELAXED:
        return trigger
    before, length = _RELAXED[name]
    if not trigger.startswith(before):
        raise ValueError("a trigger that is not known here")
    return b"(?:" + before + b"|" + length + b")" + trigger.removeprefix(before)
