"""How sessions, exchanges and the result of a verification are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from extproc.cli.show import cell, moment, size, table, visible_lines
from extproc.cli.transcript import drawn
from extproc.record.bodies import BACKEND
from extproc.record.index import ConnectionRow, ExchangeRow, SessionRow
from extproc.record.replay import Body, Exchange
from extproc.record.verify import Report


def print_sessions(out: Console, rows: Sequence[SessionRow]) -> None:
    numbers = ("requests", "refused", "held", "rows", "bytes")
    lines = [(row.session, _who(row), row.resource, moment(row.first), moment(row.last), *_counts(row)) for row in rows]
    out.print(table(("session", "who", "resource", "first (UTC)", "last (UTC)", *numbers), lines, right=numbers))


def print_connections(out: Console, rows: Sequence[ConnectionRow]) -> None:
    columns = ("connection", "from (UTC)", "to (UTC)", "database", "outcome", "statements", "rows", "out")
    out.print(table(columns, map(_connection_line, rows), right=("connection", *columns[-3:])))
    out.print()


def print_statements(out: Console, rows: Sequence[ExchangeRow]) -> None:
    columns = ("exchange", "at (UTC)", "connection", "statement", "policy", "held", "outcome", "rows", "out")
    out.print(table(columns, map(_statement_line, rows), right=("connection", *columns[-2:])))


def print_exchanges(out: Console, rows: Sequence[ExchangeRow]) -> None:
    columns = ("exchange", "at (UTC)", "request", "policy", "held", "outcome", "status", "in", "out")
    out.print(table(columns, map(_line, rows), right=columns[-3:]))


def _who(row: SessionRow) -> str:
    return f"{row.subject} ({row.actor})" if row.actor else row.subject


def _counts(row: SessionRow) -> tuple[object, ...]:
    return row.requests, row.refused, row.held, row.rows or "", size(row.bytes_out)


def _line(row: ExchangeRow) -> tuple[object, ...]:
    held, outcome = "yes" if row.held else "", row.outcome or "…"
    traffic = row.status or "", size(row.bytes_in), size(row.bytes_out)
    return row.exchange, moment(row.first), row.summary, row.action, held, outcome, *traffic


def _connection_line(row: ConnectionRow) -> tuple[object, ...]:
    traffic = row.statements, row.rows, size(row.bytes_out)
    outcome = row.outcome or ("…" if row.connection else "")
    return row.number or "?", moment(row.first), moment(row.last), row.summary, outcome, *traffic


def _statement_line(row: ExchangeRow) -> tuple[object, ...]:
    held, outcome = "yes" if row.held else "", " ".join((row.outcome or "…", row.sqlstate)).rstrip()
    about = row.exchange, moment(row.first), row.connection or "?", row.summary, row.action
    return *about, held, outcome, row.rows, size(row.bytes_out)


def print_head(out: Console, row: SessionRow) -> None:
    what, rows = "requests", ""
    if row.connections:
        what, rows = f"statements on {row.connections} connections", f"{row.rows} rows, "
    lines = [
        ("session", row.session),
        ("who", _who(row)),
        ("issuer", row.issuer),
        ("resource", row.resource),
        ("time (UTC)", f"{moment(row.first)} to {moment(row.last)}"),
        ("asked", f"{row.requests} {what}, {row.refused} refused, {row.held} held, {rows}{size(row.bytes_out)} out"),
    ]
    for name, value in lines:
        out.print(Text(f"{name:<11}", style="bold") + cell(value))
    out.print()


def print_exchange(out: Console, exchange: Exchange, *, bodies: bool) -> None:
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
    if "status" in exchange.response:
        yield "response", str(exchange.response["status"])
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
    if body.media_type == BACKEND:
        for line in drawn(body.data):
            out.print(Text("  | " + line.text, style=line.style))
        return
    text = visible_lines(body.data.decode("utf-8", "backslashreplace"))
    out.print(Text("\n".join("  | " + line for line in text.split("\n"))))


def print_report(out: Console, report: Report) -> None:
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
