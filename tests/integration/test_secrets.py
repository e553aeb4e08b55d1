"""Planted secrets: after traffic of every kind none of them stands anywhere that a reader could look."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx
import pytest
import zstandard

from tests.integration.gateway import CREDENTIAL, Gateway
from tests.integration.upstream import CARD, MAIL, SSN, Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "allow", "rule": "test.masked", "redact": [{"detect": ["ssn", "credit_card", "email"]}]}

decision := {"action": "deny", "reason": "not this"} if input.request.segments[0] == "denied"

decision := {"action": "allow", "record": "redacted"} if input.request.segments[0] == "plain"

decision := {"action": "perhaps"} if input.request.segments[0] == "malformed"

masks := [{"detect": ["ssn", "credit_card", "email"]}]

terms := {"approvers": ["group:data-owners"], "timeout": "60s"}

decision := {"action": "hold", "reason": "ask", "hold": terms, "redact": masks} if {
	input.request.segments[0] == "held"
}

decision := {"action": "allow", "inspect": ["request_body"]} if {
	input.request.segments[0] == "read"
	not input.request.body
}
"""
NUMBER = CARD.replace(" ", "")
BAD_TOKEN = "nobody-issued-this-token-77aa"
MARK = "planted-and-harmless"  # what must be found, or the search itself is broken
ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass
class Traffic:
    """What was planted, by name, and everything that could be read afterwards, by place."""

    planted: dict[str, str] = field(default_factory=dict)
    read: dict[str, bytes] = field(default_factory=dict)
    answers: list[httpx.Response] = field(default_factory=list)


@pytest.fixture(scope="module")
def traffic(_upstream: Upstream) -> Iterator[Traffic]:
    made = Gateway(upstream_port=_upstream.port, policy=POLICY, resource={"upgrades": ["websocket"]}).start()
    try:
        result = Traffic({"credential": CREDENTIAL, "bad token": BAD_TOKEN, "SSN": SSN, "card": CARD, "mail": MAIL})
        result.planted |= {
            "card's number": NUMBER,
            "card in a URL": quote(CARD),
            "card in a form": CARD.replace(" ", "+"),
        }
        result.planted |= {"mail in a URL": quote(MAIL), "credential in base64": inner_base64(CREDENTIAL)}
        token, dana, erin = made.token(), made.person(), made.person("erin")
        for name, secret in (("job's token", token), ("dana's token", dana), ("erin's token", erin)):
            result.planted |= {name: secret, f"{name}: signature": secret.rpartition(".")[2]}
        with made.client(token) as client:
            ask_everything(client, result)
        refuse_identities(made, dana, result)
        hold(made, token, dana, result)
        restart_worker(made, token, result)
        look_everywhere(made, dana, result)
        yield result
    finally:
        made.stop()


