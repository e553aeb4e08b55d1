"""Files that only this user may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """
    Create `path` (mode 0600) with `content`, durably. An existing file stays as it is: whoever was first wins.

    Raises `OSError`; nothing is left behind then.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        try:
            _write_whole(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def _write_whole(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        # One call may write less than it was given (write(2)): half a key would be a key of its own.
        rest = rest[os.write(fd, rest) :]


def _sync_folder(folder: Path) -> None:
    # The file's name is part of the folder: without this, a crash could take a key that was used already.
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
