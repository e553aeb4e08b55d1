"""
What the gateway adds to PostgreSQL, beside a direct connection and PgBouncer: all in one run, way after way in each round.

    python -m tests.bench.postgres [--rounds N] [--seconds N] [--only TEXT] [--long] [--json]

Medians of the rounds. `behind` is the CPU time of the relay (the gateway's worker, or PgBouncer), with the kernel's part,
for each row, statement or connection; Envoy's stands apart. There is no way to run the gateway without its record, so
none is measured. `--long` takes 5 GB through a slow client instead of 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from extproc.postgres import wire
from tests.bench.pgways import ROWS_POLICY, SETTINGS, Way, direct, gateway, pgbouncer
from tests.integration.cluster import BINARIES
from tests.integration.postgres import Server, serving

ROWS, FETCHES, IDLE, CONNECTS = 200_000, 3, 500, 30
TABLES = {"plain": "rows, nothing masked", "by_column": "rows, a column masked", "by_detector": "rows, each one hit"}
MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 8)
END = wire.ready(b"I")
_STALL, _BETWEEN = 0.5, 50_000_000  # seconds that a slow client pauses, after so many bytes
ROW = """
    g AS id, 'Customer ' || g AS name, 'user' || g || '@example.com' AS email, '+44 20 7946 0' || g % 1000 AS phone,
    'London' AS city, '2024-01-01 10:00:00+00'::timestamptz AS since,
    'Ships on Mondays, call before noon. Prefers the side door; ask for the manager there.' AS notes
