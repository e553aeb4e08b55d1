"""What a host of an address or a URL is, by its text alone."""

from __future__ import annotations

import ipaddress


def is_ip(host: str) -> bool:
    """Whether it is an address, without brackets, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine comes to it, or is reached by it. An address may stand in brackets."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return ipaddress.ip_address(bare).is_loopback if is_ip(bare) else host == "localhost"
