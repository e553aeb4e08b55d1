"""Where a client puts its token: `Bearer` (RFC 6750), or the password of `Basic` (RFC 7617), which pip and git send."""

from __future__ import annotations

import base64
import re
from typing import Final, NoReturn

from extproc.errors import Refusal
from extproc.model import Headers

_MAX_HEADER: Final = 16 * 1024  # bytes
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750, 2.1
_BEARER: Final = re.compile(rb"bearer +([^ ]+)", re.IGNORECASE)
_BASIC: Final = re.compile(rb"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)


def token_of(headers: Headers) -> str:
    """
    The token of the one Authorization header.

    Raises `Refusal`: identity_missing (no header, or an empty one), identity_ambiguous (several), identity_invalid
    (anything that is not one token in one of the two forms, or over 16 KiB). No text of the header stands in an error.
    """
    values = headers.get_all(b"authorization")
    if len(values) > 1:
        raise Refusal("identity_ambiguous", "more than one Authorization header")
    if not values or not values[0]:
        raise Refusal("identity_missing")
    value = values[0]
    if len(value) > _MAX_HEADER:
        _invalid("the Authorization header is too long")
    if match := _BEARER.fullmatch(value):
        token = match[1]
    elif match := _BASIC.fullmatch(value):
        token = _password(match[1])
    else:
        _invalid("the Authorization header must be Bearer, or Basic with the token as password")
    if not _TOKEN.fullmatch(token):
        _invalid("the Authorization header carries no token")
    return token.decode("ascii")


def _password(encoded: bytes) -> bytes:
    try:
        pair = base64.b64decode(encoded, validate=True)
    except ValueError:
        _invalid("the Authorization header is not base64")
    # The user's name ends at the first colon (RFC 7617, 2); which name it is does not matter.
    return pair.partition(b":")[2]


def _invalid(reason: str) -> NoReturn:
    raise Refusal("identity_invalid", reason) from None
