"""TLS on both sides: what the gateway shows to jobs, and what it demands of databases."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from extproc.credential.base import CertificateCredential
from extproc.errors import Refusal
from extproc.model import PostgresResource, TlsFiles

ALPN: Final = "postgresql"  # IANA's name; direct TLS is refused without it (PostgreSQL documentation, "Direct SSL")


class ServerTls:
    """The listener's side; its files are read again when they were written anew."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Raises `OSError` (ssl.SSLError among them) where a file is missing or wrong and never was right."""
        try:
            stamp = tuple(Path(path).stat().st_mtime_ns for path in self._paths())
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = self._load(), stamp
        except OSError:
            if self._context is None:
                raise
        return self._context

    def _paths(self) -> list[str]:
        files = self._files
        return [path for path in (files.certificate, files.key, files.client_ca) if path]

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._files.certificate, self._files.key)
        context.set_alpn_protocols([ALPN])
        context.num_tickets = 0  # every connection proves itself anew
        if self._files.client_ca:
            context.load_verify_locations(self._files.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


class ClientTls:
    """
    The database's side. A context takes 70 ms to make (the CAs of a system), on the event loop: it is kept for each of
    the gateway's logins until a file was written anew.
    """

    def __init__(self, resource: PostgresResource) -> None:
        self._resource = resource
        self._known: dict[str, tuple[CertificateCredential | None, int, ssl.SSLContext]] = {}

    def context(self, certificate: CertificateCredential | None) -> ssl.SSLContext:
        """Raises as `client_context` does."""
        login = certificate.username if certificate is not None else ""
        stamp = self._stamp()
        known = self._known.get(login)
        if known is None or known[:2] != (certificate, stamp):
            known = self._known[login] = (certificate, stamp, client_context(self._resource, certificate))
        return known[2]

    def _stamp(self) -> int:
        """Of the CA's file, or of the system's. Raises `OSError`."""
        system = ssl.get_default_verify_paths()
        path = self._resource.upstream_ca or system.cafile or system.capath
        return Path(path).stat().st_mtime_ns if path else 0


def client_context(resource: PostgresResource, certificate: CertificateCredential | None) -> ssl.SSLContext:
    """
    To the database: its certificate must be valid for its name, always.

    Raises `Refusal("credential_unavailable")` where the gateway's own certificate cannot be read, and `OSError` where
    the CA's file cannot.
    """
    context = ssl.create_default_context(cafile=resource.upstream_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    if certificate is not None:
        try:
            context.load_cert_chain(Path(certificate.certificate), Path(certificate.key))
        except (OSError, ValueError):
            raise Refusal("credential_unavailable", "the client certificate cannot be read") from None
    return context
