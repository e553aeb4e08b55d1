"""
Draws a database connection as psql would have shown it, with what the gateway did as `--` comments.

Recorded text never stands at the beginning of a line: nothing in a value or a statement can pass for a prompt, a note
or an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from rich.cells import cell_len

from extproc.cli.aligned import draw_table
from extproc.cli.show import moment, size, visible, visible_lines
from extproc.model import JSON
from extproc.record.connections import Closed, Opened, Part, Statement
from extproc.record.items import Block, Notification, Parameter, Ready, Report, Result, Suspended, Unread
from extproc.record.replay import Body
from extproc.record.transcript import blocks, decode

_TAG: Final = re.compile(r"[A-Z][A-Z ]*( [0-9]+)*")
_MOST_POINTED: Final = 200  # characters of a line that an error points into
_MOST_PAUSE: Final = 2.0  # seconds
_STATUS: Final = {"I": "=", "T": "=*", "E": "=!"}  # psql's %x in its prompt
# They leave a transaction open: ROLLBACK TO SAVEPOINT, COMMIT AND CHAIN.
_STAYS: Final = re.compile(r"rollback\s+((work|transaction)\s+)?to\b|\band\s+chain\b", re.IGNORECASE)
_ENDS: Final = {
    "prepared": "prepared, not run yet", "suspended": "its portal was closed before the last row",
    "failed": "did not run: what was sent before it failed",
}  # fmt: skip


class Line(NamedTuple):
    """A line, safe for a terminal, and its style."""

    text: str
    style: str = ""


def transcript(
    session: str,
    connections: Iterable[tuple[int, Iterable[Part]]],
    *,
    most: int | None,
    pause: Callable[[float], None] | None = None,
) -> Iterator[Line]:
    """
    The lines of connections (number and parts), one after the other. `pause` is called for the time that passed
    (seconds, bounded).
    """
    for number, parts in connections:
        drawer, last = Transcript(session, most), 0.0
        for at, part in enumerate(parts):
            if at == 0 and not isinstance(part, Opened):
                which = (
                    f"connection {number}, opened in an earlier one" if number else "statements of no known connection"
                )
                yield _note(f"session {session}: {which}")
            match part:
                case Opened():
                    last = part.time
                    yield from drawer.opened(part)
                case Closed():
                    yield from drawer.closed(part)
                case Statement(exchange):
                    if pause is not None:
                        pause(min(max(exchange.began - last, 0.0), _MOST_PAUSE) if last else 0.0)
                    yield from drawer.asked(part)
                    if pause is not None:
                        pause(min(exchange.ended - exchange.began, _MOST_PAUSE))
                    last = exchange.ended
                    yield from drawer.answered(part)
        yield Line("")


def drawn(data: bytes, *, most: int = 100) -> Iterator[Line]:
    """Backend messages by themselves."""
    for block in blocks(decode(data), most=most):
        yield from draw(block, {})


class Transcript:
    """Gives the lines of one connection, part by part. `most` bounds the rows of each result; None shows all."""

    def __init__(self, session: str, most: int | None) -> None:
        self._session = session
        self._most = most
        self._database = ""
        self._status = "="

    def opened(self, part: Opened) -> Iterator[Line]:
        about = part.about
        self._database, self._status = visible(str(about.get("database", ""))), "="
        identity = about.get("identity")
        yield _note(f"connection {about.get('number', '?')} ({part.connection}) of session {self._session}")
        if isinstance(identity, dict):
            claims = identity.get("claims")
            actor = claims.get("actor") if isinstance(claims, dict) else None
            yield _note(f"by {identity.get('subject', '')}" + (f" ({actor})" if actor else ""))
        user, source = about.get("user"), about.get("source")
        told = [f"{about.get('database', '')} as {user}" if user else about.get("database")]
        told += [about.get("application_name"), about.get("tls") or "without TLS"]
        told += [f"from {source.get('address', '?')}"] if isinstance(source, dict) else []
        yield _note(", ".join(str(one) for one in told if one) + f", at {moment(part.time)} UTC")

    def asked(self, statement: Statement) -> Iterator[Line]:
        """The statement, as it is typed."""
        prompt = f"{self._database}{self._status}> "
        yield Line("")
        for line in visible_lines(statement.text.replace("\r\n", "\n").rstrip("\n")).split("\n"):
            yield Line(prompt + line, "bold")
            prompt = f"{self._database}{self._status.replace('=', '-')}> "
        if statement.parameters:
            told = (f"${n} = {_literal(value)}" for n, value in enumerate(statement.parameters, 1))
            yield _note("with " + ", ".join(told))
        yield from _holds(statement)

    def answered(self, statement: Statement) -> Iterator[Line]:
        """What came back, and how it ended."""
        exchange, closed = statement.exchange, statement.exchange.closed
        if exchange.request_body is not None:
            yield from _copied(exchange.request_body)
        for block in statement.blocks(most=self._most):
            self._follow(block, statement.text)
            yield from draw(block, closed, statement.text)
        if exchange.refused:
            yield from _refused(exchange.refused)
        yield from _unrecorded(exchange.response_body, closed)
        masked = closed.get("masked")
        if isinstance(masked, dict) and masked:
            yield _note("masked: " + ", ".join(f"{name} {count}" for name, count in masked.items()))
        if not exchange.outcome:
            yield _note("its end is not recorded: it goes on, or its worker was killed")
        elif exchange.outcome in _ENDS:
            yield _note(_ENDS[exchange.outcome])
        elif exchange.outcome != "released" and not exchange.refused:
            yield _note(f"ended early: {exchange.outcome}", "red")
        for problem in exchange.problems:
            yield _note(f"problem: {problem}", "red")
        if isinstance(closed.get("duration_ms"), int | float):
            yield Line(f"Time: {closed['duration_ms']:.3f} ms", "dim")

    def _follow(self, block: Block, statement: str) -> None:
        """The transaction's state, as far as tags and errors tell it: ReadyForQuery is of no single statement."""
        if isinstance(block, Ready):
            self._status = _STATUS.get(block.status, self._status)
        elif isinstance(block, Report) and block.error and self._status == "=*":
            self._status = "=!"
        elif isinstance(block, Result) and block.command in ("BEGIN", "START TRANSACTION"):
            self._status = "=*"
        elif isinstance(block, Result) and block.command in ("COMMIT", "ROLLBACK", "PREPARE TRANSACTION"):
            self._status = "=*" if _STAYS.search(statement) else "="

    def closed(self, part: Closed) -> Iterator[Line]:
        about = part.about
        yield Line("")
        told = f"{about.get('statements', '?')} statements, {about.get('outcome', '?')}"
        yield _note(f"{told} after {about.get('duration_ms', '?')} ms, at {moment(part.time)} UTC")


