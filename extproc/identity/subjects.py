"""How the subject of a client's certificate is written, in the configuration and for policy."""

from __future__ import annotations

import re
from typing import Final

# SPIFFE-ID 2.1 to 2.3: a trust domain and a path of plain segments, at most 2048 bytes.
_SPIFFE: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}((?:/[A-Za-z0-9._-]+)*)")
_DNS: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")


def is_subject(text: str) -> bool:
    """Whether a certificate may go by this name: `spiffe://domain/path`, `dns:name` in lower case, `cn:name`."""
    kind, _, name = text.partition(":")
    if kind == "spiffe":
        match = _SPIFFE.fullmatch(text)
        return match is not None and len(text) <= 2048 and not {".", ".."} & set(match[1].split("/"))
    if kind == "dns":
        return _DNS.fullmatch(name) is not None
    return kind == "cn" and name.isprintable() and bool(name.strip())
