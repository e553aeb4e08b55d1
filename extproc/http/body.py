"""Bodies: undoing a content encoding on the way through, and what policy may know of a request's body."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Final
from urllib.parse import parse_qsl

from extproc import strictjson
from extproc.errors import Refusal
from extproc.model import JSON
from extproc.redact.base import ByteFilter

_PIECE: Final = 256 * 1024  # bytes given at once: what a decompression bomb can make of memory
_SLICE: Final = 8 * 1024  # bytes taken at once: zlib copies what it leaves, so many tiny members cost no square
_GZIP: Final = 16 + zlib.MAX_WBITS
_MAX_FIELDS: Final = 1000
_FORM: Final = re.compile(rb"(?:[!-$&-:<-~]|%[0-9A-Fa-f]{2})*")  # visible ASCII without ; and without a lone %


def decoder(encodings: list[bytes]) -> ByteFilter | None:
    """
    What undoes a response's content encodings (RFC 9110, 8.4), or None where there are none.

    Raises `Refusal("response_unreadable")` for anything but one gzip: the request asked for no encoding at all, and
    what is not decoded cannot be masked.
    """
    names = [name.strip().lower() for name in encodings]
    names = [name for name in names if name not in (b"", b"identity")]
    if not names:
        return None
    if names in ([b"gzip"], [b"x-gzip"]):
        return Gunzip()
    raise Refusal("response_unreadable")


class Gunzip:
    """
    A `ByteFilter` that decodes gzip (RFC 1952), member after member, in pieces of at most 256 KiB.

    Raises `Refusal("response_malformed")` for damage, for a member without its end, and for anything after the last
    one: another reader might stop where this one goes on. No bytes at all are no members, and decode to nothing.
    """

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None  # None between members

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE):
            yield from self._slice(data[start : start + _SLICE])
        if end and self._member is not None:
            raise Refusal("response_malformed", "the response ends within its gzip encoding")

    def _slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            member = self._member = self._member or zlib.decompressobj(_GZIP)
            yield from _decode(member, data)
            if not member.eof:
                return
            data, self._member = member.unused_data, None


def _decode(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Everything that `data` gives within one member; zlib may hold output back even after it took all input."""
    while True:
        try:
            piece = member.decompress(data, _PIECE)
        except zlib.error:
            raise Refusal("response_malformed", "the response is not what its gzip encoding says") from None
        if piece:
            yield piece
        data = member.unconsumed_tail
        if member.eof or (not data and len(piece) < _PIECE):
            return


def read_body(body: bytes, media_type: str, *, complete: bool) -> dict[str, JSON]:
    """
    The policy input's `body`: `size` (bytes), `media_type` (lower case, without parameters), `complete`, and where it
    could be read without doubt one of `json`, `form` (name → values) and `text`.

    `complete=False` says that the bytes are encoded: nothing is read then. A body that is not read, or could be read
    in two ways, has `complete` false; policy must not take silence for harmlessness. An empty body is complete.
    """
    name, charset = _media_type(media_type)
    document: dict[str, JSON] = {"size": len(body), "media_type": name, "complete": complete}
    if not complete or not body:
        return document
    key, reader = _reader(name)
    if charset not in ("", "utf-8", "us-ascii"):
        reader = _unreadable  # the upstream would read other characters than policy
    try:
        document[key] = reader(body)
    except ValueError:
        document["complete"] = False
    return document


def _media_type(value: str) -> tuple[str, str]:
    """Essence and charset, both in lower case (RFC 9110, 8.3.1)."""
    message = Message()
    message["content-type"] = re.sub(r"[^ -~]", "?", value)
    charset = message.get_param("charset", "", unquote=True)
    return value.partition(";")[0].strip().lower(), str(charset).strip().lower()


def _reader(name: str) -> tuple[str, Callable[[bytes], JSON]]:
    if name in ("application/json", "text/json") or (name.startswith("application/") and name.endswith("+json")):
        return "json", strictjson.loads
    if name == "application/x-www-form-urlencoded":
        return "form", _form
    if name.startswith("text/"):
        return "text", bytes.decode
    return "", _unreadable


def _unreadable(_: bytes) -> JSON:
    raise ValueError("a media type that is not read")


def _form(body: bytes) -> JSON:
    """Every value of every field, decoded, in order (WHATWG URL, application/x-www-form-urlencoded), but strictly."""
    if not _FORM.fullmatch(body):
        raise ValueError("a character that must be percent-encoded")
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
