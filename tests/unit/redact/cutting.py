"""What the tests of filters share: running one over every way of cutting its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from extproc.errors import Refusal
from extproc.redact.base import ByteFilter

Make = Callable[[], ByteFilter]


def run(make: Make, pieces: Sequence[bytes]) -> bytes:
    """Feed the pieces; the last one ends the body."""
    made = make()
    out = [b"".join(made.feed(piece, end=False)) for piece in pieces[:-1]]
    return b"".join((*out, *made.feed(pieces[-1] if pieces else b"", end=True)))


def outcome(make: Make, pieces: Sequence[bytes]) -> bytes | str:
    """The output, or the code of the refusal."""
    try:
        return run(make, pieces)
    except Refusal as refusal:
        return refusal.code.name


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces, cut at `places` (taken modulo its length)."""
    marks = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]


def singles(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))] or [b""]
