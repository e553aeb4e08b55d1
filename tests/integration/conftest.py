from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration import cluster
from tests.integration.database import Opened, opened
from tests.integration.gateway import ROOT, Gateway, free_port
from tests.integration.postgres import Server, serving
from tests.integration.upstream import Upstream

OPA = ROOT / ".tools" / "bin" / "opa"


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


@pytest.fixture(scope="module")
def opa_server() -> Iterator[Callable[[str], str]]:
    """Starts a real OPA with a policy (its text, or its folder); gives its URL. Skipped where OPA was not built, but never in CI."""
    if not OPA.exists():
        if os.environ.get("EXTPROC_REQUIRE_OPA"):
            pytest.fail(f"{OPA} is missing, and CI insists on it")
        pytest.skip("no OPA here: it is built where Go is at hand")
    with contextlib.ExitStack() as stack:
        made: dict[str, str] = {}

        def start(policy: str) -> str:
            if policy not in made:
                made[policy] = stack.enter_context(_opa(policy))
            return made[policy]

        yield start


@pytest.fixture(scope="session")
def postgres18() -> Iterator[Server]:
    with serving(18) as server:
        yield server


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Server]:
    """The only one with TLS. Skipped where Debian's PostgreSQL 15 is missing, but never in CI."""
    cluster.require(15)
    with serving(15) as server:
        yield server


@pytest.fixture(params=["postgres18", "postgres15"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two. What a test makes in it, later tests find."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session", params=[18, 15])
def opened_database(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """For real clients: a gateway that allows all."""
    with opened(request.param) as made:
        yield made


@contextlib.contextmanager
def _opa(policy: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="xo-") as folder:
        path = Path(policy) if policy.startswith("/") else Path(folder) / "policy.rego"
        if not path.exists():
            path.write_text(policy)
        address = f"127.0.0.1:{free_port()}"
        command = [
            str(OPA),
            "run",
            "--server",
            "--addr",
            address,
            "--disable-telemetry",
            "--log-level",
            "error",
            str(path),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_health(f"http://{address}/health")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(10)


def _await_health(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).is_success:
                return
        assert time.monotonic() < deadline, "OPA did not come up"
        time.sleep(0.05)
