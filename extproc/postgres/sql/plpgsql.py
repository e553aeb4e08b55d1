"""
PL/pgSQL, as libpg_query parses it: every statement and expression in a body.

Its JSON has all of them but the defaults of record variables (and it takes every type that it does not know for a
record), so that declarations are read from the tokens as well, and held against it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import postgast

from extproc.postgres.sql import limits
from extproc.postgres.sql.declared import Declaration, declarations, tokens_of
from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.signature import Signature

_MOST_TOKENS: Final = 30_000  # names are looked up one by one among all
_STATEMENT, _ASSIGNMENTS = 0, (3, 4, 5)  # RawParseMode, parser.h
_DYNAMIC, _NOT_UNDERSTOOD = "dynamic SQL", "PL/pgSQL not understood"
# Nodes, and what is not known of a body that has them. Any other node is a doubt.
_NODES: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "function", "var", "rec", "row", "recfield", "type", "expr", "stmt_block", "exception_block", "exception",
            "condition", "stmt_assign", "stmt_if", "if_elsif", "stmt_case", "case_when", "stmt_loop", "stmt_while",
            "stmt_fori", "stmt_fors", "stmt_forc", "stmt_foreach_a", "stmt_exit", "stmt_return", "stmt_return_next",
            "stmt_return_query", "stmt_raise", "raise_option", "stmt_assert", "stmt_execsql", "stmt_perform",
            "stmt_call", "stmt_getdiag", "diag_item", "stmt_commit", "stmt_rollback",
        ),
        "",
    ),
    "stmt_dynexecute": _DYNAMIC,
    "stmt_dynfors": _DYNAMIC,
    "stmt_open": "cursor by variable",
    "stmt_fetch": "cursor by variable",
    "stmt_close": "cursor by variable",
}  # fmt: skip
_CASE_VARIABLE: Final = re.compile(r'"(__Case__Variable_\d+__)"')
_IMPLICIT: Final = re.compile(r"sqlstate|sqlerrm|__Case__Variable_\d+__|\*internal\*")


@dataclass(slots=True)
class Found:
    """What a body runs, the names of its variables and blocks, and what cannot be known."""

    statements: list[str]
    expressions: list[str]
    names: frozenset[str]
    doubts: tuple[str, ...]


def read(source: str, signature: Signature, name: str) -> Found | None:
    """None where libpg_query cannot parse the body with this signature."""
    try:
        source = limits.plain(source)
        tokens = tokens_of(source)
        if len(tokens) > _MOST_TOKENS:
            return None
        tree = postgast.parse_plpgsql(_wrapped(source, signature, name))
        walk = _Walk(names=set(signature.names()))
        walk.visit(tree)
    except (SqlError, postgast.PgQueryError, json.JSONDecodeError, UnicodeError, RecursionError):
        return None
    walk.declare(declarations(source, tokens))
    return Found(walk.statements, walk.expressions, frozenset(walk.names), tuple(sorted(walk.doubts)))


def _wrapped(source: str, signature: Signature, name: str) -> str:
    """A function with this body. Its quotes have a tag that stands nowhere in it."""
    tag = "extproc"
    while f"${tag}" in source:
        tag += "x"
    escaped = name.replace('"', '""')
    return f'CREATE FUNCTION "{escaped}"{signature.header()} LANGUAGE plpgsql AS ${tag}${source}${tag}$'


@dataclass(slots=True)
class _Walk:
    names: set[str]
    statements: list[str] = field(default_factory=list)
    expressions: list[str] = field(default_factory=list)
    doubts: set[str] = field(default_factory=set)
    undeclared: Counter[str] = field(default_factory=Counter)  # variables whose declaration has not been seen

    def visit(self, value: Any) -> None:
        if isinstance(value, list):
            for one in value:
                self.visit(one)
        elif isinstance(value, dict):
            for key, one in value.items():
                if key.startswith("PLpgSQL_"):
                    self._node(key.removeprefix("PLpgSQL_"), one)
                elif key == "datums":
                    self._variables([next(iter(datum.values())) for datum in one])
                elif key in ("refname", "label"):
                    self.names.add(one)
                self.visit(one)

    def _node(self, kind: str, node: dict[str, Any]) -> None:
        self.doubts.add(_NODES.get(kind, _NOT_UNDERSTOOD))
        if "dynquery" in node:
            self.doubts.add(_DYNAMIC)
        if kind == "expr":
            self._expression(node["query"], node.get("parseMode", _STATEMENT))
        elif kind in ("stmt_commit", "stmt_rollback"):
            self.statements.append(kind.removeprefix("stmt_").upper())
        elif kind in ("stmt_fori", "stmt_forc"):  # they have a variable of their own
            self.undeclared[next(iter(node["var"].values()))["refname"]] -= 1

    def _variables(self, datums: list[dict[str, Any]]) -> None:
        for datum in datums:
            if "lineno" in datum and "fields" not in datum:
                self.undeclared[datum["refname"]] += 1
            row = datum.get("cursor_explicit_argrow", -1)
            for argument in datums[row]["fields"] if row >= 0 else ():
                self.undeclared[argument["name"]] -= 1

    def _expression(self, text: str, mode: int) -> None:
        self.names.update(_CASE_VARIABLE.findall(text))
        if mode == _STATEMENT:
            self.statements.append(text)
        elif mode in _ASSIGNMENTS:
            self.expressions.extend(_sides(text))
        else:
            self.expressions.append(text)

    def declare(self, declared: list[Declaration]) -> None:
        for one in declared:
            if one.alias:
                self.names.add(one.name)
            else:
                self.undeclared[one.name] -= 1
            if one.default:
                self.expressions.append(one.default)
        if any(count > 0 and not _IMPLICIT.fullmatch(name) for name, count in self.undeclared.items()):
            self.doubts.add(_NOT_UNDERSTOOD)
        self.doubts.discard("")


def _sides(assignment: str) -> list[str]:
    """What is assigned, and the target where it has subscripts, which may call functions too."""
    tokens = tokens_of(assignment)
    depth = 0
    for token in tokens:
        depth += (token.word == "[") - (token.word == "]")
        if depth == 0 and token.word in (":=", "="):
            data = assignment.encode()
            target = data[: token.start].decode()
            return [data[token.end :].decode(), *([target] if "[" in target else [])]
    return [assignment]
