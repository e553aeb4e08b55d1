"""Attacks on the way back: an upstream gone bad, or data made to slip by. docs/threats.md names these tests."""

from __future__ import annotations

import base64
import gzip
import html
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.gateway import CREDENTIAL, Gateway, free_port
from tests.integration.raw import CLOSE, EARLY, Evil, Reply, answer, chunked, connect, read_all, request, talk
from tests.integration.test_threats_http import Stage

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "allow"}

decision := {"action": "allow", "redact": [{"detect": ["ssn", "email"]}]} if input.request.segments[0] == "masked"

decision := {"action": "allow", "redact": [{"fields": ["ssn"]}]} if input.request.segments[0] == "fields"

decision := {"action": "allow", "inspect": ["response"]} if {
	input.request.segments[0] == "look"
	input.phase == "request"
}
"""
SSN = "123-45-6789"
SECRET = CREDENTIAL.encode()
MIXED = "MiXeD-Planted-7b1D0c/9=="


@pytest.fixture(scope="module")
def _stage() -> Iterator[Stage]:
    evil = Evil().start()
    base = {"upstream": f"http://127.0.0.1:{evil.port}"}
    resources = [
        {**base, "name": "app", "hosts": ["app.localhost", "two.localhost"], "port": free_port(), "credential": "app"},
        {**base, "name": "bare", "hosts": ["bare.localhost"], "port": free_port(), "bodies": "headers_only"},
        {**base, "name": "mixed", "hosts": ["mixed.localhost"], "port": free_port(), "credential": "mixed"},
    ]
    keys = {"app": {"kind": "bearer", "env": "APP_TOKEN"}, "mixed": {"kind": "basic", "env": "MIXED", "username": "u"}}
    gateway = Gateway(
        upstream_port=evil.port,
        policy=POLICY,
        settings={"resources": resources, "credentials": keys},
        environ={"MIXED": MIXED},
    ).start()
    told = gateway.ready["resources"]
    yield Stage(gateway, evil, gateway.token(), told["app"]["url"], told["bare"]["url"], told["mixed"]["url"])
    gateway.stop()
    evil.stop()


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    return _stage


def told(
    stage: Stage, *script: bytes | float | str, path: str = "/masked", url: str = "", method: str = "GET"
) -> Reply:
    stage.evil.says(*script)
    return stage.ask(request(path, ("te", "trailers"), method=method, token=stage.token), url)


def streamed(*chunks: bytes, trailers: list[tuple[str, str]] | None = None, kind: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + chunked(*chunks, trailers=trailers or [])


# --- the credential comes back

ESCAPED = "".join(f"\\u{ord(char):04x}" for char in CREDENTIAL).encode()
ECHOES: dict[str, bytes] = {
    "raw": SECRET,
    "as sent": b"Authorization: Bearer " + SECRET,
    "base64": base64.b64encode(SECRET),
    "base64, one byte off": base64.b64encode(b"x" + SECRET),
    "base64, two bytes off": base64.b64encode(b"xy" + SECRET + b"z"),
    "base64url": base64.urlsafe_b64encode(SECRET).rstrip(b"="),
    "hex": SECRET.hex().encode(),
    "HEX": SECRET.hex().upper().encode(),
    "percent": "".join(f"%{byte:02x}" for byte in SECRET).encode(),
    "one letter percent": SECRET.replace(b"p", b"%70", 1),
    "JSON escapes": b'{"token": "' + ESCAPED + b'"}',
    "HTML": html.escape(CREDENTIAL).encode(),
    "between zeros": b"\0\0" + SECRET + b"\0",
    "at the very end": b"x" * 200_000 + SECRET,
    "over a boundary of 64 KiB": b"x" * (65536 - 9) + SECRET + b"x" * 100,
}


@pytest.mark.parametrize("path", ["/plain", "/masked", "/look"])
@pytest.mark.parametrize("name", ECHOES)
def test_the_credential_does_not_come_back_in_a_body(stage: Stage, name: str, path: str) -> None:
    reply = told(stage, answer(ECHOES[name]), path=path)
    assert ECHOES[name].strip(b"x\0")[-40:] not in reply.body
    assert SECRET not in reply.body
    assert reply.status == 502 or not reply.complete


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("name", ["raw", "base64, one byte off", "percent", "JSON escapes", "hex"])
@pytest.mark.parametrize("size", [1, 7])
def test_however_it_is_cut_the_credential_does_not_come_back(stage: Stage, name: str, size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    script: list[bytes | float] = [head]
    for piece in pieces(ECHOES[name], size):
        script += [b"%x\r\n%s\r\n" % (len(piece), piece), 0.001]
    reply = told(stage, *script, b"0\r\n\r\n", path="/plain")
    assert ECHOES[name] not in reply.body
    assert reply.code == "response_leaks_credential" or not reply.complete


HEADS: dict[str, tuple[str, str]] = {
    "a value": ("x-debug", CREDENTIAL),
    "a cookie": ("set-cookie", f"t={CREDENTIAL}; path=/"),
    "base64 in a value": ("x-debug", base64.b64encode(SECRET).decode()),
    "a name": (f"x-{CREDENTIAL}", "1"),
    "a redirect": ("location", f"/next?token={CREDENTIAL}"),
    "a redirect, encoded": ("location", "/next?token=" + "".join(f"%{byte:02X}" for byte in SECRET)),
    "a content type": ("content-type", f"text/plain; x={CREDENTIAL}"),
    "a link": ("link", f"</x?{CREDENTIAL}>; rel=next"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_credential_does_not_come_back_in_a_head(stage: Stage, name: str, method: str) -> None:
    reply = told(stage, answer(b"", HEADS[name], kind=""), path="/plain", method=method)
    assert reply.status == 502
    assert HEADS[name][1].encode()[-20:] not in reply.raw or name == "a name"
    assert SECRET not in reply.raw


@pytest.mark.parametrize("name", ["a value", "base64 in a value", "a name"])
def test_the_credential_does_not_come_back_in_trailers(stage: Stage, name: str) -> None:
    reply = told(stage, streamed(b"hello", trailers=[HEADS[name]]), path="/plain")
    assert SECRET not in reply.raw
    assert base64.b64encode(SECRET) not in reply.raw
    assert not reply.complete or reply.code == "response_leaks_credential"


def test_the_credential_does_not_come_back_in_a_reason_phrase(stage: Stage) -> None:
    reply = told(stage, answer(b"", status=f"404 {CREDENTIAL}"), path="/plain")
    assert SECRET not in reply.raw


@pytest.mark.parametrize("leaked", [MIXED, base64.b64encode(f"u:{MIXED}".encode()).decode()])
def test_a_password_does_not_come_back_alone_or_as_it_was_sent(stage: Stage, leaked: str) -> None:
    for script in (answer(leaked.encode()), answer(b"", ("x-debug", leaked)), answer(html.escape(leaked).encode())):
        assert told(stage, script, path="/plain", url=stage.main).code == "response_leaks_credential"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "identity, gzip"])
def test_the_credential_does_not_come_back_compressed(stage: Stage, coding: str) -> None:
    whole = gzip.compress(b"before " + SECRET + b" after")
    halves = gzip.compress(b"before " + SECRET[:9]) + gzip.compress(SECRET[9:] + b" after")
    for packed in (whole, halves):
        reply = told(stage, answer(packed, ("content-encoding", coding)), path="/plain")
        assert SECRET not in reply.body
        assert reply.code == "response_leaks_credential" or not reply.complete


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br", "compress", "aes128gcm", "x"])
@pytest.mark.parametrize("path", ["/plain", "/masked"])
def test_what_cannot_be_decoded_is_not_let_through(stage: Stage, coding: str, path: str) -> None:
    reply = told(stage, answer(gzip.compress(SECRET), ("content-encoding", coding)), path=path)
    assert reply.code == "response_unreadable"


def test_two_headers_of_codings_are_both_read(stage: Stage) -> None:
    codings = (("content-encoding", "identity"), ("content-encoding", "br"))
    assert told(stage, answer(b"x", *codings)).code == "response_unreadable"


def test_what_is_found_nowhere_the_docs_say_so(stage: Stage) -> None:
    """Detectors do not undo what an upstream that wants to tell can always do: docs/threats.md promises no more."""
    for hidden in (SECRET[::-1], gzip.compress(SECRET), bytes(byte ^ 1 for byte in SECRET)):
        assert told(stage, answer(hidden), path="/plain").body == hidden


# --- what comes before, after and instead of a response


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints", "199 x"])
@pytest.mark.parametrize("path", ["/plain", "/masked"])
def test_nothing_passes_before_the_response(stage: Stage, status: str, path: str) -> None:
    early = f"HTTP/1.1 {status}\r\nlink: <{CREDENTIAL}>\r\nx-ssn: {SSN}\r\n\r\n".encode()
    reply = told(stage, early, 0.05, answer(b"fine"), path=path)
    assert SECRET not in reply.raw
    assert SSN.encode() not in reply.raw
    assert b"link" not in reply.early


@pytest.mark.parametrize("listener", ["app", "bare"])
def test_switching_protocols_unasked_gets_nowhere(stage: Stage, listener: str) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n" + SECRET
    reply = told(stage, switch, 0.1, CLOSE, path="/plain", url=getattr(stage, listener))
    assert reply.code == "response_malformed"
    assert SECRET not in reply.raw


PLANTED = answer(b"planted", ("x-planted", "1"))


@pytest.mark.parametrize("gap", [0.0, 0.05])
def test_a_second_response_is_nobodys(stage: Stage, gap: float) -> None:
    """Whoever comes next on that upstream connection must not get what was planted."""
    told(stage, answer(b"first"), gap, PLANTED, path="/plain")
    time.sleep(0.1)
    stage.evil.says(answer(b"fresh"))
    for _ in range(3):
        assert stage.ask(request("/plain", token=stage.token)).body == b"fresh"


SPLITS = {
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\nok" + PLANTED,
    "length and chunked": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    + PLANTED,
    "a bare carriage return": b"HTTP/1.1 200 OK\r\nx: 1\rset-cookie: x-planted=1\r\ncontent-length: 0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\r\nx: 1\n\nHTTP/1.1 200 OK\nx-planted: 1\r\ncontent-length: 0\r\n\r\n",
    "a zero byte": b"HTTP/1.1 200 OK\r\nx: 1\0\r\nx-planted: 1\r\ncontent-length: 0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nx: 1\r\n x-planted: 1\r\ncontent-length: 0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + PLANTED,
    "a status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n" + PLANTED,
    "no HTTP at all": b"x-planted: 1\r\n\r\n",
    "a body on 204": b"HTTP/1.1 204 No Content\r\n\r\n" + PLANTED,
    "a body on 304": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\nplanted" + PLANTED,
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_response_that_is_two_is_one_or_none(stage: Stage, name: str) -> None:
    stage.evil.says(SPLITS[name])
    raw = talk(stage.app, request("/plain", token=stage.token), within=3)
    reply = Reply.read(raw)
    assert reply.get("x-planted") is None
    assert raw.count(b"\r\nserver: extproc-gateway\r\n") == 1  # of every response that Envoy writes
    assert raw.startswith(b"HTTP/1.1 ")
    stage.evil.says(answer(b"fresh"))
    assert stage.ask(request("/plain", token=stage.token)).body == b"fresh"


@pytest.mark.parametrize("path", ["/plain", "/masked"])
def test_a_response_before_the_requests_end_is_read_like_any_other(stage: Stage, path: str) -> None:
    body = b'{"ssn": "123-45-6789"}' if path == "/masked" else b"token=" + SECRET
    stage.evil.says(EARLY, answer(body, kind="application/json" if path == "/masked" else "text/plain"))
    head = request(path, ("content-length", "100000"), method="POST", token=stage.token)
    with connect(stage.app) as connection:
        connection.sendall(head + b"x" * 10)
        raw = read_all(connection, 1.0, one=True)
    reply = Reply.read(raw)
    assert SSN.encode() not in raw
    assert SECRET not in raw
    assert reply.status in (200, 502)


# --- where a response sends the client

AWAY = [
    ("location", "http://evil.example/"), ("location", "//evil.example/x"), ("location", "///evil.example/x"),
    ("location", "/\\evil.example/x"), ("location", "\\\\evil.example"), ("location", "/\t/evil.example"),
    ("location", "https:evil.example"), ("location", "http:///evil.example"), ("location", "javascript:alert(1)"),
    ("location", "data:text/html,x"), ("location", "http://app.localhost@evil.example/"), ("location", "////evil.example"),
    ("location", "http://evil.example#@app.localhost"), ("location", "http://app.localhost.evil.example/"),
    ("location", "http://evil.example:80\\@app.localhost/"), ("location", "HTTP://EVIL.example/"),
    ("location", " http://evil.example/"), ("location", "http://[::1]/"), ("location", "http://app.localhost%2eevil/"),
    ("location", "ftp://app.localhost/"), ("content-location", "http://evil.example/"), ("location", "http://127.0.0.2/"),
    ("refresh", "0;url=http://evil.example/"), ("refresh", "0; URL='http://evil.example/'"),
    ("refresh", "0;http://evil.example/"), ("refresh", "0,url=http://evil.example/"), ("refresh", "0 url=//evil.example"),
    ("refresh", "0; url = http://evil.example/"), ("refresh", '0;url="//evil.example/"'), ("refresh", "http://evil.example"),
    ("refresh", ".5;//evil.example"), ("refresh", "0;;url=//evil.example"),
]  # fmt: skip
HERE = [
    ("location", "/next"), ("location", "next?x=1"), ("location", "http://app.localhost/x"), ("location", "?a=http://x"),
    ("location", "http://TWO.localhost:8080/x"), ("location", "//app.localhost/x"), ("content-location", "/a.json"),
    ("location", "/next?u=http://evil.example/"), ("refresh", "5"), ("refresh", "0;url=/next"), ("refresh", "5; /next"),
    ("location", ""), ("location", "/caf\xe9"), ("location", "#top"),
]  # fmt: skip


@pytest.mark.parametrize("pair", AWAY, ids=lambda pair: f"{pair[0]} {pair[1]}")
def test_a_response_sends_nobody_to_a_host_that_is_not_registered(stage: Stage, pair: tuple[str, str]) -> None:
    reply = told(stage, answer(b"", pair, status="302 Found"), path="/plain")
    assert reply.status == 502
    assert b"evil" not in reply.raw


@pytest.mark.parametrize("pair", HERE, ids=lambda pair: f"{pair[0]} {pair[1]}")
def test_a_response_may_send_the_client_on_within_the_resource(stage: Stage, pair: tuple[str, str]) -> None:
    assert told(stage, answer(b"", pair, status="302 Found"), path="/plain").get(pair[0]) == pair[1]


def test_a_redirect_is_passed_on_and_never_followed(stage: Stage) -> None:
    assert (
        told(stage, answer(b"", ("location", "/other"), status="307 Temporary Redirect"), path="/plain").status == 307
    )
    assert stage.evil.targets() == [b"/plain"]


# --- masked responses

ABOUT = [
    ("etag", '"d41d8cd9"'), ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
    ("digest", "sha-256=x"), ("content-digest", "sha-256=:x:"), ("repr-digest", "sha-256=:x:"), ("accept-ranges", "bytes"),
]  # fmt: skip
CACHING = [("cache-control", "public, max-age=9999"), ("expires", "Mon, 01 Jan 2035 00:00:00 GMT")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_tells_of_the_original_of_a_masked_response(stage: Stage, method: str) -> None:
    """A hash or an exact length of a text with one unknown number in it gives the number away."""
    reply = told(stage, answer(b"" if method == "HEAD" else SSN.encode(), *ABOUT, *CACHING), method=method)
    assert reply.status == 200
    assert not {name for name, _ in reply.headers} & {name for name, _ in ABOUT}
    assert [value for name, value in reply.headers if name == "cache-control"] == ["no-store"]
    assert reply.get("content-length") is None


def test_nor_do_trailers_tell_of_it(stage: Stage) -> None:
    reply = told(stage, streamed(b"ssn: " + SSN.encode(), trailers=[*ABOUT, ("x-kept", "1"), ("x-ssn", SSN)]))
    assert reply.body == b"ssn: ****"
    assert dict(reply.trailers) == {"x-kept": "1", "x-ssn": "****"}


@pytest.mark.parametrize("name", ["x-ssn", "set-cookie", "content-disposition", "www-authenticate"])
def test_headers_are_masked_too(stage: Stage, name: str) -> None:
    reply = told(stage, answer(b"", (name, f"a={SSN}"), (name, f"b={SSN}")))
    assert SSN.encode() not in reply.raw
    assert b"****" in reply.raw


HIDDEN_IN_JSON = {
    "escaped digits": "".join(f"\\u{ord(char):04x}" for char in SSN),
    "one escaped digit": SSN.replace("4", "\\u0034"),
    "an escaped dash": SSN.replace("-", "\\u002d"),
    "upper case": SSN.replace("-", "\\u002D"),
}


@pytest.mark.parametrize("name", HIDDEN_IN_JSON)
@pytest.mark.parametrize(
    "kind", ["application/json", "application/vnd.api+json", "text/json", "APPLICATION/JSON ; a=b"]
)
def test_no_escape_hides_a_value_in_json(stage: Stage, name: str, kind: str) -> None:
    body = f'{{"note": "n {HIDDEN_IN_JSON[name]} n", "list": ["{HIDDEN_IN_JSON[name]}"]}}'.encode()
    assert SSN in json.dumps(json.loads(body))
    reply = told(stage, answer(body, kind=kind))
    assert SSN not in json.dumps(json.loads(reply.body))


@pytest.mark.parametrize("key", ["ssn", "s\\u0073n", "\\u0073\\u0073\\u006e"])
def test_no_escape_hides_a_name_in_json(stage: Stage, key: str) -> None:
    body = f'{{"a": {{"{key}": "{SSN}"}}, "{key}": [1, {{"x": "{SSN}"}}]}}'.encode()
    reply = told(stage, answer(body, kind="application/json"), path="/fields")
    assert SSN.encode() not in reply.body
    assert b'"x"' not in reply.body


JSON = json.dumps({"ssn": SSN}).encode()
LIES = [
    "image/png", "application/octet-stream", "application/pdf", "multipart/byteranges; boundary=x", "application/zip",
    "application/grpc", "video/mp4", "application/x-protobuf", "font/woff", "not a type", "application/json, image/png",
    "image/png, text/plain", "text/plain, application/json", "application/json; charset=utf-16",
    'application/json; charset="utf-16le"', "text/plain; charset=utf-7", "text/plain; charset=UTF-32",
    "text/plain; charset=ebcdic-cp-us", "text/plain; charset=utf-8; charset=utf-16", "text/html; charset=x-user-defined",
    "text/plain; charset=iso-2022-jp", "text/plain;charset='utf-7'", "text/plain; CHARSET=utf-7",
]  # fmt: skip


@pytest.mark.parametrize("kind", LIES)
def test_a_type_that_cannot_be_masked_is_refused_whatever_the_body_is(stage: Stage, kind: str) -> None:
    reply = told(stage, answer(JSON, kind=kind))
    assert reply.code in ("response_unmaskable", "response_malformed")


@pytest.mark.parametrize("kinds", [("text/plain", "application/json"), ("application/json", "text/html")])
@pytest.mark.parametrize("path", ["/masked", "/plain"])
def test_two_types_are_none(stage: Stage, kinds: tuple[str, str], path: str) -> None:
    reply = told(stage, answer(JSON, *(("content-type", kind) for kind in kinds), kind=""), path=path)
    assert reply.code == "response_malformed"


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "", "application/xml"])
def test_names_are_not_masked_where_there_are_none(stage: Stage, kind: str) -> None:
    assert told(stage, answer(JSON, kind=kind), path="/fields").code == "response_unmaskable"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", "", "text/csv"])
def test_characters_of_several_bytes_hide_nothing(stage: Stage, encoding: str, kind: str) -> None:
    reply = told(stage, answer(JSON.decode().encode(encoding), kind=kind))
    for guess in ("utf-8", encoding):
        assert SSN not in reply.body.decode(guess, "ignore")


def test_a_part_that_nobody_asked_for_is_masked_or_refused(stage: Stage) -> None:
    part = answer(SSN.encode(), ("content-range", "bytes 0-10/11"), status="206 Partial Content")
    assert SSN.encode() not in told(stage, part).raw


def test_gzip_hides_nothing_and_goes_on_plain(stage: Stage) -> None:
    for packed in (gzip.compress(JSON), gzip.compress(JSON[:13]) + gzip.compress(JSON[13:])):
        reply = told(stage, answer(packed, ("content-encoding", "gzip"), kind="application/json"))
        assert json.loads(reply.body) == {"ssn": "****"}
    broken = told(stage, answer(gzip.compress(JSON) + JSON, ("content-encoding", "gzip"), kind="application/json"))
    assert SSN.encode() not in broken.raw


def test_a_hundred_at_once_get_each_their_own(stage: Stage) -> None:
    stage.evil.says(0.01, answer(JSON, kind="application/json"))
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda n: stage.ask(request(f"/masked?n={n}", token=stage.token)), range(100)))
    assert {reply.body for reply in replies} == {b'{"ssn": "****"}'}
    assert len(set(stage.evil.targets())) == len(stage.evil.targets()) == 100
