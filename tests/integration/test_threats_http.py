"""Attacks on the way of a request: whoever owns the CI job writes bytes by hand. docs/threats.md names these tests."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import pytest

from tests.integration.gateway import CREDENTIAL, Gateway, free_port
from tests.integration.raw import (
    CLOSE,
    RESET,
    Evil,
    Reply,
    answer,
    ask,
    ask_all,
    chunked,
    connect,
    read_all,
    request,
    talk,
)

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "deny", "rule": "test.default"}

decision := d if {
	input.request.segments[0] == "plain"
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "masked"
	d := {"action": "allow", "redact": [{"detect": ["ssn"]}]}
} else := d if {
	input.request.segments[0] == "spoof"
	input.source.address != "127.0.0.1"
	not startswith(input.source.address, "127.0.0.1:")
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "seen"
	input.request.headers["x-own"] == ["1"]
	d := {"action": "allow"}
} else := d if {
	input.request.segments[0] == "body"
	not input.request.body
	d := {"action": "allow", "inspect": ["request_body"]}
} else := d if {
	input.request.segments[0] == "body"
	input.request.body.complete
	input.request.body.json.wish == "yes"
	d := {"action": "allow"}
}
"""
OK = answer(b"fine")


@dataclass
class Stage:
    gateway: Gateway
    evil: Evil
    token: str
    app: str  # the resource's own port
    bare: str  # a headers-only resource
    main: str  # the listener that chooses by host

    def ask(self, data: bytes, url: str = "") -> Reply:
        return ask(url or self.app, data)


@pytest.fixture(scope="module")
def _stage() -> Iterator[Stage]:
    evil = Evil().start()
    evil.says(OK)
    base = {"upstream": f"http://127.0.0.1:{evil.port}"}
    resources = [
        {**base, "name": "app", "hosts": ["app.localhost"], "port": free_port(), "credential": "app"},
        {**base, "name": "bare", "hosts": ["bare.localhost"], "port": free_port(), "bodies": "headers_only"},
    ]
    gateway = Gateway(upstream_port=evil.port, policy=POLICY, settings={"resources": resources}).start()
    told = gateway.ready["resources"]
    urls = (told["app"]["url"], told["bare"]["url"], str(gateway.ready["listen"]))
    yield Stage(gateway, evil, gateway.token(), *urls)
    gateway.stop()
    evil.stop()


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    _stage.evil.says(OK)
    return _stage


@pytest.fixture(scope="module", autouse=True)
def slow(_stage: Stage) -> Iterator[Callable[[], tuple[Reply, float]]]:
    """A client that never ends its headers, in the background: Envoy waits 10 s for it."""
    got: list[tuple[bytes, float]] = []

    def run() -> None:
        began = time.monotonic()
        data = talk(_stage.app, b"GET /plain HTTP/1.1\r\nhost: app.localhost\r\n", within=15)
        got.append((data, time.monotonic() - began))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> tuple[Reply, float]:
        thread.join(20)
        return Reply.read(got[0][0]), got[0][1]

    yield result
    thread.join(20)


# --- paths

HIDDEN = [
    b"/plain%2fdenied", b"/plain%2Fdenied", b"/plain%5cdenied", b"/plain/..%2fdenied", b"/plain;jsessionid=1",
    b"/plain/%2e%2e%2fdenied", b"/plain/%252e%252e/denied", b"/plain%252fdenied", b"/plain/%00", b"/plain\0/x",
    b"/plain\xff", b"/plain/%ff", b"/plain/%c0%ae%c0%ae/denied", b"/plain/%c0%af", b"/plain#/denied", b"/plain#",
    b"/plain?x=1#y", b"/plain?a=1;b=2", b"/plain?a=%ff", b"/plain/..;/denied", b"/plain/..;x=1/denied",
    b"/plain/%2e%2e;/denied", b"/plain;x=1/y", b"/plain/\x7f", b"/plain\t/x", b"/plain\x0b", b"/plain\r/x", b"*",
    b"plain", b"?/plain", b"/plain/%0d%0ax", b"/plain/%", b"/plain/%zz", b"/plain /denied", b"/plain\xc2\xa0", b"/%u0070lain",
    b"http:plain", b"//", b"/plain/%e2%80%ae%00",
]  # fmt: skip