def draw(block: Block, closed: Mapping[str, JSON], statement: str = "") -> Iterator[Line]:
    """
    One block. `closed` knows how many rows there were where the record ends before they do; errors point into
    `statement`.
    """
    match block:
        case Result():
            yield from _result(block, closed)
        case Report():
            yield from _report(block, statement)
        case Notification(pid, channel, payload):
            about = f' with payload "{visible(payload)}"' if payload else ""
            told = f'Asynchronous notification "{visible(channel)}"{about} received from server process with PID {pid}.'
            yield Line(told)
        case Parameter(name, value):
            yield _note(f"the server reports {name} = {value}")
        case Suspended():
            yield _note("the portal stopped at its limit of rows")
        case Unread(what):
            yield _note(what, "red")
        case Ready():
            pass


def _result(result: Result, closed: Mapping[str, JSON]) -> Iterator[Line]:
    yield from _indented(bytes(result.copy))
    if result.copied < result.sent:
        yield _note(f"{result.copied} of {result.sent} lines are shown; --rows shows more")
    drawn_as_table = bool(result.columns or result.rows)
    if drawn_as_table:
        count = result.count if result.command else max(result.count, _number(closed.get("rows")))
        yield from (Line(line) for line in draw_table(result.columns, result.rows, count))
        if len(result.rows) < result.count:
            yield _note(f"{len(result.rows)} of {result.count} rows are shown; --rows shows more")
    if result.command and not (drawn_as_table and result.command.startswith(("SELECT", "FETCH", "SHOW", "EXPLAIN"))):
        # An upstream gone bad may say anything here, and it would stand at the beginning of a line.
        yield Line(result.command) if _TAG.fullmatch(result.command) else _note(f"command tag: {result.command}")


