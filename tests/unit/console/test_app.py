"""The REST interface: people only, approvers only, and what is approved is what was seen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from extproc.approval.store import SqliteApprovalStore
from extproc.console import app as module
from extproc.console.app import app
from extproc.errors import Refusal
from extproc.model import Approval, Identity
from extproc.waits import FetchKeys
from tests.unit.approval.people import ALICE, BOB, JOB, NOW, TERMS, asked, opened, person

BASE = "urn:extproc-gateway:problem:"
KNOWN: dict[str, Identity] = {
    "alice": ALICE,
    "bob": BOB,
    "mona": person("mona"),
    "eve": person("eve", "others"),
    "job": JOB,
}


class Verifier:
    """Tokens are names. `rotated` is known only once keys were fetched."""

    fetched = False

    def verify(self, token: str, now: float) -> Identity | FetchKeys:
        if token == "expired":
            raise Refusal("identity_expired")
        if token == "boom":
            raise RuntimeError("a secret that must not be told")
        if token == "lost" or (token == "rotated" and not self.fetched):
            return FetchKeys("https://people", "new")
        found = ALICE if token == "rotated" else KNOWN.get(token)
        if found is None:
            raise Refusal("identity_invalid")
        return found

    async def fetch(self, issuer: str, kid: str) -> None:
        assert (issuer, kid) == ("https://people", "new")
        self.fetched = True


class Client:
    """Asks the application in this process; each request in a loop of its own."""

    def __init__(self, served: Starlette) -> None:
        self.app = served

    def request(self, method: str, path: str, **what: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gw.test") as client:
                return await client.request(method, path, **what)

        return asyncio.run(ask())

    def get(self, path: str, **what: Any) -> httpx.Response:
        return self.request("GET", path, **what)

    def post(self, path: str, **what: Any) -> httpx.Response:
        return self.request("POST", path, **what)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteApprovalStore]:
    made = opened(tmp_path)
    yield made
    made.close()


def served(store: SqliteApprovalStore, *, development: bool = False) -> Client:
    verifier = Verifier()
    made = app(store, verifier, verifier, clock=lambda: NOW + 1, development=development, public_url="https://gw.test/")
    return Client(made)


@pytest.fixture
def client(store: SqliteApprovalStore) -> Client:
    return served(store)


@pytest.fixture
def approval(store: SqliteApprovalStore) -> Approval:
    return store.open(asked(), NOW)


def token(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


def answer(client: Client, approval: Approval, verb: str = "approve", who: str = "alice", **said: Any) -> Any:
    said = {"digest": approval.request.digest, **said}
    return client.post(f"/v1/approvals/{approval.id}/{verb}", json=said, headers=token(who))


def code(response: Any) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    return str(document["type"]).removeprefix(BASE)


def state(store: SqliteApprovalStore, approval: Approval) -> str:
    found = store.get(approval.id)
    assert found is not None
    return found.state


# --- who

ROUTES = [
    ("GET", "/v1/approvals"),
    ("GET", "/v1/approvals/{id}"),
    ("GET", "/v1/events/approvals"),
    ("POST", "/v1/approvals/{id}/approve"),
    ("POST", "/v1/approvals/{id}/deny"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ({}, 401, "identity_missing"),
        ({"authorization": "Basic YTpi"}, 401, "identity_missing"),
        ({"authorization": "Bearer "}, 401, "identity_missing"),
        (token("nobody"), 401, "identity_invalid"),
        (token("expired"), 401, "identity_expired"),
        (token("lost"), 503, "identity_unavailable"),
        (token("job"), 403, "not_a_person"),
        ([("authorization", "Bearer alice"), ("authorization", "Bearer job")], 400, "identity_ambiguous"),
    ],
)
def test_no_route_opens_without_one_persons_token(
    client: Client,
    store: SqliteApprovalStore,
    approval: Approval,
    method: str,
    path: str,
    headers: Any,
    status: int,
    expected: str,
) -> None:
    body = {"digest": approval.request.digest} if method == "POST" else None
    response = client.request(method, path.format(id=approval.id), headers=headers, json=body)
    assert (response.status_code, code(response)) == (status, expected)
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert state(store, approval) == "pending"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
def test_to_who_is_no_approver_an_approval_does_not_exist(
    client: Client, store: SqliteApprovalStore, approval: Approval, method: str, path: str
) -> None:
    body = {"digest": approval.request.digest} if method == "POST" else None
    not_mine = client.request(method, path.format(id=approval.id), headers=token("eve"), json=body)
    nothing = client.request(method, path.format(id="a-0000000000000000"), headers=token("eve"), json=body)
    assert not_mine.status_code == nothing.status_code == 404
    assert not_mine.content == nothing.content
    assert state(store, approval) == "pending"


def test_lists_hold_only_what_the_person_may_answer(
    client: Client, store: SqliteApprovalStore, approval: Approval
) -> None:
    theirs = store.open(asked("e" * 64, terms=replace(TERMS, approvers=("user:eve",))), NOW)
    for path in ("/v1/approvals", "/v1/approvals?state=pending", "/v1/events/approvals"):
        for who, expected in (("alice", approval), ("eve", theirs)):
            found = client.get(path, headers=token(who)).json()["approvals"]
            assert [one["id"] for one in found] == [expected.id]
    assert client.get("/v1/approvals?state=used", headers=token("alice")).json() == {"approvals": []}
    assert client.get("/v1/approvals?state=open", headers=token("alice")).status_code == 400


def test_keys_that_are_missing_are_fetched(client: Client, approval: Approval) -> None:
    assert client.get(f"/v1/approvals/{approval.id}", headers=token("rotated")).status_code == 200


# --- what


def test_an_approval_has_a_stable_schema(client: Client, approval: Approval) -> None:
    document = client.get(f"/v1/approvals/{approval.id}", headers=token("alice")).json()
    assert document == {
        "id": approval.id,
        "state": "pending",
        "created_at": NOW,
        "expires_at": NOW + 60,
        "granted_until": 0,
        "required": 1,
        "decided_by": [],
        "justification": "",
        "digest": "d" * 64,
        "whole": True,
        "resource": "app",
        "summary": "GET /customers.json",
        "reason": "customer data",
        "rule": "customers",
        "revision": "r1",
        "session": "s-1",
        "exchange": "x-1",
        "identity": {
            "issuer": "https://jobs",
            "subject": "repo:acme/billing",
            "actor": "octocat",
            "claims": {"actor": "octocat"},
        },
        "shown": {"identity": {"claims": {"actor": "octocat"}}, "operation": {"path": "/customers.json"}},
        "terms": {
            "approvers": ["group:data-owners"],
            "minimum": 1,
            "timeout": 60,
            "grant_seconds": 0,
            "scope": "",
            "justify": False,
        },
        "url": f"https://gw.test/v1/approvals/{approval.id}",
    }


@pytest.mark.parametrize(("verb", "expected"), [("approve", "approved"), ("deny", "denied")])
def test_an_answer_is_kept_with_who_gave_it_and_why(
    client: Client, store: SqliteApprovalStore, approval: Approval, verb: str, expected: str
) -> None:
    response = answer(client, approval, verb, justification="ticket 4711")
    assert response.status_code == 200
    document = response.json()
    assert (document["state"], document["decided_by"]) == (expected, ["alice"])
    assert document["justification"] == "ticket 4711"
    assert store.use(approval.id, NOW + 2) == (verb == "approve")


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_nobody_answers_a_request_of_their_own(
    client: Client, store: SqliteApprovalStore, approval: Approval, verb: str
) -> None:
    response = answer(client, approval, verb, who="mona")
    assert (response.status_code, code(response)) == (403, "own_request")
    assert state(store, approval) == "pending"


def test_two_people_where_the_terms_ask_for_two(client: Client, store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, minimum=2)), NOW)
    assert answer(client, approval).json()["state"] == "pending"
    again = answer(client, approval)
    assert (again.status_code, code(again)) == (409, "already_answered")
    assert answer(client, approval, who="bob").json()["state"] == "approved"
    late = answer(client, approval, "deny", who="bob")
    assert (late.status_code, code(late)) == (409, "too_late")


def test_terms_that_ask_for_a_justification_get_one(client: Client, store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, justify=True)), NOW)
    response = answer(client, approval, justification=" ")
    assert (response.status_code, code(response)) == (422, "justification_required")
    assert answer(client, approval, justification="because").status_code == 200


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_what_was_seen_is_what_is_answered(
    client: Client, store: SqliteApprovalStore, approval: Approval, verb: str
) -> None:
    response = answer(client, approval, verb, digest="e" * 64)
    assert (response.status_code, code(response)) == (409, "digest_mismatch")
    assert state(store, approval) == "pending"


@pytest.mark.parametrize("acknowledged", [None, False])
def test_what_is_not_shown_whole_is_not_approved_with_one_click(
    client: Client, store: SqliteApprovalStore, acknowledged: bool | None
) -> None:
    approval = store.open(asked(whole=False), NOW)
    said: dict[str, Any] = {} if acknowledged is None else {"acknowledge_masked": acknowledged}
    response = answer(client, approval, **said)
    assert (response.status_code, code(response)) == (409, "acknowledgement_required")
    assert state(store, approval) == "pending"
    assert answer(client, approval, acknowledge_masked=True).json()["state"] == "approved"


def test_what_is_not_shown_whole_is_denied_with_one_click(client: Client, store: SqliteApprovalStore) -> None:
    approval = store.open(asked(whole=False), NOW)
    assert answer(client, approval, "deny").json()["state"] == "denied"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{}",
        b'{"digest": 1}',
        b'{"digest": "%s", "justification": null}',
        b'{"digest": "%s", "acknowledge_masked": 1}',
        b'{"digest": "%s", "acknowledge_masked": "true"}',
        b'{"digest": "%s", "more": 1}',
        b'{"digest": "%s", "justification": "' + b"x" * 4001 + b'"}',
    ],
)
def test_an_answer_that_is_not_understood_is_no_answer(
    client: Client, store: SqliteApprovalStore, approval: Approval, body: bytes
) -> None:
    sent = body.replace(b"%s", approval.request.digest.encode())
    headers = {**token("alice"), "content-type": "application/json"}
    response = client.post(f"/v1/approvals/{approval.id}/approve", content=sent, headers=headers)
    assert (response.status_code, code(response)) == (400, "request_malformed")
    assert state(store, approval) == "pending"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_content_type_that_any_page_could_send_is_refused(
    client: Client, store: SqliteApprovalStore, approval: Approval, kind: str
) -> None:
    body = b'{"digest": "%s"}' % approval.request.digest.encode()
    headers = {**token("alice"), "content-type": kind}
    response = client.post(f"/v1/approvals/{approval.id}/approve", content=body, headers=headers)
    assert (response.status_code, code(response)) == (415, "media_type")
    assert state(store, approval) == "pending"


def test_a_body_over_the_cap_is_refused(client: Client, approval: Approval) -> None:
    headers = {**token("alice"), "content-type": "application/json"}
    body = b'{"digest": "' + b"d" * (64 * 1024) + b'"}'
    response = client.post(f"/v1/approvals/{approval.id}/approve", content=body, headers=headers)
    assert (response.status_code, code(response)) == (413, "body_too_large")


# --- every answer


@pytest.mark.parametrize("development", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "who", "status"),
    [
        ("GET", "/healthz", "", 200),
        ("GET", "/v1/approvals", "alice", 200),
        ("GET", "/v1/approvals", "", 401),
        ("GET", "/v1/approvals/a-1/approve", "alice", 405),
        ("GET", "/v1/approvals/", "alice", 404),
        ("GET", "/nothing", "alice", 404),
        ("GET", "/v1/approvals", "boom", 500),
    ],
)
def test_every_answer_says_that_it_is_not_to_be_kept_and_whether_this_is_development(
    store: SqliteApprovalStore, method: str, path: str, who: str, status: int, *, development: bool
) -> None:
    response = served(store, development=development).request(method, path, headers=token(who) if who else {})
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers.get("x-extproc-development") == ("true" if development else None)
    assert "access-control-allow-origin" not in response.headers
    if status >= 400:
        assert code(response)


def test_what_failed_inside_is_told_to_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = client.get("/v1/approvals", headers=token("boom"))
    assert (response.status_code, code(response)) == (500, "internal")
    assert "secret" not in response.text
    assert [record.message for record in caplog.records] == ["a request failed"]


def test_a_store_that_cannot_be_read_is_unavailable_and_unhealthy(
    client: Client, store: SqliteApprovalStore, approval: Approval
) -> None:
    store.close()
    for path in (f"/v1/approvals/{approval.id}", "/v1/approvals", "/healthz"):
        response = client.get(path, headers=token("alice"))
        assert (response.status_code, code(response)) == (503, "approval_unavailable")


# --- events


def test_a_watcher_is_told_of_what_it_may_see_and_nothing_else(
    client: Client, store: SqliteApprovalStore, approval: Approval
) -> None:
    since = client.get("/v1/events/approvals", headers=token("alice")).json()["since"]

    def later() -> None:
        time.sleep(0.2)
        store.open(asked("e" * 64, terms=replace(TERMS, approvers=("user:eve",))), NOW)
        time.sleep(0.3)
        store.decide(approval.id, BOB, approve=True, justification="", now=NOW + 1)

    thread = threading.Thread(target=later)
    thread.start()
    began = time.monotonic()
    told = client.get(f"/v1/events/approvals?since={since}", headers=token("alice")).json()
    thread.join()
    assert [(one["id"], one["state"]) for one in told["approvals"]] == [(approval.id, "approved")]
    assert 0.4 < time.monotonic() - began < 2
    assert told["since"] == store.position()


def test_a_watcher_hears_of_nothing_too(client: Client, approval: Approval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.2)
    since = client.get("/v1/events/approvals", headers=token("alice")).json()["since"]
    told = client.get(f"/v1/events/approvals?since={since}", headers=token("alice")).json()
    assert told == {"since": since, "approvals": []}
    from_another_database = client.get(f"/v1/events/approvals?since={since + 100}", headers=token("alice")).json()
    assert [one["id"] for one in from_another_database["approvals"]] == [approval.id]


def test_a_watcher_is_let_go_when_the_process_stops(store: SqliteApprovalStore, approval: Approval) -> None:
    client = served(store)
    client.app.state.stopping = True
    began = time.monotonic()
    position = store.position()
    assert client.get(f"/v1/events/approvals?since={position}", headers=token("alice")).json()["approvals"] == []
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("since", ["x", "-1", "1.5", "\u0661", "9" * 19])
def test_a_watcher_that_makes_numbers_up_is_told(client: Client, since: str) -> None:
    response = client.get("/v1/events/approvals", params={"since": since}, headers=token("alice"))
    assert (response.status_code, code(response)) == (400, "request_malformed")
