r"""
Values in PostgreSQL's binary formats, as the text that the server would have sent with DateStyle ISO, in UTC.

The formats are those of the types' send functions (src/backend/utils/adt). For people to read, not to be sent on: what
is unknown or does not fit its type is shown as `\x` and hex digits.
"""

from __future__ import annotations

import ipaddress
import math
import re
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

_NUMERIC_SIGNS: Final = {0x0000: "", 0x4000: "-"}
_NUMERIC_SPECIAL: Final = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_MAX_ELEMENTS: Final = 1_000_000
_QUOTED: Final = re.compile(r'[\s{},"\\]')
_NUMBER: Final = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|[+-]?Infinity")


def text_of(value: bytes, oid: int, form: int | None) -> str:
    """
    A field of a DataRow as text. `form` is its format code: 0 text, 1 binary, None where the record does not say; then
    it is taken for text where it could be one of its type. `oid` is 0 for an unknown type.
    """
    if form == 0 or (form is None and _may_be_text(value, oid)):
        return value.decode("utf-8", "backslashreplace")
    try:
        return _read(value, oid)
    except (ValueError, struct.error, OverflowError, IndexError):
        return _hex(value)


def oid_of(name: str) -> int:
    """The OID of a built-in type by any of its names (`int4`, `integer`, `pg_catalog.numeric(10,2)`), else 0."""
    plain = re.sub(r"\([^)]*\)", "", name).strip().removeprefix("pg_catalog.").strip('"')
    array = plain.endswith("[]") or plain.startswith("_")
    plain = plain.removesuffix("[]").removeprefix("_")
    oid = _NAMES.get(_ALIASES.get(plain, plain), 0)
    return _ARRAY_OF.get(oid, 0) if array else oid


def is_number(oid: int) -> bool:
    """Whether psql draws the type's column flush right (`column_type_alignment` in its print.c)."""
    return oid in _NUMBERS


def _may_be_text(value: bytes, oid: int) -> bool:
    if oid in _NUMBERS:
        return _NUMBER.fullmatch(value) is not None
    if oid == 17:  # bytea
        return value.startswith(b"\\x")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return oid in _TEXTS or not any(char < " " and char not in "\t\r\n" for char in text)


def _read(value: bytes, oid: int) -> str:
    if oid in _ELEMENT_OF:
        return _array(value)
    reader = _READERS.get(oid)
    return reader(value) if reader is not None else _hex(value)


def _hex(value: bytes) -> str:
    return "\\x" + value.hex()


def _char(value: bytes) -> str:
    return _text(value.rstrip(b"\0"))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _integer(size: int, *, signed: bool = True) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        if len(value) != size:
            raise ValueError("another size")
        return str(int.from_bytes(value, "big", signed=signed))

    return read


def _bool(value: bytes) -> str:
    return "t" if struct.unpack("?", value)[0] else "f"


def _float4(value: bytes) -> str:
    (number,) = struct.unpack(">f", value)
    for digits in range(1, 9):  # the shortest decimal that is the same float4 again
        with suppress(OverflowError):
            if struct.pack(">f", float(f"{number:.{digits}g}")) == value:
                return _decimal(number, f"{number:.{digits}g}", 6)
    return _decimal(number, f"{number:.9g}", 6)


def _float8(value: bytes) -> str:
    (number,) = struct.unpack(">d", value)
    return _decimal(number, repr(number), 15)


def _decimal(number: float, shortest: str, most: int) -> str:
    """As float8out writes it: with an exponent below 1e-4 and from `most` digits before the point on."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    text = "".join(map(str, digits))
    power = len(text) + int(exponent) - 1
    if -5 < power < most:
        return f"{Decimal((sign, digits, int(exponent))):f}"
    rest = f".{text[1:]}" if text[1:] else ""
    return f"{'-' if sign else ''}{text[0]}{rest}e{power:+03d}"


def _numeric(value: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from(">HhHH", value)
    if sign in _NUMERIC_SPECIAL:
        return _NUMERIC_SPECIAL[sign]
    groups = struct.unpack(f">{count}H", value[8:])
    digits = "".join(f"{group:04d}" for group in groups)
    point = (weight + 1) * 4  # digits before the point
    whole = digits[: max(point, 0)].ljust(max(point, 0), "0").lstrip("0") or "0"
    fraction = ("0" * max(-point, 0) + digits[max(point, 0) :])[:scale].ljust(scale, "0")
    return _NUMERIC_SIGNS[sign] + whole + (f".{fraction}" if scale else "")


def _date(value: bytes) -> str:
    (days,) = struct.unpack(">i", value)
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    return "".join(_day(days))


def _day(days: int) -> tuple[str, str]:
    """The day so many days after 2000-01-01, and its era; Python's own dates end with the years 1 and 9999."""
    cycles, rest = divmod(days, 146_097)  # days of 400 years
    day = date(2000, 1, 1) + timedelta(days=rest)
    year = day.year + 400 * cycles
    return f"{year if year > 0 else 1 - year:04d}-{day:%m-%d}", "" if year > 0 else " BC"


def _timestamp(value: bytes, zone: str = "") -> str:
    (micros,) = struct.unpack(">q", value)
    if micros in (2**63 - 1, -(2**63)):
        return "infinity" if micros > 0 else "-infinity"
    days, micros = divmod(micros, 86_400_000_000)
    day, era = _day(days)
    return f"{day} {_clock(micros)}{zone}{era}"


def _timestamptz(value: bytes) -> str:
    return _timestamp(value, "+00")


def _time(value: bytes) -> str:
    (micros,) = struct.unpack(">q", value)
    return _clock(micros)


