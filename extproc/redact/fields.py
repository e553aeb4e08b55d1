"""Masking members of JSON by their names, in a stream."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from extproc.model import Strategy
from extproc.redact import json_syntax as syntax
from extproc.redact.json_walk import VALUE, JsonWalk
from extproc.redact.strategies import MASK, VALUE_CAP, replacement
from extproc.redact.tables import HOLD_CAP, Table, unmaskable


class JsonFieldFilter(JsonWalk):
    """
    Replaces the whole value (but null) of every member whose name is in `names`, at any depth, by a string.

    Names are compared unescaped, ASCII letters in either case. `hash`, `token` and `partial` work on a string's text or
    a scalar's or container's JSON (`partial`: containers are masked). Cells of a table (`tables.py`) go by their
    column. Raises `Refusal` (response_malformed, response_unmaskable). Holds at most a token, `VALUE_CAP` and
    `HOLD_CAP` bytes.
    """

    def __init__(self, names: Collection[str], strategy: Strategy, *, key: bytes) -> None:
        self._names = frozenset(name.encode("utf-8", "surrogatepass").lower() for name in names)
        # A quote or backslash inside a name is always written escaped; such names are looked for one by one.
        odd = any(b'"' in name or b"\\" in name for name in self._names)
        super().__init__(None if odd else syntax.candidates(sorted({*self._names, b"rows", b"columns"})))
        self._strategy = strategy
        self._key = key
        self._table = Table(self._names)
        self._kept = 0  # where in the buffer begins what has not been taken to the output
        self._out: list[bytes] = []
        self._held: list[bytes] | None = None
        self._held_size = 0
        self._wanted: bytes | None = None  # the name whose value comes next, where it is to be masked
        self._muted: bytes | None = None  # the name whose value is being swallowed
        self._muted_depth = 0
        self._taken = b""
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        self._kept = 0
        self.walk(data, end=end)
        self._flush()
        out = b"".join(self._out)
        self._out.clear()
        if out:
            yield out

    # --- what the walk tells

    def on_name(self, raw: bytes) -> None:
        if self._muted is not None:
            return
        name = unescaped(raw)
        self._wanted = name.lower() if name.lower() in self._names else None
        if len(self.stack) == 1:
            self._table.name(name)

    def on_value(self, first: int, text: bytes) -> None:
        if self._muted is not None:
            return
        name, self._wanted = self._wanted, None
        if len(self.stack) <= 3:
            cell = self._table.value(self.stack, first, unescaped(text) if text else text)
            name = name or cell
            if self._table.waiting and self._held is None:
                self._flush()
                self._held = []
        if name is not None and text != b"null":
            self._flush()
            self._muted, self._muted_depth = name, len(self.stack)

    def on_value_end(self) -> None:
        if self._muted is not None:
            if len(self.stack) == self._muted_depth:
                self._unmute(self._muted)
        elif self.stack == b"{" and self.buffer[self.at - 1] == 0x5D:
            self._table.list_ended()
            if self._held is not None and not self._table.waiting:
                self._release(self._held)
        if not self.stack:
            self._table.end()
            self._table = Table(self._names)

    def wants_string(self) -> bool:
        return self._muted is None and self._table.reads_columns(self.stack)

    def careless(self) -> bool:
        return self._muted is not None

    def bulk(self) -> Any:
        if self._muted is None and self._table.one_by_one(self.stack):
            return None
        if self._muted is None and self._table.objects_only(self.stack):
            return syntax.BULK_OBJECTS
        return super().bulk()

    # --- output

    def _flush(self) -> None:
        """Take what was read since the last time: to the output, to the rows that wait, or away."""
        text = self.buffer[self._kept : self.at]
        self._kept = self.at
        if self._muted is None:
            self._emit(text)
        elif len(self._taken) <= VALUE_CAP:
            self._taken += text[: VALUE_CAP + 1 - len(self._taken)]

    def _emit(self, text: bytes) -> None:
        if self._held is None:
            self._out.append(text)
            return
        self._held.append(text)
        self._held_size += len(text)
        if self._held_size > HOLD_CAP:
            raise unmaskable("too many rows before the names of their columns")

    def _unmute(self, name: bytes) -> None:
        self._flush()
        taken, self._taken, self._muted = self._taken, b"", None
        label = "field:" + name.decode("utf-8", "replace")
        self.counts[label] = self.counts.get(label, 0) + 1
        self._emit(b'"' + self._replaced(taken) + b'"')

    def _replaced(self, value: bytes) -> bytes:
        if len(value) > VALUE_CAP or (value[0] in b"{[" and self._strategy == "partial"):
            return b"" if self._strategy == "drop" else MASK
        return replacement(self._strategy, unescaped(value[1:-1]) if value[0] == 0x22 else value, self._key)

    def _release(self, held: list[bytes]) -> None:
        """The columns are known: let the rows go, their cells masked by place."""
        self._flush()
        self._held, self._held_size = None, 0
        places = self._table.places
        text = b"".join(held)
        if not places:
            self._out.append(text)
            return
        again = _Rows(places, self._strategy, self._key)
        self._out += again.feed(text, end=False)
        for label, count in again.counts.items():
            self.counts[label] = self.counts.get(label, 0) + count


class _Rows(JsonFieldFilter):
    """Goes over held rows again, beginning inside the list of rows; fields were masked the first time."""

    def __init__(self, places: Mapping[int, bytes], strategy: Strategy, key: bytes) -> None:
        super().__init__((), strategy, key=key)
        self._started = True
        self.stack = b"{["
        self.state = VALUE
        self._table.member = b"rows"
        self._table.places = places


def unescaped(raw: bytes) -> bytes:
    """The text of a JSON string, given without its quotes; bytes that are not UTF-8 stay different from any name."""
    if b"\\" not in raw:
        return raw
    text = json.loads('"' + raw.decode("utf-8", "surrogateescape") + '"')
    return str(text).encode("utf-8", "surrogatepass")
