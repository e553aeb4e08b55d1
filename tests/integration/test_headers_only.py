"""Routes whose bodies pass unread: they end well, and last as long as they like."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.integration.gateway import Gateway
from tests.integration.upstream import SSN, Upstream

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def gateway(gateways: Callable[..., Gateway]) -> Gateway:
    return gateways(resource={"bodies": "headers_only", "credential": None}, settings={"timeouts": {"idle": 2.0}})


def test_a_slow_download_outlasts_the_idle_timeout(gateway: Gateway, upstream: Upstream) -> None:
    got = 0
    with gateway.client() as client, client.stream("GET", "/stream?bytes=400000&cut=40000&pause=0.6") as answer:
        began = time.monotonic()
        for data in answer.iter_raw():
            got += len(data)
    assert got == 400_000
    assert time.monotonic() - began > 4


def test_it_passes_unread_and_the_record_says_so(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client(gateway.token("--run-id", "4242")) as client:
        answer = client.get("/record.json")
    assert SSN in answer.text  # nothing is promised of bodies here: policy must not rely on it
    time.sleep(1.2)
    listed = json.loads(gateway.cli("sessions", "list", "--json").stdout)["sessions"]
    session = next(item["session"] for item in listed if item["requests"] == 1 and item["refused"] == 0)
    shown = json.loads(gateway.cli("sessions", "show", session, "--json").stdout)
    assert [exchange["outcome"] for exchange in shown["exchanges"]] == ["unread"]


def test_a_body_or_trailers_on_the_way_up_are_refused(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        assert client.post("/echo", content=b"x").status_code == 413
        assert client.post("/echo", content=iter([b"x"])).status_code == 413
    assert upstream.seen == []


def test_policy_that_wants_to_mask_there_is_an_error(gateways: Callable[..., Gateway], upstream: Upstream) -> None:
    policy = 'package extproc\n\ndecision := {"action": "allow", "redact": [{"detect": ["ssn"]}]}'
    gateway = gateways(policy=policy, resource={"bodies": "headers_only", "credential": None})
    with gateway.client() as client:
        answer = client.get("/record.json")
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":policy_unmet")
    assert upstream.seen == []
