"""The PROXY protocol, version 2 (haproxy's proxy-protocol.txt, 2.2), as Envoy sends it in front of a connection."""

from __future__ import annotations

import ipaddress
from typing import Final

from extproc.postgres.wire import ProtocolViolation

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
HEAD: Final = 16  # bytes: signature, version and command, family, length of the rest
LOCAL: Final = SIGNATURE + b"\x20\x00\x00\x00"  # from the proxy itself
_MOST: Final = 4096  # bytes of addresses and TLVs
_TCP4, _TCP6 = 0x11, 0x21


def rest_of(head: bytes) -> int:
    """How many bytes follow the first `HEAD`. Raises `ProtocolViolation`."""
    length = int.from_bytes(head[14:16], "big")
    if head[:12] != SIGNATURE or head[12] not in (0x20, 0x21) or length > _MOST:
        raise ProtocolViolation("no PROXY header of version 2")
    return length


def source_of(head: bytes, rest: bytes) -> str:
    """The client's address and port as Envoy saw it, "" for a connection of Envoy's own. Raises `ProtocolViolation`."""
    if head[12] == 0x20:
        return ""
    if head[13] == _TCP4 and len(rest) >= 12:
        return f"{ipaddress.IPv4Address(rest[:4])}:{int.from_bytes(rest[8:10], 'big')}"
    if head[13] == _TCP6 and len(rest) >= 36:
        return f"[{ipaddress.IPv6Address(rest[:16])}]:{int.from_bytes(rest[32:34], 'big')}"
    raise ProtocolViolation("a PROXY header without an address")
