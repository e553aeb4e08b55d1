"""One process that the supervisor keeps alive."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from extproc.run.heartbeat import FD_VARIABLE, MISSED

_PR_SET_PDEATHSIG: Final = 1
_GRACE: Final = 20.0  # seconds for a process to come up before beats are expected
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between a death and the next start
_STABLE: Final = 10.0  # seconds after which a process counts as healthy again

log = logging.getLogger("extproc.up")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """Starts a command, notices its death or silence, starts it again after a pause that grows."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        beats: bool = True,
        stderr: Path | None = None,
        on_death: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._beats = beats
        self._stderr = stderr
        self._on_death = on_death
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._started = 0.0
        self._beat_at = 0.0
        self._pause = _FIRST_PAUSE
        self._next_start = 0.0
        self.restarts = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        reader, writer = os.pipe()
        environ = {**self._environ, FD_VARIABLE: str(writer)} if self._beats else self._environ
        errors = self._stderr.open("ab") if self._stderr else None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(writer,),
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops the others in order
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
            )
        finally:
            os.close(writer)
            if errors:
                errors.close()
        os.set_blocking(reader, False)
        self._close_pipe()
        self._pipe = reader
        self._started = self._beat_at = time.monotonic()

    def watch(self, now: float) -> None:
        """One look: kill what is silent, start again what died."""
        if self.alive:
            self._listen(now)
            if now - self._started > _STABLE:
                self._pause = _FIRST_PAUSE
            if self._beats and now - self._beat_at > (MISSED if self._heard else _GRACE):
                log.error("%s gives no sign of life: killed", self.name)
                self.kill()
            return
        if self._process is not None:
            self._buried(now)
        if now >= self._next_start:
            self.restarts += 1
            self.start()

    _heard = False

    def _listen(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            if os.read(self._pipe, 4096):
                self._beat_at, self._heard = now, True

    def _buried(self, now: float) -> None:
        assert self._process is not None
        log.error("%s ended with %s: starting it again", self.name, self._process.returncode)
        self._on_death(self._process.pid)
        self._process, self._heard = None, False
        self._next_start = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def terminate(self) -> None:
        if self.alive and self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self.alive and self._process is not None:
            self._process.kill()

    def wait(self, until: float) -> bool:
        """Wait for its end until `until` (monotonic), then kill it. True where it ended by itself."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
            return False
        finally:
            self._close_pipe()
        return True

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _die_with_parent() -> None:
    """If the supervisor is killed, nothing stays behind that nobody watches."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