COMES_TO_DENIED = [
    "//denied", "/plain/../denied", "/plain/%2e%2e/denied", "/plain/.%2E/denied", "/plain/./../denied", "/./denied",
    "///denied", "/plain/..//denied", "/%64enied", "/plain/x/../../denied", "/../denied", "/plain\\..\\denied",
    "/\\denied",
]  # fmt: skip


def test_a_path_that_could_be_read_in_two_ways_never_arrives(stage: Stage) -> None:
    replies = ask_all(stage.app, {target: request(target, token=stage.token) for target in HIDDEN})
    assert stage.evil.heads == []
    assert [target for target, reply in replies.items() if not reply.refused] == []


def test_a_path_is_decided_by_what_it_comes_to(stage: Stage) -> None:
    replies = ask_all(stage.app, {target: request(target, token=stage.token) for target in COMES_TO_DENIED})
    assert stage.evil.heads == []
    assert {target: reply.code for target, reply in replies.items() if reply.code != "policy_denied"} == {}


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("/plain\\denied", b"/plain/denied"), ("/plain/.;/x", b"/plain/x"), ("/plain//../denied", b"/plain/denied"),
        ("/denied/../plain", b"/plain"), ("//plain", b"/plain"), ("/%70lain", b"/plain"), ("/plain/", b"/plain/"),
        ("/plain?a=1?b=2", b"/plain?a=1?b=2"), ("/plain?/../denied", b"/plain?/../denied"),
        ("/plain/%20", b"/plain/%20"),
        ("/plain?next=//denied", b"/plain?next=//denied"), ("/plain?a=%2e%2e%2f", b"/plain?a=%2e%2e%2f"),
    ],
)  # fmt: skip
def test_what_policy_read_is_what_arrives(stage: Stage, target: str, arrives: bytes) -> None:
    assert stage.ask(request(target, token=stage.token)).status == 200
    assert stage.evil.targets() == [arrives]


# --- hosts and targets


ELSEWHERE = [
        "http://other.localhost/plain", "http://app.localhost@other.localhost/plain", "https://other.localhost/plain",
        "http://other.localhost:80/plain", "http://app.localhost.other.localhost/plain", "http://[::1]/plain",
        "http://app.localhost%00.other/plain", "//other.localhost/plain", "ftp://app.localhost/denied",
]  # fmt: skip


def test_an_absolute_target_for_another_host_reaches_no_resource(stage: Stage) -> None:
    replies = ask_all(stage.main, {target: request(target, token=stage.token) for target in ELSEWHERE})
    assert stage.evil.heads == []
    assert [target for target, reply in replies.items() if not reply.refused] == []


def test_an_absolute_target_is_decided_by_its_own_path(stage: Stage) -> None:
    denied = stage.ask(request("http://app.localhost/denied", token=stage.token), stage.main)
    assert (denied.code, stage.evil.heads) == ("policy_denied", [])
    assert stage.ask(request("http://APP.localhost:80/plain", token=stage.token), stage.main).status == 200
    assert stage.evil.targets() == [b"/plain"]


HOSTS = [
        ["app.localhost", "other.localhost"], ["other.localhost", "app.localhost"], ["app.localhost", "app.localhost"],
        ["other.localhost"], ["app.localhost,other.localhost"], ["app.localhost other.localhost"], [""], [],
        ["app.localhost@other.localhost"], ["app.localhost/plain"], ["app.localhost\\@x"], ["app.localhost?"],
]  # fmt: skip


def test_a_host_that_names_no_single_resource_reaches_none(stage: Stage) -> None:
    heads: dict[Hashable, bytes] = {}
    for hosts in HOSTS:
        lines = "".join(f"host: {host}\r\n" for host in hosts)
        head = f"GET /plain HTTP/1.1\r\n{lines}connection: close\r\nauthorization: Bearer {stage.token}\r\n\r\n"
        heads[tuple(hosts)] = head.encode()
    replies = ask_all(stage.main, heads)
    assert stage.evil.heads == []
    assert [hosts for hosts, reply in replies.items() if not reply.refused] == []


