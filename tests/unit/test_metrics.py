from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from extproc import metrics
from extproc.metrics import BEHIND, STAGES, PrometheusMeter

SECONDS = (0.0, 0.0001, 0.00011, 0.004, 0.25, 0.3, 3600.0, 9999.0)


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    STAGES.clear()


def written() -> str:
    registry = CollectorRegistry()
    registry.register(STAGES)
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "created" not in line)


def observed(*seconds: float) -> str:
    """What the library itself makes of the same times."""
    registry = CollectorRegistry()
    same = Histogram(
        "extproc_stage_seconds",
        "What a request waits for, by stage",
        ["stage"],
        buckets=metrics._BOUNDS,
        registry=registry,
    )
    for one in seconds:
        same.labels("policy").observe(one)
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "created" not in line)


def test_times_are_counted_as_the_library_counts_them() -> None:
    async def main() -> None:
        meter = PrometheusMeter()
        for one in SECONDS:
            meter.stage("policy", one)
        meter.flush()
        assert written() == observed(*SECONDS)
        meter.flush()
        assert written() == observed(*SECONDS)

    asyncio.run(main())


def test_they_are_written_soon() -> None:
    async def main() -> None:
        meter = PrometheusMeter()
        for _ in range(2):
            meter.stage("policy", 0.1)
            await asyncio.sleep(2 * BEHIND)
        assert written() == observed(0.1, 0.1)

    asyncio.run(main())


def test_without_a_loop_they_are_written_at_once() -> None:
    PrometheusMeter().stage("policy", -1.0)
    assert written() == observed(0.0)
