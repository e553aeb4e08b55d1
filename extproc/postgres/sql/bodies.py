"""
What the body of a function or of a DO block runs: its statements and expressions, as texts.

Parsing them is for the caller, as names in them mean what they mean where the function runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import postgast

from extproc.postgres.catalog import Function
from extproc.postgres.sql import limits, plpgsql
from extproc.postgres.sql.builtins import EVENT_TRIGGER, TRIGGER, VOID
from extproc.postgres.sql.declared import tokens_of
from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.parse import inner
from extproc.postgres.sql.signature import Signature, signature_of

# PostgreSQL documentation, "Trigger Functions".
_OF_TRIGGERS: Final = (
    "new", "old", "tg_name", "tg_when", "tg_level", "tg_op", "tg_relid", "tg_relname", "tg_table_name",
    "tg_table_schema", "tg_nargs", "tg_argv",
)  # fmt: skip
_OF_EVENT_TRIGGERS: Final = ("tg_event", "tg_tag")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One statement or more, or an expression: what may stand after SELECT, which can be `a, b FROM c` as well."""

    text: str
    kind: Literal["statement", "expression"]


@dataclass(frozen=True, slots=True)
class Body:
    """
    `variables` are the names that may mean a parameter, a variable or the block that has it. `doubts` are fixed texts:
    what cannot be known of it.
    """

    fragments: tuple[Fragment, ...] = ()
    variables: frozenset[str] = field(default=frozenset())
    doubts: tuple[str, ...] = ()


def body_of(function: Function) -> Body:
    """The body of a user-defined function, with the defaults of its arguments. Never raises."""
    signature, doubts = _signature(function)
    defaults = tuple(Fragment(text, "expression") for text in signature.defaults)
    if function.language == "sql":
        body = Body(_sql_fragments(function.source), frozenset(signature.names()) | {function.name})
    elif function.language == "plpgsql":
        body = _plpgsql(function.source, _shapes(function, signature), function.name)
    else:
        body = Body(doubts=(f"language {function.language}",))
    return Body(defaults + body.fragments, body.variables, doubts + body.doubts)


def body_of_do(language: str, source: str) -> Body:
    """The body of DO; an empty language is plpgsql, its default. Never raises."""
    if language not in ("", "plpgsql"):
        return Body(doubts=(f"language {language}",))
    return _plpgsql(source, [Signature(result="void")], "inline_code_block")


def _signature(function: Function) -> tuple[Signature, tuple[str, ...]]:
    if not function.definition:
        hidden = function.most is not None and function.least < function.most
        return Signature(result="void" if function.returns == VOID else "record"), ("default arguments",) * hidden
    try:
        return signature_of(function.definition), ()
    except SqlError:
        return Signature(), ("definition not understood",)


def _sql_fragments(source: str) -> tuple[Fragment, ...]:
    """A string body as a whole; a SQL-standard body (RETURN …, BEGIN ATOMIC … END) by its parts."""
    try:
        source = limits.plain(source)
        tokens = tokens_of(source)
    except (SqlError, postgast.PgQueryError):
        return (Fragment(source, "statement"),)  # the caller finds out
    words = [token.word for token in tokens[:2]]
    if words[:1] != ["return"] and words != ["begin", "atomic"]:
        return (Fragment(source, "statement"),)
    data = source.encode()
    if words[0] == "return":
        return (_part(data.decode()),)
    found, begin = [], tokens[1].end
    for token in tokens:
        if token.word == ";":
            found.append(_part(data[begin : token.start].decode()))
            begin = token.end
    return tuple(found)


def _part(text: str) -> Fragment:
    """Only RETURN begins with these letters: no statement does."""
    text = text.strip()
    if text[:6].lower() == "return":
        return Fragment(text[6:], "expression")
    return Fragment(text, "statement")


def _shapes(function: Function, signature: Signature) -> list[Signature]:
    """
    What the body is parsed with. libpg_query knows no types but the built-in ones, and its trigger functions cannot be
    read, so that parameters stand in for what is not there. The text of the body is the same with each.
    """
    if function.returns == TRIGGER:
        return [Signature(tuple((name, "record") for name in _OF_TRIGGERS[:2]) + _texts(_OF_TRIGGERS[2:]), "record")]
    if function.returns == EVENT_TRIGGER:
        return [Signature(_texts(_OF_EVENT_TRIGGERS), "void")]
    return [signature, signature.with_types("record"), signature.with_types("text")]


def _texts(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, "text[]" if name == "tg_argv" else "text") for name in names)


def _plpgsql(source: str, shapes: list[Signature], name: str) -> Body:
    for shape in shapes:
        found = plpgsql.read(source, shape, name)
        if found is not None:
            fragments = tuple(Fragment(text, "statement") for text in found.statements)
            fragments += tuple(Fragment(text, "expression") for text in found.expressions)
            return Body(fragments, found.names | {name}, found.doubts)
    return Body(doubts=("PL/pgSQL not understood",))


def do_of(node: Any) -> tuple[str, str]:
    """
    Language and source of a DoStmt, for `body_of_do`. A source that stands there twice is none: the server refuses it,
    and nobody should believe one of them.
    """
    words: dict[str, list[str]] = {"language": [], "as": []}
    for option in node.args:
        element = inner(option)
        words[element.defname].append(inner(element.arg).sval)
    source = words["as"][0] if len(words["as"]) == 1 else ""
    return (words["language"] or [""])[-1], source
