"""The way of a request through a real Envoy and a whole gateway: `extproc up`, real tokens, both policy engines."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import httpx
import pytest

from tests.integration.gateway import CREDENTIAL, Gateway
from tests.integration.upstream import CARD, MAIL, SSN, Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "deny", "rule": "test.default", "reason": "not named by the test's policy"}

masks := [{"detect": ["ssn", "credit_card", "email", "github_token"]}]

decision := d if {
	input.request.segments[0] == "denied"
	d := {"action": "deny", "rule": "test.denied", "reason": "because", "status": 451}
} else := d if {
	input.request.segments[0] == "plain"
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "read"
	not input.request.body
	d := {"action": "allow", "inspect": ["request_body"]}
} else := d if {
	input.request.segments[0] == "read"
	input.request.body.complete
	input.request.body.json.wish == "yes"
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "look"
	input.phase == "request"
	d := {"action": "allow", "inspect": ["response"]}
} else := d if {
	input.request.segments[0] == "look"
	input.response.status == 200
	d := {"action": "allow", "redact": [{"detect": ["ssn"]}]}
} else := d if {
	input.request.segments[0] == "fields"
	d := {"action": "allow", "redact": [{"fields": ["target", "method"], "columns": ["method"]}]}
} else := d if {
	input.request.segments[0] == "undefined_function_result"
	d := data.nothing
} else := d if {
	input.request.segments[0] == "malformed"
	d := {"action": "perhaps"}
} else := d if {
	input.request.segments[0] in {
		"record.json", "packed", "stream", "sse", "trailers", "image", "redirect", "leak", "echo", "big",
	}
	d := {"action": "allow", "rule": "test.masked", "redact": masks}
}
"""

Gateways = Callable[..., Gateway]


@pytest.fixture(params=["embedded", "opa"])
def gateway(request: pytest.FixtureRequest, gateways: Gateways) -> Gateway:
    if request.param == "embedded":
        return gateways(policy=POLICY)
    url = request.getfixturevalue("opa_server")(POLICY)
    return gateways(policy=POLICY, settings={"policy": {"engine": "opa", "url": url}})


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, str] = answer.json()
    assert (answer.status_code, document["type"]) == (status, f"urn:extproc-gateway:problem:{code}")
    return document


def test_an_allowed_request_goes_on_with_the_gateways_credential_alone(gateway: Gateway, upstream: Upstream) -> None:
    token = gateway.token()
    with gateway.client(token) as client:
        answer = client.get(
            "/plain?x=1", headers={"x-own": "kept", "x-forwarded-for": "6.6.6.6", "accept-encoding": "br"}
        )
    assert answer.status_code == 200
    (seen,) = upstream.seen
    assert seen.target == "/plain?x=1"
    assert seen.get("authorization") == f"Bearer {CREDENTIAL}"
    assert seen.get("x-own") == "kept"
    assert token not in str(seen.headers)
    assert not {"x-forwarded-for", "accept-encoding", "x-envoy-expected-rq-timeout-ms"} & {
        n.lower() for n, _ in seen.headers
    }


