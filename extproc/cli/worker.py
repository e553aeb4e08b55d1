"""`extproc worker`: one ext_proc worker on its own socket."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from extproc.cli.options import config_option
from extproc.config import load


@click.command()
@config_option
@click.option("--index", type=click.IntRange(0, 63), default=0, show_default=True, help="Which worker-N.sock to serve.")
@click.option("--check", is_flag=True, help="Ask the one that runs; exit 1 where it does not serve.")
def worker(path: Path, index: int, *, check: bool) -> None:
    """Serve Envoy's ext_proc streams on run/worker-N.sock in the state directory."""
    # gRPC's newer event engine hands every read and write through more threads: 0.3 of 2.9 ms a request on one
    # connection (tests/bench/latency.py). It reads this when it is loaded.
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_callback_cq")
    # Where RUST_BACKTRACE is set, the policy engine's first error reads the symbols of all that is loaded: 50 MB, kept.
    os.environ.setdefault("RUST_LIB_BACKTRACE", "0")
    from extproc.run import standalone, state  # noqa: PLC0415 - not needed for --help

    config = load(path)
    if check:
        sys.exit(0 if standalone.worker_serves(config, index) else 1)
    state.prepare(config.state_dir)
    standalone.share_metrics(config.state_dir, f"worker-{index}")
    from extproc.run import worker  # noqa: PLC0415 - imports the metrics, which must know where to go

    worker.main(config, index)
