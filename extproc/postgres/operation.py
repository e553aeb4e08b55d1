"""One statement as an `Operation`: what policy sees of it, what is hashed and forwarded, and what it may not do."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, replace
from typing import Final, Literal

import orjson

from extproc.model import JSON, Decision
from extproc.postgres.sql.facts import facts_of
from extproc.postgres.sql.model import Analysis, Step
from extproc.postgres.terms import require_allowed

_SUMMARY: Final = 200  # characters
_FLOATS: Final = {700: "!f", 701: "!d"}
_INTS: Final = frozenset({20, 21, 23, 26})
_TEXTS: Final = frozenset({18, 19, 25, 1042, 1043, 114})
_UUID: Final = 2950
_BOOL: Final = 16


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that is bound: None is NULL. `type` is its type's OID, 0 where nobody said."""

    value: bytes | None
    binary: bool = False
    type: int = 0

    def shown(self) -> JSON:
        """Text where it is one or can be made one; what is not, as base64: no two values look the same."""
        if self.value is None:
            return None
        if self.binary:
            text = _read_binary(self.value, self.type)
            return text if text is not None else {"base64": base64.b64encode(self.value).decode()}
        try:
            return self.value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(self.value).decode()}


def _read_binary(value: bytes, kind: int) -> str | None:
    if kind in _INTS and len(value) in (2, 4, 8):
        return str(int.from_bytes(value, "big", signed=kind != 26))
    if kind in _FLOATS and len(value) == struct.calcsize(_FLOATS[kind]):
        return repr(struct.unpack(_FLOATS[kind], value)[0])
    if kind == _BOOL and value in (b"\0", b"\1"):
        return "true" if value == b"\1" else "false"
    if kind == _UUID and len(value) == 16:
        digits = value.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if kind in _TEXTS:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None


@dataclass(frozen=True, slots=True)
class SqlOperation:
    """
    A query string (simple) or a prepared statement with its parameters (extended). `step` is "prepare" where it is only
    to be parsed and described. `definitions` names the state of the catalog that `analysis` was made with.
    """

    text: str
    analysis: Analysis
    protocol: Literal["simple", "extended"]
    step: Literal["execute", "prepare"]
    database: str
    user: str
    search_path: tuple[str, ...]
    definitions: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def kind(self) -> str:
        return "sql"

    def require_possible(self, decision: Decision) -> None:
        """Raises `Refusal` (column_protected): what policy masks may be selected as it is and nothing else."""
        require_allowed(self.analysis, decision.redact)

    def facts(self) -> dict[str, JSON]:
        return {
            "sql": {
                "protocol": self.protocol,
                "step": self.step,
                "database": self.database,
                "user": self.user,
                "fingerprint": self.analysis.fingerprint,
                "parameters": len(self.parameters),
                "statements": orjson.Fragment(self.analysis.facts),
            }
        }

    def canonical(self) -> dict[str, JSON]:
        """What the names in the text mean is part of it: an approval is for these definitions alone."""
        return {
            "sql": {
                "text": self.text,
                "parameters": [parameter.shown() for parameter in self.parameters],
                "protocol": self.protocol,
                "database": self.database,
                "user": self.user,
                "search_path": list(self.search_path),
                "definitions": self.definitions,
            }
        }

    def shown(self) -> dict[str, JSON]:
        return self.canonical()

    def summary(self) -> str:
        return one_line(self.text)


@dataclass(frozen=True, slots=True)
class Connecting:
    """The start of a connection, for the record."""

    database: str
    application_name: str
    protocol: str
    tls: str

    @property
    def kind(self) -> str:
        return "sql"

    def require_possible(self, decision: Decision) -> None:
        """Nothing is decided about it."""

    def facts(self) -> dict[str, JSON]:
        return {}

    def canonical(self) -> dict[str, JSON]:
        return self.shown()

    def shown(self) -> dict[str, JSON]:
        return {
            "database": self.database,
            "application_name": self.application_name,
            "protocol": self.protocol,
            "tls": self.tls,
        }

    def summary(self) -> str:
        return f"connect {self.database}"


def one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SUMMARY else line[: _SUMMARY - 1] + "…"


def merged(analysis: Analysis, other: Analysis, via: str) -> Analysis:
    """`analysis`, one statement, with those of `other`, which it runs by name (EXECUTE, FETCH), behind its own."""
    statements = (*analysis.statements, *(replace(one, via=(via, *one.via)) for one in other.statements))
    inner = other.steps[-1] if other.steps else Step("unknown", output_sure=False)
    own = analysis.steps[0]
    step = replace(
        own,
        output=inner.output,
        output_sure=inner.output_sure,
        inner=other,
        changes_catalog=own.changes_catalog or inner.changes_catalog,
    )
    return replace(analysis, statements=statements, steps=(step,), facts=facts_of(statements), cache={})


def doubted(analysis: Analysis, place: int, why: str) -> Analysis:
    """With nothing sure about the steps from `place` on, nor about what they are for policy."""
    statements, at = [], -1
    for one in analysis.statements:
        at += not one.via
        statements.append(one if at < place else replace(one, sure=False, doubts=(*one.doubts, why)))
    steps = (*analysis.steps[:place], *(replace(one, output_sure=False) for one in analysis.steps[place:]))
    return replace(analysis, statements=tuple(statements), steps=steps, facts=facts_of(statements), cache={})
