"""Holds through a real Envoy: joined, approved, denied, cancelled, survived; a yes counts once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.gateway import Gateway
from tests.integration.upstream import SSN, Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

terms := {"approvers": ["group:data-owners"], "timeout": "60s"}

decision := d if {
	input.request.segments[0] == "short"
	d := {"action": "hold", "hold": {"approvers": ["group:data-owners"], "timeout": "1s"}}
} else := d if {
	input.request.segments[0] == "free"
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "justified"
	d := {"action": "hold", "hold": object.union(terms, {"justify": true})}
} else := d if {
	input.request.segments[0] == "window"
	d := {"action": "hold", "hold": object.union(terms, {"grant": "1h", "scope": "GET /window"})}
} else := {"action": "hold", "reason": "ask first", "rule": "test.hold", "hold": terms, "redact": [{"detect": ["ssn"]}]}
"""


@pytest.fixture
def gateway(gateways: Callable[..., Gateway]) -> Gateway:
    return gateways(policy=POLICY, workers=2)


@pytest.fixture
def fresh(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway of the test's own, to kill parts of."""
    made = Gateway(upstream_port=upstream.port, policy=POLICY, workers=2).start()
    yield made
    made.stop()


class Asking(threading.Thread):
    """A client that waits in a thread."""

    def __init__(self, gateway: Gateway, path: str, token: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self.answer: httpx.Response | None = None
        self.error: Exception | None = None
        self.answered_at = 0.0
        self._client = gateway.client(token, timeout=60)
        self._request = {"method": "GET", "url": path, **options}
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._client.request(**self._request)
        except httpx.HTTPError as error:
            self.error = error
        self.answered_at = time.monotonic()
        self._client.close()

    def done(self, within: float = 20) -> httpx.Response:
        self.join(within)
        assert self.answer is not None, self.error
        return self.answer


def pending(gateway: Gateway, count: int = 1) -> list[dict[str, Any]]:
    """Waits until so many approvals are pending."""
    token = gateway.person()
    deadline = time.monotonic() + 10
    while True:
        listed = json.loads(gateway.cli("approvals", "list", "--json", token=token).stdout)["approvals"]
        found = [item for item in listed if item["state"] == "pending"]
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)


def state(gateway: Gateway, approval: dict[str, Any]) -> str:
    url = f"{gateway.control}/v1/approvals/{approval['id']}"
    answer = httpx.get(url, headers={"authorization": f"Bearer {gateway.person()}"}, trust_env=False)
    return str(answer.json()["state"])


def decide(
    gateway: Gateway, approval: dict[str, Any], token: str, verb: str = "approve", **more: Any
) -> httpx.Response:
    url = f"{gateway.control}/v1/approvals/{approval['id']}/{verb}"
    body = {"digest": approval["digest"], **more}
    return httpx.post(url, json=body, headers={"authorization": f"Bearer {token}"}, trust_env=False)


def test_a_yes_wakes_the_held_request_within_200_ms(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/record.json", gateway.token())
    (approval,) = pending(gateway)
    assert upstream.seen == []
    dana = gateway.person()
    took = []
    assert decide(gateway, approval, dana).status_code == 200
    said_at = time.monotonic()
    answer = asking.done()
    took.append(asking.answered_at - said_at)
    assert answer.status_code == 200
    assert answer.json()["ssn"] == "****"
    assert took[0] < 0.2
    assert len(upstream.seen) == 1


def test_a_no_is_told_with_the_approval(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/record.json", gateway.token())
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.person(), "deny").status_code == 200
    answer = asking.done()
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "approval_denied")
    assert answer.json()["approval"] == approval["id"]
    assert answer.json()["approval_url"] == f"{gateway.control}/v1/approvals/{approval['id']}"
    assert upstream.seen == []


def test_nobody_answers_and_the_hold_expires(gateway: Gateway, upstream: Upstream) -> None:
    began = time.monotonic()
    answer = Asking(gateway, "/short", gateway.token()).done()
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "approval_expired")
    assert 0.9 < time.monotonic() - began < 3
    assert upstream.seen == []


def test_who_may_not_approve(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/record.json", gateway.token())
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.token()).status_code in (401, 403)  # the job's own token
    assert decide(gateway, approval, gateway.person("mona")).status_code == 403  # the person behind the job
    assert decide(gateway, approval, gateway.person("octocat")).status_code == 403  # the job's actor by name
    assert decide(gateway, approval, gateway.person("eve", "others")).status_code in (403, 404)  # no approver
    assert httpx.post(f"{gateway.control}/v1/approvals/{approval['id']}/approve", trust_env=False).status_code == 401
    assert decide(gateway, {**approval, "digest": "0" * 64}, gateway.person()).status_code == 409
    assert asking.answer is None
    assert upstream.seen == []
    decide(gateway, approval, gateway.person(), "deny")
    assert asking.done().status_code == 403


