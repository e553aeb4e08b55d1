"""Masking columns of CSV (RFC 4180) by the names in its header, in a stream."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from extproc.errors import Refusal
from extproc.model import Strategy
from extproc.redact.strategies import replacement

ROW_CAP: Final = 1024 * 1024  # bytes of one row
_BOM: Final = b"\xef\xbb\xbf"
_OTHER_DELIMITERS: Final = (b";", b"\t", b"|")
_WIDE: Final = (b"\xfe\xff", b"\xff\xfe")


def malformed(reason: str) -> Refusal:
    return Refusal("response_malformed", reason)


class CsvColumnFilter:
    """
    Replaces every cell (but empty unquoted ones) of the columns in `names`; quoted cells stay quoted.

    The first row is the header; its names are trimmed and compared in either case (ASCII). A row goes on when it is
    whole. Raises `Refusal`: response_malformed (quotes, UTF-16, NUL, a row longer than `ROW_CAP`), response_unmaskable
    (a header that seems to be parted by something else than `delimiter`).
    """

    def __init__(self, names: Collection[str], strategy: Strategy, *, key: bytes, delimiter: bytes = b",") -> None:
        self._names = frozenset(name.encode("utf-8", "surrogatepass").strip().lower() for name in names)
        self._strategy = strategy
        self._key = key
        self._delimiter = delimiter
        cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"\r\n%b]*+)' % re.escape(delimiter)
        self._cell = re.compile(cell)
        # A row's end counts only where the next byte is known: CR may be the first half of CR LF.
        self._row = re.compile(rb"(?:%b%b)*+%b(?:\r\n|\n|\r(?=[^\n]))" % (cell, re.escape(delimiter), cell))
        self._carry = b""
        self._started = False
        self._places: dict[int, bytes] | None = None  # cells to mask; None until the header was read
        self.counts: dict[str, int] = {}

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        if b"\0" in data:
            raise malformed("the CSV contains NUL")
        text = self._carry + data
        # A row ends where a line does: without one, the carried bytes need not be looked at again.
        if not end and b"\n" not in data and b"\r" not in data and not self._carry.endswith(b"\r"):
            self._keep(text)
            return
        out: list[bytes] = []
        done = 0
        if not self._started:
            if not end and len(text) < len(_BOM):
                self._keep(text)
                return
            done = self._start(text, out)
        while (found := self._row.match(text, done)) is not None:
            self._take(found[0], out)
            done = found.end()
        rest = text[done:]
        if end and rest:
            self._cells(rest)
            self._take(rest, out)
            rest = b""
        self._keep(rest)
        joined = b"".join(out)
        if joined:
            yield joined

    def _start(self, text: bytes, out: list[bytes]) -> int:
        """Pass over a byte order mark of UTF-8."""
        if text[:2] in _WIDE:
            raise malformed("the CSV is UTF-16")
        self._started = True
        if not text.startswith(_BOM):
            return 0
        out.append(_BOM)
        return len(_BOM)

    def _keep(self, rest: bytes) -> None:
        if len(rest) > ROW_CAP:
            raise malformed("a row of the CSV is too long")
        self._carry = rest

    def _take(self, row: bytes, out: list[bytes]) -> None:
        """One whole row, with its line end."""
        if len(row) > ROW_CAP:
            raise malformed("a row of the CSV is too long")
        if self._places is None:
            if not row.strip(b"\r\n"):
                out.append(row)  # an empty line before the header
                return
            self._places = self._header(row)
            out.append(row)
        else:
            out.append(self._masked(row, self._places) if self._places else row)

    def _header(self, row: bytes) -> dict[int, bytes]:
        cells = self._cells(row)
        if len(cells) == 1 and any(mark in row for mark in _OTHER_DELIMITERS if mark != self._delimiter):
            raise Refusal("response_unmaskable", "the header of the CSV has an unknown delimiter")
        names = (_text(row[start:stop]).strip().lower() for start, stop in cells)
        return {place: name for place, name in enumerate(names) if name in self._names}

    def _cells(self, row: bytes) -> list[tuple[int, int]]:
        """Where each cell of a row stands. Raises on quotes that RFC 4180 does not allow."""
        cells = []
        at = 0
        while True:
            found = self._cell.match(row, at)
            stop = found.end() if found else at
            cells.append((at, stop))
            if row[stop : stop + 1] != self._delimiter:
                break
            at = stop + 1
        if row[stop:] not in (b"", b"\n", b"\r\n", b"\r"):
            raise malformed("the quotes of the CSV are not well-formed")
        return cells

    def _masked(self, row: bytes, places: dict[int, bytes]) -> bytes:
        out: list[bytes] = []
        done = 0
        cells = self._cells(row)
        for place, name in places.items():
            if place >= len(cells):
                continue
            start, stop = cells[place]
            if start == stop:
                continue
            label = "column:" + name.decode("utf-8", "replace")
            self.counts[label] = self.counts.get(label, 0) + 1
            new = replacement(self._strategy, _text(row[start:stop]), self._key)
            out += (row[done:start], b'"' + new + b'"' if row[start] == 0x22 else new)
            done = stop
        return b"".join((*out, row[done:]))


def _text(cell: bytes) -> bytes:
    return cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell
