"""The seam to credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credential:
    """A header for the upstream, and the secret values in it that must never come back or be recorded."""

    header: bytes
    value: bytes = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)


class CredentialProvider(Protocol):
    """Gives a resource's credential; cheap enough to call for each request."""

    def get(self, name: str) -> Credential:
        """Raises `Refusal("credential_unavailable")`."""
