"""The state directory: who may look into it, what lies where, and that only one gateway uses it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from extproc.errors import ConfigError
from extproc.privatefile import write_private

_FOLDERS = ("run", "records", "keys", "metrics", "logs")


def prepare(state_dir: Path) -> None:
    """Create what is missing, for this user alone. Sockets here give credentials to whoever can open them."""
    os.umask(0o077)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if state_dir.stat().st_uid != os.getuid():
        raise ConfigError(f"state_dir: {state_dir} belongs to another user")
    for folder in (state_dir, *(state_dir / name for name in _FOLDERS)):
        folder.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    key = state_dir / "keys" / "mask.key"
    if not key.exists():
        write_private(key, secrets.token_bytes(32))


def lock(state_dir: Path) -> int:
    """Hold the directory for this process. Raises `ConfigError` where another gateway has it."""
    fd = os.open(state_dir / "run" / "up.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise ConfigError(f"state_dir: another gateway runs in {state_dir}; stop it or choose another") from None
    return fd


def clear_metrics(state_dir: Path) -> None:
    """prometheus-client's files are of processes that are gone."""
    folder = state_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
