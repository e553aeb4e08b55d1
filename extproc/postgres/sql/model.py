"""What is known of a query string: for policy (`Statement`), for the connection (`Step`) and for masking (`Output`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Use = Literal["project", "predicate", "order", "group", "join", "argument", "write"]


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """A column of a base table (or materialised view, foreign table), from which a value may come."""

    table: str  # schema.name
    column: str
    oid: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """
    One base column and all that a statement does with it, by lineage through views, subqueries, CTEs and aliases.

    project: it comes back as it is (or cast to text). predicate, order, group, join: rows are chosen, sorted, grouped,
    deduplicated or joined by it. argument: it goes into an expression, a function, an aggregate, a cast that can
    fail, or a whole row. write: it is written, or its values are written somewhere.
    No use at all: a query within names it, and nothing comes of it.
    """

    table: str
    column: str
    uses: frozenset[Use]


@dataclass(frozen=True, slots=True)
class FunctionUse:
    """
    A function that is called, by operator, trigger or name. `dynamic`: it runs SQL or reads tables that its arguments
    name at run time (query_to_xml, ts_stat, dblink, pg_read_file, EXECUTE in a body): what it does cannot be known.
    """

    name: str  # schema.name; "" as the schema where it is unknown
    volatility: str  # immutable, stable, volatile, unknown
    language: str = ""
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """SET and set_config. `value` is None where it is not a constant; `name` "" where the name is not."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A statement as policy sees it. Nested ones stand in the list too, with the way to them in `via` (`cte`, `do`,
    `function:public.purge`, `trigger:public.audit`, `explain`, `copy`, `cursor`, `prepare` …; empty at the top).
    """

    kind: str
    tables: tuple[str, ...] = ()  # base tables read or written, and the views on the way, schema.name
    writes: tuple[str, ...] = ()  # those written
    columns: tuple[ColumnUse, ...] = ()
    functions: tuple[FunctionUse, ...] = ()
    where: bool = False  # every part that scans a table has a condition that depends on a column
    limit: int | None = None  # a constant LIMIT of the whole
    sure: bool = True
    doubts: tuple[str, ...] = ()  # why it is not sure: fixed texts and names, never values
    via: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    options: tuple[str, ...] = ()  # copy: program, file, stdin, stdout; explain: analyze; begin: read_write


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """
    A column that comes back. `origins`: the base columns whose values may be in it. `direct`: it is such a value as it
    is (or cast to text), else an expression. `sure` is False where the lineage could not be followed.
    """

    name: str
    origins: frozenset[Origin] = frozenset()
    direct: bool = True
    sure: bool = True


@dataclass(frozen=True, slots=True)
class CopyShape:
    """COPY … TO STDOUT or FROM STDIN. The defaults are those of `format` (COPY's reference page)."""

    direction: Literal["out", "in"]
    format: Literal["text", "csv", "binary"] = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    quote: str = '"'
    escape: str = '"'
    header: bool = False
    understood: bool = True  # False: an option that masking does not know (encoding, force_quote …)


@dataclass(frozen=True, slots=True)
class Step:
    """
    One top-level statement of a query string: what a connection must know to keep its state and the server's the same.

    `output`: the columns of the rows that it returns (of COPY, those of the rows copied out); None where none can come
    back. `output_sure` False: rows may come back whose shape is not known. Names are as the server has them (folded).
    """

    kind: str
    output: tuple[OutputColumn, ...] | None = None
    output_sure: bool = True
    copy: CopyShape | None = None
    transaction: str = ""  # begin, commit, rollback, savepoint, release, rollback_to, prepare, commit_prepared, …
    read_write: bool = False  # BEGIN/START/SET TRANSACTION … READ WRITE
    settings: tuple[Setting, ...] = ()
    reset: str | None = None  # RESET name, "*" for ALL
    discard: str = ""  # all, plans, sequences, temp
    prepares: str = ""  # PREPARE name; what it runs is `inner`
    executes: str = ""  # EXECUTE name
    deallocates: str = ""  # DEALLOCATE name, "*" for ALL
    declares: str = ""  # DECLARE name CURSOR; what it runs is `inner`
    fetches: str = ""  # FETCH … FROM name
    closes: str = ""  # CLOSE name, "*" for ALL
    inner: Analysis | None = None
    changes_catalog: bool = (
        False  # DDL, DO, a call of a volatile function …: what names mean may be different afterwards
    )


@dataclass(frozen=True, slots=True)
class Analysis:
    """A whole query string. `statements` is flat, nested ones after the one that they stand in."""

    text: str
    statements: tuple[Statement, ...]
    steps: tuple[Step, ...]
    fingerprint: str = ""  # libpg_query's, 16 hex digits: the same for statements that differ in constants alone
    facts: bytes = b""  # `statements` as JSON, as `input.sql.statements` has it
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # for callers: plans made of it


class SqlError(Exception):
    """A text that PostgreSQL's grammar refuses, or that is too large or too deep. `position`: characters, from 1."""

    def __init__(self, sqlstate: str, message: str, position: int = 0) -> None:
        self.sqlstate = sqlstate
        self.position = position
        super().__init__(message)
