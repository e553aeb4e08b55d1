"""A catalog and what was understood with it: a text is analysed once, as long as names mean the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from extproc.postgres.catalog import Catalog
from extproc.postgres.sql.analyse import analyse, origins_of
from extproc.postgres.sql.model import Analysis, Origin, Statement, Step

_REMEMBERED: Final = 2048  # texts
_MOST: Final = 1024 * 1024  # characters of them all: what is known of a text takes up to a hundred times its length
_LONGEST: Final = 32 * 1024  # characters of a text that is worth remembering
_KINDS: Final = 512  # kinds of statements
_KINDS_MOST: Final = 128 * 1024  # characters of a text of each

_Kind = tuple[tuple[Statement, ...], tuple[Step, ...]]


class Reading:
    """Shared by all connections that see the same catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._known: OrderedDict[str, Analysis] = OrderedDict()
        self._size = 0  # characters
        self._kinds: OrderedDict[_Kind, tuple[Analysis, int]] = OrderedDict()
        self._kinds_size = 0  # characters

    def analyse(self, text: str) -> Analysis:
        """Raises `SqlError`."""
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        found = analyse(text, self.catalog)
        if len(text) <= _LONGEST:
            found = self._like_others(found)
            self._known[text] = found
            self._size += len(text)
            while len(self._known) > _REMEMBERED or self._size > _MOST:
                self._size -= len(self._known.popitem(last=False)[0])
        return found

    def _like_others(self, found: Analysis) -> Analysis:
        """
        Texts that differ in constants alone have plans in common (`Analysis.cache`): to make them takes as long as the
        analysis, 80 µs.
        """
        kind = (found.statements, found.steps)
        known = self._kinds.get(kind)
        if known is not None:
            self._kinds.move_to_end(kind)
            # Plans go by the very steps, so these are taken with them.
            return replace(found, statements=known[0].statements, steps=known[0].steps, cache=known[0].cache)
        self._kinds[kind] = found, len(found.text)
        self._kinds_size += len(found.text)
        while len(self._kinds) > _KINDS or self._kinds_size > _KINDS_MOST:
            self._kinds_size -= self._kinds.popitem(last=False)[1][1]
        return found

    def origins_of(self, relation: int, number: int) -> frozenset[Origin] | None:
        return origins_of(self.catalog, relation, number)
