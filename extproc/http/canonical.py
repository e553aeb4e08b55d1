"""One HTTP request, read without doubt: what policy sees, what is hashed and what goes on are the same thing.

Envoy has normalised the path (RFC 3986, 6.2.2) before it arrives here; whatever still could be read in two ways is
refused rather than guessed.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from extproc.errors import Refusal
from extproc.http.body import read_body
from extproc.model import JSON, Decision, Headers

# Never sent upstream: the job's own credential, hop-by-hop and routing claims of a client, and headers by which a
# client would make the upstream see another method or path than policy did. Everything else goes on.
STRIPPED: Final = frozenset({
    b"authorization", b"proxy-authorization", b"proxy-connection", b"proxy-authenticate", b"te", b"expect",
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
    b"x-forwarded-prefix", b"x-forwarded-client-cert", b"x-real-ip", b"x-client-ip", b"true-client-ip",
    b"x-envoy-external-address", b"x-envoy-internal", b"x-original-url", b"x-original-host", b"x-rewrite-url",
    b"x-host", b"x-http-method", b"x-http-method-override", b"x-method-override", b"x-cluster-client-ip",
    b"remote-user",
})  # fmt: skip
# What proxies tell upstreams of a request and of who makes it, by families that grow; orders to an Envoy behind us.
_CLAIMS: Final = (b"x-forwarded-", b"x-original-", b"x-envoy-", b"x-auth-request-", b"x-remote-", b"x-webauth-")
# Fragments and compressed bytes evade detectors.
STRIPPED_WHEN_READ: Final = frozenset({b"accept-encoding", b"sec-websocket-extensions", b"range", b"if-range"})
# Differ between two sendings of the same request, so a held request neither counts nor forwards them.
REQUEST_IDS: Final = frozenset({
    b"x-request-id", b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"x-b3-spanid",
    b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-flags", b"x-correlation-id", b"x-amzn-trace-id",
})  # fmt: skip
# Carry credentials: not for policy, not for records.
_SECRET: Final = STRIPPED | {b"cookie", b"set-cookie", b"x-api-key", b"x-auth-token", b"private-token"}
_MAX_QUERY_FIELDS: Final = 1000
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class HttpOperation:
    """An HTTP request as `Operation`: raw target, and the canonical reading of it."""

    method: str
    scheme: str
    host: str
    target: str
    path: str
    segments: tuple[str, ...]
    query: dict[str, list[str]]
    headers: Headers
    maskable: bool = True  # False where what comes back cannot be masked: a headers-only route, an upgraded connection
    unread: bool = False  # bodies pass by unread
    body: bytes | None = None

    @property
    def kind(self) -> str:
        return "http"

    def require_possible(self, decision: Decision) -> None:
        """Raises `Refusal("policy_unmet")`."""
        limits = decision.limits
        if decision.redact and not self.maskable:
            raise Refusal("policy_unmet", "policy asked to mask what cannot be masked here")
        if limits.rows is not None or limits.seconds is not None:
            raise Refusal("policy_unmet", "policy set a limit of rows or seconds, which HTTP does not have")
        if self.unread and (limits.response_bytes is not None or limits.session_bytes is not None):
            raise Refusal("policy_unmet", "policy set a limit of bytes on a route whose bodies pass unread")

    def facts(self) -> dict[str, JSON]:
        request: dict[str, JSON] = {
            "method": self.method,
            "scheme": self.scheme,
            "host": self.host,
            "path": self.path,
            "segments": list(self.segments),
            "query": self.query,
            "headers": _shown(self.headers),
        }
        if self.body is not None:
            request["body"] = read_body(self.body, self.media_type(), complete=not self.encoded())
        return {"request": request}

    def canonical(self) -> dict[str, JSON]:
        forwarded = self.headers.without(stripped(self.headers) | STRIPPED_WHEN_READ | REQUEST_IDS)
        canonical: dict[str, JSON] = {
            "method": self.method,
            "host": self.host,
            "target": self.target,
            "headers": [[_text(name), _exact(value)] for name, value in _regular(forwarded)],
        }
        if self.body:
            try:
                canonical["body"] = {"text": self.body.decode()}
            except UnicodeDecodeError:
                canonical["body"] = {"base64": base64.b64encode(self.body).decode()}
        return canonical

    def shown(self) -> dict[str, JSON]:
        shown = self.canonical()
        shown["headers"] = [[n, "(secret)" if n.encode() in _SECRET else v] for n, v in shown["headers"]]
        return shown

    def summary(self) -> str:
        return f"{self.method} {self.target}"

    def media_type(self) -> str:
        return (self.headers.get(b"content-type") or b"").decode("latin-1")

    def encoded(self) -> bool:
        """True where the body is compressed or such: it is not read then, and policy is told so."""
        return self.headers.get(b"content-encoding") not in (None, b"", b"identity")

    def upgrade(self) -> str:
        """The protocol that the client wants to change to, lower case, or an empty string (RFC 9110, 7.8)."""
        return (self.headers.get(b"upgrade") or b"").decode("latin-1").lower()

    def with_body(self, body: bytes | None) -> HttpOperation:
        return replace(self, body=body)


def read_request(headers: Headers) -> HttpOperation:
    """Raises `Refusal("request_malformed")` where a part of the request could be read in two ways."""
    method = _one(headers, b":method").decode("ascii", "replace")
    target = _one(headers, b":path") if headers.get_all(b":path") else b""
    host = _one(headers, b":authority").decode("ascii", "replace").lower()
    scheme = (headers.get(b":scheme") or b"http").decode("ascii", "replace")
    for name in (b"content-type", b"content-encoding", b"upgrade"):
        if len(headers.get_all(name)) > 1:
            raise Refusal("request_malformed", f"more than one {name.decode()} header")
    if is_list(headers.get(b"content-type") or b""):
        raise Refusal("request_malformed", "more than one content-type")
    path, _, query = target.partition(b"?")
    return HttpOperation(
        method=method,
        scheme=scheme,
        host=host,
        target=target.decode("latin-1"),
        path=path.decode("latin-1"),
        segments=_segments(path),
        query=_query(query),
        headers=headers,
    )


def stripped(headers: Headers) -> frozenset[bytes]:
    """The names among `headers` that never go upstream."""
    return frozenset(name for name, _ in headers if name in STRIPPED or name.startswith(_CLAIMS))


def is_list(media_type: bytes) -> bool:
    """Whether a Content-Type has a comma outside of quotes: Envoy joins two such headers into one (RFC 9110, 5.3)."""
    return b"," in _QUOTED.sub(b"", media_type)


def unread(headers: Headers) -> HttpOperation:
    """A request that could not be read, only for the record of its refusal."""
    method = (headers.get(b":method") or b"?").decode("latin-1")
    target = (headers.get(b":path") or b"?").decode("latin-1")
    return HttpOperation(method, "", "", target, target, (), {}, Headers())


def _one(headers: Headers, name: bytes) -> bytes:
    values = headers.get_all(name)
    if len(values) != 1:
        raise Refusal("request_malformed", f"expected one {name.decode()} header")
    return values[0]


def _segments(path: bytes) -> tuple[str, ...]:
    """The decoded segments. Anything that a proxy and an upstream could split differently is refused."""
    if not path.startswith(b"/"):
        raise Refusal("request_malformed", "the path must begin with a slash")
    # Some servers cut a segment at `;` before they resolve dots: `/a/..;/b` is `/b` to them.
    if any(byte <= 0x20 or byte >= 0x7F or byte in b"\\#;" for byte in path):
        raise Refusal("request_malformed", "the path has a character that must be percent-encoded")
    segments = []
    for part in path[1:].split(b"/"):
        decoded = unquote_to_bytes(part)
        if decoded in (b".", b"..") or any(byte in b"/\\\0%" or byte < 0x20 for byte in decoded):
            raise Refusal("request_malformed", "the path hides a separator or a step in an encoded character")
        try:
            segments.append(decoded.decode())
        except UnicodeDecodeError:
            raise Refusal("request_malformed", "the path is not UTF-8") from None
    if b"//" in path:
        raise Refusal("request_malformed", "the path has an empty segment")
    return tuple(segments)


def _query(query: bytes) -> dict[str, list[str]]:
    if b";" in query or b"#" in query:
        # Some servers split at it, some do not (CVE-2021-23336).
        raise Refusal("request_malformed", "write ; in a query as %3B and # as %23")
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
        )
    except ValueError:
        raise Refusal("request_malformed", "the query is not percent-encoded UTF-8") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _regular(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if not pair[0].startswith(b":")]


def _shown(headers: Headers) -> dict[str, JSON]:
    shown: dict[str, JSON] = {}
    for name, value in _regular(headers):
        if name not in _SECRET and not name.startswith(_CLAIMS):
            shown.setdefault(_text(name), []).append(_text(value))
    return shown


def _exact(value: bytes) -> JSON:
    """Text where it is UTF-8, else base64: no two values look the same."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
