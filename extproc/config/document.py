"""The whole of extproc.yaml: what its parts must have in common, and how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from extproc.config.credentials import CredentialSection
from extproc.config.fields import Address, Name, Section, unique
from extproc.config.file import Node, parse, where
from extproc.config.resources import KINDS, HttpSection, PostgresSection, ResourceSection
from extproc.config.sections import (
    Control,
    IdentitySection,
    LimitsSection,
    Metrics,
    PolicySection,
    Recording,
    Timeouts,
)
from extproc.credential.base import FOR
from extproc.errors import ConfigError
from extproc.hosts import is_loopback

# Characters. A socket's path is at most 107 bytes long (unix(7)); Envoy fails late and obscurely where it is longer.
LONGEST_STATE_DIR: Final = 80
WITH_KIND: Final = tuple((kind,) for kind in KINDS)
S = TypeVar("S", bound=Section)


class Config(Section):
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
        unique("resources: name", [resource.name for resource in self.resources])
        unique("resources: host", [host for resource in self.http for host in resource.hosts])
        ports = [str(resource.port) for resource in self.resources if resource.port]
        listens = [self.listen, self.control.listen, self.metrics.listen]
        if self.identity.dev_issuer:
            listens.append(self.identity.dev_issuer.listen)
        unique("port", ports + [listen.rpartition(":")[2] for listen in listens])
        for resource in self.resources:
            self._known_credentials(resource)
        for database in self.postgres.values():
            self._sheltered(database)
        return self

    def _known_credentials(self, resource: HttpSection | PostgresSection) -> None:
        for name in resource.credentials:
            spec = self.credentials.get(name)
            if spec is None:
                raise ValueError(f"resource {resource.name}: expected a credential that `credentials` names")
            if FOR[spec.kind] != resource.kind:
                kinds = " or ".join(kind for kind, use in FOR.items() if use == resource.kind)
                raise ValueError(f"resource {resource.name}: expected a credential of kind {kinds}; {name} is another")
            if spec.kind == "certificate" and isinstance(resource, PostgresSection) and not resource.upstream_over_tls:
                raise ValueError(f"resource {resource.name}: expected upstream_tls: verify-full with a certificate")

    def _sheltered(self, resource: PostgresSection) -> None:
        """What is secret goes over TLS, or does not leave this machine."""
        if resource.plaintext and not is_loopback(self.listen.rpartition(":")[0]):
            raise ValueError(f"resource {resource.name}: expected `tls` where `listen` is no loopback address")
        if resource.unsheltered and not self.development:
            raise ValueError(
                f"resource {resource.name}: expected upstream_tls: verify-full for another machine's database"
            )

    @property
    def http(self) -> list[HttpSection]:
        return [resource for resource in self.resources if isinstance(resource, HttpSection)]

    @property
    def postgres(self) -> dict[int, PostgresSection]:
        """By their place in the file, from 0: their sockets are named by it."""
        return {n: resource for n, resource in enumerate(self.resources) if isinstance(resource, PostgresSection)}

    def socket_path(self, worker: int) -> Path:
        """Where worker `worker` serves Envoy's gRPC streams."""
        return self.state_dir / "run" / f"worker-{worker}.sock"

    def pg_socket_path(self, resource: int, worker: int) -> Path:
        """Where worker `worker` takes Envoy's connections to the resource at place `resource` in the file."""
        return self.state_dir / "run" / f"pg-{resource}-{worker}.sock"


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
    location = without_kind(tuple(item["loc"]))
    field = ".".join(str(part) for part in location) or "(whole file)"
    message = item["msg"].removeprefix("Value error, ")
    text = f"{path}:{where(node, location)}: {field}: {message}"
    shown = item.get("input")
    if isinstance(shown, str | int | float | bool) and "credentials" not in location and not _with_login(shown):
        text += f"; got {shown!r}"[:200]
    return text


def _with_login(value: object) -> bool:
    """A URL with a user and a password in it."""
    return isinstance(value, str) and "@" in value and "//" in value


def without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """As people write it: within a resource, pydantic names its kind first."""
    return location[:2] + location[3:] if location[0:1] == ("resources",) and location[2:3] in WITH_KIND else location


def _absolute(config: Config, folder: Path) -> Config:
    def resolve(section: S, *names: str) -> S:
        found = {name: getattr(section, name) for name in names}
        return section.model_copy(update={n: str((folder / v).resolve()) for n, v in found.items() if v})

    def resource(section: HttpSection | PostgresSection) -> HttpSection | PostgresSection:
        if isinstance(section, HttpSection):
            return section
        tls = section.tls and resolve(section.tls, "certificate", "key", "client_ca")
        return resolve(section, "upstream_ca").model_copy(update={"tls": tls})

    state_dir = (folder / config.state_dir).resolve()
    if len(str(state_dir)) > LONGEST_STATE_DIR:
        raise ConfigError(
            f"state_dir: expected a path of at most {LONGEST_STATE_DIR} characters (unix sockets lie in it); "
            f"got {state_dir}"
        )
    changed = {
        "policy": resolve(config.policy, "path"),
        "credentials": {n: resolve(spec, "file", "certificate", "key") for n, spec in config.credentials.items()},
        "resources": [resource(section) for section in config.resources],
        "state_dir": state_dir,
    }
    return config.model_copy(update=changed)
