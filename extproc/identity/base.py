"""The seam to identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from extproc.model import Identity
from extproc.waits import FetchKeys


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A client's certificate (DER, X.509) that the TLS layer has verified, and the resource that it was shown to."""

    der: bytes
    resource: str


Proof = str | PeerCertificate  # a token, or a certificate


class TokenVerifier(Protocol):
    """Says who a token belongs to. No I/O: keys that are missing come back as a wait."""

    def verify(self, token: str, now: float) -> Identity | FetchKeys:
        """Raises `Refusal` (identity_invalid, identity_expired)."""


class IdentityVerifier(Protocol):
    """Says who a proof belongs to. No I/O: keys that are missing come back as a wait."""

    def verify(self, proof: Proof, now: float) -> Identity | FetchKeys:
        """Raises `Refusal` (identity_invalid, identity_expired)."""


class KeyFetcher(Protocol):
    """Performs `FetchKeys`."""

    async def fetch(self, issuer: str, kid: str) -> None:
        """Refresh an issuer's keys; raises `Refusal("identity_unavailable")`."""
