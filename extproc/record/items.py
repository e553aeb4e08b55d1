"""What a transcript of a PostgreSQL connection is made of: messages as items, and results put together of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from extproc.model import JSON

_FIELDS: Final = {
    "C": "sqlstate", "M": "message", "D": "detail", "H": "hint", "P": "position", "W": "context", "s": "schema",
    "t": "table", "c": "column", "d": "datatype", "n": "constraint",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result. `oid` is its type's, 0 where unknown; `form` its format code, None where unknown."""

    name: str
    oid: int = 0
    form: int | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """A result with these columns begins."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a row as text; None is NULL."""

    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """A statement is complete: `SELECT 5`. Empty for an empty query."""

    text: str


@dataclass(frozen=True, slots=True)
class CopyBegins:
    """COPY: `to` the client, or from it."""

    to: bool
    binary: bool


@dataclass(frozen=True, slots=True)
class CopyData:
    data: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """An error or a notice. `fields` by their one-letter codes (docs, "Error and Notice Message Fields")."""

    error: bool
    fields: Mapping[str, str]

    @property
    def severity(self) -> str:
        return self.fields.get("S", "ERROR" if self.error else "NOTICE")

    def document(self) -> dict[str, JSON]:
        named = {name: self.fields[code] for code, name in _FIELDS.items() if code in self.fields}
        return {"severity": self.severity, "sqlstate": "", "message": "", **named}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting that the server reports."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Notification:
    pid: int
    channel: str
    payload: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """The portal stopped at its row limit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """`status`: I idle, T in a transaction, E in a failed one."""

    status: str


@dataclass(frozen=True, slots=True)
class Unread:
    what: str


Item = (
    Columns | Row | Tag | CopyBegins | CopyData | Report | Parameter | Notification | Suspended | Ready | Unread
)  # fmt: skip


@dataclass(slots=True)
class Result:
    """
    What one statement gave back. `count` counts all rows, `rows` may hold fewer. `copy` is data of COPY TO, `copied` of
    `sent` messages; PostgreSQL sends a line in each.
    """

    columns: tuple[Column, ...] = ()
    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    count: int = 0
    command: str = ""
    copy: bytearray = field(default_factory=bytearray)
    copied: int = 0
    sent: int = 0

    def take(self, item: Columns | Row | CopyBegins | CopyData | Tag, most: int | None) -> None:
        match item:
            case Columns(columns):
                self.columns = columns
            case Row(values):
                self.count += 1
                if most is None or len(self.rows) < most:
                    self.rows.append(values)
            case CopyData(data):
                self.sent += 1
                if most is None or self.copied < most:
                    self.copied += 1
                    self.copy += data
            case Tag(text):
                self.command = text

    def document(self) -> dict[str, JSON]:
        return {
            "columns": [column.name for column in self.columns],
            "rows": [list(row) for row in self.rows],
            "command": self.command,
            "copy": text_or_base64(bytes(self.copy)) if self.copy else None,
        }


Block = Result | Report | Parameter | Notification | Suspended | Ready | Unread


def text_or_base64(data: bytes) -> JSON:
    """Text where it is UTF-8, else `{"base64": ...}`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
