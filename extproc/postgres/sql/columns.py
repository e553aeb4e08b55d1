"""References to columns, rows and what looks like one."""

from __future__ import annotations

from typing import Any

from extproc.postgres.sql import calls
from extproc.postgres.sql.lineage import UNSURE, Value
from extproc.postgres.sql.scope import Item, Scope, named_item, resolve, row_of


def column_ref(node: Any, scope: Scope) -> Value:
    fields = node.fields
    if fields[-1].WhichOneof("node") == "a_star":
        found = starred(node, scope)
        return row_of(*found) if found is not None else _unknown(node, scope)
    names = [one.string.sval for one in fields]
    value = resolve(scope, names)
    if value is not None:
        return value
    if len(names) > 1:  # c.initials may be initials(c): docs, 36.5.3
        found = named_item(scope, names[-2])
        if found is not None:
            called = calls.by_attribute(names[-1], row_of(*found), scope.frame)
            if called is not None:
                return called
    return _unknown(node, scope)


def starred(node: Any, scope: Scope) -> tuple[Scope, Item] | None:
    """The item that `item.*` means."""
    names = [one.string.sval for one in node.fields[:-1]]
    return named_item(scope, names[-1], names[-2] if len(names) > 1 else "") if names else None


def _unknown(node: Any, scope: Scope) -> Value:
    names = [one.string.sval or "*" for one in node.fields]
    scope.frame.doubt(f"unknown column {'.'.join(names)}")
    return UNSURE
