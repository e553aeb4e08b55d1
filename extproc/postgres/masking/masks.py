"""What is done to the rows of a result, whatever they come as; and the masks of what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from extproc.errors import Refusal
from extproc.model import MaskRule, Strategy
from extproc.postgres.backend import Rows
from extproc.postgres.catalog import Catalog, Type
from extproc.postgres.framing import messages, run
from extproc.postgres.masking.copyrows import CopyMask
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan
from extproc.postgres.masking.notices import mask_fields
from extproc.postgres.masking.rows import DATA_ROW, RowMask
from extproc.postgres.masking.values import TEXT, TypeInfo, type_info
from extproc.postgres.plan import Field
from extproc.postgres.sql.model import CopyShape
from extproc.postgres.wire import ProtocolViolation, message
from extproc.redact.detectors import ALL, mask_text

Planned = Sequence[tuple[str, Strategy] | None]
_MOST: Final = 1 << 30  # bytes of a message that was let through before


class RowFilter(Protocol):
    """`feed` gives what may go on of whole messages, `end` says that no more come. Both raise `Refusal`."""

    @property
    def counts(self) -> dict[str, int]: ...

    def feed(self, rows: Rows) -> bytes: ...

    def end(self) -> None: ...


class DataRows:
    """A `RowFilter`. `fresh` gives one that has masked nothing yet."""

    def __init__(self, mask: RowMask) -> None:
        self._mask = mask

    def fresh(self) -> DataRows:
        return DataRows(self._mask.fresh())

    @property
    def counts(self) -> dict[str, int]:
        return self._mask.counts

    def feed(self, rows: Rows) -> bytes:
        if rows.kind != DATA_ROW:
            raise Refusal("response_unmaskable", "copied data where rows were promised")
        return self._mask.feed(rows.buffer, rows.start, rows.ends)

    def end(self) -> None:
        """A row is a message, and a message is whole."""


class _Lines:
    def __init__(self, mask: CopyMask) -> None:
        self._mask = mask

    @property
    def counts(self) -> dict[str, int]:
        return self._mask.counts

    def feed(self, rows: Rows) -> bytes:
        if rows.kind == DATA_ROW:
            raise Refusal("response_unmaskable", "rows where copied data was promised")
        return self._mask.feed(rows.buffer, rows.start, rows.ends)

    def end(self) -> None:
        self._mask.end()


def row_filter(
    planned: Planned, fields: Sequence[Field], rules: Sequence[MaskRule], catalog: Catalog, key: bytes
) -> DataRows:
    plan = _plan(planned, fields, rules, key, lambda field: type_info(field.type, catalog.types))
    return DataRows(RowMask(plan))


def copy_filter(
    planned: Planned,
    fields: Sequence[Field],
    rules: Sequence[MaskRule],
    shape: CopyShape | None,
    key: bytes,
    *,
    types: Mapping[int, Type] = MappingProxyType({}),
) -> RowFilter:
    """
    A field of type 0 is masked as text: COPY itself does not say what its columns are.

    Raises `Refusal("response_unmaskable")` for a shape that is not understood, where anything is to be masked.
    """
    plan = _plan(planned, fields, rules, key, lambda field: type_info(field.type, types) if field.type else TEXT)
    return _Lines(CopyMask(shape or CopyShape("out", understood=False), plan))


def _plan(
    planned: Planned,
    fields: Sequence[Field],
    rules: Sequence[MaskRule],
    key: bytes,
    info_of: Callable[[Field], TypeInfo],
) -> MaskPlan:
    columns = tuple(
        MaskColumn(one[0] if one else field.name, info_of(field), int(field.binary), one and one[1])
        for one, field in zip(planned, fields, strict=True)
    )
    return MaskPlan(columns, _detect(rules), key)


def _detect(rules: Sequence[MaskRule]) -> dict[Strategy, list[str]]:
    found: dict[Strategy, list[str]] = {}
    for rule in rules:
        found.setdefault(rule.strategy, []).extend(rule.detect)
    return {strategy: names for strategy, names in found.items() if names}


class RecordMask:
    """
    For the level "redacted": what is recorded of released messages, with everything masked that a detector finds.

    A `ByteFilter` over whole messages. Rows that it knows no types of are taken as text.
    """

    def __init__(self) -> None:
        self._masks: dict[int, RowMask] = {}

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        del end
        try:
            yield from self._feed(data)
        except ProtocolViolation:
            raise Refusal("response_malformed", "what was released cannot be masked for the record") from None

    def _feed(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            last, ends = run(data, at, DATA_ROW, _MOST)
            if ends:
                yield self._rows(data, at, ends)
                at = last
                continue
            end_of = next(messages(data, at, _MOST)).end
            yield self._other(data[at : at + 1], data[at + 5 : end_of])
            at = end_of

    def _rows(self, data: bytes, start: int, ends: list[int]) -> bytes:
        count = int.from_bytes(data[start + 5 : start + 7], "big")
        mask = self._masks.get(count)
        if mask is None:
            columns = tuple(MaskColumn("", TEXT) for _ in range(count))
            mask = self._masks[count] = RowMask(MaskPlan(columns, {"mask": ALL}, b""))
        return mask.feed(data, start, ends)

    def _other(self, kind: bytes, body: bytes) -> bytes:
        """Errors and copied lines carry values; the rest does not."""
        if kind in b"EN":
            body = mask_fields(body, touched=False)
        elif kind == b"d":
            body = mask_text(body)[0]
        return message(kind, body)