def test_on_a_resources_own_port_no_host_means_another_resource(stage: Stage) -> None:
    """The route names the resource. The upstream is told its own name, never the client's."""
    for host in ("bare.localhost", "evil.example", "app.localhost:1@x"):
        head = (
            f"GET /plain HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {stage.token}\r\n\r\n"
        )
        stage.ask(head.encode())
    assert all(f"host: 127.0.0.1:{stage.evil.port}".encode() in head for head in stage.evil.heads)
    assert all(CREDENTIAL.encode() in head for head in stage.evil.heads)


# --- framing

AFTER = b"GET /smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n"
LENGTH = ("content-length", str(len(AFTER)))
FRAMES: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "length and chunked": ([LENGTH, ("transfer-encoding", "chunked")], b"0\r\n\r\n" + AFTER),
    "chunked and length": ([("transfer-encoding", "chunked"), ("content-length", "4")], b"5c\r\n" + AFTER),
    "two lengths": ([("content-length", "0"), LENGTH], AFTER),
    "two lengths, the other way": ([LENGTH, ("content-length", "0")], AFTER),
    "two equal lengths": ([LENGTH, LENGTH], AFTER),
    "a list of lengths": ([("content-length", f"0, {len(AFTER)}")], AFTER),
    "a signed length": ([("content-length", f"+{len(AFTER)}")], AFTER),
    "a negative length": ([("content-length", "-1")], AFTER),
    "a hexadecimal length": ([("content-length", "0x10")], AFTER),
    "a length beyond 64 bits": ([("content-length", "18446744073709551616")], AFTER),
    "xchunked": ([("transfer-encoding", "xchunked")], b"0\r\n\r\n" + AFTER),
    "chunked, identity": ([("transfer-encoding", "chunked, identity")], b"0\r\n\r\n" + AFTER),
    "identity": ([("transfer-encoding", "identity")], b"0\r\n\r\n" + AFTER),
    "gzip, chunked": ([("transfer-encoding", "gzip, chunked")], b"0\r\n\r\n" + AFTER),
    "two codings": ([("transfer-encoding", "chunked"), ("transfer-encoding", "identity")], b"0\r\n\r\n" + AFTER),
    "chunked twice": ([("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], b"0\r\n\r\n" + AFTER),
    "a space before the colon": ([("transfer-encoding ", "chunked"), ("content-length", "5")], b"0\r\n\r\n" + AFTER),
    "a vertical tab": ([("transfer-encoding", "\x0bchunked"), ("content-length", "5")], b"0\r\n\r\n" + AFTER),
    "a folded line": ([("x-fold", "1\r\n transfer-encoding: chunked"), ("content-length", "5")], b"0\r\n\r\n" + AFTER),
    "a bare line feed": ([("x-bare", "1\ntransfer-encoding: chunked"), ("content-length", "5")], b"0\r\n\r\n" + AFTER),
    "a bare carriage return": ([("x-bare", "1\rcontent-length: 0")], AFTER),
    "a header injected": ([("x-inject", "1\0\r\ncontent-length: 0")], AFTER),
    "a chunk size that overflows": ([("transfer-encoding", "chunked")], b"10000000000000000\r\n" + AFTER),
    "a chunk size with a sign": ([("transfer-encoding", "chunked")], b"-1\r\n" + AFTER),
    "a chunk without its end": ([("transfer-encoding", "chunked")], b"1\r\nxx0\r\n\r\n" + AFTER),
    "chunks ended by line feeds": ([("transfer-encoding", "chunked")], b"1\nx\n0\n\n" + AFTER),
    "a chunk's extension": ([("transfer-encoding", "chunked")], b"0;a=\n\r\n\r\n" + AFTER),
    "a body on GET": ([("x-none", "1")], AFTER),
}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_no_second_request_hides_in_the_first(stage: Stage, method: str) -> None:
    def attack(number: int, name: str) -> None:
        headers, rest = FRAMES[name]
        lines = "".join(f"{key}: {value}\r\n" for key, value in [("host", "app.localhost"), *headers])
        head = f"{method} /plain/{number} HTTP/1.1\r\n{lines}authorization: Bearer {stage.token}\r\n\r\n"
        talk(stage.app, head.encode("latin-1") + rest, within=0.5)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(attack, range(len(FRAMES)), FRAMES))
    targets = stage.evil.targets()
    assert targets  # some are harmless, and none of these counts twice
    assert sorted(set(targets)) == sorted(targets)
    for head in stage.evil.heads:
        assert head.startswith(f"{method} /plain/".encode())
        assert len(re.findall(rb"(?im)^(?:content-length|transfer-encoding):", head)) <= 1
        assert not re.search(rb"[^\r]\n", head)


def test_requests_on_one_connection_are_decided_one_by_one(stage: Stage) -> None:
    one = request("/plain?n=1", token=stage.token).replace(b"connection: close\r\n", b"")
    without = request("/plain?n=2").replace(b"connection: close\r\n", b"")
    denied = request("/denied", token=stage.token).replace(b"connection: close\r\n", b"")
    raw = talk(stage.app, one + without + denied + request("/plain?n=3", token=stage.token))
    assert re.findall(rb"HTTP/1\.1 (\d+)", raw) == [b"200", b"401", b"403", b"200"]
    assert stage.evil.targets() == [b"/plain?n=1", b"/plain?n=3"]


@pytest.mark.parametrize(
    "line", [b"GET /plain\r\n\r\n", b"GET /plain HTTP/1.0\r\n\r\n", b"GET /plain HTTP/3.0\r\n\r\n"]
)
def test_no_other_version_is_a_way_around(stage: Stage, line: bytes) -> None:
    talk(stage.app, line, within=0.5)
    assert stage.evil.heads == []


# --- headers-only routes

UPGRADE = (("upgrade", "websocket"), ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("sec-websocket-version", "13"))
BODIES: dict[str, tuple[str, list[tuple[str, str]], bytes, str]] = {
    "GET with a body": ("GET", [], b"secret", "body_refused"),
    "POST with a body": ("POST", [], b"secret", "body_refused"),
    "GET, chunked": ("GET", [("transfer-encoding", "chunked")], chunked(b"secret"), "body_refused"),
    "DELETE, chunked": ("DELETE", [("transfer-encoding", "chunked")], chunked(b"secret"), "body_refused"),
    "no chunk at all": ("GET", [("transfer-encoding", "chunked")], chunked(), "body_refused"),
    "trailers alone": (
        "GET",
        [("transfer-encoding", "chunked")],
        chunked(trailers=[("x-a", "secret")]),
        "body_refused",
    ),
    "an upgrade": ("GET", [*UPGRADE, ("connection", "upgrade")], b"", "gateway_error"),
    "an upgrade to anything": ("GET", [("upgrade", "raw"), ("connection", "upgrade")], b"", "gateway_error"),
    "expecting": ("POST", [("expect", "100-continue")], b"secret", "body_refused"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_headers_only_route_takes_nothing_but_headers(stage: Stage, name: str) -> None:
    method, headers, body, code = BODIES[name]
    reply = stage.ask(request("/plain", *headers, method=method, token=stage.token, body=body), stage.bare)
    assert stage.evil.heads == [], reply
    assert reply.code == code


def test_a_headers_only_route_cannot_mask_and_says_so(stage: Stage) -> None:
    assert stage.ask(request("/masked", token=stage.token), stage.bare).code == "policy_unmet"
    assert stage.evil.heads == []
    assert stage.ask(request("/plain", token=stage.token), stage.bare).body == b"fine"


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "tls/1.0", "websocket, h2c", "raw", "connect-udp"])
def test_no_upgrade_passes_that_the_resource_does_not_name(stage: Stage, upgrade: str) -> None:
    stage.evil.says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
    headers = (("connection", "upgrade"), *UPGRADE[1:], ("upgrade", upgrade))
    reply = stage.ask(request("/plain", *headers, token=stage.token))
    assert stage.evil.heads == []
    assert (reply.code, reply.status) in {("gateway_error", 403), ("gateway_error", 404)}  # Envoy's own answer


@pytest.mark.parametrize("listener", ["app", "bare"])
def test_an_upgrade_that_envoy_takes_for_none_is_an_ordinary_request(stage: Stage, listener: str) -> None:
    h2c = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQ")]
    for headers in (h2c, UPGRADE):  # the second is not nominated by Connection
        assert stage.ask(request("/plain", *headers, token=stage.token), getattr(stage, listener)).status == 200
    assert not stage.evil.names() & {"upgrade", "http2-settings"}


# --- methods


FORBIDDEN = [("CONNECT", "app.localhost:80"), ("CONNECT", "127.0.0.1:22"), ("CONNECT", "/plain"), ("TRACE", "/plain")]
UNKNOWN = ["get", "Get", "PURGE", "DEBUG", "TRACK", "PRI", "MKCOL", "PATCHX", "X" * 500]


@pytest.mark.parametrize("listener", ["app", "bare", "main"])
def test_connect_and_trace_go_nowhere_with_a_token_or_without(stage: Stage, listener: str) -> None:
    asked = [(*one, token) for one in FORBIDDEN for token in ("", stage.token)]
    data = {one: request(one[1], method=one[0], token=one[2]) for one in asked}
    replies = ask_all(getattr(stage, listener), data)
    assert stage.evil.connections == 0
    assert [one[:2] for one, reply in replies.items() if not reply.refused] == []


def test_a_method_that_is_not_open_never_arrives(stage: Stage) -> None:
    replies = ask_all(stage.app, {method: request("/plain", method=method, token=stage.token) for method in UNKNOWN})
    assert stage.evil.heads == []
    assert [method for method, reply in replies.items() if not reply.refused] == []


# --- headers that mean something to somebody else

CLAIMS = [
    "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-original-uri",
    "x-original-method", "x-original-host", "x-rewrite-url", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-path", "x-forwarded-uri", "x-forwarded-method",
    "x-forwarded-scheme", "x-forwarded-ssl", "x-forwarded-server", "x-forwarded-user", "x-forwarded-email",
    "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token", "x-forwarded-client-cert",
    "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip", "x-host", "proxy-authorization",
    "proxy-connection", "expect", "te",
]  # fmt: skip
CONTROLS = [
    ("x-envoy-retry-on", "5xx,reset,connect-failure,retriable-status-codes,gateway-error"),
    ("x-envoy-retry-grpc-on", "unavailable"), ("x-envoy-max-retries", "5"), ("x-envoy-retriable-status-codes", "503"),
    ("x-envoy-hedge-on-per-try-timeout", "true"), ("x-envoy-upstream-rq-per-try-timeout-ms", "100"),
    ("x-envoy-upstream-alt-stat-name", "x"), ("x-envoy-original-path", "/denied"), ("x-envoy-internal", "true"),
    ("x-envoy-external-address", "6.6.6.6"), ("x-envoy-original-dst-host", "127.0.0.1:22"),
    ("x-envoy-force-trace", "1"), ("x-envoy-is-timeout-retry", "1"),
    ("x-envoy-decorator-operation", "x"), ("x-envoy-upstream-stream-duration-ms", "100"),
    ("x-envoy-attempt-count", "7"), ("x-envoy-downstream-service-cluster", "x"), ("x-envoy-anything-new", "x"),
]  # fmt: skip


def test_a_clients_claims_about_method_path_and_origin_do_not_arrive(stage: Stage) -> None:
    headers = [(name, "chunked" if name == "te" else "DELETE") for name in CLAIMS if name != "expect"]
    assert stage.ask(request("/plain", *headers, token=stage.token)).status == 200
    assert not stage.evil.names() & set(CLAIMS)


def test_no_header_of_envoys_own_arrives(stage: Stage) -> None:
    assert stage.ask(request("/plain", *CONTROLS, token=stage.token)).status == 200
    assert not [name for name in stage.evil.names() if name.startswith("x-envoy")]


@pytest.mark.parametrize(
    "script",
    [(answer(b"", status="503 Service Unavailable"),), (RESET,), (CLOSE,), (b"HTTP/1.1 200 OK\r\n", CLOSE)],
    ids=["503", "reset", "close", "half a head"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_decided_once_is_sent_once(stage: Stage, script: tuple[bytes | str, ...], method: str) -> None:
    stage.evil.says(*script)
    body = b"x" if method == "POST" else b""
    reply = stage.ask(request("/plain", *CONTROLS, method=method, token=stage.token, body=body))
    time.sleep(0.15)  # a retry would wait 25 ms
    assert len(stage.evil.heads) == 1
    assert reply.status >= 500


def test_a_client_cannot_shorten_what_envoy_waits_for(stage: Stage) -> None:
    stage.evil.says(0.4, OK)
    headers = [(f"x-envoy-{name}", "50") for name in ("upstream-rq-timeout-ms", "expected-rq-timeout-ms")]
    assert stage.ask(request("/plain", *headers, token=stage.token)).status == 200


def test_where_a_client_comes_from_is_what_its_connection_says(stage: Stage) -> None:
    names = ("x-forwarded-for", "x-real-ip", "x-envoy-external-address", "forwarded", "true-client-ip")
    reply = stage.ask(request("/spoof", *((name, "6.6.6.6") for name in names), token=stage.token))
    assert (reply.code, stage.evil.heads) == ("policy_denied", [])


def test_a_header_whose_name_others_read_otherwise_is_refused(stage: Stage) -> None:
    names = ["x_original_url", "content_length", "authorization_", "x-a\0b", "x a", "x\xe9", "x-a ", "", "x(a)"]
    replies = ask_all(stage.app, {name: request("/plain", (name, "1"), token=stage.token) for name in names})
    assert stage.evil.heads == []
    assert [name for name, reply in replies.items() if not reply.refused] == []


@pytest.mark.parametrize("path", ["/masked", "/plain"])
def test_no_fragment_and_no_compression_is_asked_for_where_something_must_be_found(stage: Stage, path: str) -> None:
    """On `/plain` only the credential is looked for: in two halves it would not be found either."""
    headers = (("range", "bytes=0-9"), ("if-range", '"a"'), ("accept-encoding", "br, zstd"))
    assert stage.ask(request(path, *headers, token=stage.token)).status == 200
    assert not stage.evil.names() & {"range", "if-range", "accept-encoding"}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ([("authorization", "Bearer x")], "identity_invalid"),
        ([("Authorization", "Basic eDp5")], "identity_invalid"),
        ([("content-type", "a/b"), ("content-type", "c/d")], "request_malformed"),
        ([("content-type", "text/plain"), ("Content-Type", "application/json")], "request_malformed"),
        ([("upgrade", "a"), ("upgrade", "b"), ("connection", "upgrade")], "gateway_error"),
    ],
)
def test_a_header_twice_is_not_one_of_the_two(stage: Stage, extra: list[tuple[str, str]], code: str) -> None:
    reply = stage.ask(request("/plain", *extra, token=stage.token))
    assert (reply.code, stage.evil.heads) == (code, [])


@pytest.mark.parametrize("nominated", ["authorization", "host", "content-length", "x-own", "transfer-encoding"])
def test_connection_cannot_name_a_header_away_after_it_was_seen(stage: Stage, nominated: str) -> None:
    """Envoy drops what Connection nominates before anybody looks; the gateway's credential stays."""
    reply = stage.ask(request("/seen", ("connection", nominated), ("x-own", "1"), token=stage.token))
    assert reply.refused == (nominated in ("x-own", "authorization") or not stage.evil.heads)
    assert all(CREDENTIAL.encode() in head and b"x-own" in head for head in stage.evil.heads)


# --- bodies and trailers

TRAILERS = [("x-leak", "secret-trailer"), ("authorization", "Bearer x"), ("content-length", "9"), ("host", "evil")]


@pytest.mark.parametrize("path", ["/plain", "/masked", "/body"])
def test_no_request_trailer_arrives(stage: Stage, path: str) -> None:
    body = chunked(b'{"wish":', b'"yes"}', trailers=TRAILERS)
    headers = (("transfer-encoding", "chunked"), ("content-type", "application/json"), ("trailer", "x-leak"))
    hostile = stage.ask(request(path, *headers, method="POST", token=stage.token, body=body))
    assert hostile.status in (200, 400, 500)
    assert not re.search(rb"leak|authorization", b"".join(stage.evil.bodies))
    plain = chunked(b'{"wish":"yes"}', trailers=TRAILERS[:1])
    assert stage.ask(request(path, *headers, method="POST", token=stage.token, body=plain)).status == 200
    assert b"secret-trailer" not in b"".join(stage.evil.bodies)
    assert b"yes" in stage.evil.bodies[-1]


WISH = b'{"wish":"yes"}'
LIES: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "a name twice": ([("content-type", "application/json")], b'{"wish":"yes","wish":"no"}'),
    "a name twice, escaped": ([("content-type", "application/json")], b'{"wish":"yes","w\\u0069sh":"no"}'),
    "UTF-16": ([("content-type", "application/json")], WISH.decode().encode("utf-16")),
    "UTF-16, declared": ([("content-type", "application/json; charset=utf-16")], WISH.decode().encode("utf-16-le")),
    "UTF-7, declared": ([("content-type", "application/json; charset=utf-7")], WISH),
    "a byte order mark": ([("content-type", "application/json")], b"\xef\xbb\xbf" + WISH),
    "compressed, by its word": ([("content-type", "application/json"), ("content-encoding", "gzip")], WISH),
    "two documents": ([("content-type", "application/json")], WISH + b'{"wish":"no"}'),
    "a comment": ([("content-type", "application/json")], b'{"wish":"yes"/*"*/}'),
    "another type": ([("content-type", "image/png")], WISH),
    "no type": ([], WISH),
    "a type in a list": ([("content-type", "application/json, text/plain")], WISH),
}


