"""`extproc config`: check the configuration, see what Envoy gets."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from extproc.cli.options import config_option, json_option
from extproc.config import load


@click.group()
def config() -> None:
    """Check extproc.yaml, or render Envoy's configuration from it."""


@config.command()
@config_option
@json_option
def validate(path: Path, *, as_json: bool) -> None:
    """Check the file, and what is rendered from it with Envoy's own check. Exit 2 where something is wrong."""
    from extproc.envoyconf.render import render  # noqa: PLC0415
    from extproc.run import envoy  # noqa: PLC0415

    loaded = load(path)
    with tempfile.TemporaryDirectory() as folder:
        # Envoy opens log files and sockets' folders even when it only checks.
        scratch = loaded.model_copy(update={"state_dir": Path(folder)})
        (Path(folder) / "logs").mkdir()
        rendered = Path(folder) / "envoy.json"
        rendered.write_text(render(scratch))
        envoy.validate(rendered)
    if loaded.policy.engine == "embedded":
        from extproc.policy.embedded import EmbeddedEngine  # noqa: PLC0415

        EmbeddedEngine(Path(str(loaded.policy.path)))
    told = {"valid": True, "development": loaded.development, "resources": [r.name for r in loaded.resources]}
    if as_json:
        print(json.dumps(told))
    else:
        print(f"{path}: valid; resources: {', '.join(r.name for r in loaded.resources)}")
        if loaded.development:
            click.echo("development: true - not for production", err=True)


@config.command()
@config_option
def render(path: Path) -> None:
    """Print Envoy's configuration (JSON) to standard output."""
    from extproc.envoyconf.render import render as rendered  # noqa: PLC0415

    print(rendered(load(path)), end="")
