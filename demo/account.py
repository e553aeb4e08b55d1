"""Who runs PostgreSQL, which refuses to run as root: for root another account, else whoever is there."""

from __future__ import annotations

import functools
import os
import pwd
from pathlib import Path
from typing import Any


@functools.cache
def account() -> pwd.struct_passwd | None:
    """Whom to become; None: whoever runs this will do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def owner() -> dict[str, Any]:
    """Arguments of Popen that run a process as the one who owns the data."""
    other = account()
    return {} if other is None else {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}


def own(*paths: Path) -> None:
    """Hand files over to that one."""
    other = account()
    if other is not None:
        for path in paths:
            os.chown(path, other.pw_uid, other.pw_gid, follow_symlinks=False)
