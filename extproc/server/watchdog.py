"""Deadlines of streams. FULL_DUPLEX_STREAMED directions have none in Envoy, so every stream has one of ours.

One timer for all streams of a worker: setting a deadline costs an assignment, not a timer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Watch:
    """One stream's deadline. `expired` tells a cancellation of ours from one of Envoy's."""

    __slots__ = ("_dog", "deadline", "expired", "task")

    def __init__(self, dog: Watchdog, task: asyncio.Task[object]) -> None:
        self._dog = dog
        self.task = task
        self.expired = False
        self.deadline = 0.0
        self.step()

    def step(self) -> None:
        """It is our turn: a step may take so long."""
        self.deadline = time.monotonic() + self._dog.step

    def idle(self, seconds: float = 0.0) -> None:
        """It is Envoy's turn."""
        self.deadline = time.monotonic() + (seconds or self._dog.idle)

    def off(self) -> None:
        """Somebody else keeps a deadline."""
        self.deadline = float("inf")


class Watchdog:
    """Cancels the task of a stream that is past its deadline."""

    def __init__(self, *, step: float, idle: float, tick: float = 0.25) -> None:
        self.step = step
        self.idle = idle
        self._tick = tick
        self._watches: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._patrol())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    @contextmanager
    def watch(self, task: asyncio.Task[object]) -> Iterator[Watch]:
        watch = Watch(self, task)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def _patrol(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            now = time.monotonic()
            for watch in [w for w in self._watches if w.deadline < now]:
                watch.expired = True
                watch.deadline = float("inf")
                watch.task.cancel()
