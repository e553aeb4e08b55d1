"""What stands in place of a masked value: plain ASCII that is safe in JSON strings, CSV and text."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from extproc.model import Strategy

MASK: Final = b"****"
BY_SECRECY: Final[tuple[Strategy, ...]] = ("drop", "mask", "token", "hash", "partial")  # what shows least is first
VALUE_CAP: Final = 16 * 1024  # bytes of a value that are kept for partial, hash and token; a longer one is masked

_ALNUM: Final = bytes(c for c in range(128) if chr(c).isalnum())
_NOT_ALNUM: Final = bytes(set(range(256)) - set(_ALNUM))
_SHOWN: Final = 4  # characters that `partial` leaves


def replacement(strategy: Strategy, value: bytes, key: bytes) -> bytes:
    """
    The text in place of `value`.

    mask: `****`. partial: the last 4 letters and digits, where at least as many stay hidden. hash: 16 hex digits of
    HMAC-SHA256 (RFC 2104). token: `tok_` and 20 hex digits, of another HMAC, so that one does not tell the other.
    drop: nothing. Values longer than `VALUE_CAP` are masked.
    """
    if strategy == "drop":
        return b""
    if strategy == "mask" or len(value) > VALUE_CAP:
        return MASK
    if strategy == "partial":
        known = value.translate(None, _NOT_ALNUM)
        return MASK + known[-_SHOWN:] if len(known) >= 2 * _SHOWN else MASK
    if strategy == "hash":
        return _keyed(b"hash\0", value, key)[:16]
    return b"tok_" + _keyed(b"token\0", value, key)[:20]


def least(strategies: Iterable[Strategy]) -> Strategy:
    """Of several for one value, the one that shows least of it."""
    return min(strategies, key=BY_SECRECY.index)


def _keyed(purpose: bytes, value: bytes, key: bytes) -> bytes:
    return hmac.digest(key, purpose + value, "sha256").hex().encode()
