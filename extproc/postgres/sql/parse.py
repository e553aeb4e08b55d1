"""A query string to parse trees, by PostgreSQL's own grammar (libpg_query), within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import postgast
from google._upb import _message
from google.protobuf.message import DecodeError, Message

from extproc.postgres.sql import limits
from extproc.postgres.sql.model import SqlError

# Levels of messages in a tree; an operator or a call takes two, a subquery four. Analysis recurses over them.
MOST_DEPTH: Final = 400


@dataclass(frozen=True, slots=True)
class Parsed:
    """A top-level statement: its node (without `RawStmt` and `Node` around it), its own text without comments."""

    node: Any
    text: str


def parse(text: str) -> list[Parsed]:
    """
    The statements of a query string; none for an empty one.

    Raises `SqlError`: 42601 (syntax), 22021 (characters), 54000 (too large), 54001 (too deep, too complex).
    """
    return parse_plain(limits.plain(text))


def parse_plain(text: str) -> list[Parsed]:
    """The same of what `limits.plain` gave."""
    raw = _tree(text).stmts
    if len(raw) > limits.MOST_STATEMENTS:
        raise SqlError(
            "54000", f"the query string has {len(raw)} statements, at most {limits.MOST_STATEMENTS} are read"
        )
    data = text.encode()
    return [Parsed(inner(one.stmt), _slice(data, one.stmt_location, one.stmt_len)) for one in raw]


def inner(node: Any) -> Any:
    """What a `Node` wraps. An empty one, which stands for NULL in a list, stays as it is."""
    which = node.WhichOneof("node")
    return node if which is None else getattr(node, which)


def _slice(data: bytes, start: int, length: int) -> str:
    """A length of 0 means up to the end (RawStmt, nodes/parsenodes.h)."""
    return data[start : start + length if length else None].decode().strip()


def _tree(text: str) -> Any:
    try:
        return postgast.parse(text)
    except postgast.PgQueryError as error:
        raise limits.syntax_error(error) from None
    except DecodeError:
        return _deep_tree(text)


def _deep_tree(text: str) -> Any:
    """Protobuf reads 100 levels unless told to read all; the text's own limit bounds them."""
    _message.SetAllowOversizeProtos(True)
    try:
        tree = postgast.parse(text)
    finally:
        _message.SetAllowOversizeProtos(False)
    if _deeper_than(tree, MOST_DEPTH):
        raise SqlError("54001", "the query string is nested too deeply")
    return tree


def _deeper_than(message: Message, most: int) -> bool:
    level = [message]
    for _ in range(most):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(message: Message) -> list[Message]:
    found: list[Message] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            found.extend([value] if isinstance(value, Message) else value)
    return found
