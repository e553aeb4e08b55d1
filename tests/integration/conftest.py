from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.gateway import Gateway
from tests.integration.upstream import Upstream


@pytest.fixture(scope="session")
def _upstream() -> Iterator[Upstream]:
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(_upstream: Upstream) -> Upstream:
    """The counting upstream, its counts at zero."""
    _upstream.seen.clear()
    _upstream.bytes_in = 0
    _upstream.delay = 0.0
    return _upstream


@pytest.fixture(scope="module")
def gateways(_upstream: Upstream) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways that live as long as the module's tests: `gateways(policy=…, resource=…)`, once per arguments."""
    made: dict[str, Gateway] = {}
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Gateway:
            key = repr(sorted(options.items()))
            if key not in made:
                gateway = Gateway(upstream_port=_upstream.port, **options).start()
                stack.callback(gateway.stop)
                made[key] = gateway
            return made[key]

        yield start
