"""
The checks behind the detectors: whether a value begins here, and where it ends.

Each takes the text, the place `at` where a trigger matched and `floor`, before which nothing may be touched, and gives
`(start, end)` or None. The answer depends only on the 64 bytes before and the 4,090 bytes after `at`, so that a stream
can be searched in pieces (`stream.py`). The text always has two bytes of context before `floor`.
"""

from __future__ import annotations

import functools
import re
from typing import Final

Span = tuple[int, int]

# How a group of digits may be parted: one space or dash, or a space as forms write it.
SEPARATOR: Final = rb"(?:[ +-]|%20)"

_LOCAL: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"
_LOCAL_MAX: Final = 64  # RFC 5321 4.5.3.1.1
_DOMAIN_MAX: Final = 253  # RFC 1035 2.3.4, as text
_DOMAIN: Final = re.compile(rb"(?:[A-Za-z0-9-]{1,63}\.)+(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,63})")
# A percent-escape that ends a form field's syntax; those of `+`, `-`, `.` and `_` belong to the address.
_SYNTAX_ESCAPE: Final = re.compile(rb"%(?!2[BbDdEe]|5[Ff])[0-9A-Fa-f]{2}")
_ESCAPE_LETTERS: Final = re.compile(rb"[nrtbf]|u[0-9A-Fa-f]{4}")

_SSN: Final = re.compile(
    rb"(?!000|666|9)[0-9]{3}(" + SEPARATOR + rb")(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9])",
)

_DIGITS: Final = re.compile(rb"[0-9]{3,20}")
_SEPARATOR: Final = re.compile(SEPARATOR)
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
# Issuer prefixes and lengths (ISO/IEC 7812 ranges as the networks publish them).
_ISSUER: Final = re.compile(
    rb"4[0-9]{12}(?:[0-9]{3}){0,2}"  # Visa
    rb"|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"  # Mastercard
    rb"|3[47][0-9]{13}"  # American Express
    rb"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}"  # Discover
    rb"|(?:30[0-5][0-9]|3095|3[689][0-9]{2})[0-9]{10,15}"  # Diners Club
    rb"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    rb"|(?:62|8[12])[0-9]{14,17}|(?:60|508[0-9]|9792)[0-9]{12,14}"  # UnionPay, RuPay, Troy
    rb"|220[0-4][0-9]{12,15}"  # Mir
    rb"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{9,15}"  # Maestro
)

_AWS: Final = re.compile(rb"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_GITHUB: Final = re.compile(rb"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20}")
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")
JWT_HEADER_MAX: Final = 4000  # bytes; a longer run that begins like a token is taken for one
_SP: Final = rb"(?:[ +]|%20)"
_PEM_LABEL: Final = (
    _SP + rb"(?:[A-Z0-9]{1,16}" + _SP + rb"){0,4}PRIVATE" + _SP + rb"KEY(?:" + _SP + rb"BLOCK)?-----"
)  # RFC 7468
_PEM_BEGIN: Final = re.compile(rb"-----BEGIN" + _PEM_LABEL)
PEM_END: Final = re.compile(rb"-----END" + _PEM_LABEL)
PEM_END_MAX: Final = 128  # bytes; the longest END line is shorter

