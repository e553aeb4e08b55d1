"""A catalog and what was understood with it: a text is analysed once, as long as names mean the same."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from extproc.postgres.catalog import Catalog
from extproc.postgres.sql.analyse import analyse, origins_of
from extproc.postgres.sql.model import Analysis, Origin

_REMEMBERED: Final = 2048  # texts
_MOST: Final = 1024 * 1024  # characters of them all: what is known of a text takes up to a hundred times its length
_LONGEST: Final = 32 * 1024  # characters of a text that is worth remembering


class Reading:
    """Shared by all connections that see the same catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._known: OrderedDict[str, Analysis] = OrderedDict()
        self._size = 0  # characters

    def analyse(self, text: str) -> Analysis:
        """Raises `SqlError`."""
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        found = analyse(text, self.catalog)
        if len(text) <= _LONGEST:
            self._known[text] = found
            self._size += len(text)
            while len(self._known) > _REMEMBERED or self._size > _MOST:
                self._size -= len(self._known.popitem(last=False)[0])
        return found

    def origins_of(self, relation: int, number: int) -> frozenset[Origin] | None:
        return origins_of(self.catalog, relation, number)
