"""What happens to a response's head and trailers: what is read from it, what is refused, what goes or is weakened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from extproc.errors import Refusal
from extproc.http.canonical import is_list
from extproc.http.events import Pairs
from extproc.model import JSON, Headers, HttpResource, MaskRule
from extproc.redact.detectors import mask_text
from extproc.redact.secrets import SecretFilter

# They speak of the bytes as the upstream sent them; after masking they are wrong, or tell of the original.
_ABOUT_THE_BYTES: Final = frozenset({
    b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges",
    b"last-modified", b"content-encoding",
})  # fmt: skip
_SECRET: Final = frozenset({b"set-cookie", b"authorization", b"www-authenticate", b"proxy-authenticate"})
_REDIRECTS: Final = (b"location", b"content-location", b"refresh")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response, read. Raises nothing by itself."""

    status: int
    headers: Headers
    media_type: bytes
    encodings: tuple[bytes, ...]

    def facts(self) -> dict[str, JSON]:
        """What policy may know of a response."""
        return {"response": {"status": self.status, "headers": self._by_name()}}

    def shown(self) -> dict[str, JSON]:
        """For the record, before masking."""
        pairs = [[n.decode("latin-1"), v.decode("utf-8", "replace")] for n, v in self._regular() if n not in _SECRET]
        return {"status": self.status, "headers": pairs}

    def _regular(self) -> list[tuple[bytes, bytes]]:
        return [pair for pair in self.headers if not pair[0].startswith(b":")]

    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self._regular():
            if name not in _SECRET:
                found.setdefault(name.decode("latin-1"), []).append(value.decode("utf-8", "replace"))
        return found


def read_head(headers: Headers) -> ResponseHead:
    """Raises `Refusal("response_malformed")`."""
    status = headers.get_all(b":status")
    if len(status) != 1 or not status[0].isdigit() or len(status[0]) != 3:
        raise Refusal("response_malformed", "the response has no single status")
    types = headers.get_all(b"content-type")
    if len(types) > 1 or any(is_list(value) for value in types):
        raise Refusal("response_malformed", "the response has more than one content-type")
    encodings = b",".join(headers.get_all(b"content-encoding")).lower().split(b",")
    return ResponseHead(
        status=int(status[0]),
        headers=headers,
        media_type=types[0] if types else b"",
        encodings=tuple(e.strip() for e in encodings if e.strip() and e.strip() != b"identity"),
    )


def check_head(headers: Headers, resource: HttpResource, secrets: SecretFilter) -> None:
    """Raises `Refusal` where the head gives the credential away or sends the client to a host nobody registered."""
    for name, value in headers:
        if secrets.contains(value) or secrets.contains(name):
            raise Refusal("response_leaks_credential")
    for name in _REDIRECTS:
        for value in headers.get_all(name):
            if not _registered(_target(name, value), resource):
                raise Refusal("location_refused")


def mask_head(headers: Headers, rules: tuple[MaskRule, ...]) -> Pairs:
    """The header values that detectors change, to be put in place of the originals."""
    names = {name for rule in rules for name in rule.detect}
    if not names:
        return ()
    values = [(name, *mask_text(value, names)) for name, value in headers if not name.startswith(b":")]
    # Putting one value replaces all of that name, so the others are put again beside it.
    changed = {name for name, _, found in values if found} - _ABOUT_THE_BYTES
    return tuple((name, masked) for name, masked, _ in values if name in changed)


def stale_headers(headers: Headers) -> tuple[bytes, ...]:
    """Names to remove from a response whose bytes may change."""
    return tuple(sorted({name for name, _ in headers if name in _ABOUT_THE_BYTES}))


def _target(name: bytes, value: bytes) -> str:
    """The address in a header. That of Refresh is found as browsers do (HTML, "shared declarative refresh steps")."""
    text = value.decode("latin-1").strip()
    if name != b"refresh":
        return text
    text = re.sub(r"^[0-9.]*[\s;,]*", "", text)
    text = re.sub(r"^url\s*=\s*", "", text, flags=re.IGNORECASE)
    return text.strip(" '\"")


def _registered(text: str, resource: HttpResource) -> bool:
    # Browsers take any number of slashes for two, and overlook some controls.
    if "\\" in text or text.startswith("///") or any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        return False
    try:
        host = urlsplit(text).hostname
        scheme = urlsplit(text).scheme
    except ValueError:
        return False
    if host is None:
        return scheme == ""
    return scheme in ("http", "https", "") and host in {*resource.hosts, urlsplit(resource.upstream).hostname}
