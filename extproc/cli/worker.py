"""`extproc worker`: one ext_proc worker on its own socket."""

from __future__ import annotations

from pathlib import Path

import click

from extproc.cli.options import config_option
from extproc.config import load


@click.command()
@config_option
@click.option("--index", type=click.IntRange(0, 63), default=0, show_default=True, help="Which worker-N.sock to serve.")
def worker(path: Path, index: int) -> None:
    """Serve Envoy's ext_proc streams on run/worker-N.sock in the state directory."""
    from extproc.run import state, worker  # noqa: PLC0415 - not needed for --help

    config = load(path)
    state.prepare(config.state_dir)
    worker.main(config, index)
