"""
A walk over streamed JSON: strict grammar (RFC 8259), bounded depth, no tree.

Takes one value, or many: one a line (NDJSON), or after record separators (RFC 7464). What no rule can touch is passed
over many members at a time; the rest goes token by token, and a subclass is told where names and values begin and end.
"""

from __future__ import annotations

import re
from typing import Any, Final

from extproc.errors import Refusal
from extproc.redact import json_syntax as syntax

MAX_DEPTH: Final = 512
# Bytes of a name or number, as written. Nothing longer is passed over either, so that both ways refuse the same.
TOKEN_CAP: Final = 64 * 1024

_OBJECT, _ARRAY, _QUOTE = 0x7B, 0x5B, 0x22
_CLOSES: Final = {0x7D: _OBJECT, 0x5D: _ARRAY}
_BOM: Final = b"\xef\xbb\xbf"
# Where the walk stands: what has to come next.
TOP, VALUE, FIRST_VALUE, NAME, FIRST_NAME, COLON, AFTER, INSIDE = range(8)


def malformed() -> Refusal:
    return Refusal("response_malformed", "the JSON is not well-formed")


class JsonWalk:
    """The walk. `buffer[:at]` has been read; `stack` holds the open `{` and `[`."""

    def __init__(self, candidates: Any) -> None:
        self._candidates = candidates  # finds names that may matter, or None: every name may
        self.buffer = b""
        self.at = 0
        self.stack = b""
        self.state = TOP
        self._end = False
        self._started = False
        self._candidate = -1

    # --- what a subclass is told

    def on_name(self, raw: bytes) -> None:
        """A member's name, still escaped."""

    def on_value(self, first: int, text: bytes) -> None:
        """A value begins at `at`, with the byte `first`; `text` is a whole scalar or string, where known."""

    def on_value_end(self) -> None:
        """A value ends before `at`; `stack` is what it stands in."""

    def wants_string(self) -> bool:
        """Whether a string that begins here must be whole before `on_value`."""
        return False

    def bulk(self) -> Any:
        """The pattern that may pass over members here, or None."""
        return syntax.BULK_MEMBERS if self.stack[-1] == _OBJECT else syntax.BULK_VALUES

    def careless(self) -> bool:
        """Whether no name matters here."""
        return False

    # --- the walk

    def walk(self, data: bytes, *, end: bool) -> None:
        """Read on as far as tokens are whole. Raises `Refusal("response_malformed")`."""
        self.buffer = self.buffer[self.at :] + data
        self.at = 0
        self._end = end
        self._candidate = -1
        if not self._started and not self._start():
            return
        while self._step():
            pass
        if end and (self.at < len(self.buffer) or self.stack or self.state != TOP):
            raise malformed()

    def _start(self) -> bool:
        """Pass over a byte order mark, which RFC 8259 8.1 allows a parser to ignore."""
        if not self._end and len(self.buffer) < len(_BOM) and _BOM.startswith(self.buffer):
            return False
        self._started = True
        if self.buffer.startswith(_BOM):
            self.at = len(_BOM)
        return True

    def _step(self) -> bool:
        """One token; False where more bytes are needed."""
        if self.state == INSIDE:
            return self._inside()
        space = syntax.SPACE if self.stack else syntax.TOP_SPACE
        found = space.match(self.buffer, self.at)
        self.at = found.end() if found else self.at
        if self.at == len(self.buffer):
            return False
        if self.state in (NAME, FIRST_NAME, VALUE, FIRST_VALUE) and self._pass_over():
            return self.at < len(self.buffer)
        byte = self.buffer[self.at]
        if self.state in (AFTER, FIRST_NAME, FIRST_VALUE) and byte in _CLOSES:
            return self._close(byte)
        if self.state in (NAME, FIRST_NAME):
            return self._name()
        if self.state == COLON:
            return self._sign(byte, b":", VALUE)
        if self.state == AFTER:
            return self._sign(byte, b",", NAME if self.stack[-1] == _OBJECT else VALUE)
        return self._value(byte)

    def _sign(self, byte: int, wanted: bytes, state: int) -> bool:
        if byte != wanted[0]:
            raise malformed()
        self.at += 1
        self.state = state
        return True

    def _pass_over(self) -> bool:
        """Take as many members as no rule can touch; False where there is none."""
        if len(self.stack) + syntax.BULK_DEPTH >= MAX_DEPTH or (pattern := self.bulk()) is None:
            return False
        limit = len(self.buffer) if self.careless() else self._next_candidate()
        limit = min(limit, self.at + TOKEN_CAP)
        if self.buffer.find(b"}" if pattern is syntax.BULK_OBJECTS else b",", self.at, limit) < 0:
            return False
        found = pattern.match(self.buffer, self.at, limit)
        if found is None or found.end() == self.at:
            return False
        self.at = found.end()
        self.state = NAME if self.stack[-1] == _OBJECT else VALUE
        return True

    def _next_candidate(self) -> int:
        if self._candidates is None:
            return self.at
        if self._candidate < self.at:
            found = self._candidates.search(self.buffer, self.at)
            self._candidate = found.start() if found else len(self.buffer)
        return self._candidate

    def _string(self) -> bytes | None:
        """The whole string at `at`, still escaped and without its quotes; None where more bytes are needed."""
        found = syntax.INSIDE.match(self.buffer, self.at + 1)
        stop = found.end() if found else self.at + 1
        if stop - self.at > TOKEN_CAP:
            raise malformed()
        if self._unfinished(stop):
            return None
        return self.buffer[self.at + 1 : stop]

    def _unfinished(self, stop: int) -> bool:
        """Whether a string's inside that was read up to `stop` goes on; else a quote stands there."""
        if self.buffer[stop : stop + 1] == b'"':
            return False
        if syntax.PARTIAL_ESCAPE.fullmatch(self.buffer, stop) is None:
            raise malformed()
        return True

    def _name(self) -> bool:
        if self.buffer[self.at] != _QUOTE:
            raise malformed()
        if (found := syntax.MEMBER.match(self.buffer, self.at)) is not None and found.end() - self.at <= TOKEN_CAP:
            self._member(found)
            return True
        raw = self._string()
        if raw is None:
            return False
        self.at += len(raw) + 2
        self.state = COLON
        self.on_name(raw)
        return True

    def _member(self, found: re.Match[bytes]) -> None:
        """A name and a scalar in one go: the same events as one by one."""
        self.at = found.start(2)
        self.on_name(found[1])
        first = self.buffer[self.at]
        self.on_value(first, b"" if first == _QUOTE else found[2])
        self.at = found.end()
        self._ended()

    def _value(self, byte: int) -> bool:
        if byte in (_OBJECT, _ARRAY):
            self.on_value(byte, b"")
            if len(self.stack) == MAX_DEPTH:
                raise malformed()
            self.stack += bytes((byte,))
            self.at += 1
            self.state = FIRST_NAME if byte == _OBJECT else FIRST_VALUE
            return True
        if byte == _QUOTE:
            return self._string_value()
        return self._scalar(byte)

    def _string_value(self) -> bool:
        text = b""
        if self.wants_string():
            whole = self._string()
            if whole is None:
                return False
            text = whole
        self.on_value(_QUOTE, text)
        self.at += 1
        self.state = INSIDE
        return True

    def _inside(self) -> bool:
        found = syntax.INSIDE.match(self.buffer, self.at)
        self.at = found.end() if found else self.at
        if self._unfinished(self.at):
            return False
        self.at += 1
        self._ended()
        return True

    def _scalar(self, byte: int) -> bool:
        found = syntax.SCALAR_RUN.match(self.buffer, self.at)
        if found is None or len(found[0]) > TOKEN_CAP:
            raise malformed()
        if found.end() == len(self.buffer) and not self._end:
            return False
        if syntax.SCALAR.fullmatch(found[0]) is None:
            raise malformed()
        self.on_value(byte, found[0])
        self.at = found.end()
        self._ended()
        return True

    def _close(self, byte: int) -> bool:
        if self.stack[-1] != _CLOSES[byte]:
            raise malformed()
        self.stack = self.stack[:-1]
        self.at += 1
        self._ended()
        return True

    def _ended(self) -> None:
        self.state = AFTER if self.stack else TOP
        self.on_value_end()
