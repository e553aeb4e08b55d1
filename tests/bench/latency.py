"""What the gateway adds to a request, on one connection: headers, embedded policy, durable record.

    python -m tests.bench.latency [--requests N] [--json]

Every way is measured in turn, again and again, so that a noisy machine is noisy for all of them. The upstream is the
same; `direct` goes there without a gateway, `envoy` through an Envoy that has no ext_proc filter.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from extproc.config import load
from extproc.envoyconf.render import render
from extproc.run import envoy
from tests.integration.gateway import Gateway, free_port
from tests.integration.upstream import Upstream

POLICY = """package extproc

default decision := {"action": "deny"}

decision := {"action": "allow", "rule": "bench"} if {
	input.identity.claims.repository == "acme/billing"
	input.request.method == "GET"
}
"""
ROUNDS = 10


class Way:
    """One kept connection and the latencies (seconds) measured on it."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = {"host": "app.localhost", **({"authorization": f"Bearer {token}"} if token else {})}
        self.taken: list[float] = []

    def ask(self, *, keep: bool) -> None:
        began = time.perf_counter()
        self._connection.request("GET", "/echo", headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}")
        if keep:
            self.taken.append(time.perf_counter() - began)

    def close(self) -> None:
        self._connection.close()


def measure(requests: int) -> dict[str, Any]:
    upstream = Upstream().start()
    recorded = Gateway(upstream_port=upstream.port, policy=POLICY).start()
    # In memory a sync costs nothing: what is left is the work, what is missing is the disk.
    memory = Path(tempfile.mkdtemp(prefix="xg-", dir="/dev/shm"))
    unrecorded = Gateway(upstream_port=upstream.port, policy=POLICY, home=memory).start()
    plain, stop = bare_envoy(recorded)
    ways = {
        "direct": Way(upstream.port),
        "envoy": Way(plain),
        "gateway": Way(recorded.ready_port, recorded.token()),
        "gateway, record in memory": Way(unrecorded.ready_port, unrecorded.token()),
    }
    try:
        for way in ways.values():
            for _ in range(200):
                way.ask(keep=False)
        for _ in range(ROUNDS):
            for way in ways.values():
                for _ in range(requests // ROUNDS):
                    way.ask(keep=True)
    finally:
        for way in ways.values():
            way.close()
        stop()
        recorded.stop()
        unrecorded.stop()
        upstream.stop()
    return {name: figures(way.taken, ways["envoy"].taken) for name, way in ways.items()}


def figures(taken: list[float], base: list[float]) -> dict[str, float]:
    def milliseconds(values: list[float], share: float) -> float:
        return round(statistics.quantiles(values, n=100)[int(share * 100) - 1] * 1000, 3)

    p50, p99 = milliseconds(taken, 0.5), milliseconds(taken, 0.99)
    return {"p50_ms": p50, "p99_ms": p99, "added_p50_ms": round(p50 - milliseconds(base, 0.5), 3)}


def bare_envoy(gateway: Gateway) -> tuple[int, Callable[[], None]]:
    """An Envoy with the same configuration but for the ext_proc filter."""
    folder = tempfile.TemporaryDirectory(prefix="xe-")
    home = Path(folder.name)
    config = load(gateway.config)
    port = free_port()
    config = config.model_copy(update={"state_dir": home, "listen": f"127.0.0.1:{port}"})
    (home / "run").mkdir()
    (home / "logs").mkdir()
    document = json.loads(render(config))
    listeners = document["staticResources"]["listeners"][:1]
    manager = listeners[0]["filterChains"][0]["filters"][0]["typedConfig"]
    manager["httpFilters"] = [f for f in manager["httpFilters"] if not f["name"].endswith("ext_proc")]
    document["staticResources"]["listeners"] = listeners
    path = home / "envoy.json"
    path.write_text(json.dumps(document))
    process = subprocess.Popen(envoy.command(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            way = Way(port)
            way.ask(keep=False)
            way.close()
            break
        except OSError:
            time.sleep(0.1)

    def stop() -> None:
        process.kill()
        process.wait()
        folder.cleanup()

    return port, stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.requests)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'way':32} {'p50 ms':>8} {'p99 ms':>8} {'added p50':>10}")
    for name, row in found.items():
        print(f"{name:32} {row['p50_ms']:8.3f} {row['p99_ms']:8.3f} {row['added_p50_ms']:10.3f}")


if __name__ == "__main__":
    main()
