"""Credentials from the environment or from files that are read again when they change."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from extproc.credential.base import Credential
from extproc.errors import Refusal


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """Where a credential's secret comes from (`env` or `file`) and the header that it makes."""

    kind: Literal["bearer", "basic", "header"]
    env: str
    file: Path | None
    username: str
    header: str


class Credentials:
    """`get(name)`: a stat for a file, nothing for the environment."""

    def __init__(self, specs: Mapping[str, CredentialSpec], environ: Mapping[str, str]) -> None:
        self._specs = dict(specs)
        self._environ = environ
        self._made: dict[str, tuple[object, Credential]] = {}

    def get(self, name: str) -> Credential:
        """Raises `Refusal("credential_unavailable")`, naming the credential and never its value."""
        spec = self._specs.get(name)
        if spec is None:
            raise _unavailable(name, "is not configured")
        try:
            stamp = _stamp(spec.file) if spec.file else "env"
            made = self._made.get(name)
            if made is not None and made[0] == stamp:
                return made[1]
            secret = spec.file.read_bytes() if spec.file else self._environ.get(spec.env, "").encode()
        except OSError:
            raise _unavailable(name, "cannot be read") from None
        credential = make(name, spec, secret.rstrip(b"\r\n"))
        self._made[name] = (stamp, credential)
        return credential


def make(name: str, spec: CredentialSpec, secret: bytes) -> Credential:
    if not secret:
        raise _unavailable(name, "is empty")
    if any(byte in b"\r\n\0" for byte in secret):
        raise _unavailable(name, "holds a line break or NUL")
    if spec.kind == "bearer":
        return Credential(b"authorization", b"Bearer " + secret, (secret,))
    if spec.kind == "basic":
        encoded = base64.b64encode(spec.username.encode() + b":" + secret)
        return Credential(b"authorization", b"Basic " + encoded, (secret, encoded))
    return Credential(spec.header.lower().encode(), secret, (secret,))


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _unavailable(name: str, why: str) -> Refusal:
    return Refusal("credential_unavailable", f"credential {name} {why}")
