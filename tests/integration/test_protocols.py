"""What jobs really use, through a real Envoy: git, pip, curl, WebSockets, event streams, many requests at once."""

from __future__ import annotations

import hashlib
import http.client
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.files import PROJECT, REPOSITORY, WHEEL, FileServer, git
from tests.integration.gateway import CREDENTIAL, Gateway
from tests.integration.upstream import SSN, Upstream

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "allow"}

decision := {"action": "allow", "redact": [{"detect": ["ssn", "email"]}]} if {
	input.request.segments[0] in {"sse", "masked"}
}

decision := {"action": "deny"} if input.request.segments[0] == "denied"
"""
ALLOW = """package extproc

decision := {"action": "allow"}
"""
CURL = "/usr/bin/curl"


@pytest.fixture(scope="module")
def gateway(gateways: Callable[..., Gateway]) -> Gateway:
    return gateways(policy=POLICY, resource={"upgrades": ["websocket"]})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    server = FileServer(tmp_path_factory.mktemp("files")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fetching(files: FileServer) -> Iterator[Gateway]:
    """A gateway in front of repositories and packages; no upgrades are open on it."""
    made = Gateway(upstream_port=files.port, policy=ALLOW, resource={"methods": ["GET", "POST"]}).start()
    yield made
    made.stop()


def address(gateway: Gateway, user: str = "") -> str:
    """The resource's URL, with the job's token as the password of Basic where a user is named."""
    url = urlsplit(gateway.url)
    return f"http://{user}:{gateway.token()}@{url.netloc}" if user else f"http://{url.netloc}"


# --- git


@pytest.fixture(scope="module")
def pushed(fetching: Gateway, files: FileServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy whose one commit, with 5 MB of random bytes, was pushed through the gateway in chunks."""
    work = tmp_path_factory.mktemp("git") / "work"
    git("init", "--initial-branch=main", str(work))
    (work / "random.bin").write_bytes(os.urandom(5_000_000))
    for number in range(40):
        (work / f"{number}.txt").write_text(f"file {number}\n" * 50)
    git("add", ".", where=work)
    git("commit", "--quiet", "-m", "first", where=work)
    remote = f"{address(fetching, 'x')}/{REPOSITORY}"
    git("-c", "http.postBuffer=65536", "push", "--quiet", remote, "main", where=work)
    return work


def test_git_pushes_in_chunks(fetching: Gateway, files: FileServer, pushed: Path) -> None:
    head = git("rev-parse", "HEAD", where=pushed)
    assert git("rev-parse", "main", where=files.root / REPOSITORY) == head
    assert git("fsck", "--strict", where=files.root / REPOSITORY) == ""
    sent = [headers for method, path, headers in files.seen if path == f"/{REPOSITORY}/git-receive-pack"]
    assert any(headers.get("transfer-encoding") == "chunked" for headers in sent)
    assert {headers["authorization"] for headers in sent} == {f"Bearer {CREDENTIAL}"}


