"""The seams of masking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ByteFilter(Protocol):
    """One step of a body's lane. Output depends on the bytes alone, never on how they were cut into chunks."""

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        """
        Take the next bytes, give what may go on. After `end` nothing is held back.

        Raises `Refusal` where the bytes cannot be read without doubt.
        """
