"""Addresses and names, and which of them are this machine."""

from __future__ import annotations

import pytest

from extproc.hosts import is_ip, is_loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.1", False),
        ("localhost.acme.test", False),
        ("127.0.0.1.acme.test", False),
        ("[localhost]", False),
        ("[::1", False),
        ("[[::1]]", False),
        ("", False),
    ],
)
def test_what_stays_on_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("10.0.0.1", True),
        ("::1", True),
        ("[::1]", False),
        ("10.0.0", False),
        ("10.0.0.1.acme.test", False),
        ("", False),
    ],
)
def test_an_address_is_no_name(host: str, ip: bool) -> None:
    assert is_ip(host) is ip
