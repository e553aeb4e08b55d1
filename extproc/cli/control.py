"""`extproc control`: the control process, for people and for Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from extproc.cli.options import config_option
from extproc.config import load


@click.command()
@config_option
def control(path: Path) -> None:
    """Serve the REST interface for approvers and the metrics, and keep the index of the records."""
    from extproc.run import control, state  # noqa: PLC0415 - not needed for --help

    config = load(path)
    state.prepare(config.state_dir)
    control.main(config)
