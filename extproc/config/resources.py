"""`resources` in extproc.yaml: one section for each kind of resource."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from extproc.config.fields import (
    DatabaseUrl,
    Header,
    Host,
    Identifier,
    Level,
    Method,
    Name,
    Origin,
    Port,
    Section,
    Subject,
    Text,
    database,
    unique,
)
from extproc.hosts import is_loopback
from extproc.model import HttpResource, PostgresResource, Role, TlsFiles, UpstreamAuth, UpstreamTls

# Said at login by the gateway itself, or by nobody: what a statement means, who asks, what may be written.
_KEPT: Final = frozenset({
    "application_name", "array_nulls", "backslash_quote", "client_encoding", "database", "options",
    "default_transaction_read_only", "quote_all_identifiers", "replication", "role", "search_path",
    "session_authorization", "session_replication_role", "standard_conforming_strings", "transaction_read_only",
    "transform_null_equals", "user",
})  # fmt: skip
_SETTING: Final = re.compile(
    r"(?!_pq_\.)[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*"
)  # `_pq_.` asks for a protocol's options


class HttpSection(Section):
    name: Name
    kind: Literal["http"] = "http"
    hosts: Annotated[list[Host], Field(min_length=1)]
    port: Port | None = None
    upstream: Origin
    credential: Name | None = None
    labels: dict[str, str] = {}
    recording: Level | None = None
    bodies: Literal["inspect", "headers_only"] = "inspect"
    methods: list[Method] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    upgrades: list[Header] = []

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.bodies == "headers_only" and self.credential:
            # An unread response could carry the credential back to the job.
            raise ValueError("expected bodies: inspect where the resource has a credential")
        if self.bodies == "headers_only" and self.upgrades:
            raise ValueError("expected bodies: inspect where the resource names upgrades")
        return self

    @property
    def credentials(self) -> list[str]:
        """Every credential that it names."""
        return [self.credential] if self.credential else []

    def to_model(self, level: Level = "full") -> HttpResource:
        return HttpResource(
            name=self.name,
            kind=self.kind,
            upstream=self.upstream,
            hosts=tuple(self.hosts),
            labels=dict(self.labels),
            credential=self.credential or "",
            recording=self.recording or level,
            bodies=self.bodies,
            methods=frozenset(self.methods),
            upgrades=frozenset(self.upgrades),
        )


# --- postgres


class ClientIdentity(Section):
    subject: Subject
    groups: list[Text] = []


class Tls(Section):
    """What jobs see, and which client certificates may stand in a token's place."""

    certificate: Text
    key: Text
    client_ca: Text | None = None
    client_identities: list[ClientIdentity] = []

    @model_validator(mode="after")
    def _listed(self) -> Self:
        if (self.client_ca is None) != (not self.client_identities):
            raise ValueError("expected `client_ca` together with `client_identities`, the subjects that may come in")
        unique("subject", [identity.subject for identity in self.client_identities])
        return self


class RoleSection(Section):
    groups: Annotated[list[Text], Field(min_length=1)]
    credential: Name


def _settings(value: dict[str, str]) -> dict[str, str]:
    settings = {name.lower(): text for name, text in value.items()}
    kept = sorted(_KEPT & set(settings))
    if kept:
        raise ValueError(f"expected no {kept[0]} here: the gateway keeps it, or it has a field of its own")
    if len(settings) != len(value) or not all(_SETTING.fullmatch(name) for name in settings):
        raise ValueError("expected names of PostgreSQL's settings, each once")
    if not all(text.isprintable() for text in settings.values()):
        raise ValueError("expected values without control characters")
    return settings


class PostgresSection(Section):
    name: Name
    kind: Literal["postgres"]
    port: Port
    upstream: DatabaseUrl
    upstream_tls: UpstreamTls = "verify-full"
    upstream_ca: Text | None = None
    upstream_auth: UpstreamAuth = "scram-sha-256"
    tls: Tls | None = None
    plaintext: bool = False
    credential: Name | None = None
    roles: list[RoleSection] = []
    labels: dict[str, str] = {}
    recording: Level | None = None
    read_only: bool = False
    search_path: list[Identifier] = []
    settings: Annotated[dict[str, str], AfterValidator(_settings)] = {}
    connections: Annotated[int, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _sheltered(self) -> Self:
        if self.plaintext == (self.tls is not None):
            raise ValueError("expected either `tls` or plaintext: true; a job's token is its password")
        if self.upstream_tls == "disable" and self.upstream_ca:
            raise ValueError("expected `upstream_ca` only with upstream_tls: verify-full")
        if self.upstream_auth == "scram-sha-256-plus" and self.upstream_tls == "disable":
            raise ValueError("expected upstream_tls: verify-full with scram-sha-256-plus, which binds to it")
        if self.upstream_tls == "verify-full" and not database(self.upstream).host:
            raise ValueError("expected upstream_tls: disable with a unix socket, where PostgreSQL speaks no TLS")
        if not self.credential and not self.roles:
            raise ValueError("expected `credential` or `roles`: without a login nobody gets in")
        return self

    @property
    def credentials(self) -> list[str]:
        """Every credential that it names."""
        return [*([self.credential] if self.credential else []), *(role.credential for role in self.roles)]

    @property
    def upstream_over_tls(self) -> bool:
        return self.upstream_tls == "verify-full"

    @property
    def unsheltered(self) -> bool:
        """Whether the login and what is read go in clear text to another machine."""
        host = database(self.upstream).host
        return not self.upstream_over_tls and bool(host) and not is_loopback(host)

    def to_model(self, level: Level = "full") -> PostgresResource:
        where, tls = database(self.upstream), self.tls
        return PostgresResource(
            name=self.name,
            kind=self.kind,
            upstream=self.upstream,
            labels=dict(self.labels),
            credential=self.credential or "",
            recording=self.recording or level,
            database=where.name,
            host=where.host,
            socket_dir=where.socket_dir,
            port=where.port,
            upstream_tls=self.upstream_tls,
            upstream_ca=self.upstream_ca or "",
            upstream_auth=self.upstream_auth,
            tls=TlsFiles(tls.certificate, tls.key, tls.client_ca or "") if tls else None,
            roles=tuple(Role(frozenset(role.groups), role.credential) for role in self.roles),
            read_only=self.read_only,
            search_path=tuple(self.search_path),
            settings=dict(self.settings),
            connections=self.connections,
        )


# --- either


def _kind(value: Any) -> str:
    kind = value.get("kind", "http") if isinstance(value, dict) else getattr(value, "kind", "http")
    return kind if isinstance(kind, str) else ""


KINDS: Final = ("http", "postgres")
ResourceSection = Annotated[
    Annotated[HttpSection, Tag("http")] | Annotated[PostgresSection, Tag("postgres")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="expected kind: http or postgres",
    ),
]
