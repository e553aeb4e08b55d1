"""`input.sql.statements`, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from extproc.postgres.sql.model import Statement


def facts_of(statements: Sequence[Statement]) -> bytes:
    return orjson.dumps([_statement(one) for one in statements])


def _statement(one: Statement) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "tables": one.tables,
        "writes": one.writes,
        "columns": [{"table": use.table, "column": use.column, "uses": sorted(use.uses)} for use in one.columns],
        "functions": [
            {"name": use.name, "volatility": use.volatility, "language": use.language, "dynamic": use.dynamic}
            for use in one.functions
        ],
        "where": one.where,
        "limit": one.limit,
        "sure": one.sure,
        "doubts": one.doubts,
        "via": one.via,
        "settings": [{"name": own.name, "value": own.value, "local": own.local} for own in one.settings],
        "options": one.options,
    }