def inner_base64(secret: str) -> str:
    """The characters that stand in base64 of anything where the secret begins at a group of three."""
    return base64.b64encode(secret.encode()).decode()[: len(secret) * 8 // 6 - 1]


def ask_everything(client: httpx.Client, result: Traffic) -> None:
    """Each planted value in the path, the query, a header, and bodies of many types; on every kind of route."""
    values = {"ssn": SSN, "card": CARD, "number": NUMBER, "mail": MAIL, "mark": MARK}
    for route in ("record.json", "denied", "plain", "malformed", "read", "trailers", "packed", "redirect"):
        for value in values.values():
            result.answers.append(send(client, "GET", f"/{route}/{quote(value)}"))
        result.answers.append(send(client, "GET", f"/{route}", params=values))
        result.answers.append(send(client, "GET", f"/{route}", params=[(v, k) for k, v in values.items()]))
        result.answers.append(send(client, "GET", f"/{route}", headers={f"x-{k}": v for k, v in values.items()}))
        for body in (
            {"json": {**values, SSN: 1, "digits": int(NUMBER), "deep": [[{"note": f"{MARK} {SSN}"}]]}},
            {"data": values},
            {"content": json.dumps(values), "headers": {"content-type": "text/plain"}},
            {"content": json.dumps(values), "headers": {"content-type": "application/octet-stream"}},
            {"content": json.dumps(values)},
            {"files": {"file": (SSN, json.dumps(values).encode())}},
            {"content": f"{SSN}", "headers": {"content-type": f"text/{SSN}"}},
        ):
            result.answers.append(send(client, "POST", f"/{route}", **body))
    for where in ("header", "body", "base64", "split"):
        result.answers.append(send(client, "GET", f"/leak?where={where}"))
    for path in (
        "/redirect?to=http://evil.example/" + SSN,
        f"/packed?coding=br&{SSN}",
        f"/{SSN}%2f",
        f"/x;{SSN}?a;{SSN}",
    ):
        result.answers.append(send(client, "GET", path))
    result.answers.append(send(client, "TRACE", f"/{SSN}", headers={"x-ssn": SSN}))
    result.answers.append(send(client, "GET", "/ws", headers={"upgrade": SSN, "connection": "upgrade"}))
    result.answers.append(send(client, "POST", "/read", content=(MARK + SSN) * 600_000))
    result.answers.append(send(client, "GET", "/plain", headers={"cookie": CREDENTIAL, "x-api-key": CREDENTIAL}))


def send(client: httpx.Client, method: str, path: str, **options: object) -> httpx.Response:
    """What arrived until the end or the cut."""
    got = b""
    try:
        with client.stream(method, path, **options) as answer:  # type: ignore[arg-type]
            for data in answer.iter_raw():
                got += data
    except httpx.HTTPError:
        pass
    return httpx.Response(answer.status_code, headers=answer.headers, content=got)


def refuse_identities(made: Gateway, dana: str, result: Traffic) -> None:
    for header in (
        f"Bearer {BAD_TOKEN}",
        f"Bearer {dana}",
        f"Basic {base64.b64encode(f'x:{BAD_TOKEN}'.encode()).decode()}",
        f"Digest {BAD_TOKEN}",
        f"Bearer {BAD_TOKEN}.{BAD_TOKEN}.{BAD_TOKEN}",
    ):
        with made.client(token="") as client:
            result.answers.append(send(client, "GET", f"/record.json?{SSN}", headers={"authorization": header}))
    for token in (BAD_TOKEN, f"{BAD_TOKEN}.a.b", ""):
        got = httpx.get(
            f"{made.control}/v1/approvals", headers={"authorization": f"Bearer {token}".strip()}, trust_env=False
        )
        result.answers.append(got)


def hold(made: Gateway, token: str, dana: str, result: Traffic) -> None:
    """Two held requests full of planted values: one approved, one denied."""
    for verb in ("approve", "deny"):
        body = {"ssn": SSN, "card": CARD, "mail": MAIL, "number": int(NUMBER), "note": MARK}
        options: dict[str, object] = {"params": {"q": SSN, "verb": verb}, "headers": {"x-card": CARD}, "json": body}

        def ask(options: dict[str, object] = options) -> None:
            with made.client(token, timeout=40) as client:
                result.answers.append(send(client, "POST", "/held", **options))

        asking = threading.Thread(target=ask)
        asking.start()
        approval = await_pending(made, dana)
        result.read[f"approvals list before {verb}"] = said(made, "approvals", "list", "--json", token=dana)
        result.read[f"approvals show before {verb}"] = said(made, "approvals", "show", approval, token=dana)
        more = ["--acknowledge-masked"] if verb == "approve" else []
        result.read[f"approvals {verb}"] = said(made, "approvals", verb, approval, "--yes", *more, token=dana)
        asking.join(20)


def await_pending(made: Gateway, dana: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        answer = httpx.get(f"{made.control}/v1/approvals", headers={"authorization": f"Bearer {dana}"}, trust_env=False)
        for item in answer.json()["approvals"]:
            if item["state"] == "pending":
                return str(item["id"])
        assert time.monotonic() < deadline
        time.sleep(0.05)


def restart_worker(made: Gateway, token: str, result: Traffic) -> None:
    """One worker killed in the middle of a request with planted values."""
    (worker,) = made.pids("worker")
    killing = threading.Timer(0.3, os.kill, (worker, signal.SIGKILL))
    killing.start()
    with made.client(token) as client:
        result.answers.append(send(client, "GET", f"/stream?bytes=3000000&cut=4096&pause=0.01&say={SSN}"))
        killing.join()
        deadline = time.monotonic() + 15
        while (answer := send(client, "GET", f"/record.json?again={SSN}")).status_code != 200:
            assert time.monotonic() < deadline
            result.answers.append(answer)
            time.sleep(0.1)
        result.answers.append(answer)


def said(made: Gateway, *args: str, token: str = "") -> bytes:
    ran = made.cli(*args, token=token, check=False)
    return (ran.stdout + ran.stderr).encode()


def look_everywhere(made: Gateway, dana: str, result: Traffic) -> None:
    read = result.read
    time.sleep(1.2)  # what is not urgent is written within a second
    listed = said(made, "sessions", "list", "--json")
    read["sessions list"] = listed
    names = [item["session"] for item in json.loads(listed)["sessions"]]
    assert {"-"} < set(names)
    for name in names:
        read[f"replay --json of {name}"] = said(made, "sessions", "replay", name, "--json", "--bodies")
        read[f"replay of {name}"] = said(made, "sessions", "replay", name, "--bodies")
        read[f"show {name}"] = said(made, "sessions", "show", name)
    read["verify"] = said(made, "sessions", "verify")
    for listed_as in ("approvals", "sessions"):
        answer = httpx.get(
            f"{made.control}/v1/{listed_as}", headers={"authorization": f"Bearer {dana}"}, trust_env=False
        )
        read[f"REST {listed_as}"] = answer.content
    read["approvals list"] = said(made, "approvals", "list", "--json", token=dana)
    read["metrics"] = httpx.get(str(made.ready["metrics"]), trust_env=False).content
    # The development issuer's keys are its own, not of those who were given tokens.
    for path in sorted(made.home.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            read[f"file {path.relative_to(made.home)}"] = data
            read[f"zstd in {path.relative_to(made.home)}"] = b"\n".join(decompressed(data))
    for number, answer in enumerate(result.answers):
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        if answer.status_code >= 400:
            read[f"answer {number}, {answer.status_code}"] = head.encode() + b"\n" + answer.content


def decompressed(data: bytes) -> Iterator[bytes]:
    """Every zstd frame that stands in some bytes."""
    for start in re.finditer(re.escape(ZSTD), data):
        try:
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[start.start() :])
        except zstandard.ZstdError:
            continue


def places(traffic: Traffic, text: str) -> list[str]:
    """Where a text stands, also as JSON would write it with every escape undone."""
    wanted = text.encode()
    return [place for place, data in traffic.read.items() if wanted in data or wanted in data.replace(b"\\", b"")]


def test_the_search_finds_what_may_be_found(traffic: Traffic) -> None:
    found = " ".join(places(traffic, MARK))
    for place in (
        "replay --json",
        "replay of",
        "show s-",
        "approvals show",
        "approvals.db",
        "index.db",
        "file s/records",
    ):
        assert place in found
    assert "zstd in s/records" in found


def test_every_kind_of_answer_was_given(traffic: Traffic) -> None:
    seen = {answer.status_code for answer in traffic.answers}
    assert {200, 302, 400, 401, 403, 405, 413, 502, 503} <= seen
    bodies = b"".join(answer.content for answer in traffic.answers)
    for code in (
        b"policy_denied",
        b"policy_malformed",
        b"response_leaks_credential",
        b"approval_denied",
        b"identity_invalid",
    ):
        assert code in bodies


@pytest.mark.parametrize("what", ["credential", "credential in base64", "bad token"])
def test_no_credential_stands_anywhere(traffic: Traffic, what: str) -> None:
    assert places(traffic, traffic.planted[what]) == []


@pytest.mark.parametrize("who", ["job's token", "dana's token", "erin's token"])
def test_no_token_stands_anywhere(traffic: Traffic, who: str) -> None:
    assert places(traffic, traffic.planted[who]) == []
    assert places(traffic, traffic.planted[f"{who}: signature"]) == []


@pytest.mark.parametrize(
    "what", ["SSN", "card", "card's number", "card in a URL", "card in a form", "mail", "mail in a URL"]
)
def test_no_masked_value_stands_anywhere(traffic: Traffic, what: str) -> None:
    assert places(traffic, traffic.planted[what]) == []


def test_no_answer_gives_the_credential_away(traffic: Traffic) -> None:
    for answer in traffic.answers:
        text = str(answer.headers) + answer.text
        assert CREDENTIAL not in text
        assert inner_base64(CREDENTIAL) not in text
