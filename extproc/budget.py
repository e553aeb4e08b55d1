"""A bound for what many exchanges keep in memory together."""

from __future__ import annotations

from extproc.errors import Refusal


class Budget:
    """Bytes of request bodies that a worker reads and keeps at once. One thread."""

    def __init__(self, total: int) -> None:
        self._left = total

    def take(self, count: int) -> None:
        """Raises `Refusal("overloaded")`; nothing has been forwarded then, so it may be sent again."""
        if count > self._left:
            raise Refusal("overloaded", retry_after=5)
        self._left -= count

    def give(self, count: int) -> None:
        self._left += count
