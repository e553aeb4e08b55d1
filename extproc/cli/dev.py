"""`extproc dev`: the development issuer and its tokens. Nothing of it works without `development: true`."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import click

from extproc.cli.options import config_option, json_option
from extproc.config import Config, load
from extproc.errors import ConfigError


@click.group()
def dev() -> None:
    """For trying out: a local OIDC issuer and its tokens."""


def _development(path: Path) -> tuple[Config, str]:
    """The configuration and the issuer's base URL. Raises `ConfigError`."""
    config = load(path)
    if not config.development or config.identity.dev_issuer is None:
        raise ConfigError(f"{path}: needs `development: true` and `identity.dev_issuer`; never in production")
    return config, f"http://{config.identity.dev_issuer.listen}"


@dev.command()
@config_option
def issuer(path: Path) -> None:
    """Serve discovery and keys for /jobs and /people until SIGTERM."""
    import uvicorn  # noqa: PLC0415

    from extproc import logs  # noqa: PLC0415
    from extproc.identity.dev_issuer import app  # noqa: PLC0415
    from extproc.run import state  # noqa: PLC0415

    logs.setup("issuer")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config, base = _development(path)
    state.prepare(config.state_dir)
    assert config.identity.dev_issuer is not None
    host, _, port = config.identity.dev_issuer.listen.rpartition(":")
    made = app(config.state_dir / "keys", base)
    uvicorn.run(made, host=host, port=int(port), log_config=None, access_log=False, lifespan="off", server_header=False)


@dev.command()
@config_option
@json_option
@click.option("--repo", default="acme/billing", show_default=True, help="repository, as owner/name")
@click.option("--ref", default="refs/heads/main", show_default=True)
@click.option("--actor", default="octocat", show_default=True, help="the account that started the job")
@click.option("--run-id", default="1001", show_default=True)
@click.option("--event", default="push", show_default=True, help="what started the run")
@click.option("--fork", is_flag=True, help="a pull request from a fork")
@click.option("--person", help="a person's token instead of a job's")
@click.option("--group", "groups", multiple=True, help="a group of the person or the job; may be given several times")
@click.option("--lifetime", type=click.IntRange(1, 86400), default=3600, show_default=True, help="seconds")
@click.option("--audience", help="another audience than the configured one")
def token(  # noqa: PLR0917 - the options are the command's interface
    path: Path,
    repo: str,
    ref: str,
    actor: str,
    run_id: str,
    event: str,
    person: str | None,
    groups: tuple[str, ...],
    lifetime: int,
    audience: str | None,
    *,
    fork: bool,
    as_json: bool,
) -> None:
    """Print a token: a CI job's with the claims of GitHub Actions, or a person's."""
    from extproc.identity.dev_issuer import Job, mint  # noqa: PLC0415
    from extproc.identity.dev_issuer import person as person_claims  # noqa: PLC0415
    from extproc.run import state  # noqa: PLC0415

    config, base = _development(path)
    state.prepare(config.state_dir)
    kind = "people" if person else "jobs"
    iss = f"{base}/{kind}"
    rules = config.identity.people if person else config.identity.jobs
    rule = next((rule for rule in rules if rule.issuer == iss), None)
    if rule is None:
        raise ConfigError(f"{path}: identity.{kind}: does not name {iss}, so its tokens would open nothing")
    claims = person_claims(person, groups) if person else Job(repo, ref, actor, run_id, event, fork).claims()
    if groups:
        claims[rule.groups_claim] = list(groups)
    now = time.time()
    made = mint(config.state_dir / "keys", kind, iss, audience or rule.audience, claims, now, lifetime)
    click.echo("development: true - this token opens a development gateway only", err=True)
    if as_json:
        told = {"token": made, "expires_at": int(now + lifetime), "issuer": iss, "subject": claims["sub"]}
        print(json.dumps({**told, "development": True}))
    else:
        print(made)
