"""extproc.yaml as one validated model. A bad one never starts; every complaint says file, line, field, value, expected.

Paths in the file are relative to its folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from extproc.configfile import Node, parse, where
from extproc.errors import ConfigError
from extproc.model import HttpResource

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:]+\]|[0-9a-zA-Z.-]+):(?P<port>[0-9]{1,5})")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "QUERY"}
)
ALGORITHMS = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("expected a name of lower-case letters, digits and dashes, at most 63 characters")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("expected a host name in lower case, without port, like customers.localhost")
    return value


def _address(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError("expected host:port, like 127.0.0.1:8080")
    return value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("expected scheme://host or scheme://host:port, with http or https and no path")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("expected scheme://host:port and nothing else; credentials have a section of their own")
    if parts.port == 0:
        raise ValueError("expected a port between 1 and 65535")
    return value.rstrip("/")


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected the issuer's URL, exactly as in its tokens' `iss`")
    return value


def _method(value: str) -> str:
    if value not in METHODS:
        raise ValueError(f"expected one of {', '.join(sorted(METHODS))} (CONNECT and TRACE are never open)")
    return value


def _header(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("expected the name of a header")
    return value.lower()


Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]
Origin = Annotated[str, AfterValidator(_origin)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Method = Annotated[str, AfterValidator(_method)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Control(_Section):
    listen: Address = "127.0.0.1:8081"
    public_url: str = ""


class Metrics(_Section):
    listen: Address = "127.0.0.1:8082"


class JobIssuer(_Section):
    issuer: IssuerUrl
    audience: Annotated[str, Field(min_length=1)]
    algorithms: list[ALGORITHMS] = ["RS256", "ES256"]


class PeopleIssuer(JobIssuer):
    actor_claim: str = "preferred_username"
    groups_claim: str = "groups"


class DevIssuer(_Section):
    listen: Address = "127.0.0.1:8083"


class IdentitySection(_Section):
    jobs: Annotated[list[JobIssuer], Field(min_length=1)]
    people: list[PeopleIssuer] = []
    actors: dict[str, str] = {}
    dev_issuer: DevIssuer | None = None

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        # A job chooses its token's audience, so only the issuer keeps it from what people may do.
        both = {rule.issuer for rule in self.jobs} & {rule.issuer for rule in self.people}
        if both:
            raise ValueError(f"expected different issuers for jobs and people; {min(both)} is in both")
        # Only one rule for an issuer could count, and nothing would say which.
        _unique("issuer", [rule.issuer for rule in (*self.jobs, *self.people)])
        return self


class PolicySection(_Section):
    engine: Literal["embedded", "opa"] = "embedded"
    path: str | None = None
    url: Origin | None = None
    timeout: Annotated[float, Field(gt=0, le=60)] = 1.0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.engine == "embedded" and not self.path:
            raise ValueError("expected `path`, the folder of the policy, with engine: embedded")
        if self.engine == "opa" and not self.url:
            raise ValueError("expected `url`, the address of the OPA server, with engine: opa")
        return self


class Recording(_Section):
    level: Literal["full", "redacted", "metadata"] = "full"
    body_limit: Annotated[int, Field(ge=0, le=1 << 30)] = 1 << 20


class LimitsSection(_Section):
    request_body: Annotated[int, Field(ge=0, le=1 << 28)] = 8 << 20
    request_bodies: Annotated[int, Field(ge=0, le=1 << 34)] = 256 << 20


class Timeouts(_Section):
    """Seconds. `hold` bounds every hold, whatever policy says."""

    idle: Seconds = 300.0
    record: Seconds = 5.0
    hold: Annotated[float, Field(gt=0, le=3500)] = 3500.0
    drain: Annotated[float, Field(gt=0, le=600)] = 8.0


class CredentialSection(_Section):
    kind: Literal["bearer", "basic", "header"] = "bearer"
    env: str | None = None
    file: str | None = None
    username: str | None = None
    header: Annotated[str, AfterValidator(_header)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.env) == bool(self.file):
            raise ValueError("expected either `env` or `file`")
        if (self.kind == "header") != (self.header is not None):
            raise ValueError("expected `header`, the header's name, with kind: header and only there")
        if self.username is not None and self.kind != "basic":
            raise ValueError("expected `username` only with kind: basic")
        return self


class ResourceSection(_Section):
    name: Name
    kind: Literal["http"] = "http"
    hosts: Annotated[list[Host], Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    upstream: Origin
    credential: Name | None = None
    labels: dict[str, str] = {}
    recording: Literal["full", "redacted", "metadata"] | None = None
    bodies: Literal["inspect", "headers_only"] = "inspect"
    methods: list[Method] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    upgrades: list[Annotated[str, AfterValidator(_header)]] = []

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.bodies == "headers_only" and self.credential:
            # An unread response could carry the credential back to the job.
            raise ValueError("expected bodies: inspect where the resource has a credential")
        if self.bodies == "headers_only" and self.upgrades:
            raise ValueError("expected bodies: inspect where the resource names upgrades")
        return self

    def to_model(self, level: Literal["full", "redacted", "metadata"] = "full") -> HttpResource:
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


class Config(_Section):
    """The whole file. After `load`, `state_dir` and the paths in it are absolute."""

    version: Literal[1]
    development: bool = False
    state_dir: Path = Field(default=Path(".extproc"), strict=False)
    listen: Address = "127.0.0.1:8080"
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    control: Control = Control()
    metrics: Metrics = Metrics()
    identity: IdentitySection
    policy: PolicySection
    recording: Recording = Recording()
    limits: LimitsSection = LimitsSection()
    timeouts: Timeouts = Timeouts()
    credentials: dict[Name, CredentialSection] = {}
    resources: Annotated[list[ResourceSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.identity.dev_issuer and not self.development:
            raise ValueError("expected development: true where identity.dev_issuer is set")
        _unique("resources: name", [resource.name for resource in self.resources])
        _unique("resources: host", [host for resource in self.resources for host in resource.hosts])
        ports = [str(resource.port) for resource in self.resources if resource.port]
        listens = [self.listen, self.control.listen, self.metrics.listen]
        if self.identity.dev_issuer:
            listens.append(self.identity.dev_issuer.listen)
        _unique("port", ports + [listen.rpartition(":")[2] for listen in listens])
        for resource in self.resources:
            if resource.credential and resource.credential not in self.credentials:
                raise ValueError(f"resource {resource.name}: expected a credential that `credentials` names")
        return self


def _unique(what: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"expected every {what} once; {twice[0]} stands twice")


def load(path: Path) -> Config:
    """Read and check. Raises `ConfigError` with every complaint, one a line."""
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(f"{path}: {reason}; name the configuration with -c") from None
    try:
        node, document = parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}:1: expected a mapping that begins with `version: 1`")
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(_complaint(path, node, item) for item in error.errors())) from None
    return _absolute(config, path.resolve().parent)


def _complaint(path: Path, node: Node, item: Any) -> str:
    """`extproc.yaml:12: resources.0.port: expected …, got 99999`. Values of credentials are never shown."""
    location = tuple(item["loc"])
    field = ".".join(str(part) for part in location) or "(whole file)"
    message = item["msg"].removeprefix("Value error, ")
    text = f"{path}:{where(node, location)}: {field}: {message}"
    shown = item.get("input")
    if isinstance(shown, str | int | float | bool) and "credentials" not in location:
        text += f"; got {shown!r}"[:200]
    return text


def _absolute(config: Config, folder: Path) -> Config:
    def resolve(value: str | None) -> str | None:
        return str((folder / value).resolve()) if value else value

    policy = config.policy.model_copy(update={"path": resolve(config.policy.path)})
    credentials = {
        name: spec.model_copy(update={"file": resolve(spec.file)}) for name, spec in config.credentials.items()
    }
    state_dir = (folder / config.state_dir).resolve()
    if len(str(state_dir)) > 80:
        # sockaddr_un holds 108 bytes, and Envoy fails late and obscurely.
        raise ConfigError(
            f"state_dir: expected a path of at most 80 characters (unix sockets lie in it); got {state_dir}"
        )
    return config.model_copy(update={"policy": policy, "credentials": credentials, "state_dir": state_dir})