"""
SCRIPT = "\\set aid random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"

Measured = dict[str, Any]
Workload = Callable[[], Measured]


def figures(way: Way, work: Callable[[], tuple[int, list[float]]], *, connections: int = 1) -> Measured:
    """`work` gives how much it did, and how long each took (seconds), where that makes sense."""
    behind, envoy = way.cpu()
    began = time.perf_counter()
    done, taken = work()
    seconds = time.perf_counter() - began
    behind, envoy = (after - before for after, before in zip(way.cpu(), (behind, envoy), strict=True))
    return {
        "variant": way.name,
        "connections": connections,
        "per_second": done / seconds,
        "p50_ms": statistics.median(taken) * 1000 if taken else None,
        "p99_ms": statistics.quantiles(taken, n=100)[98] * 1000 if len(taken) > 1 else None,
        "envoy_us": envoy / done * 1e6 if way.envoy else None,
        "behind_us": behind / done * 1e6 if way.behind else None,
        "rss_mb": way.memory() if way.behind else None,
        "errors": 0,
    }


# --- rows


@contextlib.contextmanager
def raw(way: Way) -> Iterator[socket.socket]:
    """A connection that is logged in, without a driver: to read rows must cost less than to send them."""
    with way.connect() as connection, socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(True)
        yield sock


def fetch(sock: socket.socket, query: str, between: Callable[[int], None] = lambda _: None) -> int:
    """Bytes of the answer. `between` is told after each read how many came so far."""
    sock.sendall(wire.message(b"Q", query.encode() + b"\0"))
    buffer, total, tail = memoryview(bytearray(1 << 18)), 0, b""
    while tail != END:
        count = sock.recv_into(buffer)
        if count == 0:
            raise SystemExit("the connection was ended")
        total += count
        tail = (tail + bytes(buffer[max(0, count - len(END)) : count]))[-len(END) :]
        between(total)
    return total


def rows(way: Way, table: str) -> Measured:
    with raw(way) as sock:
        fetch(sock, f"SELECT * FROM {table} LIMIT 1000")

        def work() -> tuple[int, list[float]]:
            for _ in range(FETCHES):
                if fetch(sock, f"SELECT * FROM {table}") < ROWS * 100:
                    raise SystemExit(f"{way.name}: no rows of {table}")
            return FETCHES * ROWS, []

        return figures(way, work)


def slow(way: Way, gigabytes: int) -> Measured:
    """A client that stops reading again and again. `rss_mb` is the most that the relay held meanwhile."""
    stalled = 0

    def pause(total: int) -> None:
        nonlocal stalled
        if total // _BETWEEN > stalled:
            stalled += 1
            time.sleep(_STALL)

    times = gigabytes * 1_000_000_000 // (ROWS * 180)
    with raw(way) as sock:
        way.forget_peak()
        query = f"SELECT t.* FROM by_detector t, generate_series(1, {times})"
        found = figures(way, lambda: (fetch(sock, query, pause) and ROWS * times, []))
        return {**found, "rss_mb": way.peak()}


# --- statements


def pgbench(way: Way, mode: str, clients: int, seconds: float) -> Measured:
    binary = shutil.which("pgbench") or str(BINARIES[18] / "pgbench")
    with tempfile.TemporaryDirectory(prefix="xb-") as folder:
        script = Path(folder) / "script"
        script.write_text(SCRIPT)
        command = [
            binary,
            "-n",
            "-M",
            mode,
            "-c",
            str(clients),
            "-j",
            "1",
            "-T",
            str(round(seconds)),
            "-f",
            str(script),
        ]
        failed = 0

        def work() -> tuple[int, list[float]]:
            nonlocal failed
            log = ["-l", f"--log-prefix={folder}/log"]
            done = subprocess.run([*command, *log, way.dsn], capture_output=True, text=True, check=False)
            failed = clients if done.returncode else 0
            lines = [line for file in Path(folder).glob("log*") for line in file.read_text().splitlines()]
            taken = [int(line.split()[2]) / 1e6 for line in lines]
            if not taken:
                raise SystemExit(f"{way.name}: {done.stderr[-500:]}")
            return len(taken), taken

        found = figures(way, work, connections=clients)
        return {**found, "errors": failed}


# --- connections


def connects(way: Way) -> Measured:
    """From nothing to the first answer."""

    def work() -> tuple[int, list[float]]:
        taken = []
        for _ in range(CONNECTS):
            began = time.perf_counter()
            with way.connect() as connection:
                connection.execute("SELECT 1")
            taken.append(time.perf_counter() - began)
        return CONNECTS, taken

    return figures(way, work)


def idle(way: Way) -> Measured:
    opened: list[psycopg.Connection[Any]] = []
    try:

        def work() -> tuple[int, list[float]]:
            opened.extend(way.connect() for _ in range(IDLE))
            for one in opened:
                one.execute("SELECT 1")
            return IDLE, []

        return figures(way, work, connections=IDLE)
    finally:
        for one in opened:
            one.close()


# --- all of it


def prepare(server: Server) -> None:
    copies = "".join(f"CREATE TABLE {name} AS SELECT * FROM made;" for name in TABLES)
    server.create(f"CREATE TEMP TABLE made AS SELECT {ROW} FROM generate_series(1, {ROWS}) g; {copies}")
    binary = shutil.which("pgbench") or str(BINARIES[18] / "pgbench")
    made = [binary, "-i", "-q", "-h", str(server.home), "-p", str(server.port), "-U", "postgres", "app"]
    subprocess.run(made, check=True, capture_output=True)
    server.create("GRANT SELECT ON ALL TABLES IN SCHEMA public TO app; VACUUM ANALYZE")


def measure(arguments: argparse.Namespace) -> list[Measured]:
    with (
        serving(18, log=False, settings=SETTINGS) as server,
        pgbouncer(server) as pooled,
        gateway(server, policy=ROWS_POLICY) as for_rows,
        gateway(server) as for_statements,
    ):
        prepare(server)
        others = [direct(server), *([pooled] if pooled else [])]
        repeated, once = workloads(others, for_rows, for_statements, arguments)
        wanted = arguments.only or ""
        taken: dict[tuple[str, str, int], list[Measured]] = {}
        for turn in range(arguments.rounds):
            for name, work in [*repeated, *(once if turn == 0 else [])]:
                if wanted in name:
                    found = {"workload": name, **work()}
                    taken.setdefault((name, found["variant"], found["connections"]), []).append(found)
    return [median(several) for several in taken.values()]


def workloads(
    others: list[Way], for_rows: Way, for_statements: Way, arguments: argparse.Namespace
) -> tuple[list[tuple[str, Workload]], list[tuple[str, Workload]]]:
    """What is done in each round, and what is done once."""
    repeated: list[tuple[str, Workload]] = []
    for table, name in TABLES.items():
        ways = [*others, for_rows] if table == "plain" else [for_rows]
        repeated += [(name, lambda way=way, table=table: rows(way, table)) for way in ways]  # type: ignore[misc]
    for mode in MODES:
        for clients in CLIENTS:
            repeated += [
                (f"select, {mode}", lambda way=way, m=mode, c=clients: pgbench(way, m, c, arguments.seconds))  # type: ignore[misc]
                for way in [*others, for_statements]
            ]
    repeated += [("connect", lambda way=way: connects(way)) for way in [*others, for_statements]]  # type: ignore[misc]
    size = 5 if arguments.long else 1
    relays = [*others[1:], for_rows]
    once: list[tuple[str, Workload]] = [("idle", lambda way=way: idle(way)) for way in relays]  # type: ignore[misc]
    once += [(f"{size} GB, slow client", lambda way=way: slow(way, size)) for way in relays]  # type: ignore[misc]
    return repeated, once


def median(several: list[Measured]) -> Measured:
    def of(name: str) -> Any:
        values = [one[name] for one in several]
        if isinstance(values[0], float):
            return round(statistics.median(values), 3)
        return max(values) if name == "errors" else values[0]

    return {name: of(name) for name in several[0]}


def show(found: list[Measured]) -> None:
    table = Table()
    for name in found[0]:
        table.add_column(name, justify="left" if name in ("workload", "variant") else "right", no_wrap=True)
    for row in found:
        values = (f"{v:,.0f}" if n == "per_second" else "" if v is None else str(v) for n, v in row.items())
        table.add_row(*values)
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each run of pgbench, whole ones")
    parser.add_argument("--only", help="workloads with this in their name")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    show(found)
    if not any(row["variant"] == "pgbouncer" for row in found):
        print("PgBouncer is not installed: nothing was measured of it.")


if __name__ == "__main__":
    main()
