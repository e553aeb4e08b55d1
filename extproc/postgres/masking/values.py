"""
Values in place of masked ones, valid for their type (PostgreSQL documentation, "Data Types"; binary forms as the types'
receive functions read them): a masked date is a date, a masked int an int, what is not known here is NULL.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from extproc.model import Strategy
from extproc.postgres.catalog import Type
from extproc.redact.fields import unescaped
from extproc.redact.strategies import MASK, VALUE_CAP, replacement

# text: a value is its text. json, jsonb: JSON. number: digits. array: of `element`. plain: can hold no text and no long
# number. opaque: may hold anything, and a changed value would not be valid (enum, composite, range, unknown).
Form = Literal["text", "json", "jsonb", "number", "array", "plain", "opaque"]

JSONB_VERSION: Final = b"\x01"
_DEEPEST: Final = 32  # domains over domains, arrays of them
_ARRAY: Final = struct.Struct("!iiI")
_TIMESTAMP: Final = struct.pack("!q", -946_684_800_000_000)  # 1970-01-01 in microseconds from 2000-01-01


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """
    How values of a type look. `text` and `binary` stand for a masked one in the two formats (None: NULL), where that
    does not depend on the value.
    """

    oid: int
    form: Form
    text: bytes | None = None
    binary: bytes | None = None
    element: TypeInfo | None = None


TEXT: Final = TypeInfo(25, "text")

_NUMBERS: Final = {20: bytes(8), 700: bytes(4), 701: bytes(8), 1700: bytes(8)}  # int8, float4, float8, numeric
_TEXTS: Final = (
    19,
    25,
    142,
    705,
    1042,
    1043,
    1790,
    2275,
)  # name, text, xml, unknown, bpchar, varchar, refcursor, cstring
_PLAIN: Final[dict[int, tuple[bytes | None, bytes | None]]] = {
    16: (b"f", bytes(1)),  # bool
    17: (b"\\x", b""),  # bytea
    18: (b"*", b"*"),  # "char", one byte
    21: (b"0", bytes(2)),  # int2
    23: (b"0", bytes(4)),  # int4
    26: (b"0", bytes(4)),  # oid
    650: (b"0.0.0.0/32", b"\x02\x20\x01\x04" + bytes(4)),  # cidr
    774: (b"00:00:00:00:00:00:00:00", bytes(8)),  # macaddr8
    790: (b"0", bytes(8)),  # money
    829: (b"00:00:00:00:00:00", bytes(6)),  # macaddr
    869: (b"0.0.0.0", b"\x02\x20\x00\x04" + bytes(4)),  # inet
    1082: (b"1970-01-01", struct.pack("!i", -10_957)),  # date, in days from 2000-01-01
    1083: (b"00:00:00", bytes(8)),  # time
    1114: (b"1970-01-01 00:00:00", _TIMESTAMP),  # timestamp
    1184: (b"1970-01-01 00:00:00+00", _TIMESTAMP),  # timestamptz
    1186: (b"00:00:00", bytes(16)),  # interval
    1266: (b"00:00:00+00", bytes(12)),  # timetz
    2950: (b"00000000-0000-0000-0000-000000000000", bytes(16)),  # uuid
    # int2vector, tid, xid, cid, oidvector, bit, varbit, pg_lsn, xid8; the names of objects (reg...)
    **dict.fromkeys((22, 27, 28, 29, 30, 1560, 1562, 3220, 5069), (None, None)),
    **dict.fromkeys((24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191), (None, None)),
}
_BUILT_IN: Final = {
    **{oid: TypeInfo(oid, "text") for oid in _TEXTS},
    **{oid: TypeInfo(oid, "number", b"0", zero) for oid, zero in _NUMBERS.items()},
    **{oid: TypeInfo(oid, "plain", *values) for oid, values in _PLAIN.items()},
    114: TypeInfo(114, "json"),
    3802: TypeInfo(3802, "jsonb"),
}
_ARRAYS: Final = {
    143: 142, 199: 114, 651: 650, 775: 774, 791: 790, 1000: 16, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23,
    1009: 25, 1014: 1042, 1015: 1043, 1016: 20, 1021: 700, 1022: 701, 1028: 26, 1040: 829, 1041: 869, 1115: 1114,
    1182: 1082, 1183: 1083, 1185: 1184, 1187: 1186, 1231: 1700, 1263: 2275, 1270: 1266, 2201: 1790, 2951: 2950,
    3807: 3802,
}  # fmt: skip


def type_info(oid: int, types: Mapping[int, Type]) -> TypeInfo:
    """The type with that OID, a domain as what it is a domain of; `types` is the catalog's and may lack any."""
    return _info(oid, types, _DEEPEST)


def _info(oid: int, types: Mapping[int, Type], depth: int) -> TypeInfo:
    known = _BUILT_IN.get(oid)
    if known is not None:
        return known
    if oid in _ARRAYS:
        return _array(oid, _ARRAYS[oid], _BUILT_IN[_ARRAYS[oid]])
    found = types.get(oid)
    if found is not None and depth:
        if found.kind == "d":
            return _info(found.base, types, depth - 1)
        if found.kind == "b" and found.category == "A" and found.element:
            return _array(oid, found.element, _info(found.element, types, depth - 1))
        if found.kind == "b" and found.category == "S" and found.name == "citext":
            return TypeInfo(oid, "text")
    return TypeInfo(oid, "opaque")


def _array(oid: int, declared: int, element: TypeInfo) -> TypeInfo:
    """Its masked value is an empty array: no dimensions, no NULLs, the OID of its elements."""
    return TypeInfo(oid, "array", b"{}", _ARRAY.pack(0, 0, declared), element)


def varies(strategy: Strategy, info: TypeInfo) -> bool:
    """Whether what stands in place of a value depends on the value."""
    return info.form in ("text", "json", "jsonb") and strategy not in ("drop", "mask")


def masked(strategy: Strategy, value: bytes, info: TypeInfo, binary: int, key: bytes) -> bytes | None:
    """
    What goes on in place of a value that is not NULL, in the same format (`binary`: 0 text, 1 binary); None is NULL.

    `drop` is always NULL. `partial`, `hash` and `token` tell values of text and JSON apart; anything else gets the same
    neutral value whatever it was.
    """
    if strategy == "drop":
        return None
    if info.form == "text":
        return replacement(strategy, value, key)
    if info.form == "json":
        return json_string(_replaced_json(strategy, value, key))
    if info.form == "jsonb":
        if not binary:
            return json_string(_replaced_json(strategy, value, key))
        return JSONB_VERSION + json_string(_replaced_json(strategy, value[1:], key))
    return info.binary if binary else info.text


def json_string(text: bytes) -> bytes:
    """Replacements need no escapes."""
    return b'"' + text + b'"'


def _replaced_json(strategy: Strategy, value: bytes, key: bytes) -> bytes:
    """As JSON fields are masked in HTTP: a string's text, or the JSON of anything else (`partial`: scalars only)."""
    if len(value) > VALUE_CAP:
        return MASK
    if value[:1] != b'"':
        return MASK if strategy == "partial" and value[:1] in (b"{", b"[") else replacement(strategy, value, key)
    try:
        return replacement(strategy, unescaped(value[1:-1]), key)
    except ValueError:
        return MASK
