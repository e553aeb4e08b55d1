"""COPY's lines written as the server writes them (src/backend/commands/copyto.c), and read in the plainest way."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from extproc.postgres.sql.model import CopyShape

_LETTERS = {8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r"}
_PLAIN = {letter[0]: code for code, letter in _LETTERS.items()}


def write(shape: CopyShape, values: Sequence[bytes | None]) -> bytes:
    """CopyAttributeOutText and CopyAttributeOutCSV, and the line's end."""
    mark, null = shape.delimiter.encode(), shape.null.encode()
    one = _csv if shape.format == "csv" else _text
    single = len(values) == 1
    return mark.join(null if value is None else one(shape, value, single=single) for value in values) + b"\n"


def _text(shape: CopyShape, value: bytes, *, single: bool) -> bytes:
    out = bytearray()
    for byte in value:
        if byte in _LETTERS:
            out += b"\\" + _LETTERS[byte]
        elif byte in b"\\" + shape.delimiter.encode():
            out += b"\\" + bytes((byte,))
        else:
            out.append(byte)
    return bytes(out)


def _csv(shape: CopyShape, value: bytes, *, single: bool) -> bytes:
    quote, escape, mark = shape.quote.encode(), shape.escape.encode(), shape.delimiter.encode()
    odd = any(byte in mark + quote + b"\r\n" for byte in value)
    if not odd and value != shape.null.encode() and not (single and value == b"\\."):
        return value
    out = b"".join(escape + bytes((b,)) if b in quote + escape else bytes((b,)) for b in value)
    return quote + out + quote


def read(shape: CopyShape, lines: bytes) -> list[list[bytes | None]]:
    """The values of all lines. CSV goes by Python's reader where its quote is its escape; else byte by byte."""
    if not lines:
        return []
    assert lines.endswith(b"\n")
    return _read_csv(shape, lines) if shape.format == "csv" else _read_text(shape, lines)


def _read_text(shape: CopyShape, lines: bytes) -> list[list[bytes | None]]:
    found = []
    for line in lines[:-1].split(b"\n"):
        raws, values, at = [b""], [b""], 0
        while at < len(line):
            if line[at : at + 1] == shape.delimiter.encode():
                raws.append(b"")
                values.append(b"")
            elif line[at] == 0x5C:
                at += 1
                raws[-1] += line[at - 1 : at + 1]
                values[-1] += bytes((_PLAIN.get(line[at], line[at]),))
            else:
                raws[-1] += line[at : at + 1]
                values[-1] += line[at : at + 1]
            at += 1
        null = shape.null.encode()
        found.append([None if raw == null else value for raw, value in zip(raws, values, strict=True)])
    return found


def _read_csv(shape: CopyShape, lines: bytes) -> list[list[bytes | None]]:
    quote, escape, mark = ord(shape.quote), ord(shape.escape), ord(shape.delimiter)
    found: list[list[bytes | None]] = []
    row: list[bytes | None] = []
    value, quoted, inside, at = b"", False, False, 0
    while at < len(lines):
        byte = lines[at]
        if inside and byte == escape and lines[at + 1 : at + 2] in (bytes((quote,)), bytes((escape,))):
            value += lines[at + 1 : at + 2]
            at += 1
        elif byte == quote:
            inside, quoted = not inside, True
        elif not inside and byte in (mark, 10):
            row.append(None if not quoted and value == shape.null.encode() else value)
            value, quoted = b"", False
            if byte == 10:
                found.append(row)
                row = []
        else:
            value += bytes((byte,))
        at += 1
    assert not inside
    if quote == escape and b"\r" not in lines and b"\0" not in lines:
        text = lines.decode("latin-1")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter, quotechar=shape.quote))
        plain = [[(one or b"").decode("latin-1") for one in values] for values in found]
        if not shape.null:
            assert [values or [""] for values in rows] == plain
    return found
