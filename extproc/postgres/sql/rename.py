"""The names by which FETCH, MOVE, CLOSE and DEALLOCATE reach what was made by message, put right for the server."""

from __future__ import annotations

from typing import Final

import postgast

from extproc.postgres.sql.comments import without_comments
from extproc.postgres.sql.parse import parse
from extproc.postgres.sql.steps import step_of

_KINDS: Final = frozenset({"fetch", "move", "close", "deallocate"})


def renamed(text: str, name: str) -> str:
    """
    Such a statement with another name, the last of its words. `name` needs no quotes. Raises `ValueError` where that is
    not what comes of it.
    """
    data = without_comments(text).encode()
    last = [token for token in postgast.scan(data.decode()).tokens if data[token.start : token.end] != b";"][-1]
    found = (data[: last.start] + name.encode() + data[last.end :]).decode()
    steps = [step_of(parsed.node) for parsed in parse(found)]
    named = [step.fetches or step.closes or step.deallocates for step in steps if step.kind in _KINDS]
    if named != [name] or len(steps) != 1:
        raise ValueError("not a statement that ends with a name")
    return found
