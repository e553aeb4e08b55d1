"""The talks made of frontend messages."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.equal.client import Talk
from tests.unit.postgres.talking import SYNC, Value, bind, describe, execute, parse, query


def simple(text: str, more: bytes = b"") -> Talk:
    """`more` goes with it: the data of a COPY."""
    return Talk(f"simple: {text}", query(text) + more)


def extended(text: str, *values: Value, results: Sequence[int] = (), formats: Sequence[int] = ()) -> Talk:
    """Parse, Bind, Describe, Execute, Sync, as libpq sends them."""
    data = parse(text) + bind(values=values, formats=formats, results=results) + describe("P") + execute() + SYNC
    how = "binary" if 1 in results else "text"
    return Talk(f"extended, {how}: {text} {[*values] or ''}", data)
