"""A statement in the making: what was seen of it so far, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from extproc.postgres.sql.effects import STATISTICS_COLUMNS, is_statistics_column
from extproc.postgres.sql.lineage import ARGUMENT, PROJECT, Rows, Value, column_uses
from extproc.postgres.sql.model import FunctionUse, Origin, Setting, Statement

if TYPE_CHECKING:
    from extproc.postgres.sql.known import Known
    from extproc.postgres.sql.scope import Scope

MOST_WORK: Final = 16_000  # parse nodes visited, columns listed …: 2 to 6 µs each
MOST_DEPTH: Final = 110  # of expressions and queries within each other, well below Python's own limit
MOST_STATEMENTS: Final = 500  # with those of function bodies
_WORST: Final = ("immutable", "stable", "volatile", "unknown")

Call = tuple[tuple[str, ...], str, int]  # where it stands (via), "function" | "trigger", the function's OID


class TooMuchError(Exception):
    """The budget is spent. Nothing that was seen so far is enough to say what the statement does."""


@dataclass(slots=True, eq=False)
class Run:
    """One analysis. `query` and `statement` are the ways back up: expressions hold queries, functions statements."""

    known: Known
    query: Callable[[Any, Scope], Rows]
    writing: Callable[[Any, Frame, Scope | None], Rows]  # INSERT, UPDATE, DELETE, MERGE in a WITH
    statement: Callable[[Any, Frame], Rows | None]
    left: int = MOST_WORK
    depth: int = 0
    open_views: set[int] = field(default_factory=set)
    open_bodies: set[int] = field(default_factory=set)
    cut: bool = False  # a body was left out, as it is open

    def restart(self) -> None:
        """For the next statement, with what is left."""
        self.depth = 0
        self.open_views.clear()
        self.open_bodies.clear()

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooMuchError

    def deeper(self) -> None:
        """One level down: the caller takes `depth` back. Costs one."""
        self.depth += 1
        self.left -= 1
        if self.left < 0 or self.depth > MOST_DEPTH:
            raise TooMuchError


@dataclass(slots=True, eq=False)
class Frame:
    """
    One statement. `path` is the search path that its names are looked up by. `variables` are names that are no columns
    (in a body). `levels`: for each query level that scans a table, whether a condition restricts it. `calls` are the
    user-defined functions whose bodies run with it; `nested` the statements within it, each with what it calls.
    """

    run: Run
    kind: str
    path: tuple[str, ...]
    via: tuple[str, ...] = ()
    variables: frozenset[str] = frozenset()
    body: bool = False
    uses: dict[Origin, int] = field(default_factory=dict)
    tables: dict[str, None] = field(default_factory=dict)
    writes: dict[str, None] = field(default_factory=dict)
    functions: dict[str, FunctionUse] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)
    levels: list[bool] = field(default_factory=list)
    limit: int | None = None
    settings: list[Setting] = field(default_factory=list)
    options: tuple[str, ...] = ()
    calls: dict[Call, None] = field(default_factory=dict)
    nested: list[Frame] = field(default_factory=list)

    def child(self, kind: str, step: str) -> Frame:
        """A statement within this one, reached by `step`."""
        made = Frame(self.run, kind, self.path, (*self.via, step), self.variables, self.body)
        self.nested.append(made)
        return made

    def use(self, value: Value, bits: int) -> None:
        """A row is never passed on as it is: whoever takes it takes all of its columns for something else."""
        if value.origins:
            if value.fields is not None:
                bits |= ARGUMENT
            uses = self.uses
            for origin in value.origins:
                uses[origin] = uses.get(origin, 0) | bits

    def give(self, rows: Rows) -> None:
        """These come back. In a body they go into variables, and from there anywhere."""
        bits = PROJECT | ARGUMENT if self.body else PROJECT
        uses = self.uses
        for value in (*(value for _, value in rows.columns), rows.rest):
            if value.fields is not None:
                self.use(value, ARGUMENT)
            for origin in value.passing():
                uses[origin] = uses.get(origin, 0) | bits

    def doubt(self, text: str) -> None:
        self.doubts[text] = None

    def name_table(self, name: str, *, written: bool) -> None:
        self.tables[name] = None
        if written:
            self.writes[name] = None

    def add_function(self, use: FunctionUse) -> None:
        """Of several of one name, the worst."""
        known = self.functions.get(use.name)
        if known is None:
            self.functions[use.name] = use
        elif known != use:
            worst = max(known, use, key=lambda one: _WORST.index(one.volatility))
            self.functions[use.name] = FunctionUse(
                use.name, worst.volatility, worst.language, known.dynamic or use.dynamic
            )

    def done(self) -> Statement:
        for table in STATISTICS_COLUMNS.keys() & self.tables.keys():
            if any(one.table == table and is_statistics_column(table, one.column) for one in self.uses):
                self.doubt(f"statistics in {table}")
        return Statement(
            self.kind,
            tuple(self.tables),
            tuple(self.writes),
            column_uses(self.uses),
            tuple(self.functions.values()),
            bool(self.levels) and all(self.levels),
            self.limit,
            not self.doubts,
            tuple(self.doubts),
            self.via,
            tuple(self.settings),
            self.options,
        )


def walk(frame: Frame) -> Iterable[Frame]:
    """A frame and all within it, in the order in which they stand in the list."""
    yield frame
    for one in frame.nested:
        yield from walk(one)
