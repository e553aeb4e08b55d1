"""`extproc control`: the control process, for people and for Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from extproc.cli.options import config_option
from extproc.config import load


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Ask the one that runs; exit 1 where it does not answer.")
def control(path: Path, *, check: bool) -> None:
    """Serve the REST interface for approvers and the metrics, and keep the index of the records."""
    from extproc.run import standalone, state  # noqa: PLC0415 - not needed for --help

    config = load(path)
    if check:
        sys.exit(0 if standalone.control_serves(config) else 1)
    state.prepare(config.state_dir)
    standalone.share_metrics(config.state_dir, "control")
    from extproc.run import control  # noqa: PLC0415 - imports the metrics' library, which must know where to go

    control.main(config)