def _report(report: Report, statement: str) -> Iterator[Line]:
    style = "red" if report.error else "yellow"
    fields = report.fields
    severity = report.severity if report.severity.isalpha() else "ERROR" if report.error else "NOTICE"
    code = f"{fields['C']}: " if report.error and "C" in fields else ""
    yield Line(_hanging(f"{severity}:  {code}{fields.get('M', '')}"), style)
    for line in _pointer(fields.get("P", ""), statement):
        yield Line(line, style)
    for letter, name in (("D", "DETAIL"), ("H", "HINT"), ("W", "CONTEXT" if report.error else "")):
        if letter in fields and name:
            yield Line(_hanging(f"{name}:  {fields[letter]}"), style)


def _pointer(position: str, statement: str) -> Iterator[str]:
    """The line of the statement that an error is in, with a mark below; `position` counts characters from 1."""
    if not (position.isascii() and position.isdigit() and 0 < int(position[:9]) <= len(statement) + 1):
        return
    before = statement[: int(position) - 1].split("\n")
    line = statement.split("\n")[len(before) - 1]
    if len(line) <= _MOST_POINTED:
        label = f"LINE {len(before)}: "
        yield label + visible(line)
        yield " " * cell_len(label + visible(before[-1])) + "^"


def _holds(statement: Statement) -> Iterator[Line]:
    began = statement.exchange.began
    for hold in statement.exchange.holds:
        people = hold.get("by")
        by = " by " + ", ".join(map(str, people)) if isinstance(people, list) and people else ""
        if hold.get("kind") == "hold.opened":
            began = float(hold["time"])
            yield _note(f"held for approval {hold.get('approval', '')}: {hold.get('state', '')}", "yellow")
        else:
            yield _note(f"{hold.get('state', '')}{by} after {float(hold['time']) - began:.1f} s", "yellow")


def _refused(refused: Mapping[str, JSON]) -> Iterator[Line]:
    rule = f", rule {refused['rule']}" if refused.get("rule") else ""
    yield _note(f"refused: {refused.get('code', '')}{rule}: {refused.get('reason', '')}", "red")


def _copied(body: Body) -> Iterator[Line]:
    """Data of COPY FROM STDIN."""
    yield from _indented(body.data)
    if body.size > len(body.data):
        yield _note(f"sent: {size(body.size)}, recorded: {size(len(body.data))}")


def _unrecorded(body: Body | None, closed: Mapping[str, JSON]) -> Iterator[Line]:
    if body is None or (body.complete and not body.truncated):
        return
    told = f"{size(len(body.data))} of {size(body.size)} are recorded"
    command = closed.get("command")
    yield _note(told + (f"; {command}" if command else ""))


def _indented(data: bytes) -> Iterator[Line]:
    text = visible_lines(data.decode("utf-8", "backslashreplace").removesuffix("\n"))
    yield from (Line("  | " + line) for line in text.split("\n") if data)


def _hanging(text: str) -> str:
    return "\n          ".join(visible(line) for line in text.split("\n"))


def _literal(value: JSON) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, dict):
        return f"(base64) {value.get('base64', '')}"
    return "'" + str(value).replace("'", "''") + "'"


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else 0


def _note(text: str, style: str = "dim") -> Line:
    return Line("-- " + visible(text), style)