@pytest.mark.parametrize("name", LIES)
def test_a_body_that_others_read_otherwise_is_no_wish(stage: Stage, name: str) -> None:
    headers, body = LIES[name]
    reply = stage.ask(request("/body", *headers, method="POST", token=stage.token, body=body))
    assert stage.evil.heads == []
    assert reply.code == ("request_malformed" if "list" in name else "policy_denied")


def test_what_was_read_before_deciding_is_what_arrives(stage: Stage) -> None:
    headers = (("content-type", "application/json"), ("transfer-encoding", "chunked"), ("expect", "100-continue"))
    body = chunked(*(bytes([byte]) for byte in WISH))
    assert stage.ask(request("/body", *headers, method="POST", token=stage.token, body=body)).status == 200
    assert re.sub(rb"\r\n|^[0-9a-f]+\r\n", b"", stage.evil.bodies[0]).find(b"wish") >= 0
    assert b"expect" not in stage.evil.heads[0].lower()


# --- sizes and slowness


def test_a_thousand_query_fields_are_read_and_one_more_is_refused(stage: Stage) -> None:
    query = "&".join(f"a{n}=1" for n in range(1000))
    assert stage.ask(request(f"/plain?{query}", token=stage.token)).status == 200
    more = stage.ask(request(f"/plain?{query}&x=1", token=stage.token))
    assert (more.code, len(stage.evil.heads)) == ("request_malformed", 1)


