"""The way back of one statement (or one query string): rows masked, counted, recorded, let go."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Iterator
from typing import Any, Final

from extproc.errors import Refusal
from extproc.lane import Lane, recorded
from extproc.model import JSON
from extproc.pipeline import Permit, Release, Services, on_response
from extproc.postgres import wire
from extproc.postgres.backend import Rows
from extproc.postgres.catalog import Catalog
from extproc.postgres.link import Link, Steps, masked, of_server
from extproc.postgres.masking.masks import RecordMask, RowFilter, copy_filter
from extproc.postgres.operation import SqlOperation
from extproc.postgres.plan import Field, strategies
from extproc.postgres.reading import Reading
from extproc.postgres.sql.model import OutputColumn, Step
from extproc.postgres.terms import columns_of, masks_of, terms_of
from extproc.postgres.wire import Reader
from extproc.record.bodies import BACKEND
from extproc.waits import Durable

_SHORT: Final = 4096  # bytes of a description that is worth remembering
_RESERVE: Final = 1024 * 1024  # bytes that are counted together where no limit asks for more care


def fields_of(body: bytes) -> tuple[Field, ...]:
    """RowDescription. Raises `ServerGone` where it is none."""
    return _fields_again(body) if len(body) <= _SHORT else _fields(body)


@of_server()
def _fields(body: bytes) -> tuple[Field, ...]:
    reader = Reader(body)
    found = []
    for _ in range(reader.count()):
        name = reader.string().decode("utf-8", "replace")
        table, number, kind = reader.uint32(), reader.int16(), reader.uint32()
        reader.take(6)  # the type's size and modifier
        found.append(Field(name, table, number, kind, reader.int16() == 1))
    reader.end()
    return tuple(found)


_fields_again = functools.lru_cache(1024)(_fields)  # statements come again, and so do descriptions of their results


class Answer:
    """
    Nothing comes back but through `open` (which asks for the release) and then `rows` or `message`.

    Its record ends with `finish`, or with `abandon` where the statement does not come to its end.
    """

    def __init__(
        self, permit: Permit, operation: SqlOperation, services: Services, link: Link, reading: Reading
    ) -> None:
        self.permit = permit
        self.failed = False
        self._operation = operation
        self._services = services
        self._link = link
        self._reading = reading
        self._release: Release | None = None
        self._lane: Lane | None = None
        self._filter: RowFilter | None = None
        self._touched = terms_of(operation.analysis, permit.decision.redact).touched
        self._masked: dict[str, int] = {}
        self._rows = 0
        self._bytes_in = 0
        self._reserved_rows = 0
        self._unreserved = 0
        self._began = self._services.clock()
        self._command = ""
        self._sqlstate = ""
        self._closed = False

    # --- what opens the way back

    @property
    def described(self) -> bool:
        """It is known what rows come."""
        return self._filter is not None

    def open(self, fields: tuple[Field, ...], step: Step | None) -> Steps:
        """Rows of this shape come next. Raises `Refusal` where they may not, or cannot be masked."""
        analysis = self._operation.analysis
        release = yield from self._released(columns_of(analysis, fields, self._reading.catalog))
        masks = masks_of(terms_of(analysis, release.rules), step, fields, self._reading, self._services.mask_key)
        self._use(masks.fresh())

    def open_copy(self, step: Step | None) -> Steps:
        """CopyOutResponse: lines come next."""
        output = step.output if step is not None and step.output_sure else None
        names = [column.name for column in output or ()]
        columns: list[JSON] = [{"name": name, "type": ""} for name in names]
        release = yield from self._released(columns)
        rules = terms_of(self._operation.analysis, release.rules).columns
        catalog = self._reading.catalog
        fields = [Field(one.name, 0, 0, _type_of(one, catalog), binary=False) for one in output or ()]
        if rules and output is None:
            raise Refusal("response_unmaskable", "the columns that are copied out are not known")
        plan = strategies(rules, output, fields, self._reading.origins_of)
        shape = step.copy if step is not None else None
        self._use(copy_filter(plan, fields, release.rules, shape, self._services.mask_key, types=catalog.types))

    def open_empty(self) -> Steps:
        """No rows come: a command's tag, an error."""
        if self._release is None:
            yield from self._released([])

    def _released(self, columns: list[JSON]) -> Generator[Any, Any, Release]:
        response: dict[str, JSON] = {"columns": columns}
        release = yield from on_response(self.permit, {"response": response}, response, self._services)
        before, self._release = self._release, release
        if before is not None and _terms(before) != _terms(release):
            raise Refusal("policy_unmet", "policy has other terms for a further result of the same statement")
        self._touched = self._touched or terms_of(self._operation.analysis, release.rules).touched
        if self._lane is None:
            self._lane = self._open_lane(release)
        return release

    def _open_lane(self, release: Release) -> Lane:
        kind = BACKEND.encode()
        sink = recorded(self.permit, "response.body", self._services, media_type=kind, level=release.level)
        filters = [RecordMask()] if release.level == "redacted" else []
        limit = release.limits.response_bytes
        return Lane([], sink, record_filters=filters, reserve=self._reserve, limit=limit)

    def _use(self, found: RowFilter) -> None:
        """A query string may give several results, each with masks of its own."""
        for name, count in (self._filter.counts if self._filter else {}).items():
            self._masked[name] = self._masked.get(name, 0) + count
        self._filter = found

    # --- what goes back

    def rows(self, rows: Rows) -> Steps:
        """Rows or copied lines, up to policy's limit. Raises `Refusal`."""
        if self._release is None or self._filter is None:
            raise Refusal("protocol_error", "rows came before their description")
        most = self._release.limits.rows
        over = most is not None and self._rows + len(rows.ends) > most
        if over and most is not None:
            rows = rows.first(most - self._rows)
        if rows.ends:
            with _readable():
                data = self._filter.feed(rows)
            self._rows += len(rows.ends)
            yield from self._through(data)
        if over:
            raise Refusal("limit_exceeded", f"policy allows {most} rows of this result")

    def message(self, kind: bytes, body: bytes) -> Steps:
        """Any other message of the server's that a statement may cause, errors and notices included."""
        yield from self.open_empty()
        if kind in b"EN":
            if kind == b"E":
                self._sqlstate, self.failed = wire.sqlstate_of(body), True
            if self._release is not None and self._release.rules:
                body = masked(body, touched=self._touched)
        elif kind == b"C":
            self._command = body.rstrip(b"\0").decode("ascii", "replace")
        elif kind == b"c" and self._filter is not None:
            with _readable():
                self._filter.end()
        yield from self._through(wire.message(kind, body))

    def _through(self, data: bytes) -> Steps:
        if self._lane is None:
            raise Refusal("protocol_error")
        for step in self._lane.push(data, end=False) if data else ():
            if isinstance(step, bytes):
                self._link.say(step)
            else:
                yield step
        yield from self._link.relieve()

    def took(self, count: int) -> None:
        """Bytes that the client sent with it (COPY FROM STDIN)."""
        self._bytes_in += count

    def _reserve(self, count: int) -> None:
        """Counted before they are released: one by one under a limit, else by the megabyte."""
        limit = self._release.limits.session_bytes if self._release else None
        self._unreserved += count
        if limit is None:
            if self._unreserved >= _RESERVE:
                self._count()
        elif self._services.sessions.reserve(self.permit.session, **self._uncounted())[0] > limit:
            raise Refusal("limit_exceeded", "the session's limit of bytes is used up")

    def _count(self) -> None:
        self._services.sessions.count(self.permit.session, **self._uncounted())

    def _uncounted(self) -> dict[str, int]:
        size, self._unreserved = self._unreserved, 0
        rows, self._reserved_rows = self._rows - self._reserved_rows, self._rows
        return {"size": size, "rows": rows}

    # --- its end

    def finish(self, outcome: str = "released") -> Steps:
        """The closing record, durable before the last bytes go."""
        if not self._closed:
            yield Durable(self._record_end(outcome))

    def refuse(self, refusal: Refusal) -> Steps:
        """What comes back may not be let go: the record says why."""
        self.failed = True
        refusal.session = refusal.session or self.permit.session.id
        self._services.meter.refused(self.permit.resource.name, refusal.code.name)
        try:
            yield from self.finish(refusal.code.name)
        except Refusal as again:
            self._services.meter.refused(self.permit.resource.name, again.code.name)

    def abandon(self, outcome: str) -> None:
        """Never waits, never raises."""
        if self._closed:
            return
        try:
            self._record_end(outcome)
        except Refusal as refusal:
            self._services.meter.refused(self.permit.resource.name, refusal.code.name)

    def _record_end(self, outcome: str) -> int:
        self._closed = True
        if self._lane is not None:
            self._lane.close()
        if self._unreserved:
            self._count()
        for name, count in (self._filter.counts if self._filter else {}).items():
            self._masked[name] = self._masked.get(name, 0) + count
        payload: dict[str, JSON] = {
            "outcome": outcome,
            "rows": self._rows,
            "bytes_in": self._bytes_in,
            "bytes_out": self._lane.bytes_out if self._lane else 0,
            "masked": self._masked,
            "command": self._command,
            "sqlstate": self._sqlstate,
            "duration_ms": round((self._services.clock() - self._began) * 1000, 3),
        }
        return self._services.recorder.append(self.permit.session.id, self.permit.exchange, "exchange.closed", payload)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Rows that cannot be read are not let go; the connection may live on."""
    try:
        yield
    except wire.ProtocolViolation:
        raise Refusal("response_malformed", "the server sent rows that cannot be read") from None


def _terms(release: Release) -> tuple[object, ...]:
    """What holds for all results together."""
    return release.level, release.limits.response_bytes


def _type_of(column: OutputColumn, catalog: Catalog) -> int:
    """The OID of its type where it is a table's column as it is, so that what stands for it can be loaded again."""
    if not column.direct or len(column.origins) != 1:
        return 0
    (origin,) = column.origins
    relation = catalog.relations_by_oid.get(origin.oid)
    return next((one.type for one in relation.columns if one.number == origin.number), 0) if relation else 0
