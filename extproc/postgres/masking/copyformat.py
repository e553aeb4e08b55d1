"""
The lines of COPY … TO STDOUT, field by field (PostgreSQL documentation, COPY, "File Formats"): text and CSV.

A raw field is what stands between two delimiters. `read` gives the value of one that is not NULL, `write` the raw field
for a value in place of another's. `searchable`: a search over raw lines finds what one over values would. `special`:
where that does not stand in a line, every delimiter in it parts two fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from extproc.errors import Refusal
from extproc.postgres.sql.model import CopyShape

# What a detector's trigger is made of (`redact/detectors.py`). A delimiter, quote or escape among these could stand
# inside of what a search over raw lines looks for.
_IN_VALUES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._%+@-")
_LETTERS: Final = {8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r"}  # control characters with an escape
_CONTROLS: Final = {letter: bytes((code,)) for code, letter in _LETTERS.items()}


class TextFormat:
    """Every line end and delimiter in a value is escaped by a backslash."""

    def __init__(self, delimiter: bytes, null: bytes) -> None:
        self.null = null
        self.searchable = delimiter[0] not in _IN_VALUES
        self.delimiter = delimiter
        self.special = b"\\" + delimiter
        self._field = re.compile(rb"(?:[^\\%b]|\\.)*+" % re.escape(delimiter), re.DOTALL)
        self._odd = re.compile(rb"[\\\x08-\x0d%b]" % re.escape(delimiter))
        data = re.compile(rb"(?:[^\\]|\\[\\bfnrtv%b])*" % re.escape(delimiter), re.DOTALL)
        # A value may look the same as NULL: whoever chooses what NULL looks like would learn where it stands.
        self.ambiguous = data.fullmatch(null) is not None

    def whole(self, buffer: bytes, start: int, end: int) -> bool:
        """Whether that is one line with its end, where this is cheap to tell; False may mean anything."""
        return buffer.find(b"\n", start, end) == end - 1

    def line_ends(self, data: bytes) -> Iterator[int]:
        """Offsets behind the end of each line in the next piece of the stream."""
        at = 0
        while (at := data.find(b"\n", at) + 1) > 0:
            yield at

    def split(self, line: bytes) -> list[bytes]:
        """The raw fields of a line, given without its end. Raises `Refusal("response_malformed")`."""
        if self.special not in line:
            return line.split(self.delimiter)
        return _one_by_one(line, self._field, self.delimiter)

    def verbatim(self, raw: bytes) -> int:
        """Where the value begins in the raw field if it stands there as it is (`quotes` bytes around it), else -1."""
        return -1 if b"\\" in raw else 0

    def read(self, raw: bytes) -> bytes:
        return _ESCAPE.sub(_unescaped, raw) if b"\\" in raw else raw

    def write(self, value: bytes | None, _raw: bytes) -> bytes:
        return self.null if value is None else self._odd.sub(_escaped, value)


_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return _CONTROLS.get(found[1], found[1])


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\" + _LETTERS.get(found[0][0], found[0])


class CsvFormat:
    """A value with a delimiter, quote or line end in it is quoted whole, and so is one that looks the same as NULL."""

    ambiguous = False

    def __init__(self, delimiter: bytes, null: bytes, quote: bytes, escape: bytes) -> None:
        self.null = null
        self.searchable = _IN_VALUES.isdisjoint(delimiter + quote + escape)
        self.delimiter, self._quote, self._escape = delimiter, quote, escape
        self.special = quote
        mark, q, e = re.escape(delimiter), re.escape(quote), re.escape(escape)
        inner = rb"[^%b]|%b%b" % (q, q, q) if quote == escape else rb"[^%b%b]|%b[%b%b]" % (q, e, e, q, e)
        self._field = re.compile(rb"%b(?:%b)*+%b(?!%b)|[^%b%b\r\n]*+" % (q, inner, q, q, mark, q), re.DOTALL)
        self._marks = re.compile(rb"[\n%b%b]" % (q, e))
        self._odd = re.compile(rb"[\r\n%b%b]" % (mark, q))
        self._inside = False  # a quoted value
        self._offset = 0  # bytes of the stream before the piece that comes
        self._taken = -1  # where a character stands that an escape has taken

    def whole(self, buffer: bytes, start: int, end: int) -> bool:
        return (
            not self._inside
            and self._quote == self._escape
            and buffer.find(b"\n", start, end) == end - 1
            and buffer.count(self._quote, start, end) % 2 == 0
        )

    def line_ends(self, data: bytes) -> Iterator[int]:
        for found in self._marks.finditer(data):
            mark, at = found[0], self._offset + found.start()
            if at == self._taken:
                continue
            if mark == b"\n":
                if not self._inside:
                    yield found.end()
            elif self._inside and mark == self._escape != self._quote:
                self._taken = at + 1
            elif mark == self._quote:
                self._inside = not self._inside
        self._offset += len(data)

    def split(self, line: bytes) -> list[bytes]:
        if self.special not in line:
            return line.split(self.delimiter)
        return _one_by_one(line, self._field, self.delimiter)

    def verbatim(self, raw: bytes) -> int:
        if not raw.startswith(self._quote):
            return 0
        return 1 if raw.count(self._quote) == 2 and (self._escape == self._quote or self._escape not in raw) else -1

    def read(self, raw: bytes) -> bytes:
        if not raw.startswith(self._quote):
            return raw
        value = raw[1:-1]
        if self._quote == self._escape:
            return value.replace(self._quote * 2, self._quote)
        return re.sub(re.escape(self._escape) + rb"(.)", rb"\1", value, flags=re.DOTALL)

    def write(self, value: bytes | None, raw: bytes) -> bytes:
        if value is None:
            return self.null
        quoted = raw.startswith(self._quote)
        if not quoted and value not in (self.null, b"\\.") and self._odd.search(value) is None:
            return value
        if self._escape != self._quote:
            value = value.replace(self._escape, self._escape * 2)
        return self._quote + value.replace(self._quote, self._escape + self._quote) + self._quote


def _one_by_one(line: bytes, field: re.Pattern[bytes], delimiter: bytes) -> list[bytes]:
    """The raw fields of a line in which not every delimiter parts two."""
    fields, at = [], 0
    while (found := field.match(line, at)) is not None:
        fields.append(found[0])
        at = found.end() + 1
        if at > len(line):
            return fields
        if line[at - 1 : at] != delimiter:
            break
    raise malformed()


def copy_format(shape: CopyShape) -> TextFormat | CsvFormat:
    """Raises `Refusal("response_unmaskable")` for binary data and options that are not known here."""
    marks = (shape.delimiter.encode(), shape.quote.encode(), shape.escape.encode())
    if not shape.understood or shape.format == "binary" or any(len(mark) != 1 for mark in marks):
        raise Refusal("response_unmaskable", "this form of COPY cannot be masked")
    if shape.format == "csv":
        return CsvFormat(marks[0], shape.null.encode(), marks[1], marks[2])
    return TextFormat(marks[0], shape.null.encode())


def malformed() -> Refusal:
    return Refusal("response_malformed", "a line of copied data that cannot be read")
