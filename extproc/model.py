"""
The core types: frozen, without I/O, shared by every protocol.

An HTTP request and a SQL statement are both an `Operation` of an `Identity` on a `Resource`; policy gives a `Decision`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

JSON = Any  # a value that `orjson` reads or writes

BodyMode = Literal["inspect", "headers_only"]
RecordLevel = Literal["full", "redacted", "metadata"]
UpstreamTls = Literal["verify-full", "disable"]
UpstreamAuth = Literal["trust", "password", "md5", "scram-sha-256", "scram-sha-256-plus"]


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers as they came: ordered pairs of bytes, names in lower case, duplicates kept."""

    pairs: tuple[tuple[bytes, bytes], ...] = ()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def get_all(self, name: bytes) -> list[bytes]:
        """Every value of `name` (lower case), in order."""
        return [value for key, value in self.pairs if key == name]

    def get(self, name: bytes) -> bytes | None:
        """The first value of `name`, or None. Where a second value would change the meaning, use `get_all`."""
        for key, value in self.pairs:
            if key == name:
                return value
        return None

    def without(self, names: Iterable[bytes]) -> Headers:
        drop = frozenset(names)
        return Headers(tuple(pair for pair in self.pairs if pair[0] not in drop))


# Claims that differ between two tokens of one run, or a certificate and its successor: they would make the same request
# look like another one.
_VOLATILE_CLAIMS = frozenset({"jti", "exp", "iat", "nbf", "run_attempt", "check_run_id", "certificate_serial"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, as a verified token says it. `expires_at` is in epoch seconds."""

    issuer: str
    subject: str
    kind: Literal["job", "person"]
    claims: Mapping[str, JSON]
    expires_at: float
    groups: tuple[str, ...] = ()

    @property
    def actor(self) -> str:
        """The account that started the job, or the person's own account name."""
        value = self.claims.get("actor", "")
        return value if isinstance(value, str) else ""

    def stable_claims(self) -> dict[str, JSON]:
        """The claims that stay the same over all tokens of one run."""
        return {name: value for name, value in self.claims.items() if name not in _VOLATILE_CLAIMS}


@dataclass(frozen=True, slots=True)
class Resource:
    """
    Something behind the gateway, as far as every protocol knows it.

    Its name comes from Envoy's route or listener, never from the request's text.
    """

    name: str
    kind: str  # "http", "postgres"
    upstream: str  # as it stands in the configuration
    labels: Mapping[str, str] = field(default_factory=dict)
    credential: str = ""  # name of the credential in the configuration, or ""
    recording: RecordLevel = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResource(Resource):
    """`upstream` is scheme://host:port."""

    hosts: tuple[str, ...] = ()  # names a client may use; also where a redirect may point
    bodies: BodyMode = "inspect"
    methods: frozenset[str] = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
    upgrades: frozenset[str] = frozenset()  # lower case, e.g. {"websocket"}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a listener presents (PEM files), and whose clients' certificates it verifies ("" for nobody's)."""

    certificate: str
    key: str
    client_ca: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """Members of any of `groups` log in upstream with `credential`."""

    groups: frozenset[str]
    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresResource(Resource):
    """A database. Exactly one of `host` and `socket_dir` stands; `port` also names the socket (`.s.PGSQL.<port>`)."""

    database: str
    host: str = ""  # a name or an address, without brackets
    socket_dir: str = ""  # absolute
    port: int = 5432
    upstream_tls: UpstreamTls = "verify-full"
    upstream_ca: str = ""  # PEM file; "" for the system's own
    upstream_auth: UpstreamAuth = "scram-sha-256"  # the weakest login that it may ask for
    tls: TlsFiles | None = None  # None: jobs speak clear text, from this machine alone
    roles: tuple[Role, ...] = ()
    read_only: bool = False
    search_path: tuple[str, ...] = ()  # () for the database's own
    settings: Mapping[str, str] = field(default_factory=dict)  # further ones that the login pins
    connections: int = 100  # at most so many in one worker

    def credential_for(self, groups: Iterable[str]) -> str:
        """The first role with one of `groups` decides, else the resource itself; "" where nobody may log in."""
        own = frozenset(groups)
        return next((role.credential for role in self.roles if own & role.groups), self.credential)


class Operation(Protocol):
    """One thing asked of a resource: an HTTP request, a SQL statement."""

    @property
    def kind(self) -> str: ...

    def require_possible(self, decision: Decision) -> None:
        """Raises `Refusal` where the decision promises what this operation cannot keep."""

    def facts(self) -> dict[str, JSON]:
        """What policy may know, under the contract's own keys, e.g. `{"request": {...}}`. No token, no credential."""

    def canonical(self) -> dict[str, JSON]:
        """What is hashed and forwarded, without identity and resource: JSON, every value as it is."""

    def shown(self) -> dict[str, JSON]:
        """The canonical object as people and records may see it: values that are secret by their name hidden."""

    def summary(self) -> str:
        """One line for lists: `GET /customers.json`."""


Strategy = Literal["mask", "partial", "hash", "token", "drop"]


@dataclass(frozen=True, slots=True)
class MaskRule:
    """
    What to mask: by detector, by JSON field, by CSV (or SQL) column; and how.

    `uses`: what else a statement may do with these SQL columns than bring them back (`Use` of postgres/sql/model.py).
    """

    detect: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    strategy: Strategy = "mask"
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """What a human must say yes to. `timeout` and `grant_seconds` in seconds; a grant of 0 is for once."""

    approvers: tuple[str, ...]
    minimum: int = 1
    timeout: float = 1800.0
    grant_seconds: float = 0.0
    scope: str = ""
    justify: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds set by policy; None is no bound."""

    response_bytes: int | None = None
    rows: int | None = None
    session_bytes: int | None = None
    seconds: int | None = None


Action = Literal["allow", "deny", "hold"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy said, read against the contract; `revision` is the policy's."""

    action: Action
    reason: str = ""
    rule: str = ""
    status: int = 0
    inspect: frozenset[str] = frozenset()
    redact: tuple[MaskRule, ...] = ()
    hold: HoldTerms | None = None
    limits: Limits = Limits()
    record: RecordLevel | None = None
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One detected value: `start` and `end` are byte offsets in the text that was searched."""

    detector: str
    start: int
    end: int
    validated: bool


@dataclass(frozen=True, slots=True)
class Session:
    """One identity's run against one resource. `requests` counts this one; counters are reserved before use."""

    id: str
    key: str
    generation: int
    requests: int
    bytes_out: int = 0
    rows_out: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """
    One line of a record. `time` is epoch seconds, `seq` the place in its log, hashes are SHA-256 (raw bytes).

    `blob` carries body bytes as released; it is part of what is hashed.
    """

    session: str
    exchange: str
    seq: int
    time: float
    kind: str
    payload: Mapping[str, JSON]
    blob: bytes
    prev_hash: bytes
    hash: bytes


ApprovalState = Literal["pending", "approved", "denied", "expired", "cancelled", "used"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """
    What is asked of the approvers. `digest` is the keyed hash (hex) of the canonical object.

    `shown` is that object with every detected secret masked; `whole` is False where anything in it is masked,
    cut or not displayable, so that it cannot be approved with one click. Times are epoch seconds.
    """

    digest: str
    session: str
    exchange: str
    identity: Identity
    resource: str
    summary: str
    reason: str
    rule: str
    shown: Mapping[str, JSON]
    whole: bool
    terms: HoldTerms
    revision: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval as stored. `expires_at` bounds the wait; `granted_until` bounds a window grant (0: once)."""

    id: str
    state: ApprovalState
    request: ApprovalRequest
    expires_at: float
    granted_until: float = 0.0
    decided_by: tuple[str, ...] = ()
    justification: str = ""
    required: int = 1