def test_a_masked_response_has_no_original(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        answer = client.get("/record.json")
    assert answer.json() == {"ssn": "****", "card": "****", "email": "****", "note": "clean", "number": 0}
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    for value in (SSN, CARD, MAIL, "4111111111111111"):
        assert value not in answer.text


def test_a_denied_request_never_arrives_and_says_why(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        told = problem(client.get("/denied"), 451, "policy_denied")
    assert told["detail"] == "because"
    assert told["rule"] == "test.denied"
    assert told["session"].startswith("s-")
    assert upstream.seen == []


def test_a_request_without_a_token_never_arrives(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client(token="") as client:
        answer = client.get("/plain")
    problem(answer, 401, "identity_missing")
    assert "Basic" in answer.headers["www-authenticate"]
    assert upstream.seen == []


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_a_token_that_is_none_never_arrives(gateway: Gateway, upstream: Upstream, token: str) -> None:
    with gateway.client(token) as client:
        problem(client.get("/plain"), 401, "identity_invalid")
    assert upstream.seen == []


def test_a_token_as_the_password_of_basic(gateway: Gateway, upstream: Upstream) -> None:
    answer = httpx.get(f"{gateway.url}/plain", auth=("x-token", gateway.token()), trust_env=False)
    assert answer.status_code == 200
    assert upstream.seen[0].get("authorization") == f"Bearer {CREDENTIAL}"


def test_a_persons_token_opens_no_resource(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client(gateway.person()) as client:
        problem(client.get("/plain"), 401, "identity_invalid")
    assert upstream.seen == []


def test_the_main_listener_chooses_by_host(gateway: Gateway, upstream: Upstream) -> None:
    headers = {"authorization": f"Bearer {gateway.token()}"}
    listen = str(gateway.ready["listen"])
    known = httpx.get(f"{listen}/plain", headers={**headers, "host": "app.localhost:8080"}, trust_env=False)
    assert known.status_code == 200
    unknown = httpx.get(f"{listen}/plain", headers={**headers, "host": "other.localhost"}, trust_env=False)
    problem(unknown, 404, "unknown_resource")
    assert len(upstream.seen) == 1


def test_policy_reads_the_body_before_anything_is_forwarded(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        no = client.post("/read", json={"wish": "no"})
        assert upstream.seen == []
        yes = client.post("/read", json={"wish": "yes"})
    assert no.status_code == 403
    assert yes.status_code == 200
    assert json.loads(upstream.seen[0].body) == {"wish": "yes"}


def test_a_body_too_large_to_be_read_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        problem(client.post("/read", content=b"x" * (9 << 20)), 413, "body_too_large")
    assert upstream.seen == []


def test_a_large_request_body_streams_through(gateway: Gateway, upstream: Upstream) -> None:
    body = bytes(range(256)) * 40_000
    with gateway.client() as client:
        answer = client.post("/plain", content=iter([body[i : i + 50_000] for i in range(0, len(body), 50_000)]))
    assert answer.status_code == 200
    assert upstream.seen[0].body == body


def test_policy_looks_at_the_response_where_it_asked_to(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/look").status_code == 200


def test_named_fields_are_masked(gateway: Gateway) -> None:
    with gateway.client() as client:
        document = client.get("/fields").json()
    assert document["target"] == document["method"] == "****"


@pytest.mark.parametrize(
    ("path", "code"),
    [("/undefined_function_result", "policy_denied"), ("/malformed", "policy_malformed")],
)
def test_an_answer_that_is_none_is_a_refusal(gateway: Gateway, upstream: Upstream, path: str, code: str) -> None:
    with gateway.client() as client:
        answer = client.get(path)
    problem(answer, 403 if code == "policy_denied" else 503, code)
    assert upstream.seen == []


def test_gzip_is_read_and_goes_on_plain(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/packed")
    assert "content-encoding" not in answer.headers
    assert answer.json()["ssn"] == "****"


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip,%20br"])
def test_another_encoding_that_must_be_read_is_refused(gateway: Gateway, coding: str) -> None:
    with gateway.client() as client:
        problem(client.get(f"/packed?coding={coding}"), 502, "response_unreadable")


def test_a_binary_response_that_must_be_masked_is_refused(gateway: Gateway) -> None:
    with gateway.client() as client:
        problem(client.get("/image"), 502, "response_unmaskable")


def test_trailers_are_masked_too(gateway: Gateway) -> None:
    with gateway.client() as client, client.stream("GET", "/trailers") as answer:
        raw = b"".join(answer.iter_raw())
    assert raw == b"hello"


def test_a_redirect_goes_only_to_a_registered_host(gateway: Gateway) -> None:
    with gateway.client() as client:
        problem(client.get("/redirect?to=http://evil.example/x"), 502, "location_refused")
        assert client.get("/redirect?to=/next").status_code == 302


def test_a_head_with_the_credential_is_refused(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/leak?where=header")
    problem(answer, 502, "response_leaks_credential")
    assert CREDENTIAL not in answer.text + str(answer.headers)


@pytest.mark.parametrize("where", ["body", "base64", "split"])
def test_a_body_with_the_credential_is_cut_before_it(gateway: Gateway, where: str) -> None:
    got = b""
    with gateway.client() as client:
        try:
            with client.stream("GET", f"/leak?where={where}") as answer:
                for data in answer.iter_raw():
                    got += data
        except httpx.HTTPError:
            pass
        else:
            assert answer.status_code == 502
            assert b"response_leaks_credential" in got
    assert CREDENTIAL.encode() not in got
    assert base64.b64encode(CREDENTIAL.encode())[:12] not in got


@pytest.mark.parametrize("cut", [65536, 4096, 997])
def test_however_a_response_is_cut_the_client_gets_the_same_bytes(gateway: Gateway, cut: int) -> None:
    with gateway.client() as client:
        answer = client.get(f"/stream?bytes=500000&cut={cut}")
    unit = "x" * 987 + ",****\n"
    assert answer.text == unit * (500_000 // 1000)


def test_single_bytes_too(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/stream?bytes=2000&cut=1")
    assert answer.text == ("x" * 987 + ",****\n") * 2


def test_events_are_not_delayed(gateway: Gateway) -> None:
    arrived: list[float] = []
    with gateway.client() as client:
        client.get("/plain")
        began = time.monotonic()
        with client.stream("GET", "/sse?events=3&pause=0.5") as answer:
            arrived.extend(time.monotonic() - began for line in answer.iter_lines() if line.startswith("data:"))
    assert len(arrived) == 3
    for number, at in enumerate(arrived):
        assert at < number * 0.5 + 0.3


def test_head_and_options_work(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        assert client.head("/plain").status_code == 200
        assert client.options("/plain").status_code == 200
    assert [seen.method for seen in upstream.seen] == ["HEAD", "OPTIONS"]


def test_the_session_is_listed_replayed_and_verified(gateway: Gateway) -> None:
    token = gateway.token("--run-id", "777")
    with gateway.client(token) as client:
        client.get("/record.json")
        told = client.get("/denied").json()
    deadline = time.monotonic() + 5  # a refusal is on disk within a second
    while True:
        listed = json.loads(gateway.cli("sessions", "list", "--json").stdout)["sessions"]
        mine = next(item for item in listed if item["session"] == told["session"])
        if (mine["requests"], mine["refused"]) == (2, 1):
            break
        assert time.monotonic() < deadline, mine
    replay = gateway.cli("sessions", "replay", told["session"], "--json").stdout
    assert [e["summary"] for e in json.loads(replay)["exchanges"]] == ["GET /record.json", "GET /denied"]
    assert SSN not in replay
    assert gateway.cli("sessions", "verify").returncode == 0


def test_metrics_tell_verdicts_and_codes(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.get("/plain")
        client.get("/denied")
    text = httpx.get(str(gateway.ready["metrics"]), trust_env=False).text
    assert 'extproc_verdicts_total{resource="app",verdict="allow"}' in text
    assert 'extproc_refusals_total{code="policy_denied",resource="app"}' in text
    for stage in ("policy", "durable", "request"):
        assert f'extproc_stage_seconds_count{{stage="{stage}"}}' in text
    assert "extproc_held_requests" in text


def test_development_is_displayed_in_every_answer_of_ours(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.get("/denied")
    assert answer.headers["x-extproc-development"] == "true"
    assert answer.json()["development"] is True


def test_a_refusal_is_one_structured_line_with_the_sessions_id(gateway: Gateway) -> None:
    with gateway.client() as client:
        told = client.get("/denied").json()
    deadline = time.monotonic() + 5
    while True:
        lines = [
            json.loads(line) for line in (gateway.home / "up.log").read_text().splitlines() if line.startswith("{")
        ]
        mine = [line for line in lines if line.get("exchange") == told["exchange"]]
        if mine or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    (line,) = mine
    assert line["session"] == told["session"]
    assert (line["message"], line["code"], line["resource"]) == ("refused", "policy_denied", "app")