def test_an_actor_that_maps_to_nobody_needs_two(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/record.json", gateway.token("--actor", "stranger"))
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.person("dana")).status_code == 200
    assert decide(gateway, approval, gateway.person("dana")).status_code != 200
    time.sleep(0.3)
    assert asking.answer is None
    assert decide(gateway, approval, gateway.person("erin")).status_code == 200
    assert asking.done().status_code == 200


def test_a_client_that_leaves_cancels(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/record.json?leaves=1", gateway.token(), timeout=2)
    (approval,) = pending(gateway)
    asking.join(5)
    assert isinstance(asking.error, httpx.ReadTimeout)
    deadline = time.monotonic() + 3
    while state(gateway, approval) != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert decide(gateway, approval, gateway.person()).status_code == 409
    assert upstream.seen == []


def test_the_same_request_joins_and_a_yes_counts_once(gateway: Gateway, upstream: Upstream) -> None:
    token = gateway.token()
    first, second = Asking(gateway, "/record.json", token), Asking(gateway, "/record.json", token)
    time.sleep(0.5)
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.person()).status_code == 200
    codes = sorted([first.done().status_code, second.done().status_code])
    assert codes == [200, 409]
    assert len(upstream.seen) == 1


def test_another_request_needs_another_approval(gateway: Gateway) -> None:
    token = gateway.token()
    first = Asking(gateway, "/record.json?a=1", token)
    second = Asking(gateway, "/record.json?a=2", token)
    assert len({item["digest"] for item in pending(gateway, 2)}) == 2
    for item in pending(gateway, 2):
        decide(gateway, item, gateway.person(), "deny")
    assert first.done().status_code == second.done().status_code == 403


def test_the_body_is_part_of_what_is_approved(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, "/echo", gateway.token(), method="POST", content=b'{"pay": 5}')
    (approval,) = pending(gateway)
    assert json.loads(approval["shown"]["operation"]["body"]["text"]) == {"pay": 5}
    assert decide(gateway, approval, gateway.person()).status_code == 200
    assert asking.done().status_code == 200
    assert upstream.seen[0].body == b'{"pay": 5}'


def test_what_is_not_in_the_canonical_object_is_not_forwarded(gateway: Gateway, upstream: Upstream) -> None:
    headers = {"x-request-id": "abc", "traceparent": "00-1-2-03", "x-kept": "1", "range": "bytes=0-1"}
    asking = Asking(gateway, "/free-not", gateway.token(), headers=headers)
    (approval,) = pending(gateway)
    names = {name for name, _ in approval["shown"]["operation"]["headers"]}
    assert decide(gateway, approval, gateway.person()).status_code == 200
    assert asking.done().status_code == 200
    sent = {name.lower() for name, _ in upstream.seen[0].headers}
    assert "x-kept" in sent & names
    assert not {"x-request-id", "traceparent", "range"} & (sent | names)
    assert sent - names <= {"host", "authorization", "content-length", "transfer-encoding", "connection"}


def test_what_is_masked_cannot_be_approved_with_one_click(gateway: Gateway, upstream: Upstream) -> None:
    asking = Asking(gateway, f"/echo?ssn={SSN}", gateway.token())
    (approval,) = pending(gateway)
    assert approval["whole"] is False
    assert SSN not in json.dumps(approval)
    assert decide(gateway, approval, gateway.person()).status_code != 200
    assert decide(gateway, approval, gateway.person(), acknowledge_masked=True).status_code == 200
    assert asking.done().status_code == 200
    assert SSN in upstream.seen[0].target  # it is masked where it is shown, not where it goes


def test_a_justification_where_policy_wants_one(gateway: Gateway) -> None:
    asking = Asking(gateway, "/justified", gateway.token())
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.person()).status_code != 200
    assert decide(gateway, approval, gateway.person(), justification="ticket 5").status_code == 200
    assert asking.done().status_code == 200


