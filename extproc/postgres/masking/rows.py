"""
Masking of DataRow messages (PostgreSQL documentation, "Message Formats"), a read at a time.

Two passes: columns are replaced by their place, then detectors look at what is left (`search.py`). Rows that neither
touches are copied together, not one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from extproc.postgres.framing import run
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan, counts_by_name
from extproc.postgres.masking.search import FIELDS_AT, Batch, Search, beyond, field_of, other_fields
from extproc.postgres.masking.values import masked, varies

DATA_ROW: Final = ord("D")

_SIZE: Final = struct.Struct("!i")
_LENGTH: Final = struct.Struct("!I")
_COUNT_AND_SIZE: Final = struct.Struct("!Hi")

# The next column to mask: how many columns it is away, the field that it becomes (or what makes it of the value), and
# its place.
_Step = tuple[Sequence[None], bytes | Callable[[bytes], bytes], int]


class RowMask:
    """
    Masks whole DataRow messages. `counts` says how many values, by `column:name` and by detector.

    Raises `Refusal("response_unmaskable")` where a row has other fields than the plan, `ProtocolViolation` where its
    lengths lie. With nothing to mask, rows pass unseen.
    """

    def __init__(self, plan: MaskPlan) -> None:
        self._columns = _Columns(plan) if plan.by_column else None
        self._search = Search(plan) if plan.by_detector else None

    def fresh(self) -> RowMask:
        """One of the same plan that has counted nothing yet: 3 µs, where a new one takes 50."""
        other = object.__new__(RowMask)
        other._columns = self._columns and self._columns.fresh()
        other._search = self._search and self._search.fresh()
        return other

    @property
    def counts(self) -> dict[str, int]:
        merged: dict[str, int] = {}
        for one in (self._columns, self._search):
            for name, count in one.counts.items() if one else ():
                merged[name] = merged.get(name, 0) + count
        return merged

    def feed(self, buffer: bytes, start: int, ends: Sequence[int]) -> bytes:
        """The messages from `start` on that end at `ends` (see `framing.run`), masked."""
        if not ends:
            return b""
        if self._columns is not None:
            buffer = self._columns.feed(buffer, start, ends)
            if self._search is None:
                return buffer
            start, ends = 0, run(buffer, 0, DATA_ROW, len(buffer))[1]
        if self._search is not None:
            return self._search.feed(buffer, start, ends)
        return buffer[start : ends[-1]]


class _Columns:
    """Replaces columns by their place."""

    def __init__(self, plan: MaskPlan) -> None:
        self._columns = plan.columns
        self._nulls = [0] * len(plan.columns)
        self._rows = 0
        steps: list[_Step] = []
        before = 0
        for place, column in enumerate(plan.columns):
            if column.strategy is not None:
                steps.append(((None,) * (place - before), _replacer(column, plan.key), place))
                before = place
        self._steps = tuple(steps)

    def fresh(self) -> _Columns:
        other = object.__new__(_Columns)
        other.__dict__.update(self.__dict__, _nulls=[0] * len(self._nulls), _rows=0)
        return other

    @property
    def counts(self) -> dict[str, int]:
        return counts_by_name((self._columns[place], self._rows - self._nulls[place]) for _, _, place in self._steps)

    def feed(self, buffer: bytes, start: int, ends: Sequence[int]) -> bytes:
        out: list[bytes] = []
        batch, step = (buffer, start, ends), self._steps[0]
        try:
            if len(self._steps) == 1 and isinstance(step[1], bytes):
                done = self._one(batch, step, step[1], out)
            else:
                done = self._several(batch, out)
        except struct.error:
            raise beyond() from None
        self._rows += len(ends)
        out.append(buffer[done : ends[-1]])
        return b"".join(out)

    def _one(self, batch: Batch, step: _Step, new: bytes, out: list[bytes]) -> int:
        """One column that always becomes the same. Gives where the last field that was replaced ends."""
        head, unpack, pack = _COUNT_AND_SIZE.unpack_from, _SIZE.unpack_from, _LENGTH.pack
        buffer, start, ends = batch
        (skip, _, place), number, grown, done = step, len(self._columns), len(new) - 5, start
        for end in ends:
            fields, size = head(buffer, start + 5)
            if fields != number:
                raise other_fields()
            at = start + FIELDS_AT
            for _ in skip:
                at += 4
                if size > 0:
                    at += size
                elif size < -1:
                    raise beyond()
                (size,) = unpack(buffer, at)
            if size >= 0:
                out += (buffer[done : start + 1], pack(end - start + grown - size), buffer[start + 5 : at], new)
                at = done = at + 4 + size
            else:
                self._null(size, place)
                at += 4
            if at > end:
                raise beyond()
            start = end
        return done

    def _several(self, batch: Batch, out: list[bytes]) -> int:
        """Any columns. Gives where the last field that was replaced ends."""
        buffer, start, ends = batch
        head, unpack, pack = _COUNT_AND_SIZE.unpack_from, _SIZE.unpack_from, _LENGTH.pack
        number, steps, done = len(self._columns), self._steps, start
        for end in ends:
            fields, size = head(buffer, start + 5)
            if fields != number:
                raise other_fields()
            at, hole, grown = start + FIELDS_AT, 0, 0
            for skip, new, place in steps:
                for _ in skip:
                    at += 4
                    if size > 0:
                        at += size
                    elif size < -1:
                        raise beyond()
                    (size,) = unpack(buffer, at)
                if size < 0:
                    self._null(size, place)
                    continue
                field = new if isinstance(new, bytes) else new(buffer[at + 4 : at + 4 + size])
                if hole:
                    out += (buffer[done:at], field)
                else:
                    hole = len(out) + 1
                    out += (buffer[done : start + 1], b"", buffer[start + 5 : at], field)
                done = at + 4 + size
                grown += len(field) - 4 - size
            if at + 4 + max(size, 0) > end:
                raise beyond()
            if hole:
                out[hole] = pack(end - start - 1 + grown)
            start = end
        return done

    def _null(self, size: int, place: int) -> None:
        if size != -1:
            raise beyond()
        self._nulls[place] += 1


def _replacer(column: MaskColumn, key: bytes) -> bytes | Callable[[bytes], bytes]:
    strategy, info, binary = column.strategy, column.type, column.format
    assert strategy is not None
    if not varies(strategy, info):
        return field_of(masked(strategy, b"", info, binary, key))

    def replace(value: bytes) -> bytes:
        return field_of(masked(strategy, value, info, binary, key))

    return replace
