"""Large bodies through a whole gateway: masked in bounded memory, the same bytes however they were cut."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.gateway import Gateway
from tests.integration.upstream import Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

decision := {"action": "allow", "redact": [{"detect": ["ssn", "credit_card", "email", "github_token"]}]}
"""
LINE = b"x" * 987 + b",****\n"
RESIDENT = 200  # MB that a worker may hold at its peak


@pytest.fixture(scope="module")
def gateway(gateways: Callable[..., Gateway]) -> Gateway:
    return gateways(policy=POLICY)


def memory(gateway: Gateway, role: str = "worker", what: str = "VmHWM") -> float:
    """MB resident at the peak (VmHWM) or now (VmRSS), of the one process of that role."""
    (pid,) = gateway.pids(role)
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


def read_masked(gateway: Gateway, mb: int) -> float:
    """Reads /big, checks every line of it; the seconds it took."""
    block = LINE * 1000
    rest, total = b"", 0
    with gateway.client(timeout=60) as client:
        began = time.monotonic()
        with client.stream("GET", f"/big?mb={mb}") as answer:
            assert answer.status_code == 200
            for data in answer.iter_raw():
                rest += data
                total += len(data)
                while len(rest) >= len(block):
                    assert rest.startswith(block)
                    rest = rest[len(block) :]
        took = time.monotonic() - began
    assert total == mb * len(block)
    assert rest == b""
    return took


def test_60_mb_are_masked_in_bounded_memory(gateway: Gateway) -> None:
    took = read_masked(gateway, 60)
    print(f"masked through Envoy: {60 / took:.0f} MB/s, worker's peak {memory(gateway):.0f} MB")
    assert memory(gateway) < RESIDENT


def test_300_mb_are_masked_in_bounded_memory(gateway: Gateway) -> None:
    before = memory(gateway, what="VmRSS")
    took = read_masked(gateway, 300)
    print(f"masked through Envoy: {300 / took:.0f} MB/s in {took:.1f} s, worker's peak {memory(gateway):.0f} MB")
    assert memory(gateway) < RESIDENT
    assert memory(gateway, what="VmRSS") < before + 30


@pytest.mark.parametrize("cut", [65536, 4096])
def test_cut_differently_the_bytes_are_the_same(gateway: Gateway, cut: int) -> None:
    with gateway.client() as client:
        assert client.get(f"/stream?bytes=1000000&cut={cut}").content == LINE * 1000


def test_cut_into_single_bytes_the_bytes_are_the_same(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/stream?bytes=5000&cut=1").content == LINE * 5


@pytest.fixture
def reading(gateway: Gateway) -> Iterator[Callable[[str], socket.socket]]:
    """Opens connections that ask and then read only as they are told to."""
    opened: list[socket.socket] = []

    def ask(path: str) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        made.settimeout(20)
        url = urlsplit(gateway.url)
        made.connect((url.hostname, url.port))
        head = f"GET {path} HTTP/1.1\r\nhost: app.localhost\r\nauthorization: Bearer {gateway.token()}\r\n\r\n"
        made.sendall(head.encode())
        opened.append(made)
        return made

    yield ask
    for one in opened:
        one.close()


def test_a_slow_client_makes_nobodys_memory_grow(
    gateway: Gateway, upstream: Upstream, reading: Callable[[str], socket.socket]
) -> None:
    """Five clients that read 1 MB/s each of 300 MB: what they do not read stays in the upstream."""
    read_masked(gateway, 5)
    before = {role: memory(gateway, role, "VmRSS") for role in ("worker", "envoy.json")}
    slow = [reading("/big?mb=300") for _ in range(5)]
    grown = dict.fromkeys(before, 0.0)
    for _ in range(40):
        for one in slow:
            assert one.recv(100_000)
        time.sleep(0.1)
        for role, at in before.items():
            grown[role] = max(grown[role], memory(gateway, role, "VmRSS") - at)
    print(f"five slow clients: worker grew {grown['worker']:.0f} MB, Envoy {grown['envoy.json']:.0f} MB")
    assert grown["worker"] < 100
    assert grown["envoy.json"] < 75  # with the default window of 16 MiB it was 100


def test_a_gzip_bomb_is_decoded_in_bounded_memory(gateway: Gateway, reading: Callable[[str], socket.socket]) -> None:
    """1 GB in 1 MB; nothing in it ends a word, which is the worst for detectors. Who reads little costs little."""
    client = reading("/bomb?mb=1000&of=48")
    got, until = 0, time.monotonic() + 5
    while got < 30_000_000 and time.monotonic() < until:
        got += len(client.recv(1_000_000))
    peak = memory(gateway)
    print(f"gzip bomb: {got / 1e6:.0f} MB read, worker's peak {peak:.0f} MB")
    assert got > 5_000_000
    assert peak < RESIDENT


def test_a_gzip_bomb_of_nul_is_refused(gateway: Gateway) -> None:
    got = b""
    with gateway.client() as client:
        try:
            with client.stream("GET", "/bomb?mb=1000&of=0") as answer:
                for data in answer.iter_raw():
                    got += data
        except httpx.HTTPError:
            pass
        else:
            assert answer.status_code == 502
    assert b"\0" not in got
    assert memory(gateway) < RESIDENT


def test_others_are_served_while_a_large_body_is_masked(
    gateway: Gateway, reading: Callable[[str], socket.socket]
) -> None:
    """The worker has one thread: a body of any size must give way between its pieces."""
    large = reading("/bomb?mb=1000&of=48")
    waited = []
    with gateway.client() as client:
        client.get("/echo")
        for _ in range(20):
            large.recv(1_000_000)
            began = time.monotonic()
            assert client.get("/echo").status_code == 200
            waited.append(time.monotonic() - began)
    print(f"beside a large body: worst answer {max(waited) * 1000:.0f} ms")
    assert max(waited) < 1.0
