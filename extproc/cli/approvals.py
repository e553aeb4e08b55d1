"""`extproc approvals`: see what waits for people, and answer it. Talks to the control process's REST interface."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from extproc.cli.options import config_option, json_option
from extproc.cli.rest import Client, Refused, Unreachable
from extproc.cli.show import cell, console, moment, table, visible, visible_lines

_STATES: Final = ("pending", "approved", "denied", "expired", "cancelled", "used", "all")
_PAUSE: Final = 1.0  # seconds before asking again where nobody answered
_SHOWN_LINES: Final = 400  # of the request, on a terminal; --json has all of it

Document = dict[str, Any]


def connection(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where the control process is, and who asks."""
    for option in (
        json_option,
        click.option(
            "--token-file",
            type=click.Path(path_type=Path),
            help="File with a person's token; else the variable EXTPROC_TOKEN.",
        ),
        click.option("--url", help="The control process's address; else the configuration's."),
        config_option,
    ):
        command = option(command)
    return command


@click.group()
def approvals() -> None:
    """List, show, approve, deny and watch what waits for people."""


@approvals.command("list")
@connection
@click.option("--state", type=click.Choice(_STATES), default="pending", show_default=True)
def list_approvals(path: Path, url: str | None, token_file: Path | None, *, as_json: bool, state: str) -> None:
    """
    List approvals that you may answer, the newest first.

    \b
    --json: {"approvals": [{as in show}]}
    """  # noqa: D301 - click's own mark for a paragraph that stays as it is
    with Client.made(path, url, token_file) as client:
        answer = client.get("/v1/approvals", {} if state == "all" else {"state": state})
    if as_json:
        _write(answer)
        return
    columns = ("approval", "state", "until (UTC)", "resource", "who", "request", "reason")
    console().print(table(columns, map(_line, answer["approvals"])))


@approvals.command()
@click.argument("approval")
@connection
def show(approval: str, path: Path, url: str | None, token_file: Path | None, *, as_json: bool) -> None:
    """
    Show one approval: who asks for what, and under what terms.

    \b
    --json: {id, state, created_at, expires_at, granted_until, required, decided_by,
             justification, digest, whole, resource, summary, reason, rule, revision,
             session, exchange, identity{issuer, subject, actor, claims}, shown,
             terms{approvers, minimum, timeout, grant_seconds, scope, justify}, url}
    """  # noqa: D301
    with Client.made(path, url, token_file) as client:
        answer = client.get(_path(approval))
    if as_json:
        _write(answer)
    else:
        _print(answer)


@approvals.command()
@click.argument("approval")
@connection
@click.option("--justification", default="", help="Why; some terms ask for it.")
@click.option("--yes", is_flag=True, help="Do not ask again. Needed where there is no terminal.")
@click.option("--acknowledge-masked", is_flag=True, help="Approve although parts of it are not shown.")
def approve(
    approval: str,
    path: Path,
    url: str | None,
    token_file: Path | None,
    *,
    as_json: bool,
    justification: str,
    yes: bool,
    acknowledge_masked: bool,
) -> None:
    """Approve what `show` shows: what is approved is what was seen. --json: the approval, as in show."""
    with Client.made(path, url, token_file) as client:
        seen = client.get(_path(approval))
        if not as_json:
            _print(seen)
        if not seen["whole"] and not acknowledge_masked:
            raise click.UsageError("parts of it are not shown; to approve it all the same, add --acknowledge-masked")
        _confirm("Approve", seen, yes=yes)
        said = {"digest": seen["digest"], "justification": justification, "acknowledge_masked": acknowledge_masked}
        _told(client.post(_path(approval) + "/approve", said), as_json=as_json)


@approvals.command()
@click.argument("approval")
@connection
@click.option("--justification", default="", help="Why; kept with the approval.")
@click.option("--yes", is_flag=True, help="Do not ask again. Needed where there is no terminal.")
def deny(
    approval: str,
    path: Path,
    url: str | None,
    token_file: Path | None,
    *,
    as_json: bool,
    justification: str,
    yes: bool,
) -> None:
    """Deny it. One no is enough. --json: the approval, as in show."""
    with Client.made(path, url, token_file) as client:
        seen = client.get(_path(approval))
        if not as_json:
            _print(seen)
        _confirm("Deny", seen, yes=yes)
        said = {"digest": seen["digest"], "justification": justification}
        _told(client.post(_path(approval) + "/deny", said), as_json=as_json)


