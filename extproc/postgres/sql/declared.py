"""The declarations in a PL/pgSQL body, by its tokens (PostgreSQL documentation, PL/pgSQL, "Declarations")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import postgast

# After these (and options), DECLARE begins a block; BEGIN ends its declarations.
_BEFORE_BLOCK: Final = frozenset({
    "", ";", "begin", "then", "else", "loop", ">>", "declare", "dump", "error", "use_column", "use_variable", "on",
    "off",
})  # fmt: skip
_DEFAULT: Final = frozenset({":=", "=", "default"})


@dataclass(frozen=True, slots=True)
class Token:
    """`word` is lower case, or as it stands in quotes. `start` and `end` are offsets in bytes."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Declaration:
    """`default` is an expression, "" where there is none. An alias is another name of a variable or parameter."""

    name: str
    default: str = ""
    alias: bool = False


def tokens_of(text: str) -> list[Token]:
    """Of a text without comments. Raises `postgast.PgQueryError`."""
    data = text.encode()
    words = [(data[token.start : token.end].decode(), token) for token in postgast.scan(text).tokens]
    return [Token(word if word[0] == '"' else word.lower(), token.start, token.end) for word, token in words]


def declarations(source: str, tokens: list[Token]) -> list[Declaration]:
    """Of all blocks. A DECLARE that is none of these gives declarations that nobody made, which harms nobody."""
    data = source.encode()
    found: list[Declaration] = []
    part: list[Token] | None = None  # of the declaration that is being read; None outside
    before = ""
    for token in tokens:
        if token.word == "declare" and before in _BEFORE_BLOCK:
            part = []
        elif token.word == "begin" and not part:
            part = None
        elif token.word == ";" and part is not None:
            found.extend(_declaration(data, part))
            part = []
        elif part is not None:
            part.append(token)
        before = token.word
    return found


def _declaration(data: bytes, part: list[Token]) -> list[Declaration]:
    if not part:
        return []
    name = part[0].word[1:-1].replace('""', '"') if part[0].word[0] == '"' else part[0].word
    words = [token.word for token in part[1:]]
    if words[:2] == ["alias", "for"]:
        return [Declaration(name, alias=True)]
    if "cursor" in words[:3]:  # [NO] SCROLL CURSOR: its query stands in the tree
        return [Declaration(name)]
    at = next((index for index, word in enumerate(words) if word in _DEFAULT), None)
    if at is None:
        return [Declaration(name)]
    return [Declaration(name, data[part[at + 1].end : part[-1].end].decode())]
