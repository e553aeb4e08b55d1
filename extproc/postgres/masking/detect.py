"""One value looked at exactly: what detectors find in it is replaced, and it stays valid for its type."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import orjson

from extproc.model import Strategy
from extproc.postgres.masking import arrays
from extproc.postgres.masking.values import JSONB_VERSION, TypeInfo, masked
from extproc.redact import checks
from extproc.redact.detectors import CONTEXT, Hit, search_for
from extproc.redact.escapes import JsonUnescape, escape
from extproc.redact.strategies import BY_SECRECY, MASK, least, replacement

_SHIFT: Final = len(CONTEXT)
_CARD_LEAST: Final = 10**12  # a card number has 13 to 19 digits
_CARD_MOST: Final = 10**19
_INT8, _FLOAT8, _NUMERIC = 20, 701, 1700
_INT: Final = struct.Struct("!q")
_DOUBLE: Final = struct.Struct("!d")
_HEAD: Final = struct.Struct("!HhHH")  # of a binary numeric: digits, weight of the first, sign, digits after the point
_SPECIAL: Final = 0xC000  # NaN and infinities


class Detection:
    """
    Detectors by the strategy that they are masked with; one under several goes by the strategy that shows least.

    `counts` says how many values of each were replaced. Raises `Refusal("policy_unmet")` for an unknown detector.
    """

    def __init__(self, detect: Mapping[Strategy, Collection[str]], key: bytes) -> None:
        self._strategies = {name: way for way in reversed(BY_SECRECY) for name in detect.get(way, ())}
        self._search = search_for(frozenset(self._strategies))
        self._key = key
        self.counts: dict[str, int] = {}

    def fresh(self) -> Detection:
        """The same one, with nothing counted yet."""
        other = object.__new__(Detection)
        other.__dict__.update(self.__dict__, counts={})
        return other

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._strategies)

    def edit(self, value: bytes, info: TypeInfo, binary: int) -> bytes | None:
        """The value masked: the same object where nothing was found; None is NULL."""
        form = info.form
        if form == "text":
            return self.text(value)
        if form == "json" or (form == "jsonb" and not binary):
            return self._json(value, info)
        if form == "jsonb":
            found = self._json(value[1:], info)
            return value if found == value[1:] else found and JSONB_VERSION + found
        if form == "array" and info.element is not None:
            return self._array(value, info.element, binary)
        if form == "plain":
            return value
        looked_at = _digits(value, info.oid) if form == "number" and binary else value
        hits = self._hits(CONTEXT + looked_at)
        if not hits:
            return value
        for hit in hits:
            self._count(hit)
        return masked(self._least(hits), value, info, binary, self._key)

    def text(self, value: bytes) -> bytes:
        padded = CONTEXT + value
        return self._rebuilt(padded, self._hits(padded), value)

    def addresses(self, value: bytes, places: Sequence[int]) -> bytes:
        """
        The same for a value in which only e-mail addresses can be: their signs stand right after `places` (offsets in
        the value, in order).
        """
        padded = CONTEXT + value
        out: list[bytes] = []
        done, at = _SHIFT, 0
        for place in places:
            here = place + _SHIFT
            if here < at:
                continue
            span = checks.email(padded, here, done)
            if span is not None:
                out += (padded[done : span[0]], self.address(padded[span[0] : span[1]]))
                done = span[1]
                at = max(here + 1, done - _SHIFT)
        return b"".join((*out, padded[done:])) if out else value

    def address(self, address: bytes) -> bytes:
        """What stands in place of an e-mail address."""
        self.counts["email"] = self.counts.get("email", 0) + 1
        strategy = self._strategies["email"]
        return MASK if strategy == "mask" else replacement(strategy, address, self._key)

    def _hits(self, padded: bytes) -> list[Hit]:
        return list(self._search.hits(padded, 0, _SHIFT, len(padded), complete=True))

    def _count(self, hit: Hit) -> None:
        name = hit.detector.name
        self.counts[name] = self.counts.get(name, 0) + 1

    def _rebuilt(self, padded: bytes, hits: list[Hit], value: bytes) -> bytes:
        if not hits:
            return value
        out: list[bytes] = []
        done = _SHIFT
        for hit in hits:
            out += (padded[done : hit.start], self._replaced(hit, padded))
            done = hit.end
        return b"".join((*out, padded[done:]))

    def _replaced(self, hit: Hit, padded: bytes) -> bytes:
        self._count(hit)
        name = hit.detector.name
        strategy = self._strategies[name]
        if strategy == "mask" or (name == "private_key" and strategy != "drop"):
            return MASK
        return replacement(strategy, padded[hit.start : hit.end], self._key)

    def _json(self, value: bytes, info: TypeInfo) -> bytes | None:
        """As in HTTP bodies: escapes hide nothing, a card number that is a number becomes 0 (`redact/stream.py`)."""
        escaped = b"\\" in value
        padded = CONTEXT + (JsonUnescape().feed(value, end=True) if escaped else value)
        hits = self._hits(padded)
        if not hits:
            return value
        out: list[bytes] = []
        done, quotes = _SHIFT, 0
        for hit in hits:
            quotes += padded.count(b'"', done, hit.start)
            new = self._replaced(hit, padded)
            out += (padded[done : hit.start], new if quotes % 2 or hit.detector.name != "credit_card" else b"0")
            quotes += padded.count(b'"', hit.start, hit.end)
            done = hit.end
        text = b"".join((*out, padded[done:]))
        text = escape(text) if escaped else text
        # Only a private key can take the end of a string with it.
        if any(hit.detector.name == "private_key" for hit in hits) and not _is_json(text):
            return masked(self._least(hits), b"", TypeInfo(info.oid, "json"), 0, self._key)
        return text

    def _array(self, value: bytes, element: TypeInfo, binary: int) -> bytes:
        def edit(old: bytes) -> bytes | None:
            return self.edit(old, element, binary)

        return arrays.edit_binary(value, edit) if binary else arrays.edit_text(value, edit)

    def _least(self, hits: list[Hit]) -> Strategy:
        """The strategy for a value that is masked whole."""
        return least(self._strategies[hit.detector.name] for hit in hits)


def may_be_card(value: bytes, info: TypeInfo) -> bool:
    """Whether a binary number is as long as a card number, or an array of numbers may hold one."""
    return info.form == "array" or bool(_digits(value, info.oid))


def _digits(value: bytes, oid: int) -> bytes:
    """The whole part of a binary number as text, where it is as long as a card number."""
    try:
        number = _whole_part(value, oid)
    except (struct.error, OverflowError, ValueError):
        return b""  # not a number, infinite, or not of its type: no card
    return b"%d" % number if _CARD_LEAST <= abs(number) < _CARD_MOST else b""


def _whole_part(value: bytes, oid: int) -> int:
    if oid == _INT8:
        return int(_INT.unpack(value)[0])
    if oid == _FLOAT8:
        return int(_DOUBLE.unpack(value)[0])
    if oid != _NUMERIC:
        return 0
    count, weight, sign, _ = _HEAD.unpack_from(value)
    if sign & _SPECIAL == _SPECIAL or not 3 <= weight <= 4:  # digits are of base 10,000
        return 0
    digits = struct.unpack_from(f"!{min(count, weight + 1)}H", value, _HEAD.size)
    return sum(int(digit) * 10_000 ** (weight - place) for place, digit in enumerate(digits))


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