@pytest.mark.parametrize(
    "headers",
    [[("x-big", "x" * 100_000)], [(f"x-{n}", "1") for n in range(250)], [("authorization", "Bearer " + "x" * 20_000)]],
    ids=["one large", "too many", "a large token"],
)
def test_headers_without_measure_are_refused(stage: Stage, headers: list[tuple[str, str]]) -> None:
    reply = stage.ask(request("/plain", *headers))
    assert stage.evil.heads == []
    assert reply.refused


def test_headers_that_never_end_are_ended(stage: Stage, slow: Callable[[], tuple[Reply, float]]) -> None:
    reply, took = slow()
    assert reply.refused
    assert took < 13


def test_nothing_arrives_twice_although_the_client_leaves(stage: Stage) -> None:
    stage.evil.says(0.3, OK)
    with connect(stage.app) as connection:
        connection.sendall(request("/plain", token=stage.token))
        read_all(connection, 0.1)
    time.sleep(0.5)
    assert len(stage.evil.heads) == 1


# --- HTTP/2 with prior knowledge


@dataclass
class H2:
    """What came back on one stream: status, body, or the way it was ended."""

    status: int = 0
    body: bytes = b""
    ended: str = ""

    @property
    def code(self) -> str:
        found = re.search(rb"problem:([a-z_]+)", self.body)
        return found[1].decode() if found else ""


