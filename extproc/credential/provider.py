"""Credentials from the environment or from files that are read again when they change."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extproc.credential.base import FOR, CertificateCredential, Credential, Kind, Login, PasswordCredential
from extproc.errors import Refusal

_MAX_FILE: Final = 64 * 1024  # bytes
_PRINTABLE: Final = frozenset(range(0x20, 0x7F))


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """
    Where a credential's secret comes from, and what it makes.

    `bearer`, `basic` and `header` are for HTTP, `password` and `certificate` are logins of databases. The secret stands
    in `env` or `file`; that of a certificate in the PEM files `certificate` and `key`.
    """

    kind: Kind
    env: str
    file: Path | None
    username: str
    header: str
    certificate: Path = Path()
    key: Path = Path()


class Credentials:
    """`get(name)` and `login(name)`: a stat for each file, nothing for the environment."""

    def __init__(self, specs: Mapping[str, CredentialSpec], environ: Mapping[str, str]) -> None:
        self._specs = dict(specs)
        self._environ = environ
        self._made: dict[str, tuple[object, Credential | PasswordCredential]] = {}

    def get(self, name: str) -> Credential:
        """Raises `Refusal("credential_unavailable")`, naming the credential and never its value."""
        made = self._make(name, self._spec(name, "http"))
        assert isinstance(made, Credential)
        return made

    def login(self, name: str) -> Login:
        """Raises `Refusal("credential_unavailable")`, naming the credential and never its value."""
        spec = self._spec(name, "postgres")
        if spec.kind == "certificate":
            return _certificate(name, spec)
        made = self._make(name, spec)
        assert isinstance(made, PasswordCredential)
        return made

    def _spec(self, name: str, protocol: str) -> CredentialSpec:
        spec = self._specs.get(name)
        if spec is None:
            raise _unavailable(name, "is not configured")
        if FOR[spec.kind] != protocol:
            raise _unavailable(name, "is for another protocol")
        return spec

    def _make(self, name: str, spec: CredentialSpec) -> Credential | PasswordCredential:
        try:
            stamp = _stamp(spec.file) if spec.file else "env"
            made = self._made.get(name)
            if made is not None and made[0] == stamp:
                return made[1]
            # What is not UTF-8 comes as half surrogate pairs, which stay outside of UTF-8 this way and are refused.
            secret = _read(spec.file) if spec.file else self._environ.get(spec.env, "").encode(errors="surrogatepass")
        except (OSError, ValueError):
            raise _unavailable(name, "cannot be read") from None
        secret = secret.rstrip(b"\r\n")
        credential = _password(name, spec.username, secret) if spec.kind == "password" else make(name, spec, secret)
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


def _password(name: str, username: str, secret: bytes) -> PasswordCredential:
    """Any text but NUL, which ends a string of PostgreSQL's protocol (its documentation, 54.1)."""
    try:
        password = secret.decode()
    except UnicodeDecodeError:
        raise _unavailable(name, "is not UTF-8") from None
    if not password or "\0" in password:
        raise _unavailable(name, "is empty or holds a NUL")
    return PasswordCredential(username, password, (secret,))


def _certificate(name: str, spec: CredentialSpec) -> CertificateCredential:
    try:
        stamp = (*_stamp(spec.certificate), *_stamp(spec.key))
    except (OSError, ValueError):
        raise _unavailable(name, "cannot be read") from None
    return CertificateCredential(spec.username, spec.certificate, spec.key, stamp)


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
