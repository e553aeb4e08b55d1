"""What a PostgreSQL server needs of the machine: its binaries, a data directory, and somebody to run it who is not root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from demo import psql
from demo.account import own, owner

BINARIES = {
    18: psql.package() / "bin",
    15: Path("/usr/lib/postgresql/15/bin"),
}


def available(version: int) -> bool:
    return (BINARIES[version] / "postgres").exists()


def require(version: int) -> None:
    """Skips a test where Debian's PostgreSQL 15 is missing, but never in CI."""
    if not available(version):
        if os.environ.get("EXTPROC_REQUIRE_PG15"):
            pytest.fail(f"PostgreSQL {version} is missing, and CI insists on it")
        pytest.skip(f"no PostgreSQL {version} here")


@functools.cache
def has_tls(version: int) -> bool:
    found = subprocess.run([BINARIES[version] / "pg_config", "--configure"], capture_output=True, text=True, check=True)
    return "openssl" in found.stdout


def environment() -> dict[str, str]:
    """Without the PG… variables of whoever runs the tests."""
    return {**psql.environment(), "TZ": "UTC"}


def tied() -> list[str]:
    """A prefix that ends a server even if the tests that started it were killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


@functools.cache
def template(version: int) -> Path:
    """A data directory to copy, made by initdb once and kept for later runs; it has an empty database `app`."""
    release = subprocess.run([BINARIES[version] / "postgres", "--version"], capture_output=True, text=True, check=True)
    name = release.stdout.split()[2].replace("/", "")
    made = Path(tempfile.gettempdir()) / f"extproc-initdb-{name}-{os.geteuid()}"
    if made.exists() and made.stat().st_uid == os.geteuid():
        return made / "d"
    folder = Path(tempfile.mkdtemp(prefix="xt-"))
    try:
        folder.chmod(0o755)
        _initdb(version, folder)
        folder.rename(made)
    except OSError:  # somebody else was faster
        shutil.rmtree(folder, ignore_errors=True)
        if not made.exists():
            raise
    return made / "d"


def _initdb(version: int, folder: Path) -> None:
    data = folder / "d"
    data.mkdir(mode=0o700)
    own(data)
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    _run([str(BINARIES[version] / "initdb"), "-D", str(data), *options], folder)
    single = [str(BINARIES[version] / "postgres"), "--single", "-F", "-D", str(data), "postgres"]
    _run(single, folder, "CREATE DATABASE app\n")


def _run(command: list[str], folder: Path, text: str = "") -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=folder, env=environment(), check=False, **owner()
    )
    assert done.returncode == 0, done.stderr + done.stdout
