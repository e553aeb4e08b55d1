"""`extproc sessions`: what was recorded, read from the segments themselves."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.text import Text

from extproc.cli.options import config_option, json_option
from extproc.cli.records import (
    print_connections,
    print_exchange,
    print_exchanges,
    print_head,
    print_report,
    print_sessions,
    print_statements,
)
from extproc.cli.show import console, visible
from extproc.cli.transcript import transcript
from extproc.model import JSON
from extproc.record.connections import read_connection, whole_connection
from extproc.record.index import Index, SessionRow
from extproc.record.replay import replay as replay_session
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
             requests, refused, held, bytes_out, connections, rows}]}; times in epoch
             seconds. A SQL statement is a request.
    """  # noqa: D301 - click's own mark for a paragraph that stays as it is
    with _opened(path) as (_, index):
        rows = index.sessions(resource=resource, limit=limit)
    if as_json:
        _write({"sessions": [row.document() for row in rows]})
        return
    print_sessions(console(), rows)


@sessions.command()
@session_argument
@config_option
@json_option
def show(session: str, path: Path, *, as_json: bool) -> None:
    """
    Show a session and its exchanges.

    \b
    --json: {"session": {as in list}, "exchanges": [{session, exchange, first, last,
             summary, action, outcome, status, held, bytes_in, bytes_out, rows,
             connection, sqlstate}], "connections": [{number, connection, first, last,
             summary, outcome, statements, rows, bytes_out}]}
    """  # noqa: D301
    with _opened(path) as (_, index):
        row = _find(index, session)
        exchanges, connections = index.exchanges(session), index.connections(session)
    if as_json:
        shown = {"exchanges": [one.document() for one in exchanges]}
        _write({"session": row.document(), **shown, "connections": [one.document() for one in connections]})
        return
    out = console()
    print_head(out, row)
    if connections:
        print_connections(out, connections)
        print_statements(out, exchanges)
    else:
        print_exchanges(out, exchanges)


@sessions.command()
@session_argument
@config_option
@json_option
@click.option("--exchange", help="Only this exchange, with all that was decided about it.")
@click.option("--bodies", is_flag=True, help="With the bodies, as far as they were recorded.")
@click.option("--connection", type=click.IntRange(min=1), help="SQL: only the connection with this number.")
@click.option("--rows", type=click.IntRange(min=0), help="SQL: at most so many rows of a result.  [default: 100]")
@click.option("--play", is_flag=True, help="SQL: with the pauses that there were, up to two seconds each.")
def replay(
    session: str,
    path: Path,
    *,
    as_json: bool,
    exchange: str | None,
    bodies: bool,
    connection: int | None,
    rows: int | None,
    play: bool,
) -> None:
    """
    Show a session as it was released; SQL as psql would have shown it.

    \b
    --json: {"session": ID, "exchanges": [{session, exchange, began, ended, summary,
             outcome, released, attempt, holds, refused, response, closed, problems}]}
    with --bodies also request_body and response_body: null or {media_type, size,
    recorded, truncated, complete, hmac, and text or base64}.

    \b
    --json of SQL: {"session": ID, "connections": [{session, number, connection,
             opened, statements, closed}]} with a statement as {exchange, number,
             began, protocol, statement, parameters, decision, hold, released,
             refused, columns, rows, command, copy, more, copied, row_count, whole,
             error, notices, outcome, sqlstate, duration_ms, masked, problems}.
    Rows are lists of text or null, all that were recorded unless --rows bounds
    them. "more" has further results of the same text: {columns, rows, command, copy}.
    """  # noqa: D301
    with _opened(path) as (records, index):
        row = _find(index, session)
        if exchange is None and (row.connections or connection is not None):
            _replay_sql(records, index, session, connection, as_json=as_json, rows=rows, play=play)
            return
        exchanges = replay_session(records, index, session, exchange)
    if exchange is not None and not exchanges:
        raise click.BadParameter(f"session {visible(session)} has no exchange {visible(exchange)}")
    if as_json:
        _write({"session": session, "exchanges": [e.document(bodies=bodies) for e in exchanges]})
        return
    for one in exchanges:
        print_exchange(console(), one, bodies=bodies)


@sessions.command()
@session_argument
@config_option
@click.option("--format", "form", type=click.Choice(["sql"]), default="sql", show_default=True)
@click.option("--connection", type=click.IntRange(min=1), help="Only the connection with this number.")
def export(session: str, path: Path, *, form: str, connection: int | None) -> None:  # noqa: ARG001 - one so far
    """Write the transcript of a SQL session as text, with every recorded row."""
    with _opened(path) as (records, index):
        _find(index, session)
        numbers = _numbers(index, session, connection)
        parts = ((number, read_connection(records, index, session, number)) for number in numbers)
        for line in transcript(session, parts, most=None):
            click.echo(line.text)


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
        print_report(console(), report)
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
    except BrokenPipeError:
        raise  # of who reads what is printed, not of the records
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"the records cannot be read: {visible(str(error))}") from None


def _find(index: Index, session: str) -> SessionRow:
    row = index.session(session)
    if row is None:
        raise click.BadParameter(f"there is no session {visible(session)}; `extproc sessions list` names them")
    return row


def _numbers(index: Index, session: str, wanted: int | None) -> list[int]:
    """The connections to show; 0 stands for what belongs to no known one."""
    numbers = [row.number for row in index.connections(session)]
    if wanted is None and numbers:
        return numbers
    if wanted not in numbers:
        which = "connection" if wanted is None else f"connection {wanted}"
        raise click.BadParameter(f"session {visible(session)} has no {which}")
    return [number for number in numbers if number == wanted]


def _replay_sql(
    records: Path,
    index: Index,
    session: str,
    connection: int | None,
    *,
    as_json: bool,
    rows: int | None,
    play: bool,
) -> None:
    numbers = _numbers(index, session, connection)
    if as_json:
        whole = (whole_connection(records, index, session, number) for number in numbers)
        _write({"session": session, "connections": [one.document(most=rows) for one in whole]})
        return
    out = console()
    parts = ((number, read_connection(records, index, session, number)) for number in numbers)
    most, pause = 100 if rows is None else rows, time.sleep if play else None
    for line in transcript(session, parts, most=most, pause=pause):
        out.print(Text(line.text, style=line.style))


def _write(document: dict[str, JSON]) -> None:
    """ASCII only: the same JSON, and nothing in it that a terminal obeys."""
    click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