def h2_ask(
    url: str, headers: list[tuple[bytes, bytes]], body: bytes = b"", trailers: Sequence[tuple[bytes, bytes]] = ()
) -> H2:
    """One stream, sent without any check of ours."""
    config = h2.config.H2Configuration(
        client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
    )
    session = h2.connection.H2Connection(config)
    session.initiate_connection()
    session.send_headers(1, headers, end_stream=not body and not trailers)
    if body:
        session.send_data(1, body, end_stream=not trailers)
    if trailers:
        session.send_headers(1, list(trailers), end_stream=True)
    got = H2()
    with connect(url) as connection:
        connection.settimeout(3)
        connection.sendall(session.data_to_send())
        while not got.ended:
            try:
                data = connection.recv(65536)
            except (TimeoutError, ConnectionError):
                data = b""
            if not data:
                got.ended = "closed"
            for event in session.receive_data(data):
                _take(got, event)
    return got


def _take(got: H2, event: h2.events.Event) -> None:
    match event:
        case h2.events.ResponseReceived():
            got.status = int(dict(event.headers or [])[b":status"])
        case h2.events.DataReceived():
            got.body += event.data or b""
        case h2.events.StreamEnded():
            got.ended = "whole"
        case h2.events.StreamReset() | h2.events.ConnectionTerminated():
            got.ended = "reset"


