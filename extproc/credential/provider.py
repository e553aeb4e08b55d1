"""Credentials from the environment or from files that are read again when they change."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from extproc.credential.base import Credential
from extproc.errors import Refusal

_MAX_FILE: Final = 64 * 1024  # bytes
_PRINTABLE: Final = frozenset(range(0x20, 0x7F))


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
            # What is not UTF-8 comes as half surrogate pairs, which stay outside of ASCII this way and are refused.
            secret = _read(spec.file) if spec.file else self._environ.get(spec.env, "").encode(errors="surrogatepass")
        except (OSError, ValueError):
            raise _unavailable(name, "cannot be read") from None
        credential = make(name, spec, secret.rstrip(b"\r\n"))
        self._made[name] = (stamp, credential)
        return credential


def make(name: str, spec: CredentialSpec, secret: bytes) -> Credential:
    """
    The header that `secret` makes: printable ASCII alone (RFC 9110, 5.5), the same on every way to the upstream.

    Raises `Refusal("credential_unavailable")`.
    """
    if not secret:
        raise _unavailable(name, "is empty")
    if not _PRINTABLE.issuperset(secret):
        raise _unavailable(name, "holds something else than printable ASCII")
    if spec.kind == "basic":
        return _basic(name, spec.username, secret)
    if secret.strip() != secret:
        # Readers of a header drop these, and what then comes back would not be found as the secret.
        raise _unavailable(name, "begins or ends with a space")
    if spec.kind == "bearer":
        return Credential(b"authorization", b"Bearer " + secret, (secret,))
    return Credential(spec.header.lower().encode(), secret, (secret,))


def _basic(name: str, username: str, secret: bytes) -> Credential:
    """RFC 7617, 2: with a colon in it, the rest of the user name would be read as the password's begin."""
    user = username.encode(errors="surrogatepass")
    if b":" in user or not _PRINTABLE.issuperset(user):
        raise _unavailable(name, "has a user name with a colon or something else than printable ASCII")
    encoded = base64.b64encode(user + b":" + secret)
    return Credential(b"authorization", b"Basic " + encoded, (secret, encoded))


def _stamp(path: Path) -> tuple[int, ...]:
    """What differs once the file was written or replaced. Raises `OSError`."""
    found = path.stat()
    _check(found)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino, found.st_size


def _read(path: Path) -> bytes:
    """A regular file's content. Raises `OSError`, and never waits: a FIFO's writer may not come (fifo(7))."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        _check(os.fstat(fd))  # it may be another one than the one looked at before
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise OSError("grew while it was read")
    return content


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError("not a regular file")
    if found.st_size > _MAX_FILE:
        raise OSError("too large")


def _unavailable(name: str, why: str) -> Refusal:
    return Refusal("credential_unavailable", f"credential {name} {why}")
