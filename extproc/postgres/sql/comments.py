"""
Comments are blanked out before anything is parsed.

libpg_query's scanner makes tokens of them, where the server's takes them for space. That makes a difference: to the
server `'a' -- b` followed by `'c'` on the next line is one string (PostgreSQL documentation, 4.1.2.1), so that
`DO 'BEGIN DELETE …; END; --' -- b` followed by `'BEGIN END'` deletes; to libpg_query they are two strings.
"""

from __future__ import annotations

from typing import Any, Final

import postgast

_STRINGS: Final = frozenset(token.token for token in postgast.scan("'a' U&'a' B'1' X'1'").tokens)
_LINE: Final = frozenset(token.token for token in postgast.scan("--a").tokens)
_BLOCK: Final = frozenset(token.token for token in postgast.scan("/*a*/").tokens)
_MOST_CONTINUED: Final = 50


def without_comments(text: str) -> str:
    """
    The same text with a space for each character of a comment: positions stay. Raises `postgast.PgQueryError` for what
    has no tokens, and where too many strings go on after comments.
    """
    if "--" not in text and "/*" not in text:
        return text
    data = text.encode()
    for _ in range(_MOST_CONTINUED):
        tokens = list(postgast.scan(data.decode()).tokens)
        between = _continued(data, tokens)
        if not between:
            return _blanked(data, [token for token in tokens if token.token in _LINE or token.token in _BLOCK]).decode()
        # What is a string and what is a comment after it may be another now: a string goes on with its own escapes.
        data = _blanked(data, between).decode().encode()
    raise postgast.PgQueryError("too many strings that go on after comments")


def _continued(data: bytes, tokens: list[Any]) -> list[Any]:
    """The comments in the first string that goes on after them."""
    string: Any = None
    between: list[Any] = []
    for token in tokens:
        if token.token in _LINE:
            between.append(token)
            continue
        if string is not None and between and data[token.start : token.start + 1] == b"'":
            return between
        string = token if token.token in _STRINGS else None
        between = []
    return []


def _blanked(data: bytes, tokens: list[Any]) -> bytes:
    """Without changing the number of characters: a comment may hold some of several bytes."""
    parts, begin = [], 0
    for token in tokens:
        parts += [data[begin : token.start], b" " * len(data[token.start : token.end].decode())]
        begin = token.end
    return b"".join([*parts, data[begin:]])
