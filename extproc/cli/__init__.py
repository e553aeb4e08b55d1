"""The command `extproc`: one file a command group, imported only when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from extproc.errors import ConfigError

# command → (module, attribute)
_COMMANDS: Final = {
    "up": ("extproc.cli.up", "up"),
    "worker": ("extproc.cli.worker", "worker"),
    "control": ("extproc.cli.control", "control"),
    "config": ("extproc.cli.config", "config"),
    "policy": ("extproc.cli.policy", "policy"),
    "sessions": ("extproc.cli.sessions", "sessions"),
    "approvals": ("extproc.cli.approvals", "approvals"),
    "dev": ("extproc.cli.dev", "dev"),
}


class _Lazy(click.Group):
    """Commands by name; a worker need not load what only people use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="extproc-gateway")
def cli() -> None:
    """A gateway that CI traffic cannot get around: decide, mask, record, hold."""


def main() -> None:
    """Exit codes: 0 done, 1 refused or failed, 2 wrong use or a wrong configuration."""
    try:
        cli(prog_name="extproc")
    except ConfigError as error:
        print(f"extproc: {error}", file=sys.stderr)
        sys.exit(2)
