"""
Elements of array values, one by one, in both formats (PostgreSQL documentation, "Arrays"; `array_send`).

`edit` takes an element that is not NULL and gives what goes in its place: the same object where it may stay, None for
NULL.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from extproc.errors import Refusal

Edit = Callable[[bytes], bytes | None]

_MOST_DIMENSIONS: Final = 6  # MAXDIM
_HEAD: Final = struct.Struct("!iiI")  # dimensions, whether there are NULLs, OID of the elements
_INT: Final = struct.Struct("!i")
_PREFIX: Final = re.compile(rb"(?:\[[+-]?[0-9]+:[+-]?[0-9]+\])+=")
_ELEMENT: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|([^"{},]+)', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_ODD: Final = re.compile(rb'["\\]')


def edit_text(value: bytes, edit: Edit) -> bytes:
    """An array literal with its elements edited. What is not changed stays as it is written."""

    def edited(found: re.Match[bytes]) -> bytes:
        quoted, plain = found.groups()
        if plain is not None:
            if plain.upper() == b"NULL":
                return plain
            old = plain
        else:
            old = _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        new = edit(old)
        if new is old:
            return found[0]
        return b"NULL" if new is None else b'"' + _ODD.sub(rb"\\\g<0>", new) + b'"'

    prefix = _PREFIX.match(value)
    start = prefix.end() if prefix else 0
    return value[:start] + _ELEMENT.sub(edited, value[start:])


def edit_binary(value: bytes, edit: Edit) -> bytes:
    """Raises `Refusal("response_unmaskable")` where it is not an array."""
    try:
        return _edited(value, edit)
    except struct.error:
        raise _unreadable() from None


def _edited(value: bytes, edit: Edit) -> bytes:
    dimensions, nulls, element = _HEAD.unpack_from(value)
    if not 0 <= dimensions <= _MOST_DIMENSIONS:
        raise _unreadable()
    at = _HEAD.size + 8 * dimensions
    shape = value[_HEAD.size : at]
    out: list[bytes] = []
    changed = False
    while at < len(value):
        (size,) = _INT.unpack_from(value, at)
        start, at = at + 4, at + 4 + max(size, 0)
        if size < -1 or at > len(value):
            raise _unreadable()
        old = value[start:at]
        new = None if size < 0 else edit(old)
        changed = changed or (size >= 0 and new is not old)
        nulls = nulls or new is None
        out.append(_INT.pack(-1) if new is None else _INT.pack(len(new)) + new)
    return _HEAD.pack(dimensions, 1 if nulls else 0, element) + shape + b"".join(out) if changed else value


def _unreadable() -> Refusal:
    return Refusal("response_unmaskable", "an array that cannot be read")
