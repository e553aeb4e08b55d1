"""JSON that every reader reads the same way (RFC 8259, I-JSON of RFC 7493): anything else is refused, never guessed."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

import orjson

from extproc.model import JSON

MAX_DEPTH: Final = 64


def loads(data: bytes, *, depth: int = MAX_DEPTH) -> JSON:
    """
    The value of a JSON text in UTF-8.

    Raises `ValueError`: not JSON, not UTF-8, a name twice in one object, NaN or a number without a finite value, an
    integer that does not fit 64 bits, half a surrogate pair, nested deeper than `depth`.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_object, parse_float=_finite, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value, depth)
    try:
        orjson.dumps(value)  # what cannot be written again cannot stand in a policy's input or in a record
    except TypeError:
        raise ValueError("a text or an integer that cannot be written") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # The first or the last of two equal names? Readers differ, and an attacker would choose (RFC 8259, 4).
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not a JSON value")


def _check_depth(value: JSON, depth: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    while level:
        if depth == 0:
            raise ValueError("nested too deeply")
        depth -= 1
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
