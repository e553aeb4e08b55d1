"""
JSON's tokens as patterns (RFC 8259), and patterns that pass over many harmless members at once.

`BULK_*` are accelerators: each takes whole values, followed by a comma, nested no deeper than `BULK_DEPTH`, and only
where a token-by-token reading would have taken them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from extproc.redact.detectors import compile_bytes

BULK_DEPTH: Final = 4
_BODY: Final = rb'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SPACE: Final = rb"[ \t\n\r]*"

SPACE: Final = re.compile(rb"[ \t\n\r]*+")
TOP_SPACE: Final = re.compile(rb"[ \t\n\r\x1e]*+")  # the record separator of RFC 7464
# As much of a string's inside as there is; possessive, so that nothing is tried twice.
INSIDE: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
PARTIAL_ESCAPE: Final = re.compile(rb"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
SCALAR_RUN: Final = re.compile(rb"[-+.0-9A-Za-z]++")
SCALAR: Final = re.compile(_NUMBER + rb"|true|false|null")


def _listed(item: bytes) -> bytes:
    return rb"(?:%b(?:,%b)*|%b)" % (item, item, _SPACE)


def _spaced(item: bytes) -> bytes:
    return _SPACE + rb"(?:" + item + rb")" + _SPACE


_STRING: Final = rb'"' + _BODY + rb'"'
_SCALAR: Final = _STRING + rb"|" + _NUMBER + rb"|true|false|null"


def _object(value: bytes) -> bytes:
    return rb"\{" + _listed(_spaced(_STRING) + rb":" + _spaced(value)) + rb"\}"


def _array(value: bytes) -> bytes:
    return rb"\[" + _listed(_spaced(value)) + rb"\]"


def _nested(depth: int) -> bytes:
    if depth == 0:
        return _SCALAR
    value = _nested(depth - 1)
    return _SCALAR + rb"|" + _array(value) + rb"|" + _object(value)


_VALUE: Final = _nested(BULK_DEPTH - 1)

BULK_MEMBERS: Final = compile_bytes(rb"(?:" + _spaced(_STRING) + rb":" + _spaced(_VALUE) + rb",)*")
BULK_VALUES: Final = compile_bytes(rb"(?:" + _spaced(_VALUE) + rb",)*")
BULK_OBJECTS: Final = compile_bytes(rb"(?:" + _spaced(_object(_VALUE)) + rb",)*")
# A member with a scalar, whole: name, value.
MEMBER: Final = re.compile(
    rb'"((?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"[ \t\n\r]*+:[ \t\n\r]*+'
    rb'("(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"|' + _NUMBER + rb"|true|false|null)(?=[ \t\n\r,}])"
)


def candidates(names: Iterable[bytes]) -> Any:
    """Finds every member whose name may be one of `names` (lower case), and more: any name with an escape sequence."""
    plain = b"|".join(re.sub(rb"[^0-9a-z]", lambda m: b"\\x%02x" % m[0][0], name) for name in names)
    return compile_bytes(rb'"(?i:' + plain + rb')"' + _SPACE + rb':|\\[^"]*"' + _SPACE + rb":")
