"""
JSON in which names stand apart from values.

Datasette's default shape is `{"rows": [[1, "x"], …], …, "columns": ["id", "email"], …}`: the names of the cells come
after them. So output is held from the first row until the columns are known (`fields.py`), and only then is each cell
masked by its place. Values that never get a name (an array of arrays or of scalars at the top) are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from extproc.errors import Refusal

HOLD_CAP: Final = 4 * 1024 * 1024  # bytes of rows that wait for their columns
_COLUMNS_MAX: Final = 10_000

_OBJECT, _ARRAY, _QUOTE = 0x7B, 0x5B, 0x22
_IN_OBJECT: Final = b"{"
_IN_LIST: Final = b"{["
_IN_ROW: Final = b"{[["


def unmaskable(reason: str) -> Refusal:
    return Refusal("response_unmaskable", reason)


class Table:
    """Follows the members `columns` and `rows` of one value at the top. `places`: cells to mask and their names."""

    def __init__(self, names: frozenset[bytes]) -> None:
        self._names = names
        self._columns: list[bytes] | None = None
        self._cell = 0
        self.member = b""
        self.places: Mapping[int, bytes] | None = None
        self.waiting = False  # a row was met whose columns are not known

    def name(self, name: bytes) -> None:
        """A member of the object at the top."""
        if name == b"columns" and self._columns is not None:
            raise unmaskable("the columns of a table are named twice")
        self.member = name

    def value(self, stack: bytes, first: int, text: bytes) -> bytes | None:
        """
        A value begins with the byte `first` inside `stack`; `text` is a whole scalar, or a string inside `columns`.

        Gives the column's name where the value is a cell to mask. Raises `Refusal("response_unmaskable")`.
        """
        if stack == b"[" and first != _OBJECT and text != b"null":
            raise unmaskable("values without names, and a rule that goes by name")
        if stack == _IN_OBJECT and self.member == b"columns" and first == _ARRAY:
            self._columns = []
        elif stack == _IN_LIST and self.member == b"columns":
            self._column(first, text)
        elif stack == _IN_LIST and self.member == b"rows" and first == _ARRAY:
            self._cell = 0
            self.waiting = self.places is None
        elif stack == _IN_ROW and self.member == b"rows" and self.places:
            self._cell += 1
            return self.places.get(self._cell - 1)
        return None

    def _column(self, first: int, text: bytes) -> None:
        if self._columns is None:
            return
        if first != _QUOTE or len(self._columns) == _COLUMNS_MAX:
            # Not the shape that is known here. Rows of arrays, if any, then stay without names and are refused.
            self._columns = None
            self.member = b""
            return
        self._columns.append(text)

    def list_ended(self) -> None:
        """An array directly inside the object at the top has ended: the columns, perhaps."""
        if self.member == b"columns" and self._columns is not None:
            lowered = [name.lower() for name in self._columns]
            self.places = {place: name for place, name in enumerate(lowered) if name in self._names}
            self.waiting = False

    def reads_columns(self, stack: bytes) -> bool:
        return stack == _IN_LIST and self.member == b"columns" and self._columns is not None

    def one_by_one(self, stack: bytes) -> bool:
        """Whether every value directly inside `stack` must be seen."""
        return self.reads_columns(stack) or (stack == _IN_ROW and self.member == b"rows" and bool(self.places))

    def objects_only(self, stack: bytes) -> bool:
        """Whether nothing but objects may be passed over inside `stack`."""
        if stack == _IN_LIST and self.member == b"rows":
            return bool(self.places) or (self.places is None and not self.waiting)
        return stack == b"["

    def end(self) -> None:
        """The value at the top has ended."""
        if self.waiting:
            raise unmaskable("rows without the names of their columns")
