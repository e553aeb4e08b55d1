"""Nodes that have no rule of their own: whatever stands in them is seen all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from extproc.postgres.sql.lineage import Value, everything
from extproc.postgres.sql.scope import Scope


def parts(message: Any, scope: Scope, take: Callable[[Any, Scope], Value]) -> Iterable[Value]:
    """The values of all expressions and queries in a message. This is what new grammar meets."""
    run = scope.frame.run
    run.deeper()
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for one in value if field.is_repeated else (value,):
            if field.message_type.name == "Node":
                yield take(one, scope)
            elif field.message_type.name == "SelectStmt":
                yield everything(run.query(one, Scope(scope.frame, scope, scope.ctes)))
            elif field.message_type.name != "TypeName":
                yield from parts(one, scope, take)
    run.depth -= 1
