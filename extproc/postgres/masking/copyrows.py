"""
Masking of what COPY … TO STDOUT sends (PostgreSQL documentation, "COPY Operations"): CopyData messages, text or CSV.

PostgreSQL sends a line in each message, which nothing promises: a line that comes in pieces, or several in one message,
are put together and go on one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from extproc.errors import Refusal
from extproc.postgres.masking.candidates import LARGE, Candidates
from extproc.postgres.masking.copyformat import copy_format
from extproc.postgres.masking.detect import Detection
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan, counts_by_name
from extproc.postgres.masking.search import holds_json, other_fields
from extproc.postgres.masking.values import masked, varies
from extproc.postgres.sql.model import CopyShape
from extproc.postgres.wire import ProtocolViolation

COPY_DATA: Final = ord("d")
LINE_CAP: Final = 64 * 1024 * 1024  # bytes of a line that comes in pieces

_HEADER: Final = struct.Struct("!BI")
BODY_AT: Final = _HEADER.size


class CopyMask:
    """
    Masks whole CopyData messages. `counts` says how many values, by `column:name` and by detector. With nothing to mask
    they pass unseen. A header line stays as it is.

    Raises `Refusal`: response_unmaskable for a form of COPY that cannot be masked and for lines with other fields than
    the plan, response_malformed for a line that cannot be read or is too long.
    """

    def __init__(self, shape: CopyShape, plan: MaskPlan) -> None:
        self._lines = _Lines(shape, plan) if plan.by_column or plan.by_detector else None

    @property
    def counts(self) -> dict[str, int]:
        return self._lines.counts if self._lines is not None else {}

    def feed(self, buffer: bytes, start: int, ends: Sequence[int]) -> bytes:
        """The messages from `start` on that end at `ends` (see `framing.run`), masked."""
        if not ends:
            return b""
        return buffer[start : ends[-1]] if self._lines is None else self._lines.feed(buffer, start, ends)

    def end(self) -> None:
        """CopyDone. Raises `ProtocolViolation` where a line has not ended, as nothing of it went on."""
        if self._lines is not None and self._lines.waiting:
            raise ProtocolViolation("copied data that ends inside a line")


class _Lines:
    def __init__(self, shape: CopyShape, plan: MaskPlan) -> None:
        self._format = copy_format(shape)
        if plan.by_column and self._format.ambiguous:
            raise Refusal("response_unmaskable", "COPY with a NULL that a masked value may look the same as")
        self._columns, self._key = plan.columns, plan.key
        self._masked = [(place, self._fixed(one)) for place, one in enumerate(plan.columns) if one.strategy is not None]
        self._counted = [0] * len(plan.columns)
        self._searched = [
            plan.by_detector and column.strategy is None and column.type.form != "plain" for column in plan.columns
        ]
        self._texts = [column.type.form == "text" and column.strategy is None for column in plan.columns]
        self._detection = Detection(plan.detect, plan.key)
        self._candidates = Candidates(self._detection.names, json=any(map(holds_json, plan.columns)))
        # Delimiters and the like that may stand inside of what detectors look for: no search over raw lines finds it.
        self._everything = any(self._searched) and not self._format.searchable
        self._header = shape.header
        self._rest = bytearray()  # of a line that has not ended

    @property
    def waiting(self) -> bool:
        return bool(self._rest)

    @property
    def counts(self) -> dict[str, int]:
        return {**self._detection.counts, **counts_by_name(zip(self._columns, self._counted, strict=True))}

    def feed(self, buffer: bytes, start: int, ends: Sequence[int]) -> bytes:
        places, others = self._places(buffer, start, ends[-1])
        places.append(ends[-1])  # so that there is always a next one
        alone = not self._masked and not self._everything
        out: list[bytes] = []
        done, first, whole = start, 0, self._format.whole
        for end in ends:
            last, body = first, start + BODY_AT
            while places[last] < end:
                last += 1
            if self._rest or self._header or not whole(buffer, body, end):
                out.append(buffer[done:start])
                out += self._put_together(buffer[body:end])
                done = end
            elif self._masked or self._everything or last > first or end - start > LARGE:
                at = -1
                if alone and last == first + 1 and end - start <= LARGE and places[first] not in others:
                    at = self._alone(buffer, start, end, places[first], done, out)
                if at >= 0:
                    done = at
                else:
                    near = None if self._everything or end - start > LARGE else places[first:last]
                    new = self._line(buffer[body : end - 1], body, near, others)
                    if new is not None:
                        out += (buffer[done:start], new)
                        done = end
            start, first = end, last
        out.append(buffer[done:start])
        return b"".join(out)

    def _places(self, buffer: bytes, start: int, end: int) -> tuple[list[int], frozenset[int]]:
        """Where to look, in order, and those of the places that may be anything but an address."""
        if self._everything or not any(self._searched):
            return [], frozenset()
        places = self._candidates.addresses(buffer, start, end)
        others = self._candidates.others(buffer, start, end)
        return (sorted({*places, *others}) if others else places), frozenset(others)

    def _alone(  # noqa: PLR0917 - called for each line
        self, buffer: bytes, start: int, end: int, place: int, done: int, out: list[bytes]
    ) -> int:
        """
        A line in which nothing but one address can be: how far it has gone out. `done` if it is none, -1 where the line
        must be looked at as any other.
        """
        form, body = self._format, start + BODY_AT
        mark = form.delimiter
        if buffer.find(form.special, body, end) >= 0:
            return -1
        column = buffer.count(mark, body, place)
        if column + buffer.count(mark, place, end) + 1 != len(self._columns):
            raise other_fields()
        if place < body or buffer[place] == mark[0]:
            return done
        field = max(buffer.rfind(mark, body, place) + 1, body)
        stop = buffer.find(mark, place, end)
        raw = buffer[field : stop if stop >= 0 else end - 1]
        if not self._texts[column] or form.verbatim(raw):
            return -1
        value = self._detection.addresses(raw, (place - field,))
        if value is raw:
            return done
        value = form.write(value, raw)
        length = end - start - 1 + len(value) - len(raw)
        out += (buffer[done:start], _HEADER.pack(COPY_DATA, length), buffer[body:field], value)
        return field + len(raw)

    def _put_together(self, data: bytes) -> Iterator[bytes]:
        """The lines that end in the next piece, each as a message."""
        done = 0
        for end in self._format.line_ends(data):
            line = bytes(self._rest) + data[done : end - 1]
            self._rest.clear()
            done = end
            if self._header:
                self._header = False
                yield _message(line)
            else:
                yield self._line(line, 0, None, frozenset()) or _message(line)
        self._rest += data[done:]
        if len(self._rest) > LINE_CAP:
            raise Refusal("response_malformed", "a line of copied data is too long")

    def _line(self, line: bytes, base: int, near: list[int] | None, others: frozenset[int]) -> bytes | None:
        """
        The message in place of a line that begins at `base`, None where it stays. `near` are the candidates in it; None
        means that every field must be looked at.
        """
        fields = self._format.split(line)
        if len(fields) != len(self._columns):
            raise other_fields()
        changed = (near is None or bool(near)) and self._search(fields, base, near, others)
        null = self._format.null
        for place, fixed in self._masked:
            if fields[place] != null:
                self._counted[place] += 1
                fields[place] = self._replaced(fields[place], self._columns[place]) if fixed is None else fixed
                changed = True
        return _message(self._format.delimiter.join(fields)) if changed else None

    def _search(self, fields: list[bytes], base: int, near: list[int] | None, others: frozenset[int]) -> bool:
        """Masks in `fields` what detectors find. Gives whether they found anything."""
        first, stop, changed = 0, base, False
        for place, raw in enumerate(fields):
            start, stop = stop, stop + len(raw)
            last = first
            if near is not None:
                # What stands right before a field may be the beginning of what finds it.
                while last < len(near) and near[last] < stop:
                    last += 1
            if self._searched[place] and raw and (near is None or last > first):
                new = self._looked_at(raw, place, start, near and near[first:last], others)
                changed = changed or new is not raw
                fields[place] = new
            first = last
            stop += 1
        return changed

    def _looked_at(self, raw: bytes, place: int, start: int, near: list[int] | None, others: frozenset[int]) -> bytes:
        quotes = self._format.verbatim(raw)
        if near and quotes >= 0 and self._texts[place] and others.isdisjoint(near):
            value = raw[quotes : len(raw) - quotes]
            start += quotes
            new: bytes | None = self._detection.addresses(value, [one - start for one in near if one >= start])
        else:
            value = self._format.read(raw)
            new = self._detection.edit(value, self._columns[place].type, 0)
        return raw if new is value else self._format.write(new, raw)

    def _fixed(self, column: MaskColumn) -> bytes | None:
        """What every value of a masked column becomes, where it is always the same."""
        assert column.strategy is not None
        if varies(column.strategy, column.type):
            return None
        return self._format.write(masked(column.strategy, b"", column.type, 0, self._key), b"")

    def _replaced(self, raw: bytes, column: MaskColumn) -> bytes:
        assert column.strategy is not None
        return self._format.write(masked(column.strategy, self._format.read(raw), column.type, 0, self._key), raw)


def _message(line: bytes) -> bytes:
    return _HEADER.pack(COPY_DATA, len(line) + BODY_AT) + line + b"\n"
