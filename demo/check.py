"""A scripted CI job: real clients through Envoy's listeners, and whether each thing came out as promised."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import httpx

from demo import check_http, check_postgres
from demo.job import Job
from demo.stack import Stack

ACTS = (("HTTP", check_http.CHECKS), ("PostgreSQL", check_postgres.CHECKS))


@dataclass(frozen=True)
class Row:
    """One thing that the job does: what was expected, what happened, whether that is the same."""

    act: str
    what: str
    expected: str
    happened: str
    ok: bool

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def checks(stack: Stack) -> Iterator[Row]:
    job = Job(stack)
    for act, found in ACTS:
        for what, expected, check in found:
            try:
                ok, happened = check(job)
            except (
                httpx.HTTPError,
                subprocess.SubprocessError,
                LookupError,
                ValueError,
                StopIteration,
                AssertionError,
            ) as error:
                ok, happened = False, f"{type(error).__name__}: {error}"
            yield Row(act, what, expected, happened, ok)