def h2_head(stage: Stage, *more: tuple[bytes, bytes], **pseudo: bytes) -> list[tuple[bytes, bytes]]:
    head = {"method": b"GET", "scheme": b"http", "authority": b"app.localhost", "path": b"/plain", **pseudo}
    pairs = [(b":" + name.encode(), value) for name, value in head.items() if value != b"-"]
    return [*pairs, (b"authorization", f"Bearer {stage.token}".encode()), *more]


def test_http2_is_decided_like_any_other(stage: Stage) -> None:
    assert h2_ask(stage.main, h2_head(stage)).status == 200
    assert h2_ask(stage.main, h2_head(stage, path=b"/denied")).code == "policy_denied"
    assert h2_ask(stage.main, h2_head(stage)[:-1]).code == "identity_missing"
    assert stage.evil.targets() == [b"/plain"]


H2_ATTACKS: dict[str, tuple[dict[str, bytes], list[tuple[bytes, bytes]]]] = {
    "a line in a value": ({}, [(b"x-a", b"1\r\nx-b: 2")]),
    "a line in a name": ({}, [(b"x-a: 1\r\nx-b", b"2")]),
    "a request in the path": ({"path": b"/plain HTTP/1.1\r\nhost: x\r\n\r\nGET /denied"}, []),
    "a request in the method": ({"method": b"GET /denied HTTP/1.1\r\nx: "}, []),
    "a space in the path": ({"path": b"/plain /denied"}, []),
    "a line in the authority": ({"authority": b"app.localhost\r\nx-a: 1"}, []),
    "transfer-encoding": ({"method": b"POST"}, [(b"transfer-encoding", b"chunked")]),
    "connection": ({}, [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]),
    "upper case": ({}, [(b"X-Upper", b"1")]),
    "a second path": ({}, [(b":path", b"/denied")]),
    "an extended CONNECT": ({"method": b"CONNECT"}, [(b":protocol", b"websocket")]),
    "CONNECT": ({"method": b"CONNECT", "scheme": b"-", "path": b"-"}, []),
    "TRACE": ({"method": b"TRACE"}, []),
    "no path": ({"path": b"-"}, []),
    "an empty path": ({"path": b""}, []),
    "another authority": ({"authority": b"other.localhost"}, [(b"host", b"app.localhost")]),
    "userinfo in the authority": ({"authority": b"app.localhost@other.localhost"}, []),
    "a length that is none": ({}, [(b"content-length", b"5")]),
}