def test_git_clones_the_same_bytes(fetching: Gateway, pushed: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", f"{address(fetching, 'x')}/{REPOSITORY}", str(tmp_path / "clone"))
    assert git("rev-parse", "HEAD", where=tmp_path / "clone") == git("rev-parse", "HEAD", where=pushed)
    assert (tmp_path / "clone" / "random.bin").read_bytes() == (pushed / "random.bin").read_bytes()


def test_git_fetches_with_a_compressed_request(
    fetching: Gateway, files: FileServer, pushed: Path, tmp_path: Path
) -> None:
    """With a history of its own the client names so many commits that it compresses what it asks."""
    clone = tmp_path / "clone"
    header = f"http.extraHeader=Authorization: Bearer {fetching.token()}"
    remote = f"{address(fetching)}/{REPOSITORY}"
    git("-c", header, "clone", "--quiet", remote, str(clone))
    for number in range(40):
        git("commit", "--quiet", "--allow-empty", "-m", str(number), where=clone)
    (pushed / "more.txt").write_text(str(time.time()))
    git("add", ".", where=pushed)
    git("commit", "--quiet", "-m", "second", where=pushed)
    git("push", "--quiet", f"{address(fetching, 'x')}/{REPOSITORY}", "main", where=pushed)
    files.seen.clear()
    git("-c", header, "fetch", "--quiet", "origin", where=clone)
    assert git("rev-parse", "origin/main", where=clone) == git("rev-parse", "HEAD", where=pushed)
    assert any(headers.get("content-encoding") == "gzip" for _, _, headers in files.seen)


def test_git_without_a_token_gets_nothing(fetching: Gateway, files: FileServer, tmp_path: Path) -> None:
    files.seen.clear()
    with pytest.raises(AssertionError, match="terminal prompts disabled"):
        git("clone", f"{address(fetching)}/{REPOSITORY}", str(tmp_path / "clone"))
    assert files.seen == []


# --- pip


def test_pip_downloads_the_same_bytes(fetching: Gateway, files: FileServer, tmp_path: Path) -> None:
    options = ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--isolated", "--quiet"]
    index = ["--index-url", f"{address(fetching, 'x')}/simple/", "--trusted-host", "127.0.0.1"]
    command = [sys.executable, "-m", "pip", "download", *options, *index, "--dest", str(tmp_path), PROJECT]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    got = (tmp_path / WHEEL).read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(files.wheel).digest()


# --- curl and HTTP's own corners


def curl(gateway: Gateway, *args: str) -> str:
    command = [CURL, "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "-u", f"x:{gateway.token()}"]
    return subprocess.run([*command, *args], capture_output=True, text=True, timeout=40, check=True).stdout


@pytest.mark.skipif(not Path(CURL).exists(), reason="no curl here")
def test_curl_waits_for_100_continue(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    (tmp_path / "body").write_bytes(body)
    options = ["-H", "expect: 100-continue", "--expect100-timeout", "20", "--verbose", "--stderr", "-"]
    began = time.monotonic()
    out = curl(gateway, *options, "--data-binary", f"@{tmp_path}/body", f"{gateway.url}/put")
    assert "< HTTP/1.1 100 Continue" in out
    assert "< HTTP/1.1 200 OK" in out
    assert time.monotonic() - began < 10
    (seen,) = upstream.seen
    assert seen.body == body
    assert seen.get("expect") is None


@pytest.mark.skipif(not Path(CURL).exists(), reason="no curl here")
def test_curl_heads(gateway: Gateway, upstream: Upstream) -> None:
    out = curl(gateway, "--head", f"{gateway.url}/anything")
    assert out.startswith("HTTP/1.1 200 OK")
    assert [seen.method for seen in upstream.seen] == ["HEAD"]


def test_one_connection_serves_many_requests(gateway: Gateway, upstream: Upstream) -> None:
    """Bodies, none, HEAD and refusals in turn: no answer goes to the wrong question."""
    headers = {"authorization": f"Bearer {gateway.token()}"}
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)
    connection.connect()
    first = connection.sock
    for number in range(200):
        method = ("GET", "POST", "HEAD", "GET")[number % 4]
        path = f"/{('masked', 'n', 'n', 'denied')[number % 4]}/{number}"
        connection.request(method, path, body=b"x" * number if method == "POST" else None, headers=headers)
        answer = connection.getresponse()
        data = answer.read()
        if path.startswith("/denied"):
            assert (answer.status, b"policy_denied" in data) == (403, True)
        elif method != "HEAD":
            assert f'"target": "{path}"'.encode() in data
        assert connection.sock is first
    connection.close()
    assert len(upstream.seen) == 150


def test_fifty_requests_at_once(gateway: Gateway, upstream: Upstream) -> None:
    upstream.delay = 0.3
    token = gateway.token()

    def ask(number: int) -> tuple[int, object]:
        answer = httpx.get(
            f"{gateway.url}/masked/{number}", headers={"authorization": f"Bearer {token}"}, trust_env=False
        )
        return answer.status_code, answer.json()["target"]

    with ThreadPoolExecutor(50) as pool:
        began = time.monotonic()
        answers = list(pool.map(ask, range(50)))
        took = time.monotonic() - began
    assert answers == [(200, f"/masked/{number}") for number in range(50)]
    assert took < 50 * 0.3 / 3  # they did not wait for each other


# --- event streams


def test_a_masked_event_is_not_delayed(gateway: Gateway, upstream: Upstream) -> None:
    arrived: list[tuple[float, str]] = []
    with gateway.client() as client:
        client.get("/masked")
        began = time.monotonic()
        with client.stream("GET", f"/sse?events=4&pause=0.4&say=%20{SSN}") as answer:
            arrived.extend((time.monotonic() - began, line) for line in answer.iter_lines() if line)
    assert [line for _, line in arrived] == [f"data: event {number} ****" for number in range(4)]
    for number, (at, _) in enumerate(arrived):
        assert at < number * 0.4 + 0.2


# --- WebSockets


def websocket(gateway: Gateway, path: str = "/ws") -> ClientConnection:
    return connect(
        f"ws://{urlsplit(gateway.url).netloc}{path}",
        additional_headers={"authorization": f"Bearer {gateway.token()}"},
        proxy=None,
        open_timeout=5,
        close_timeout=2,
    )


def test_a_websocket_echoes_text_and_bytes_and_closes(gateway: Gateway, upstream: Upstream) -> None:
    big = os.urandom(60_000)
    with websocket(gateway) as socket:
        for message in ("hello", "ünïcode ✓", b"\x00\xff", big, big.hex(), ""):
            socket.send(message)
            assert socket.recv(timeout=5) == message
        assert socket.ping().wait(5)
        socket.close()
        assert socket.close_code == 1000
    (seen,) = upstream.seen
    assert seen.get("authorization") == f"Bearer {CREDENTIAL}"


def test_a_websocket_is_not_compressed_where_the_credential_is_looked_for(gateway: Gateway, upstream: Upstream) -> None:
    with websocket(gateway) as socket:
        assert socket.protocol.extensions == []
    assert upstream.seen[0].get("sec-websocket-extensions") is None


def test_a_hundred_messages_are_echoed_at_once(gateway: Gateway) -> None:
    took = []
    with websocket(gateway) as socket:
        for number in range(100):
            began = time.monotonic()
            socket.send(f"message {number}")
            assert socket.recv(timeout=5) == f"message {number}"
            took.append(time.monotonic() - began)
    print(f"websocket echo: median {statistics.median(took) * 1000:.1f} ms, worst {max(took) * 1000:.1f} ms")
    assert statistics.median(took) < 0.03
    assert max(took) < 0.1


def test_a_message_that_ends_like_a_credential_begins_is_not_held_back(gateway: Gateway) -> None:
    with websocket(gateway) as socket:
        for message in ("stop", "100%", "number 7", "back\\", CREDENTIAL[:3], "cGx"):
            socket.send(message)
            assert socket.recv(timeout=1) == message


def test_a_credential_in_a_frame_cuts_the_connection(gateway: Gateway) -> None:
    with websocket(gateway, "/ws/leak") as socket:
        socket.send(b"echoed")
        assert socket.recv(timeout=5) == b"echoed"
        socket.send("tell me")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)


def test_an_upgrade_that_policy_wants_masked_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    with pytest.raises(InvalidStatus) as refused:
        websocket(gateway, "/masked/ws")
    assert b"problem:policy_unmet" in refused.value.response.body
    assert upstream.seen == []


def test_an_upgrade_that_is_not_open_never_arrives(fetching: Gateway, files: FileServer) -> None:
    files.seen.clear()
    with pytest.raises(InvalidStatus) as refused:
        websocket(fetching)
    assert refused.value.response.status_code == 403
    assert files.seen == []
