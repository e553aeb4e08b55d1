"""The sign of life of a worker or control process: a byte down a pipe, from its event loop.

A policy that runs away holds the interpreter and cannot be interrupted; then no byte comes, and the supervisor kills
the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

FD_VARIABLE: Final = "EXTPROC_HEARTBEAT_FD"
INTERVAL: Final = 0.5  # seconds
MISSED: Final = 5.0  # seconds without a beat


async def beat_forever() -> None:
    """Beat until cancelled; nothing where nobody listens."""
    text = os.environ.get(FD_VARIABLE)
    if not text:
        return
    fd = int(text)
    os.set_blocking(fd, False)
    while True:
        with contextlib.suppress(BlockingIOError):  # nobody reads just now: the pipe itself says that we lived
            os.write(fd, b".")
        await asyncio.sleep(INTERVAL)
