"""`extproc policy`: load and ask the policy without a gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import BinaryIO

import click

from extproc.cli.options import config_option, json_option
from extproc.config import load
from extproc.errors import ConfigError, Refusal
from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine


@click.group()
def policy() -> None:
    """Check the policy, or ask it about one input."""


def _engine(path: Path) -> EmbeddedEngine:
    config = load(path)
    if config.policy.path is None:
        raise ConfigError("policy.path: not set; with engine: opa, ask the server with `opa eval` or curl")
    return EmbeddedEngine(Path(config.policy.path))


@policy.command()
@config_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """Load the policy as a worker would. Exit 2 where it would not."""
    revision = _engine(path).revision
    print(json.dumps({"valid": True, "revision": revision}) if as_json else f"policy is good; revision {revision}")


@policy.command("eval")
@config_option
@click.argument("document", type=click.File("rb"))
def evaluate(path: Path, document: BinaryIO) -> None:
    """Ask the policy about an input document (JSON; - for standard input). Exit 1 where it is no valid decision."""
    try:
        answer, revision = _engine(path).evaluate(document.read())
        read_decision(answer, revision)
    except Refusal as refusal:
        print(f"{refusal.code.name}: {refusal.reason}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps(json.loads(answer), indent=2))
