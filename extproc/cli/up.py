"""`extproc up`: the whole gateway on one machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from extproc import logs
from extproc.cli.options import config_option
from extproc.config import load


@click.command()
@config_option
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the addresses as JSON when all answers.")
def up(path: Path, ready_file: Path | None) -> None:
    """Start Envoy, the workers and the control process; stop them in order on SIGTERM or Ctrl-C."""
    from extproc.run.supervisor import up as run  # noqa: PLC0415 - not needed for --help

    logs.setup("up")
    config = load(path)
    sys.exit(run(config, path.resolve(), ready_file.resolve() if ready_file else None, _say))


def _say(told: dict[str, object]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if told["development"]:
        console.print("[bold yellow]development: true[/] - the development issuer's tokens open every resource here")
    resources = told["resources"]
    assert isinstance(resources, dict)
    for name, resource in resources.items():
        other = f"  (or {told['listen']} with Host {resource['hosts'][0]})" if resource["hosts"] else ""
        console.print(f"resource [bold]{name}[/]  {resource['url']}{other}")
    console.print(f"control  {told['control']}   metrics  {told['metrics']}")
