"""The seam to credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

Kind = Literal["bearer", "basic", "header", "password", "certificate"]
# Which protocol a kind is for, by a resource's kind: a header for HTTP, a login for a database.
FOR: Final[Mapping[Kind, Literal["http", "postgres"]]] = {
    "bearer": "http",
    "basic": "http",
    "header": "http",
    "password": "postgres",
    "certificate": "postgres",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A header for the upstream, and the secret values in it that must never come back or be recorded."""

    header: bytes
    value: bytes = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """A login by password, and the secret values that must never come back or be recorded."""

    username: str
    password: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """A login by client certificate (PEM files). `stamp` differs once a file was written or replaced."""

    username: str
    certificate: Path
    key: Path
    stamp: tuple[int, ...]


Login = PasswordCredential | CertificateCredential


class CredentialProvider(Protocol):
    """Gives a resource's credential; cheap enough to call for each request."""

    def get(self, name: str) -> Credential:
        """Raises `Refusal("credential_unavailable")`."""


class LoginProvider(Protocol):
    """Gives what a connection logs in with upstream; cheap enough to call for each connection."""

    def login(self, name: str) -> Login:
        """Raises `Refusal("credential_unavailable")`."""
