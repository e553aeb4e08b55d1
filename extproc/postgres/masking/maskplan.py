"""What is to be masked in the rows of one result: plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from extproc.model import Strategy
from extproc.postgres.masking.values import TypeInfo


@dataclass(frozen=True, slots=True)
class MaskColumn:
    """A column of a result. `name` is for the counts; `strategy` masks every value of it whole (None: none)."""

    name: str
    type: TypeInfo
    format: int = 0  # 0 text, 1 binary
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """`detect`: names of detectors by strategy. `key` is the session's, for `hash` and `token`."""

    columns: tuple[MaskColumn, ...]
    detect: Mapping[Strategy, Collection[str]]
    key: bytes

    @property
    def by_column(self) -> bool:
        return any(column.strategy is not None for column in self.columns)

    @property
    def by_detector(self) -> bool:
        return any(self.detect.values())


def counts_by_name(counted: Iterable[tuple[MaskColumn, int]]) -> dict[str, int]:
    """How many values were masked, by `column:name`; several columns may have one name."""
    found: dict[str, int] = {}
    for column, count in counted:
        if count:
            label = f"column:{column.name}"
            found[label] = found.get(label, 0) + count
    return found
