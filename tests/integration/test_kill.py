"""A worker killed with requests in flight, in each phase: clients get an error, nothing passes uninspected."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway import Gateway
from tests.integration.upstream import SSN, Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

decision := {"action": "allow", "inspect": ["request_body"]} if {
	input.request.segments[0] == "read"
	not input.request.body
} else := {"action": "allow", "redact": [{"detect": ["ssn"]}]}
"""
MARK = b"uninspected-marker-"
# A comprehension over ten billion pairs: minutes of an engine that cannot be interrupted.
RUNAWAY = """package extproc

decision := {"action": "allow"} if {
	input.request.segments[0] != "runs-away"
}

decision := {"action": "deny"} if {
	input.request.segments[0] == "runs-away"
	count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == 7]) > 5
}
"""


@pytest.fixture(scope="module")
def gateway(gateways: Callable[..., Gateway]) -> Gateway:
    return gateways(policy=POLICY, workers=1)


def kill_workers(gateway: Gateway) -> None:
    for pid in gateway.pids("worker"):
        os.kill(pid, signal.SIGKILL)


def await_workers(gateway: Gateway) -> None:
    """Until the gateway serves again."""
    deadline = time.monotonic() + 15
    with gateway.client(timeout=5) as client:
        while client.get("/echo").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_while_the_request_body_is_read(gateway: Gateway, upstream: Upstream) -> None:
    await_workers(gateway)
    upstream.clear()

    def slowly() -> Iterator[bytes]:
        yield MARK * 10
        time.sleep(0.5)
        kill_workers(gateway)
        time.sleep(0.5)
        yield MARK * 10

    with gateway.client() as client:
        answer = client.post("/read", content=slowly())
    assert answer.status_code >= 500
    assert upstream.seen == []


def test_while_the_request_body_streams(gateway: Gateway, upstream: Upstream) -> None:
    await_workers(gateway)
    upstream.clear()

    def slowly() -> Iterator[bytes]:
        yield b"before " * 10
        time.sleep(0.5)
        kill_workers(gateway)
        time.sleep(0.5)
        for _ in range(50):
            yield MARK * 1000

    with gateway.client() as client, contextlib.suppress(httpx.HTTPError):
        assert client.post("/echo", content=slowly()).status_code >= 500
    assert MARK not in b"".join(seen.body for seen in upstream.seen)


def test_while_the_upstream_thinks(gateway: Gateway, upstream: Upstream) -> None:
    await_workers(gateway)
    upstream.delay = 1.0
    timer = threading.Timer(0.4, kill_workers, [gateway])
    timer.start()
    with gateway.client() as client:
        answer = client.get("/record.json")
    timer.join()
    assert answer.status_code >= 500
    assert SSN not in answer.text


def test_while_the_response_streams(gateway: Gateway, upstream: Upstream) -> None:
    await_workers(gateway)
    got, whole = b"", False
    with gateway.client() as client:
        try:
            with client.stream("GET", "/stream?bytes=3000000&cut=65536&pause=0.02") as answer:
                for data in answer.iter_raw():
                    if not got:
                        threading.Timer(0.2, kill_workers, [gateway]).start()
                    got += data
                whole = True
        except httpx.HTTPError:
            pass
    assert not whole
    assert b"****" in got
    assert SSN.encode() not in got


def test_a_worker_that_died_is_back_by_itself(gateway: Gateway) -> None:
    await_workers(gateway)
    kill_workers(gateway)
    began = time.monotonic()
    await_workers(gateway)
    assert time.monotonic() - began < 10


def test_the_records_of_a_killed_worker_verify(gateway: Gateway) -> None:
    assert gateway.cli("sessions", "verify", check=False).returncode == 0


def test_a_policy_that_runs_away_is_ended_and_fails_closed(upstream: Upstream) -> None:
    gateway = Gateway(upstream_port=upstream.port, policy=RUNAWAY, workers=1).start()
    try:
        with gateway.client(timeout=40) as client:
            began = time.monotonic()
            answer = client.get("/runs-away")
            took = time.monotonic() - began
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["forwarded"] == 0
            assert took < 12
        await_workers(gateway)
    finally:
        gateway.stop()
    assert all(seen.target == "/echo" for seen in upstream.seen)


def test_a_killed_supervisor_leaves_no_process_behind(upstream: Upstream) -> None:
    gateway = Gateway(upstream_port=upstream.port, policy=POLICY, workers=2).start()
    try:
        pids = [pid for role in ("worker", "control", "envoy", "dev") for pid in gateway.pids(role)]
        assert len(pids) == 5
        assert gateway.process is not None
        gateway.process.kill()
        gateway.process.wait()
        deadline = time.monotonic() + 5
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        gateway.stop()


def alive(pid: int) -> bool:
    """Neither gone nor a zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