# Lengths by country: the IBAN registry (ISO 13616).
_IBAN_LENGTHS: Final = {
    15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_IBAN_LENGTH: Final = {code.encode(): size for size, codes in _IBAN_LENGTHS.items() for code in codes.split()}


def credit_card(text: bytes, at: int, floor: int) -> Span | None:
    """13 to 19 digits, whole groups of at least 3, an issuer's prefix and length, Luhn (ISO/IEC 7812-1)."""
    start = at + 1 if text[at + 1 : at + 2].isdigit() else at + 2
    before = text[start - 2 : start]
    if start < floor or before[1:].isdigit() or (before[1:] == b"." and before[:1].isdigit()):
        return None  # inside a longer number, or the fraction of one
    digits, pos, best = b"", start, None
    while (group := _DIGITS.match(text, pos)) is not None:
        digits += group[0]
        if len(digits) > 19:
            break
        if len(digits) >= 13 and _ISSUER.fullmatch(digits) and luhn(digits):
            best = group.end()
        parted = _SEPARATOR.match(text, group.end())
        if parted is None:
            break
        pos = parted.end()
    return None if best is None else (start, best)


def luhn(digits: bytes) -> bool:
    plain, doubled = digits[-1::-2], digits[-2::-2].translate(_DOUBLED)
    return (sum(plain) + sum(doubled) - 48 * len(digits)) % 10 == 0


def ssn(text: bytes, at: int, floor: int) -> Span | None:
    """Area not 000, 666 or 9xx, group not 00, serial not 0000 (SSA, POMS RM 10201.035)."""
    if at + 1 < floor or text[at : at + 1].isdigit():
        return None
    found = _SSN.match(text, at + 1)
    return found.span() if found else None


def email(text: bytes, at: int, floor: int) -> Span | None:
    """`local@domain.tld`, also with `%40`, as forms and links write it."""
    sign = at + 1
    encoded = text[sign] == 0x25
    if not (text.startswith(b"%40", sign) if encoded else text[sign] == 0x40):
        return None  # another detector's trigger
    begin = sign - _LOCAL_MAX
    window = text[max(floor, begin) : sign]
    size = len(window) - len(window.rstrip(_LOCAL))
    if size <= 0:
        return None
    start = sign - size
    if encoded:
        for escape in _SYNTAX_ESCAPE.finditer(text, start, sign):
            start = escape.end()
    if text[start - 1] in (0x5C, 0x01):  # 0x01 is a backslash that `escapes.py` has read
        # Escaped text inside text (a JSON string in an event stream): `\n` is a line's end, not the letter n.
        letters = _ESCAPE_LETTERS.match(text, start, sign)
        start = letters.end() if letters else start
    if start >= sign:
        return None
    domain = sign + (3 if encoded else 1)
    found = _DOMAIN.match(text, domain, domain + _DOMAIN_MAX)
    return (start, found.end()) if found else None


def iban(text: bytes, at: int, floor: int) -> Span | None:
    """The country's length, mod 97 = 1 (ISO 7064), groups of 4 where parted."""
    size = _IBAN_LENGTH.get(text[at : at + 2])
    if size is None or at < floor or _upper_or_digit(text[at - 1 : at]):
        return None
    found = _iban_pattern(size).match(text, at)
    if found is None:
        return None
    plain = re.sub(SEPARATOR, b"", found[0]).decode("ascii")
    number = "".join(str(int(c, 36)) for c in plain[4:] + plain[:4])
    return found.span() if int(number) % 97 == 1 else None


@functools.cache
def _iban_pattern(size: int) -> re.Pattern[bytes]:
    groups, rest = divmod(size, 4)
    pattern = rb"[A-Z]{2}[0-9]{2}(?:%b?[A-Z0-9]{4}){%d}" % (SEPARATOR, groups - 1)
    if rest:
        pattern += rb"%b?[A-Z0-9]{%d}" % (SEPARATOR, rest)
    return re.compile(pattern + rb"(?![A-Za-z0-9])")


def aws_key_id(text: bytes, at: int, floor: int) -> Span | None:
    """`AKIA` or `ASIA` and 16 capitals or digits, not inside a longer word of these."""
    if at < floor or _upper_or_digit(text[at - 1 : at]):
        return None
    found = _AWS.match(text, at)
    return found.span() if found else None


def github_token(text: bytes, at: int, floor: int) -> Span | None:
    """The prefixes that GitHub documents and at least 20 more characters; the tail is open."""
    found = _GITHUB.match(text, at) if at >= floor else None
    return found.span() if found else None


def jwt(text: bytes, at: int, floor: int) -> Span | None:
    """A JWS or JWE in compact form (RFC 7515 3.1, RFC 7516 3.1): a header that begins `{"`, a dot, more; tail open."""
    if at < floor or not text.startswith(b"eyJ", at):
        return None
    found = _BASE64URL.match(text, at, at + JWT_HEADER_MAX)
    if found is None:
        return None
    end = found.end()
    if end - at == JWT_HEADER_MAX:
        return at, end  # too long to look for its dot; better too much hidden than too little
    more = end + (2 if text[end : end + 2] == b".." else 1)
    if text[end : end + 1] != b"." or _BASE64URL.match(text, more, more + 1) is None:
        return None
    return at, more + 1


def private_key(text: bytes, at: int, floor: int) -> Span | None:
    """The BEGIN line of a private key (RFC 7468 and its relatives); everything up to the END line belongs to it."""
    found = _PEM_BEGIN.match(text, at) if at >= floor else None
    return found.span() if found else None


def _upper_or_digit(byte: bytes) -> bool:
    # Small letters do not count: before a value they may be the `n` of an escaped line end.
    return byte.isupper() or byte.isdigit()
