from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres import proxy
from extproc.postgres.wire import ProtocolViolation

FOUR = bytes([192, 0, 2, 7]) + bytes([10, 0, 0, 1]) + (5555).to_bytes(2, "big") + (5432).to_bytes(2, "big")
SIX = bytes.fromhex("20010db8000000000000000000000007") + bytes(16) + (5555).to_bytes(2, "big") + bytes(2)


def head(command: int = 0x21, family: int = 0x11, length: int = 12) -> bytes:
    return proxy.SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big")


def test_addresses() -> None:
    assert proxy.rest_of(head()) == 12
    assert proxy.source_of(head(), FOUR) == "192.0.2.7:5555"
    assert proxy.source_of(head(family=0x21, length=36), SIX) == "[2001:db8::7]:5555"
    assert proxy.source_of(head(length=15), FOUR + b"TLV") == "192.0.2.7:5555"


def test_a_connection_of_the_proxys_own() -> None:
    assert len(proxy.LOCAL) == proxy.HEAD
    assert proxy.rest_of(proxy.LOCAL) == 0
    assert proxy.source_of(proxy.LOCAL, b"") == ""
    assert proxy.source_of(head(0x20), FOUR) == ""  # its addresses mean nothing


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 192.0",  # version 1
        b"\0\0\0\x08\x04\xd2\x16\x2f" + bytes(8),  # a client that came past Envoy
        head(0x11),
        head(0x22),
        head(0x31),
        head(length=4097),
        b"\r\n\r\n\0\r\nQUIT\r" + head()[12:],
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        proxy.rest_of(data)


@pytest.mark.parametrize(
    ("family", "rest"),
    [(0x11, FOUR[:-1]), (0x21, SIX[:-1]), (0x21, FOUR), (0x12, FOUR), (0x31, bytes(216)), (0x00, b"")],
)
def test_no_address_is_no_source(family: int, rest: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        proxy.source_of(head(family=family, length=len(rest)), rest)


@given(st.binary(min_size=proxy.HEAD, max_size=proxy.HEAD), st.binary(max_size=60))
def test_random_bytes_are_refused(data: bytes, rest: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        proxy.source_of(data, rest[: proxy.rest_of(data)])
