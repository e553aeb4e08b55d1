"""What is counted and timed. Labels are codes and resource names, never text of a request.

Workers are several processes: `PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; the control
process adds their files up.
"""

from __future__ import annotations

from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

VERDICTS = Counter("extproc_verdicts_total", "Requests by resource and verdict", ["resource", "verdict"])
REFUSALS = Counter("extproc_refusals_total", "Refusals by resource and stable code", ["resource", "code"])
HELD = Gauge("extproc_held_requests", "Requests that wait for people now", multiprocess_mode="livesum")
STAGES = Histogram(
    "extproc_stage_seconds",
    "What a request waits for, by stage",
    ["stage"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 60, 600, 3600),
)


class Meter(Protocol):
    """Counts verdicts and times stages; labels are stable codes, never text of a request."""

    def verdict(self, resource: str, verdict: str) -> None: ...

    def refused(self, resource: str, code: str) -> None: ...

    def stage(self, name: str, seconds: float) -> None: ...


class PrometheusMeter:
    """The `Meter` for Prometheus. Label children are looked up once: a lookup costs more than the count."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[str, str], Counter] = {}
        self._refusals: dict[tuple[str, str], Counter] = {}
        self._stages: dict[str, Histogram] = {}

    def verdict(self, resource: str, verdict: str) -> None:
        child = self._verdicts.get((resource, verdict))
        if child is None:
            child = self._verdicts[resource, verdict] = VERDICTS.labels(resource, verdict)
        child.inc()

    def stage(self, name: str, seconds: float) -> None:
        child = self._stages.get(name)
        if child is None:
            child = self._stages[name] = STAGES.labels(name)
        child.observe(max(0.0, seconds))

    def refused(self, resource: str, code: str) -> None:
        child = self._refusals.get((resource, code))
        if child is None:
            child = self._refusals[resource, code] = REFUSALS.labels(resource, code)
        child.inc()
