"""The seam to identity."""

from __future__ import annotations

from typing import Protocol

from extproc.model import Identity
from extproc.waits import FetchKeys


class IdentityVerifier(Protocol):
    """Says who a token belongs to. No I/O: keys that are missing come back as a wait."""

    def verify(self, token: str, now: float) -> Identity | FetchKeys:
        """Raises `Refusal` (identity_invalid, identity_expired)."""


class KeyFetcher(Protocol):
    """Performs `FetchKeys`."""

    async def fetch(self, issuer: str, kid: str) -> None:
        """Refresh an issuer's keys; raises `Refusal("identity_unavailable")`."""
