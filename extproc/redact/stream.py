"""
Detectors over a stream.

No value (but a private key) contains a byte outside `[A-Za-z0-9 ._%+@-]`, so everything up to the last such byte is
decided and goes out at once. Where none comes for long, everything is decided that has `LOOKAHEAD` bytes after it. Both
rules ask only about bytes at fixed places, so that the result does not depend on how the stream was cut.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from extproc.errors import Refusal
from extproc.model import Strategy
from extproc.redact.checks import PEM_END, PEM_END_MAX
from extproc.redact.detectors import CONTEXT, LOOKAHEAD, LOOKBEHIND, TAIL, Hit, search_for
from extproc.redact.escapes import JsonUnescape, escape
from extproc.redact.strategies import MASK, VALUE_CAP, replacement

_INSIDE: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._%+@-"
# A space can stand in a value only after a digit or a capital (card, IBAN, the BEGIN line).
_SPACE: Final = re.compile(rb".*[^0-9A-Z] ", re.DOTALL)
_WIDE: Final = (b"\xfe\xff", b"\xff\xfe")


class DetectorFilter:
    """
    Replaces what the named detectors find. `counts` says how many of each.

    `json`: the text is JSON; escape sequences of printable ASCII come out as the character, a card number that is a
    number becomes 0. A private key, and a value longer than `VALUE_CAP`, is masked whatever the strategy (but drop).
    Raises `Refusal("response_malformed")` for UTF-16, NUL, and what cannot stand in JSON. Holds at most about 30 KiB.
    """

    def __init__(self, names: Collection[str], strategy: Strategy, *, key: bytes, json: bool) -> None:
        self._search = search_for(frozenset(names))
        self._strategy = strategy
        self._key = key
        self._json = JsonUnescape() if json else None
        self._head = b""
        self._buffer = CONTEXT  # two bytes that have gone out, then what is not decided
        self._at = 0  # where in the buffer the search goes on
        self._swallow: re.Pattern[bytes] | None = None
        self._in_string = False
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        self._refuse_wide(data)
        text = data if self._json is None else self._json.feed(data, end=end)
        self._buffer += text
        pieces = list(self._decided(end=end))
        out = b"".join(pieces)
        if self._json is not None and self._json.seen:
            out = escape(out)
        if out:
            yield out

    def _refuse_wide(self, data: bytes) -> None:
        if len(self._head) < 2:
            self._head += data[: 2 - len(self._head)]
            if self._head in _WIDE:
                raise Refusal("response_malformed", "the text is UTF-16")
        if b"\0" in data:
            raise Refusal("response_malformed", "the text contains NUL")

    def _decided(self, *, end: bool) -> Iterator[bytes]:
        """What may go on. Leaves the rest in the buffer, after two bytes of context."""
        text, done = self._buffer, len(CONTEXT)
        if self._swallow is not None:
            done = self._swallowed(text, done, end=end)
            self._at = done - len(CONTEXT)
        if self._swallow is None:
            limit, safe = _bounds(text, done, end=end)
            at = self._at
            if limit > done:
                self._at = limit - len(CONTEXT)
                for hit in self._search.hits(text, at, done, limit, complete=end):
                    yield self._plain(text[done : hit.start])
                    done = hit.start
                    if hit.open and not self._too_long(hit):
                        self._at = safe = done  # more of it may come, and its strategy wants to see it whole
                        break
                    yield self._replace(hit, text)
                    done = hit.end
                    if hit.open:
                        break
            if self._swallow is None and safe > done:
                yield self._plain(text[done:safe])
                done = safe
        if self._swallow is PEM_END:
            done = max(done, len(text) - PEM_END_MAX)  # the END line may come in pieces
        self._buffer = text[done - len(CONTEXT) :]
        self._at = max(self._at - (done - len(CONTEXT)), 0)

    def _plain(self, text: bytes) -> bytes:
        if self._json is not None and text.count(b'"') % 2:
            self._in_string = not self._in_string
        return text

    def _too_long(self, hit: Hit) -> bool:
        return hit.detector.name == "private_key" or hit.end - hit.start > VALUE_CAP

    def _replace(self, hit: Hit, text: bytes) -> bytes:
        name = hit.detector.name
        self.counts[name] = self.counts.get(name, 0) + 1
        if hit.open:
            self._swallow = TAIL if hit.detector.tail else PEM_END
        if name == "credit_card" and self._json is not None and not self._in_string:
            return b"0"
        if self._too_long(hit):
            return b"" if self._strategy == "drop" else MASK
        return replacement(self._strategy, text[hit.start : hit.end], self._key)

    def _swallowed(self, text: bytes, done: int, *, end: bool) -> int:
        """Skip what still belongs to a value that has been replaced already; where it ends."""
        if self._swallow is PEM_END:
            found = PEM_END.search(text, len(CONTEXT))
            if found is None:
                return len(text) if end else done
            self._swallow = None
            return found.end()
        tail = TAIL.match(text, done)
        done = tail.end() if tail else done
        if end or text[done:] not in (b"", b"."):
            self._swallow = None
        return done


def _bounds(text: bytes, start: int, *, end: bool) -> tuple[int, int]:
    """`(limit, safe)`: values that begin before `limit` are decided, bytes before `safe` belong to no later one."""
    if end:
        return len(text), len(text)
    last = max(len(text.rstrip(_INSIDE)), start)
    space = _SPACE.match(text, last - 1)
    if space is not None:
        last = space.end()
    if len(text) - last <= 2 * LOOKAHEAD:
        return last, last
    limit = len(text) - LOOKAHEAD
    return limit, limit - LOOKBEHIND
