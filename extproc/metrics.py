"""What is counted and timed. Labels are codes and resource names, never text of a request.

Workers are several processes: `PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; the control
process adds their files up.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import Final, Protocol

from prometheus_client import Counter, Gauge, Histogram

VERDICTS = Counter("extproc_verdicts_total", "Requests by resource and verdict", ["resource", "verdict"])
REFUSALS = Counter("extproc_refusals_total", "Refusals by resource and stable code", ["resource", "code"])
HELD = Gauge("extproc_held_requests", "Requests that wait for people now", multiprocess_mode="livesum")
_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 60, 600, 3600)
STAGES = Histogram("extproc_stage_seconds", "What a request waits for, by stage", ["stage"], buckets=_BOUNDS)
BEHIND: Final = 0.1  # seconds that times wait to be written


class Meter(Protocol):
    """Counts verdicts and times stages; labels are stable codes, never text of a request."""

    def verdict(self, resource: str, verdict: str) -> None: ...

    def refused(self, resource: str, code: str) -> None: ...

    def stage(self, name: str, seconds: float) -> None: ...


class PrometheusMeter:
    """
    The `Meter` for Prometheus. Label children are looked up once: a lookup costs more than the count.

    Times are put together for a moment where a loop runs: each is two writes into a file that the processes share, and
    a statement has four, which makes 35 µs of them.
    """

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, str], Counter] = {}
        self._refusals: dict[tuple[str, str], Counter] = {}
        self._stages: dict[str, _Times] = {}
        self._timer: asyncio.TimerHandle | None = None

    def verdict(self, resource: str, verdict: str) -> None:
        child = self._verdicts.get((resource, verdict))
        if child is None:
            child = self._verdicts[resource, verdict] = VERDICTS.labels(resource, verdict)
        child.inc()

    def stage(self, name: str, seconds: float) -> None:
        times = self._stages.get(name)
        if times is None:
            times = self._stages[name] = _Times(STAGES.labels(name))
        times.add(max(0.0, seconds))
        if self._timer is None:
            self._arm()

    def refused(self, resource: str, code: str) -> None:
        child = self._refusals.get((resource, code))
        if child is None:
            child = self._refusals[resource, code] = REFUSALS.labels(resource, code)
        child.inc()

    def flush(self) -> None:
        """Write the times that came together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for times in self._stages.values():
            times.write()

    def _arm(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(BEHIND, self.flush)
        except RuntimeError:
            self.flush()


class _Times:
    """Times of one stage that are not written yet."""

    def __init__(self, child: Histogram) -> None:
        self._child = child
        self._sum = 0.0
        self._counts = [0] * (len(_BOUNDS) + 1)

    def add(self, seconds: float) -> None:
        self._sum += seconds
        self._counts[bisect_left(_BOUNDS, seconds)] += 1

    def write(self) -> None:
        # As `Histogram.observe` does for one: there is no way to observe several that is public.
        child, counts = self._child, self._counts
        if not any(counts):
            return
        child._sum.inc(self._sum)  # noqa: SLF001
        for bucket, count in zip(child._buckets, counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self._sum, self._counts = 0.0, [0] * len(counts)
