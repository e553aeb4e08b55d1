"""`extproc sessions`: what was recorded, read from the segments themselves."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from extproc.cli.options import config_option, json_option
from extproc.cli.show import cell, console, moment, size, table, visible, visible_lines
from extproc.model import JSON
from extproc.record.index import ExchangeRow, Index, SessionRow
from extproc.record.replay import Body, Exchange
from extproc.record.replay import replay as replay_session
from extproc.record.verify import Report
from extproc.record.verify import verify as verify_logs

session_argument = click.argument("session")


@click.group()
def sessions() -> None:
    """List, show, replay and verify what was recorded."""


@sessions.command("list")
@config_option
@json_option
@click.option("--resource", help="Only sessions on this resource.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
def list_sessions(path: Path, *, as_json: bool, resource: str | None, limit: int) -> None:
    """
    List sessions, the latest first. "-" holds what was refused before there was a session.

    \b
    --json: {"sessions": [{session, issuer, subject, actor, resource, first, last,
             requests, refused, held, bytes_out}]}; times in epoch seconds.
    """  # noqa: D301 - click's own mark for a paragraph that stays as it is
    with _opened(path) as (_, index):
        rows = index.sessions(resource=resource, limit=limit)
    if as_json:
        _write({"sessions": [row.document() for row in rows]})
        return
    columns = ("session", "who", "resource", "first (UTC)", "last (UTC)", "requests", "refused", "held", "bytes")
    lines = [(row.session, _who(row), row.resource, moment(row.first), moment(row.last), *_counts(row)) for row in rows]
    console().print(table(columns, lines, right=columns[-4:]))


@sessions.command()
@session_argument
@config_option
@json_option
def show(session: str, path: Path, *, as_json: bool) -> None:
    """
    Show a session and its exchanges.

    \b
    --json: {"session": {as in list}, "exchanges": [{session, exchange, first, last,
             summary, action, outcome, status, held, bytes_in, bytes_out}]}
    """  # noqa: D301
    with _opened(path) as (_, index):
        row = _find(index, session)
        exchanges = index.exchanges(session)
    if as_json:
        _write({"session": row.document(), "exchanges": [exchange.document() for exchange in exchanges]})
        return
    out = console()
    _print_head(out, row)
    columns = ("exchange", "at (UTC)", "request", "policy", "held", "outcome", "status", "in", "out")
    out.print(table(columns, map(_line, exchanges), right=("status", "in", "out")))


@sessions.command()
@session_argument
@config_option
@json_option
@click.option("--exchange", help="Only this exchange.")
@click.option("--bodies", is_flag=True, help="With the bodies, as far as they were recorded.")
def replay(session: str, path: Path, *, as_json: bool, exchange: str | None, bodies: bool) -> None:
    """
    Show a session as it was released.

    \b
    --json: {"session": ID, "exchanges": [{session, exchange, began, ended, summary,
             outcome, released, attempt, holds, refused, response, closed, problems}]}
    with --bodies also request_body and response_body: null or {media_type, size,
    recorded, truncated, complete, hmac, and text or base64}.
    """  # noqa: D301
    with _opened(path) as (records, index):
        _find(index, session)
        exchanges = replay_session(records, index, session, exchange)
    if exchange is not None and not exchanges:
        raise click.BadParameter(f"session {visible(session)} has no exchange {visible(exchange)}")
    if as_json:
        _write({"session": session, "exchanges": [e.document(bodies=bodies) for e in exchanges]})
        return
    out = console()
    for one in exchanges:
        _print_exchange(out, one, bodies=bodies)


@sessions.command()
@click.argument("session", required=False)
@config_option
@json_option
def verify(session: str | None, path: Path, *, as_json: bool) -> None:
    """
    Verify the hash chain of all logs, or of those that hold SESSION. Exit code 1 on any problem.

    \b
    --json: {"ok": bool, "logs", "segments", "events", "lost": counts,
             "problems", "torn": [{file, offset, what}]}
    """  # noqa: D301
    with _opened(path, update=False) as (records, index):
        heads = index.heads()  # as they were: an update would take a changed end of a log for granted
        index.update()
        logs = None
        if session is not None:
            _find(index, session)
            logs = {span.log for span in index.spans(session)}
            heads = {log: head for log, head in heads.items() if log in logs}
        report = verify_logs(records, heads=heads, logs=logs)
        known = [p for p in index.problems() if logs is None or p.file.rpartition("-")[0] in logs]
    report.problems = list(dict.fromkeys([*report.problems, *known]))
    if as_json:
        _write(report.document())
    else:
        _print_report(report)
    sys.exit(1 if report.problems else 0)


@contextmanager
def _opened(path: Path, *, update: bool = True) -> Iterator[tuple[Path, Index]]:
    """The folder of the records, and their index. What cannot be read ends the command with exit code 1."""
    from extproc.config import load  # noqa: PLC0415 - only when a command runs

    state = load(path).state_dir
    try:
        index = Index(state / "index.db", state / "records")
        try:
            if update:
                index.update()
            yield state / "records", index
        finally:
            index.close()
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"the records cannot be read: {visible(str(error))}") from None


def _find(index: Index, session: str) -> SessionRow:
    row = index.session(session)
    if row is None:
        raise click.BadParameter(f"there is no session {visible(session)}; `extproc sessions list` names them")
    return row


def _write(document: dict[str, JSON]) -> None:
    """ASCII only: the same JSON, and nothing in it that a terminal obeys."""
    click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))


def _who(row: SessionRow) -> str:
    return f"{row.subject} ({row.actor})" if row.actor else row.subject


def _counts(row: SessionRow) -> tuple[object, ...]:
    return row.requests, row.refused, row.held, size(row.bytes_out)


def _line(row: ExchangeRow) -> tuple[object, ...]:
    held, outcome = "yes" if row.held else "", row.outcome or "…"
    traffic = row.status or "", size(row.bytes_in), size(row.bytes_out)
    return row.exchange, moment(row.first), row.summary, row.action, held, outcome, *traffic


def _print_head(out: Console, row: SessionRow) -> None:
    lines = [
        ("session", row.session),
        ("who", _who(row)),
        ("issuer", row.issuer),
        ("resource", row.resource),
        ("time (UTC)", f"{moment(row.first)} to {moment(row.last)}"),
        ("requests", f"{row.requests}, {row.refused} refused, {row.held} held, {size(row.bytes_out)} out"),
    ]
    for name, value in lines:
        out.print(Text(f"{name:<11}", style="bold") + cell(value))
    out.print()


def _print_exchange(out: Console, exchange: Exchange, *, bodies: bool) -> None:
    out.print(
        cell(moment(exchange.began)) + "  " + cell(exchange.summary, "bold") + "  " + cell(exchange.exchange, "dim")
    )
    for name, value in _steps(exchange):
        out.print(Text(f"  {name:<14}", style="dim") + cell(value))
    if bodies:
        for name, body in (("request", exchange.request_body), ("response", exchange.response_body)):
            if body is not None:
                _print_body(out, name, body)
    for problem in exchange.problems:
        out.print(cell(f"  problem   {problem}", "red"))
    out.print()


def _steps(exchange: Exchange) -> Iterator[tuple[str, str]]:
    decision = exchange.attempt.get("decision")
    if isinstance(decision, dict):
        parts = [str(decision.get(name) or "") for name in ("action", "rule", "reason")]
        yield "policy", " · ".join(part for part in parts if part)
    for hold in exchange.holds:
        by = ", ".join(str(person) for person in hold.get("by") or [])
        yield str(hold["kind"]), f"{hold.get('approval', '')} {hold.get('state', '')}" + (f" by {by}" if by else "")
    if exchange.refused:
        refused = exchange.refused
        yield "refused", f"{refused.get('status', '')} {refused.get('code', '')}: {refused.get('reason', '')}"
    if exchange.response:
        yield "response", str(exchange.response.get("status", ""))
    if exchange.closed:
        closed = exchange.closed
        masked = ", ".join(f"{name} {count}" for name, count in dict(closed.get("masked") or {}).items())
        told = f"{exchange.outcome}, {size(int(closed.get('bytes_out') or 0))} in {closed.get('duration_ms', '?')} ms"
        yield "closed", told + (f", masked: {masked}" if masked else "")


def _print_body(out: Console, name: str, body: Body) -> None:
    cut = ", not whole" if body.truncated or not body.complete else ""
    out.print(cell(f"  {name} body: {body.media_type or 'no media type'}, {size(body.size)}{cut}", "dim"))
    if not body.data:
        return
    text = visible_lines(body.data.decode("utf-8", "backslashreplace"))
    out.print(Text("\n".join("  | " + line for line in text.split("\n"))))


def _print_report(report: Report) -> None:
    out = console()
    for problem in report.problems:
        out.print(cell(f"problem  {problem.file} at byte {problem.offset}: {problem.what}", "red"))
    for torn in report.torn:
        out.print(cell(f"torn     {torn.file} at byte {torn.offset}: {torn.what}", "yellow"))
    if report.lost:
        out.print(
            cell(f"lost     {report.lost} events that could not be written; nothing was released for them", "yellow")
        )
    verdict = "PROBLEMS" if report.problems else "ok"
    out.print(cell(f"{verdict}: {report.events} events in {report.segments} segments of {report.logs} logs"))