def _timetz(value: bytes) -> str:
    micros, west = struct.unpack(">qi", value)
    hours, seconds = divmod(abs(west), 3600)
    minutes, seconds = divmod(seconds, 60)
    zone = f"{'-' if west > 0 else '+'}{hours:02d}"
    zone += f":{minutes:02d}" if minutes or seconds else ""
    return _clock(micros) + zone + (f":{seconds:02d}" if seconds else "")


def _clock(micros: int) -> str:
    seconds, micros = divmod(micros, 1_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{_fraction(micros)}"


def _fraction(micros: int) -> str:
    return f".{micros:06d}".rstrip("0") if micros else ""


def _interval(value: bytes) -> str:
    """IntervalStyle postgres: a part after a negative one gets a sign."""
    micros, days, months = struct.unpack(">qii", value)
    years, months = int(months / 12), int(math.fmod(months, 12))
    parts, negative = [], False
    for count, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if count:
            parts.append(f"{'+' if negative and count > 0 else ''}{count} {unit}{'' if count == 1 else 's'}")
            negative = count < 0
    if micros or not parts:
        sign = "-" if micros < 0 else "+" if negative else ""
        parts.append(sign + _clock(abs(micros)))
    return " ".join(parts)


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _jsonb(value: bytes) -> str:
    if value[:1] != b"\x01":
        raise ValueError("another version")
    return _text(value[1:])


def _inet(value: bytes) -> str:
    _, bits, cidr, size = struct.unpack_from("BBBB", value)
    if size != len(value) - 4:
        raise ValueError("another size")
    address = ipaddress.ip_address(value[4:])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    text = f"::ffff:{mapped}" if mapped else str(address)
    return text if bits == address.max_prefixlen and not cidr else f"{text}/{bits}"


def _bits(value: bytes) -> str:
    (size,) = struct.unpack_from(">i", value)
    return "".join(f"{byte:08b}" for byte in value[4:])[:size]


def _array(value: bytes) -> str:
    dimensions, _, oid = struct.unpack_from(">iiI", value)
    if dimensions == 0:
        return "{}"
    if not 0 < dimensions <= 6:
        raise ValueError("more dimensions than there are")
    shape = [struct.unpack_from(">ii", value, 12 + 8 * n) for n in range(dimensions)]
    if not 0 < math.prod(size for size, _ in shape) <= _MAX_ELEMENTS:
        raise ValueError("more elements than fit")
    elements, at = [], 12 + 8 * dimensions
    for _ in range(math.prod(size for size, _ in shape)):
        (size,) = struct.unpack_from(">i", value, at)
        elements.append("NULL" if size < 0 else _element(value[at + 4 : at + 4 + size], oid))
        at += 4 + max(size, 0)
    if at != len(value):
        raise ValueError("another size")
    for size, _ in reversed(shape):
        elements = ["{" + ",".join(elements[n : n + size]) + "}" for n in range(0, len(elements), size)]
    bounds = "".join(f"[{low}:{low + size - 1}]" for size, low in shape)
    return (f"{bounds}=" if any(low != 1 for _, low in shape) else "") + elements[0]


def _element(value: bytes, oid: int) -> str:
    text = _read(value, oid) if oid not in _ELEMENT_OF else _hex(value)  # arrays of arrays do not exist
    if text == "" or text.upper() == "NULL" or _QUOTED.search(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


# pg_type.dat: OID, name, OID of its array, how it is read.
_TYPES: Final[tuple[tuple[int, str, int, Callable[[bytes], str]], ...]] = (
    (16, "bool", 1000, _bool), (17, "bytea", 1001, _hex), (18, "char", 1002, _char), (19, "name", 1003, _text),
    (20, "int8", 1016, _integer(8)), (21, "int2", 1005, _integer(2)), (23, "int4", 1007, _integer(4)),
    (25, "text", 1009, _text), (26, "oid", 1028, _integer(4, signed=False)),
    (28, "xid", 1011, _integer(4, signed=False)), (29, "cid", 1012, _integer(4, signed=False)),
    (114, "json", 199, _text), (142, "xml", 143, _text), (650, "cidr", 651, _inet), (700, "float4", 1021, _float4),
    (701, "float8", 1022, _float8), (705, "unknown", 0, _text), (869, "inet", 1041, _inet),
    (1042, "bpchar", 1014, _text), (1043, "varchar", 1015, _text), (1082, "date", 1182, _date),
    (1083, "time", 1183, _time), (1114, "timestamp", 1115, _timestamp), (1184, "timestamptz", 1185, _timestamptz),
    (1186, "interval", 1187, _interval), (1266, "timetz", 1270, _timetz), (1560, "bit", 1561, _bits),
    (1562, "varbit", 1563, _bits), (1700, "numeric", 1231, _numeric), (2278, "void", 0, _text),
    (2950, "uuid", 2951, _uuid), (3802, "jsonb", 3807, _jsonb),
)  # fmt: skip
_ALIASES: Final = {
    "bigint": "int8", "smallint": "int2", "integer": "int4", "int": "int4", "boolean": "bool", "real": "float4",
    "double precision": "float8", "decimal": "numeric", "character varying": "varchar", "character": "bpchar",
    "bit varying": "varbit", "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
    "time without time zone": "time", "time with time zone": "timetz",
}  # fmt: skip
_READERS: Final = {oid: reader for oid, _, _, reader in _TYPES}
_NAMES: Final = {name: oid for oid, name, _, _ in _TYPES}
_ARRAY_OF: Final = {oid: array for oid, _, array, _ in _TYPES if array}
_ELEMENT_OF: Final = {array: oid for oid, array in _ARRAY_OF.items()}
_TEXTS: Final = frozenset(oid for oid, _, _, reader in _TYPES if reader is _text)
_NUMBERS: Final = frozenset({20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069})
