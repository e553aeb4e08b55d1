"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("extproc.yaml"),
    show_default=True,
    help="The gateway's configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