def test_http2_hides_nothing(stage: Stage) -> None:
    def attack(name: str) -> H2:
        pseudo, more = H2_ATTACKS[name]
        return h2_ask(stage.main, h2_head(stage, *more, **pseudo))

    with ThreadPoolExecutor(32) as pool:
        answers = dict(zip(H2_ATTACKS, pool.map(attack, H2_ATTACKS), strict=True))
    assert stage.evil.heads == []
    assert {name: got for name, got in answers.items() if 0 < got.status < 400} == {}


def test_with_http2_the_authority_counts_and_not_a_host_header(stage: Stage) -> None:
    h2_ask(stage.main, h2_head(stage, (b"host", b"bare.localhost")))
    for head in stage.evil.heads:
        assert CREDENTIAL.encode() in head
        assert b"bare.localhost" not in head


def test_http2_trailers_do_not_arrive_either(stage: Stage) -> None:
    head = h2_head(stage, (b"content-type", b"application/json"), method=b"POST")
    got = h2_ask(stage.main, head, b"{}", [(b"x-leak", b"secret-trailer")])
    assert got.status == 200
    assert b"secret-trailer" not in b"".join(stage.evil.bodies + stage.evil.heads)
    bare = [(n, b"bare.localhost" if n == b":authority" else v) for n, v in h2_head(stage)]
    assert h2_ask(stage.main, bare, trailers=[(b"x-leak", b"1")]).code == "body_refused"