@approvals.command()
@connection
def watch(path: Path, url: str | None, token_file: Path | None, *, as_json: bool) -> None:
    """Show what waits, and every change from now on, until Ctrl-C. --json: one approval a line, as in show."""
    with Client.made(path, url, token_file) as client, contextlib.suppress(KeyboardInterrupt):
        for change in _changes(client):
            if as_json:
                click.echo(_ascii(change, indent=None))
            else:
                console().print("  ".join(visible(str(part)) for part in (moment(time.time()), *_line(change)) if part))


# --- what it takes


def _changes(client: Client) -> Iterator[Document]:
    """Without end; a control process that starts again is waited for, and nothing is missed."""
    since: int | None = None
    while True:
        try:
            answer = client.get("/v1/events/approvals", {} if since is None else {"since": str(since)})
        except Unreachable:
            if since is None:
                raise
            time.sleep(_PAUSE)
            continue
        since = int(answer["since"])
        yield from answer["approvals"]


def _path(approval: str) -> str:
    """Names that are no names of approvals never become a part of a path."""
    if not (approval.isascii() and approval.replace("-", "").isalnum()):
        raise click.BadParameter("expected an approval's name, like a-0123456789abcdef")
    return f"/v1/approvals/{approval}"


def _confirm(verb: str, seen: Document, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; add --yes")
    if not click.confirm(f"{verb} {visible(str(seen['id']))}?", err=True):
        raise Refused("not answered")


def _told(answer: Document, *, as_json: bool) -> None:
    if as_json:
        _write(answer)
        return
    line = f"{answer['id']} is {answer['state']}"
    if answer["state"] == "pending":
        line += f": {len(answer['decided_by'])} of {answer['required']} people said yes"
    click.echo(visible(line))


def _line(one: Document) -> tuple[str, ...]:
    who = one["identity"]["actor"] or one["identity"]["subject"]
    until = one["granted_until"] or one["expires_at"]
    return one["id"], one["state"], moment(until), one["resource"], who, one["summary"], one["reason"]


def _print(one: Document) -> None:
    out = console()
    for name, value in _head(one):
        out.print(cell(f"{name:<14}", "bold") + cell(value))
    out.print()
    text = json.dumps(one["shown"], indent=2, ensure_ascii=False)
    lines = visible_lines(text).split("\n")
    out.print("\n".join(lines[:_SHOWN_LINES]))
    if len(lines) > _SHOWN_LINES:
        out.print(f"... {len(lines) - _SHOWN_LINES} more lines; --json has all of it")
    out.print()


def _head(one: Document) -> Iterator[tuple[str, object]]:
    terms, identity = one["terms"], one["identity"]
    yield "approval", one["id"]
    yield "state", one["state"] + (f" by {', '.join(one['decided_by'])}" if one["decided_by"] else "")
    yield "request", f"{one['summary']} on {one['resource']}"
    yield "who", f"{identity['subject']} ({identity['actor'] or 'no account named'})"
    yield "issuer", identity["issuer"]
    yield "reason", f"{one['reason']} [{one['rule']}]"
    yield "until (UTC)", moment(one["expires_at"])
    window = f"{terms['grant_seconds']:.0f} s, for everything in scope {terms['scope']}"
    yield "good for", window if terms["grant_seconds"] else "once"
    yield "needs", f"{one['required']} of {', '.join(terms['approvers'])}"
    if terms["justify"]:
        yield "", "a justification"
    if one["justification"]:
        yield "justification", one["justification"]
    yield "session", one["session"]
    yield "digest", one["digest"]
    if not one["whole"]:
        yield "NOT ALL SHOWN", "parts of it are masked, cut or cannot be displayed"


def _write(document: Document) -> None:
    click.echo(_ascii(document, indent=2))


def _ascii(document: Document, *, indent: int | None) -> str:
    """ASCII only: the same JSON, and nothing in it that a terminal obeys."""
    return json.dumps(document, indent=indent).replace("\x7f", "\\u007f")
