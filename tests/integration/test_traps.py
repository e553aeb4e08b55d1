"""What Envoy does when a handler misbehaves, in every phase: nothing uninspected arrives, nothing hangs.

`NoAbort` is the transport with the abort taken out. The tests at the end show that the same faults then fail open: if
the abort were lost, the tests before them would fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest

from extproc.http.events import Direction, PassBody, PassHeaders
from extproc.http.exchange import Steps
from extproc.server.grpc_aio import GrpcTransport
from tests.integration.bench import PHASES, Bench, Fault, Hang, faulty
from tests.integration.upstream import SSN, Upstream
from tests.unit.playbook import Policy

pytestmark = pytest.mark.envoy

MASK_SSN = {"action": "allow", "redact": [{"detect": ["ssn"]}]}
MARK = b"uninspected-marker-"
DEADLINE = 9.0  # seconds: the longest of our own deadlines, and some


def returns() -> Steps:
    yield from ()


def raises() -> Steps:
    yield from ()
    raise RuntimeError("planted")


def is_cancelled() -> Steps:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    yield Hang()


def hangs() -> Steps:
    yield Hang()


def says_nothing() -> Steps:
    """Waits for Envoy although it is our turn."""
    from extproc.waits import NextEvent

    while True:
        yield NextEvent()


def answers_the_wrong_phase() -> Steps:
    yield PassBody(Direction.RESPONSE, b"x", end=False)
    yield PassBody(Direction.REQUEST, b"x", end=False)
    yield Hang()


def writes_headers_twice() -> Steps:
    yield PassHeaders(Direction.RESPONSE)
    yield PassHeaders(Direction.RESPONSE)
    yield Hang()


FAULTS: dict[str, Fault] = {
    f.__name__: f for f in (returns, raises, is_cancelled, hangs, says_nothing, answers_the_wrong_phase)
}


class _Mute:
    """A context whose abort does nothing and whose reads are Envoy's end: what a careless handler would do."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def abort(self, *_: object) -> None:
        return

    def cancelled(self) -> bool:
        return False


class NoAbort(GrpcTransport):
    """The transport without its abort: whatever happens, the handler returns."""

    async def _process(self, requests: Any, context: Any) -> None:
        await super()._process(requests, cast("Any", _Mute(context)))

    async def _linger(self, exchange: Any, context: Any, watch: Any) -> None:
        return


@contextmanager
def bench(
    upstream: Upstream, phase: str, fault: Fault, transport: type[GrpcTransport] = GrpcTransport
) -> Iterator[Bench]:
    made = Bench(upstream, faulty(phase, fault), Policy(MASK_SSN), transport).start()
    try:
        yield made
    finally:
        made.stop()


def send(made: Bench, phase: str) -> tuple[bytes, bool]:
    """One request that passes through the phase: what the client got of the body, and whether it looked whole."""
    got = b""
    with made.client() as client:
        try:
            with client.stream(**request_for(phase)) as answer:
                for data in answer.iter_raw():
                    got += data
                return got, answer.status_code == 200
        except httpx.HTTPError:
            return got, False


def request_for(phase: str) -> dict[str, Any]:
    if phase == "request body":
        return {"method": "POST", "url": "/echo", "content": iter([MARK * 1000] * 200)}
    if phase == "response trailers":
        return {"method": "GET", "url": "/trailers"}
    return {"method": "GET", "url": "/stream?bytes=6000000"}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", FAULTS)
def test_a_handler_that_misbehaves_lets_nothing_through(upstream: Upstream, phase: str, name: str) -> None:
    with bench(upstream, phase, FAULTS[name]) as made:
        began = time.monotonic()
        got, whole = send(made, phase)
        took = time.monotonic() - began
    assert not whole
    assert took < DEADLINE
    assert SSN.encode() not in got
    assert MARK not in b"".join(seen.body for seen in upstream.seen)
    if phase == "request headers":
        assert upstream.seen == []


@pytest.mark.parametrize("phase", ["response headers", "response body"])
def test_a_second_answer_in_one_phase_lets_nothing_through(upstream: Upstream, phase: str) -> None:
    with bench(upstream, phase, writes_headers_twice) as made:
        got, whole = send(made, phase)
    assert not whole
    assert SSN.encode() not in got


def test_without_the_abort_a_return_at_the_headers_fails_open(upstream: Upstream) -> None:
    with bench(upstream, "request headers", returns, NoAbort) as made:
        got, whole = send(made, "request headers")
    assert whole
    assert SSN.encode() in got
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("name", ["returns", "raises", "is_cancelled", "hangs"])
@pytest.mark.parametrize("phase", ["response headers", "response body"])
def test_without_the_abort_the_response_fails_open(upstream: Upstream, phase: str, name: str) -> None:
    with bench(upstream, phase, FAULTS[name], NoAbort) as made:
        got, whole = send(made, phase)
    # Later chunks come raw, earlier ones may be lost, and all of it looks like a whole answer.
    assert whole
    assert SSN.encode() in got or b"****" not in got


def test_without_the_abort_a_request_body_goes_on_uninspected(upstream: Upstream) -> None:
    with bench(upstream, "request body", returns, NoAbort) as made:
        send(made, "request body")
    assert MARK in b"".join(seen.body for seen in upstream.seen)
