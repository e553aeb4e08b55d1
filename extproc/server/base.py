"""The seam to a transport."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """Serves Envoy's ext_proc streams on one unix socket and drives an exchange for each."""

    async def start(self) -> None: ...

    async def drain(self, grace: float) -> None:
        """Answer what is held, let what is under way end within `grace` seconds, then stop."""
