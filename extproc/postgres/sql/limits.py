"""
What is refused before the parser sees it.

libpg_query bounds its grammar's stack, but not what it does with the tree: `1 + 1 + …` of 400 kB overflows the C stack
and ends the process, and its scanner takes time with the square of `/*/*/*…`, of `+-+-+-…` and of GLOBAL repeated. What
is refused here might do no harm; what is let through must be cheap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import postgast

from extproc.postgres.sql.comments import without_comments
from extproc.postgres.sql.model import SqlError

MOST_BYTES: Final = 1 << 20
MOST_STATEMENTS: Final = 1000
MOST_TOKENS: Final = 300_000
MOST_LEVELS: Final = 5000  # of the tree; the C stack of 8 MiB ends above 20,000
_SHORT: Final = 4096  # bytes: a level takes two at least, so that less is always safe
_MOST_RUN_WORK: Final = 20_000_000  # about 40 ms of the scanner's time
_MOST_GLOBAL: Final = 200
_RUN: Final = re.compile(r"[~!@#^&|`?+\-*/%<>=]{64,}")
_GLOBAL: Final = re.compile("global", re.IGNORECASE)


def plain(text: str) -> str:
    """
    The text without comments, once it is known that parsing it is safe.

    Raises `SqlError`: 22021 (not characters), 42601 (no tokens), 54000 (too large), 54001 (too complex).
    """
    size = _size(text)
    if size > MOST_BYTES:
        raise SqlError("54000", f"the query string has {size} bytes, at most {MOST_BYTES} are read")
    if size > _SHORT:
        _check_scanner(text)
    try:
        text = without_comments(text)
        if size > _SHORT:
            _check_tokens(text)
    except postgast.PgQueryError as error:
        raise syntax_error(error) from None
    return text


def _size(text: str) -> int:
    if "\0" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00', text.index("\0") + 1)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8"', error.start + 1) from None


def syntax_error(error: postgast.PgQueryError) -> SqlError:
    """As libpg_query says it; its positions are in characters."""
    if error.message.startswith(("memory exhausted", "stack depth limit")):
        return SqlError("54001", "the query string is nested too deeply")
    return SqlError("42601", error.message, max(error.cursorpos, 0))


def _check_scanner(text: str) -> None:
    """The scanner reads a run of operator characters again for each token in it."""
    work = sum((match.end() - match.start()) ** 2 for match in _RUN.finditer(text))
    if work > _MOST_RUN_WORK or len(_GLOBAL.findall(text)) > _MOST_GLOBAL:
        raise SqlError("54001", "the query string is too complex to be read")


def _check_tokens(text: str) -> None:
    tokens = postgast.scan(text).tokens
    if len(tokens) > MOST_TOKENS:
        raise SqlError("54001", f"the query string has more than {MOST_TOKENS} tokens")
    if _levels([token.token for token in tokens]) > MOST_LEVELS:
        raise SqlError("54001", "the query string is nested too deeply")


@dataclass(slots=True)
class _Group:
    """What stands between two parentheses, or between CASE and END."""

    case: bool = False
    own: int = 0  # tokens since the last separator
    inner: int = 0  # levels of the deepest group since then
    deepest: int = 0  # levels of the deepest part so far
    spine: int = 0  # JOIN and UNION: they nest over commas
    between: int = 0  # BETWEEN whose AND has not come

    def separate(self) -> None:
        self.deepest = max(self.deepest, self.own + self.inner)
        self.own = self.inner = 0

    def levels(self) -> int:
        return max(self.deepest, self.own + self.inner) + self.spine + 1


def _numbers(text: str) -> frozenset[int]:
    """The token numbers of what stands in a text."""
    return frozenset(token.token for token in postgast.scan(text).tokens)


_OPEN: Final = _numbers("( [")
_CLOSE: Final = _numbers(") ]")
_COMMA: Final = _numbers(",")
_END_OF_STATEMENT: Final = _numbers(";")
_NAMING: Final = _numbers(". AS")  # a keyword after it is a name
_CASE: Final = _numbers("CASE")
_END: Final = _numbers("END")
_WHEN: Final = _numbers("WHEN")
_LOGIC: Final = _numbers("AND OR")  # lists in the tree, whatever their number
_AND: Final = _numbers("AND")
_BETWEEN: Final = _numbers("BETWEEN")
_SPINE: Final = _numbers("UNION INTERSECT EXCEPT JOIN")
_TOLD: Final = _CASE | _END | _WHEN | _LOGIC | _BETWEEN | _SPINE


def _levels(tokens: list[int]) -> int:
    """
    At least as many levels as the tree of these tokens has.

    Each token is taken for a level, up to where the next element of a list begins: operators nest to the left without
    end, lists do not.
    """
    groups = [_Group()]
    before = most = 0
    for token in tokens:
        group = groups[-1]
        group.own += 1
        if token in _OPEN:
            groups.append(_Group())
        elif token in _CLOSE:
            _close(groups, to_case=False)
        elif token in _COMMA:
            group.separate()
        elif token in _END_OF_STATEMENT:
            most = max(most, _end_statement(groups))
        elif token in _TOLD and before not in _NAMING:
            _keyword(groups, group, token)
        before = token
    while len(groups) > 1:
        _close(groups, to_case=groups[-1].case)
    return max(most, groups[0].levels())


def _keyword(groups: list[_Group], group: _Group, token: int) -> None:
    if token in _CASE:
        groups.append(_Group(case=True))
    elif token in _END:
        _close(groups, to_case=True)
    elif token in _WHEN:
        if group.case:
            group.separate()
    elif token in _SPINE:
        group.spine += 1
    elif token in _BETWEEN:
        group.between += 1
    elif token in _AND and group.between:
        group.between -= 1
    else:
        group.separate()


def _close(groups: list[_Group], *, to_case: bool) -> None:
    """END closes a CASE alone; a parenthesis closes what was taken for a CASE in it as well."""
    while len(groups) > 1:
        group = groups[-1]
        if to_case and not group.case:
            return
        groups.pop()
        groups[-1].inner = max(groups[-1].inner, group.levels())
        if to_case or not group.case:
            return


def _end_statement(groups: list[_Group]) -> int:
    """The levels of the statement that ends; 0 in parentheses, where it is an element of a list (CREATE RULE)."""
    while len(groups) > 1 and groups[-1].case:
        _close(groups, to_case=True)
    groups[-1].separate()
    if len(groups) > 1:
        return 0
    levels = groups[0].levels()
    groups[0] = _Group()
    return levels