def test_a_window_covers_its_scope_for_that_job_alone(gateway: Gateway) -> None:
    asking = Asking(gateway, "/window?n=1", gateway.token())
    (approval,) = pending(gateway)
    assert decide(gateway, approval, gateway.person()).status_code == 200
    assert asking.done().status_code == 200
    assert Asking(gateway, "/window?n=2", gateway.token()).done(5).status_code == 200
    other = Asking(gateway, "/window?n=3", gateway.token("--repo", "acme/other"))
    (held,) = pending(gateway)
    decide(gateway, held, gateway.person(), "deny")
    assert other.done().status_code == 403


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_goes_loses_no_pending_approval(fresh: Gateway, upstream: Upstream, sent: signal.Signals) -> None:
    token = fresh.token()
    asking = Asking(fresh, "/record.json", token)
    (approval,) = pending(fresh)
    for pid in fresh.pids("worker"):
        os.kill(pid, sent)
    asking.join(15)
    if sent == signal.SIGTERM:  # a drain answers what is held
        answer = asking.done()
        assert (answer.status_code, answer.json()["approval"]) == (503, approval["id"])
        assert answer.headers["retry-after"]
    else:
        assert asking.answer is None or asking.answer.status_code >= 500
    assert upstream.seen == []
    assert state(fresh, approval) == "pending"
    again = ask_when_up(fresh, token)
    assert [item["id"] for item in pending(fresh)] == [approval["id"]]
    assert decide(fresh, approval, fresh.person()).status_code == 200
    assert again.done().status_code == 200
    assert len(upstream.seen) == 1


def ask_when_up(gateway: Gateway, token: str) -> Asking:
    """Ask again until a worker is back that holds the request."""
    deadline = time.monotonic() + 15
    while True:
        asking = Asking(gateway, "/record.json", token)
        asking.join(0.7)
        if asking.is_alive():
            return asking
        assert time.monotonic() < deadline, asking.answer
        time.sleep(0.2)


def test_a_yes_given_while_nobody_waits_is_used_by_the_same_request(fresh: Gateway, upstream: Upstream) -> None:
    token = fresh.token()
    Asking(fresh, "/record.json", token)
    (approval,) = pending(fresh)
    for pid in fresh.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    assert decide(fresh, approval, fresh.person()).status_code == 200
    deadline = time.monotonic() + 15
    while True:
        answer = Asking(fresh, "/record.json", token).done()
        if answer.status_code == 200:
            break
        assert answer.status_code == 500, answer.text
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(upstream.seen) == 1
    assert state(fresh, approval) == "used"


def test_control_that_goes_loses_nothing(fresh: Gateway, upstream: Upstream) -> None:
    asking = Asking(fresh, "/record.json", fresh.token())
    (approval,) = pending(fresh)
    (control,) = fresh.pids("control")
    os.kill(control, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while True:
        try:
            if decide(fresh, approval, fresh.person()).status_code == 200:
                break
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert asking.done().status_code == 200


def test_the_command_line_approves(gateway: Gateway) -> None:
    asking = Asking(gateway, "/record.json", gateway.token())
    (approval,) = pending(gateway)
    dana = gateway.person()
    shown = gateway.cli("approvals", "show", approval["id"], token=dana)
    assert "GET /record.json" in shown.stdout
    result = gateway.cli("approvals", "approve", approval["id"], "--yes", "--justification", "fine", token=dana)
    assert result.returncode == 0
    assert asking.done().status_code == 200


def test_a_stop_answers_what_is_held(upstream: Upstream) -> None:
    gateway = Gateway(upstream_port=upstream.port, policy=POLICY).start()
    asking = Asking(gateway, "/record.json", gateway.token())
    (approval,) = pending(gateway)
    began = time.monotonic()
    code = gateway.stop()
    assert code == 0
    assert time.monotonic() - began < 6
    answer = asking.done()
    assert (answer.status_code, answer.json()["approval"]) == (503, approval["id"])
    assert upstream.seen == []


def test_a_hold_on_a_headers_only_route_outlasts_envoys_message_timeout(
    gateways: Callable[..., Gateway], upstream: Upstream
) -> None:
    policy = POLICY.replace(', "redact": [{"detect": ["ssn"]}]', "")
    gateway = gateways(policy=policy, resource={"bodies": "headers_only", "credential": None})
    asking = Asking(gateway, "/plain", gateway.token())
    (approval,) = pending(gateway)
    asking.join(11)  # Envoy waits 10 s for an answer to headers, unless it is told once to wait longer
    assert asking.is_alive()
    assert decide(gateway, approval, gateway.person()).status_code == 200
    assert asking.done().status_code == 200
    assert len(upstream.seen) == 1
