"""Rows as values: their columns one by one (PostgreSQL docs, 8.16.3 and 8.16.5)."""

from __future__ import annotations

from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.lineage import ARGUMENT, Columns, Rows, Value, everything, mixed


def field_of(value: Value, name: str, frame: Frame) -> Value:
    """One column of a row; of a row whose columns are not told apart, anything in it."""
    for known, inside in value.fields or ():
        if known == name:
            return inside
    frame.use(value, ARGUMENT)
    return mixed([value])


def fields_of(value: Value, frame: Frame) -> Columns | None:
    """What `(row).*` stands for; None where the row's columns are not known."""
    if value.fields is not None:
        return value.fields
    fields = frame.run.known.fields_of(value.type) if value.type else None
    if fields is None:
        return None
    frame.use(value, ARGUMENT)
    one = mixed([value])
    return tuple((name, Value(one.origins, one.direct, one.sure, inside.type)) for name, inside in fields)


def row_value(rows: Rows) -> Value:
    """The row that a subquery gives."""
    every = everything(rows)
    return Value(every.origins, direct=False, sure=every.sure and rows.known, fields=rows.columns)
