"""Conversations in pieces: which, where they are cut, and what of them is sent at once. All by one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

from tests.integration.equal import commands, protocol, types
from tests.integration.equal.client import Talk
from tests.integration.equal.says import extended, simple
from tests.integration.equal.twins import Split


def conversation(chance: random.Random) -> list[Talk]:
    """A part of one that the tests of equality have, whole: what comes later in it may need what came before."""
    kind = chance.randrange(4)
    if kind == 0:
        return list(protocol.GROUPS[chance.choice(("statements", "portals", "pipelines"))]())
    if kind == 1:
        return [talk for talk in protocol.copies() if len(talk.data) < 5000]
    if kind == 2:
        how = chance.choice((simple, extended))
        return [how(text) for text in commands.SCRIPTS[chance.choice(("transactions", "cursors", "settings", "code"))]]
    return list(types.talks([chance.choice(list(types.TYPES))]))


def splitter(chance: random.Random) -> Split:
    """Cuts of one size or of all sizes; a header, a length, a name may be anywhere in them."""
    how = chance.choice(("bytes", "small", "any", "few"))

    def split(data: bytes) -> Iterator[bytes]:
        if how == "bytes" and len(data) < 3000:
            cuts = list(range(1, len(data)))
        else:
            most = {"small": len(data) // 4, "any": min(len(data) // 2, 200)}.get(how, 3)
            cuts = sorted(chance.sample(range(1, len(data)), min(most, len(data) - 1))) if len(data) > 1 else []
        for start, end in pairwise((0, *cuts, len(data))):
            yield data[start:end]

    return split


def together(talks: list[Talk], chance: random.Random) -> list[Talk]:
    """Some of them sent at once: a client need not wait for an answer before it sends the next message."""
    joined, rest = [], talks
    while rest:
        count = chance.randrange(1, 12)
        some, rest = rest[:count], rest[count:]
        data = b"".join(talk.data for talk in some)
        joined.append(Talk(" + ".join(talk.about for talk in some), data, sum(talk.readies for talk in some)))
    return joined
