"""
Words that servers before PostgreSQL 17 read as names of functions, while the grammar of 18 has syntax for them.

Where such a server has a function of that name by its users, `json_value(a, b)` calls it there.
"""

from __future__ import annotations

from typing import Final

from extproc.postgres.sql.builtins import BUILT_IN_SCHEMAS
from extproc.postgres.sql.frame import Frame

_FIRST: Final = 170_000  # server_version_num: JSON_VALUE, MERGE_ACTION …; constructors came with 16
_NAMES: Final = {
    "json_array_agg": ("json_arrayagg",),
    "json_array_constructor": ("json_array",),
    "json_array_query_constructor": ("json_array",),
    "json_func_expr": ("json_exists", "json_query", "json_value"),
    "json_object_agg": ("json_objectagg",),
    "json_object_constructor": ("json_object",),
    "json_parse_expr": ("json",),
    "json_scalar_expr": ("json_scalar",),
    "json_serialize_expr": ("json_serialize",),
    "merge_support_func": ("merge_action",),
}
_LEGACY: Final = ["pg_catalog", "json_object"]  # what the grammar makes of `json_object(a)`


def check(kind: str, frame: Frame) -> None:
    """Doubt a parse node that may be a call of a users' function on this server."""
    names = _NAMES.get(kind)
    if names is None or frame.run.known.catalog.server_version >= _FIRST:
        return
    for name in names:
        if any(one.schema not in BUILT_IN_SCHEMAS for one in frame.run.known.catalog.functions.get(name, ())):
            frame.doubt(f"{name} is a function on this server")


def meant(names: list[str], frame: Frame) -> list[str]:
    """The name of a function as this server reads it."""
    older = names == _LEGACY and frame.run.known.catalog.server_version < _FIRST
    return names[-1:] if older else names
