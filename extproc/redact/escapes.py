"""
JSON text in a form where detectors see what a parser would see.

`unescape` turns each escape sequence into the character itself (printable ASCII), or into control bytes that JSON
forbids in raw form (RFC 8259 7) and that therefore cannot be confused with anything; `escape` turns these back. The
result means the same to every parser. A raw control byte in the input is refused.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from extproc.errors import Refusal
from extproc.redact.detectors import compile_bytes

_ESCAPE: Final = re.compile(rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_CODE: Final = re.compile(rb"[\x01-\x07]|\x08[\x0e-\x1d]{4}")
_FORBIDDEN: Final = compile_bytes(rb"[\x00-\x08\x0b\x0c\x0e-\x1d\x1f]")  # 0x1e parts values in RFC 7464

_SHORT: Final = {
    b"\\\\": b"\x01", b'\\"': b"\x02", b"\\n": b"\x03", b"\\r": b"\x04", b"\\t": b"\x05", b"\\b": b"\x06",
    b"\\f": b"\x07",
}  # fmt: skip
_BY_CODE: Final = {code: text for text, code in _SHORT.items()}
_POINTS: Final = {
    0x5C: b"\x01",
    0x22: b"\x02",
    0x0A: b"\x03",
    0x0D: b"\x04",
    0x09: b"\x05",
    0x08: b"\x06",
    0x0C: b"\x07",
}
_NIBBLES: Final = bytes(range(0x0E, 0x1E))
_TO_NIBBLES: Final = bytes.maketrans(b"0123456789abcdef", _NIBBLES)
_FROM_NIBBLES: Final = bytes.maketrans(_NIBBLES, b"0123456789abcdef")


class JsonUnescape:
    """Streaming `unescape`: holds back at most an unfinished escape sequence."""

    def __init__(self) -> None:
        self._carry = b""
        self.seen = False  # an escape sequence was met: the output has to go through `escape`

    def feed(self, data: bytes, *, end: bool) -> bytes:
        """Raises `Refusal("response_malformed")`."""
        if _FORBIDDEN.search(data) is not None:
            raise Refusal("response_malformed", "a control character in JSON")
        text = self._carry + data
        self._carry = b""
        last = text.rfind(b"\\")
        if last < 0:
            return text
        self.seen = True
        if not end:
            cut = _unfinished(text, last)
            text, self._carry = text[:cut], text[cut:]
        return _ESCAPE.sub(_code, text) if b"\\u" in text else _short_codes(text)


def _short_codes(text: bytes) -> bytes:
    """Do the same, faster, where there is no `u` escape. Pairs of backslashes come first: a run begins with one."""
    for sequence, code in _SHORT.items():
        text = text.replace(sequence, code)
    text = text.replace(b"\\/", b"/")
    if b"\\" in text:
        raise Refusal("response_malformed", "an escape sequence that JSON does not know")
    return text


def _unfinished(text: bytes, last: int) -> int:
    """Where an unfinished escape sequence begins, else the text's end. `last` is the last backslash."""
    run = last + 1 - len(text[: last + 1].rstrip(b"\\"))
    if run % 2 == 0:
        return len(text)  # it is itself the escaped one
    size = 6 if text[last + 1 : last + 2] == b"u" else 2
    return last if last + size > len(text) else len(text)


def _code(found: re.Match[bytes]) -> bytes:
    return _code_of(found[0])


@functools.lru_cache(maxsize=8192)
def _code_of(escape: bytes) -> bytes:
    short = _SHORT.get(escape)
    if short is not None:
        return short
    if escape == b"\\/":
        return b"/"
    if len(escape) != 6:
        raise Refusal("response_malformed", "an escape sequence that JSON does not know")
    point = int(escape[2:].decode(), base=16)
    if point in _POINTS:
        return _POINTS[point]
    if 0x20 <= point < 0x7F:
        return bytes((point,))
    return b"\x08" + escape[2:].lower().translate(_TO_NIBBLES)


def escape(text: bytes) -> bytes:
    """The JSON text again."""
    if b"\x08" in text:
        return _CODE.sub(_text, text)
    for code, sequence in _BY_CODE.items():
        text = text.replace(code, sequence)
    return text


def _text(found: re.Match[bytes]) -> bytes:
    code = found[0]
    return _BY_CODE.get(code) or b"\\u" + code[1:].translate(_FROM_NIBBLES)
