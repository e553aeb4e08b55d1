"""
Detectors over whole DataRow messages: one search over the batch (`candidates.py`), then only the fields that hold a
candidate are looked at (`detect.py`), and only the rows that were hit are written anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from extproc.errors import Refusal
from extproc.postgres.masking.candidates import LARGE, Candidates
from extproc.postgres.masking.detect import Detection, may_be_card
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan, counts_by_name
from extproc.postgres.wire import ProtocolViolation
from extproc.redact import checks
from extproc.redact.detectors import CONTEXT

FIELDS_AT: Final = 7  # in a DataRow: behind the type byte, the length and the number of fields

Batch = tuple[bytes, int, Sequence[int]]  # messages in a read: where the first begins, where each ends
Edit = tuple[int, int, bytes]  # a field with its length, from where to where, and the field in its place

_SIZE: Final = struct.Struct("!i")
_unpack: Final = _SIZE.unpack_from
_pack: Final = struct.Struct("!I").pack
_COUNT: Final = struct.Struct("!H")
_ESCAPES: Final = (0x5C, 0x01)  # what `checks.email` takes for the backslash of an escape
_NULL: Final = _SIZE.pack(-1)


class Search:
    """See `RowMask`. Columns that the plan masks whole are left alone."""

    def __init__(self, plan: MaskPlan) -> None:
        self._columns = plan.columns
        self._detection = Detection(plan.detect, plan.key)
        self._searched = [column.strategy is None and column.type.form != "plain" for column in plan.columns]
        # Values that are their own text, so that an address can be looked at without asking for more.
        self._texts = [column.type.form == "text" and column.strategy is None for column in plan.columns]
        self._jsons = [column.type.form in ("json", "jsonb") for column in plan.columns]
        searched = [column for column in plan.columns if column.strategy is None]
        self._candidates = Candidates(self._detection.names, json=any(map(holds_json, searched)))
        # Card numbers that are binary numbers stand in no text that a search could find.
        cards = "credit_card" in self._detection.names
        self._numbers = [cards and one.strategy is None and _is_binary_number(one) for one in plan.columns]
        self._unread = [0] * len(plan.columns)

    def fresh(self) -> Search:
        """One of the same plan that has counted nothing yet."""
        other = object.__new__(Search)
        other.__dict__.update(self.__dict__, _detection=self._detection.fresh(), _unread=[0] * len(self._unread))
        return other

    @property
    def counts(self) -> dict[str, int]:
        return {**self._detection.counts, **counts_by_name(zip(self._columns, self._unread, strict=True))}

    def feed(self, buffer: bytes, start: int, ends: Sequence[int]) -> bytes:
        try:
            large = self._check(buffer, start, ends)
            if not any(self._searched):
                return buffer[start : ends[-1]]
            places, others = self._places(buffer, start, ends, large)
            if not places:
                return buffer[start : ends[-1]]
            out: list[bytes] = []
            done = self._rows((buffer, start, ends), places, others, out)
        except struct.error:
            raise beyond() from None
        out.append(buffer[done : ends[-1]])
        return b"".join(out)

    def _check(self, buffer: bytes, start: int, ends: Sequence[int]) -> list[tuple[int, int]]:
        """Every row has the fields of the plan. Gives those that are too large for a search over the batch."""
        unpack, number = _COUNT.unpack_from, len(self._columns)
        large = []
        for end in ends:
            if unpack(buffer, start + 5)[0] != number:
                raise other_fields()
            if end - start > LARGE:
                large.append((start, end))
            start = end
        return large

    def _places(
        self, buffer: bytes, start: int, ends: Sequence[int], large: list[tuple[int, int]]
    ) -> tuple[list[int], frozenset[int]]:
        """Where to look, in order, and those of the places that may be anything but an address."""
        places = self._candidates.addresses(buffer, start, ends[-1])
        others = self._candidates.others(buffer, start, ends[-1])
        for begin, end in large:
            others += (at for place, at, _ in _fields(buffer, begin, end, len(self._columns)) if self._searched[place])
        if any(self._numbers):
            others += self._card_places(buffer, start, ends)
        if not others:
            return places, frozenset()
        return sorted({*places, *others}), frozenset(others)

    def _card_places(self, buffer: bytes, start: int, ends: Sequence[int]) -> Iterator[int]:
        last = len(self._columns) - self._numbers[::-1].index(True)
        for end in ends:
            for place, at, stop in _fields(buffer, start, end, last):
                if self._numbers[place] and may_be_card(buffer[at:stop], self._columns[place].type):
                    yield at
            start = end

    def _rows(self, batch: Batch, places: list[int], others: frozenset[int], out: list[bytes]) -> int:
        """The rows that hold a candidate. Gives where the last field that was replaced ends."""
        buffer, start, ends = batch
        row, first, done, total = 0, 0, start, len(places)
        places.append(ends[-1])  # so that there is always a next one
        while first < total:
            place = places[first]
            while ends[row] <= place:
                row += 1
            begin, end = ends[row - 1] if row else start, ends[row]
            last = first + 1
            if places[last] >= end and place not in others:
                alone = self._alone(buffer, begin, end, place, done, out)
                if alone >= 0:
                    done, first = alone, last
                    continue
            while places[last] < end:
                last += 1
            edits = self._edits(buffer, begin, end, places[first:last], others)
            if edits:
                done = _rewrite(buffer, done, (begin, end), edits, out)
            first = last
        return done

    def _alone(  # noqa: PLR0917 - called for each row
        self, buffer: bytes, start: int, end: int, place: int, done: int, out: list[bytes]
    ) -> int:
        """
        A row in which nothing but one address can be, the usual case: where what is replaced ends. `done` if it is
        none, -1 where the row must be looked at as any other.
        """
        stop = start + FIELDS_AT
        for simple in self._texts:  # noqa: B007 - that of the field where it ends
            size: int = _unpack(buffer, stop)[0]
            stop += 4
            if size > 0:
                stop += size
                if stop > place:
                    break
            elif size < -1:
                return -1
        else:
            return -1
        field = stop - size
        if not simple or place < field or stop > end:
            return -1
        # Behind the last field comes the next message's type, before a field its length: neither is to be read.
        if stop == end or size & 0xFF in _ESCAPES:
            text, shift = CONTEXT + buffer[field:stop], field - len(CONTEXT)
            span = checks.email(text, place - shift, len(CONTEXT))
        else:
            shift, span = 0, checks.email(buffer, place, field)
        if span is None:
            return done
        first, last = span[0] + shift, span[1] + shift
        new = self._detection.address(buffer[first:last])
        size += len(new) - last + first
        length = end - start - 1 + len(new) - last + first
        out += (
            buffer[done : start + 1],
            _pack(length),
            buffer[start + 5 : field - 4],
            _pack(size),
            buffer[field:first],
            new,
        )
        return last

    def _edits(self, buffer: bytes, start: int, end: int, places: list[int], others: frozenset[int]) -> list[Edit]:
        """What is to be replaced in one row."""
        unpack, number = _SIZE.unpack_from, len(self._columns)
        edits: list[Edit] = []
        column, stop, first, total = -1, start + FIELDS_AT, 0, len(places)
        while first < total:
            while column < 0 or stop <= places[first]:
                column += 1
                if column == number:
                    raise beyond()
                (size,) = unpack(buffer, stop)
                stop += 4
                field = stop
                if size > 0:
                    stop += size
                elif size < -1:
                    raise beyond()
            if stop > end:
                raise beyond()
            last = first + 1
            while last < total and places[last] < stop:
                last += 1
            if stop > field and self._searched[column]:
                new = self._edited(buffer[field:stop], column, field, places[first:last], others)
                if new is not None:
                    edits.append((field - 4, stop, new))
            first = last
        return edits

    def _edited(self, value: bytes, column: int, field: int, places: list[int], others: frozenset[int]) -> bytes | None:
        """The field in place of one that holds candidates; None where it stays."""
        detection = self._detection
        plain = others.isdisjoint(places)
        if plain and (self._texts[column] or (self._jsons[column] and b"\\" not in value)):
            new: bytes | None = detection.addresses(value, [place - field for place in places if place >= field])
        else:
            info, binary = self._columns[column].type, self._columns[column].format
            new = detection.edit(value, info, binary)
            if new is value and binary and info.form == "opaque" and not plain:
                # Its parts stand behind lengths and OIDs that are no text, so it may well be a value.
                self._unread[column] += 1
                new = None
        return None if new is value else field_of(new)


def _rewrite(buffer: bytes, done: int, row: tuple[int, int], edits: list[Edit], out: list[bytes]) -> int:
    """Everything from `done` to the end of the last edit, in a `row` from where to where; gives where that is."""
    start, end = row
    grown = 0
    for at, stop, new in edits:
        grown += len(new) - stop + at
    out += (buffer[done : start + 1], _pack(end - start - 1 + grown))
    done = start + 5
    for at, stop, new in edits:
        out += (buffer[done:at], new)
        done = stop
    return done


def field_of(value: bytes | None) -> bytes:
    """A field with its length."""
    return _NULL if value is None else _SIZE.pack(len(value)) + value


def beyond() -> ProtocolViolation:
    return ProtocolViolation("a field beyond the end of its row")


def other_fields() -> Refusal:
    return Refusal("response_unmaskable", "a row has other fields than its description")


def _fields(buffer: bytes, start: int, end: int, number: int) -> Iterator[tuple[int, int, int]]:
    """Of the first `number` fields of a row those that hold anything: place, where it begins, where it ends."""
    at = start + FIELDS_AT
    for place in range(number):
        (size,) = _SIZE.unpack_from(buffer, at)
        at += 4
        if size < -1 or at + size > end:
            raise beyond()
        if size > 0:
            yield place, at, at + size
            at += size


def holds_json(column: MaskColumn) -> bool:
    return (column.type.element or column.type).form in ("json", "jsonb")


def _is_binary_number(column: MaskColumn) -> bool:
    return bool(column.format) and (column.type.element or column.type).form == "number"
