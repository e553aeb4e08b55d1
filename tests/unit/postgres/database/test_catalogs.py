from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.postgres.channel import Channel
from extproc.postgres.database import catalogs, introspect
from extproc.postgres.database.catalogs import Catalogs
from extproc.postgres.database.introspect import BUILT_IN, LOOK, OWN, WITHIN_FAILED, Session, within
from extproc.postgres.reading import Reading
from tests.unit.postgres.database.test_introspect import EMPTY, SESSION, results
from tests.unit.postgres.talking import complete, failure, heard, notice, notification, parameter, ready, rows
from tests.unit.postgres.test_channel import Transport

pytestmark = pytest.mark.asyncio

LOOKED, OWNED, BUILT = LOOK, "; ".join(OWN), "; ".join(BUILT_IN)
ISOLATION = "SELECT pg_catalog.current_setting('transaction_isolation')"


class Server(Transport):
    """
    A database's end of a connection: it answers each question at once. `token` changes with what it holds, `after`
    follows the next answer in the same read, `failing` are questions that fail.
    """

    def __init__(self, *, token: str = "aa", path: str = '["pg_catalog","public"]') -> None:
        super().__init__()
        self.channel = Channel(lambda: None)
        self.channel.connection_made(self)
        self.token, self.path, self.isolation = token, path, "read committed"
        self.asked: list[str] = []
        self.after = self.by_the_way = b""
        self.failing: set[str] = set()
        self.change: dict[str, str] = {}  # the token once that was asked
        self.silent = False

    @property
    def session(self) -> tuple[str, ...]:
        return (*SESSION[:3], self.path, SESSION[4], *[self.token] * 16)

    def write(self, data: Any) -> None:
        (message,) = heard(bytes(data))
        text = message.text
        self.asked.append(text)
        self.token = self.change.pop(text, self.token)
        if self.silent:
            return
        if text in self.failing:
            answer = failure("55P03")
        else:
            answer = b"".join(rows(*one) + complete("SELECT") for one in self._results(text))
        data = self.by_the_way + answer + ready() + self.after
        self.after = b""
        for at in range(0, len(data), 1000):
            self.channel.data_received(data[at : at + 1000])

    def _results(self, text: str) -> Sequence[Any]:
        if text == LOOK:
            return [[self.session]]
        if text == ISOLATION:
            return [[(self.isolation,)]]
        found = results(session=self.session)
        if text in (OWNED, "; ".join(within(OWN))):
            return found if text == OWNED else [*found, []]
        if text in (BUILT, "; ".join(within(BUILT_IN))):
            found = results(session=self.session, **EMPTY)
            return found if text == BUILT else [*found, []]
        return [[]]

    async def read(self, shared: Catalogs, *, in_transaction: bool = False) -> Reading:
        async def outside() -> Session:
            return introspect.look([self.session])

        return await shared.read(self.channel, outside, in_transaction=in_transaction)


async def test_it_is_read_once_for_all_connections() -> None:
    shared, first, second = Catalogs(), Server(), Server()
    reading = await first.read(shared)
    assert first.asked == [LOOKED, OWNED, BUILT]
    assert reading.catalog.search_path == ("pg_catalog", "public")
    assert ("public", "t") in reading.catalog.relations
    assert await first.read(shared) is reading
    assert await second.read(shared) is reading
    assert second.asked == [LOOKED]


async def test_also_where_all_connect_at_once() -> None:
    shared, servers = Catalogs(), [Server() for _ in range(5)]
    found = await asyncio.gather(*(server.read(shared) for server in servers))
    assert len({id(one) for one in found}) == 1
    assert sum(OWNED in server.asked for server in servers) == 1


async def test_what_changed_is_read_anew_and_what_did_not_is_not() -> None:
    shared, server = Catalogs(), Server()
    before = await server.read(shared)
    server.token = "bb"
    after = await server.read(shared)
    assert after is not before
    assert server.asked[3:] == [LOOKED, OWNED]
    server.path = '["hr"]'
    moved = await server.read(shared)
    assert moved.catalog.search_path == ("hr",)
    assert moved.catalog.fingerprint != after.catalog.fingerprint
    assert server.asked[5:] == [LOOKED]


async def test_a_database_that_changes_while_it_is_read_is_read_again() -> None:
    shared, server = Catalogs(), Server()
    server.change = {OWNED: "bb"}
    await server.read(shared)
    assert server.asked == [LOOKED, OWNED, LOOKED, OWNED, BUILT]


async def test_but_not_for_ever() -> None:
    shared, server = Catalogs(), Server()
    tokens = iter("abcdefghij")

    class Changing(dict[str, str]):
        def pop(self, _text: str, *_: Any) -> str:
            return next(tokens) * 2

    server.change = Changing()
    with pytest.raises(Refusal) as refused:
        await server.read(shared)
    assert refused.value.code.name == "upstream_unavailable"
    assert server.asked == [LOOKED, OWNED] * 3


async def test_inside_of_a_transaction_behind_a_savepoint() -> None:
    shared, server = Catalogs(), Server()
    await server.read(shared, in_transaction=True)
    assert server.asked == [LOOKED, ISOLATION, "; ".join(within(OWN)), "; ".join(within(BUILT_IN))]


async def test_an_old_snapshot_is_held_against_the_database_as_it_is() -> None:
    shared, server = Catalogs(), Server()
    await server.read(shared)
    server.isolation = "repeatable read"
    await server.read(shared, in_transaction=True)

    async def outside() -> Session:
        return introspect.look([(*server.session[:5], *["cc"] * 16)])

    with pytest.raises(Refusal) as refused:
        await shared.read(server.channel, outside, in_transaction=True)
    assert refused.value.code.name == "statement_refused"


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_a_question_that_fails_leaves_the_connection_as_it_was(in_transaction: bool) -> None:
    shared, server = Catalogs(), Server()
    server.failing = {OWNED, "; ".join(within(OWN))}
    with pytest.raises(Refusal):
        await server.read(shared, in_transaction=in_transaction)
    assert server.asked[-1] == (WITHIN_FAILED if in_transaction else "ROLLBACK")
    server.failing = set()
    await server.read(shared, in_transaction=in_transaction)


async def test_what_the_server_says_by_the_way_comes_after_it() -> None:
    shared, server = Catalogs(), Server()
    server.by_the_way = parameter("TimeZone", "UTC") + notice("x")
    await server.read(shared)
    left = server.channel.take()
    assert left is not None
    assert [one.kind for one in heard(left)] == ["S"] * 3  # one from each question


async def test_and_so_does_what_comes_in_the_same_read_behind_it() -> None:
    """Also half a message: its other half is still to come."""
    shared, server = Catalogs(), Server()
    await server.read(shared)
    behind = notification("jobs", "hello") * 2
    for cut in range(1, len(behind)):
        server.after = behind[:cut]
        await server.read(shared)
        server.channel.data_received(behind[cut:])
        left = b""
        while (chunk := server.channel.take()) is not None:
            left += chunk
        assert left == behind


@pytest.mark.parametrize("data", [b"R\0\0\0\x08\0\0\0\0", b"1\0\0\0\4", b"G\0\0\0\4", b"D\0\0\0\0", b"D\0\0\0\x06\0\1"])
async def test_an_answer_that_is_none(data: bytes) -> None:
    server = Server()
    server.by_the_way = data
    with pytest.raises(Refusal) as refused:
        await server.read(Catalogs())
    assert refused.value.code.name == "upstream_unavailable"


async def test_a_server_that_leaves() -> None:
    server = Server()
    server.silent = True
    reading = asyncio.create_task(server.read(Catalogs()))
    await asyncio.sleep(0)
    server.channel.connection_lost(None)
    with pytest.raises(Refusal):
        await reading


async def test_a_server_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "_WITHIN", 0.02)
    server = Server()
    server.silent = True
    with pytest.raises(Refusal):
        await server.read(Catalogs())


async def test_one_that_hangs_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it gives up, and the next one reads for itself."""
    monkeypatch.setattr(catalogs, "_WITHIN", 0.05)
    shared, slow, other = Catalogs(), Server(), Server()
    first = asyncio.create_task(slow.read(shared))
    slow.change = {OWNED: ""}
    slow.silent = True
    with pytest.raises(Refusal):
        await first
    assert await other.read(shared)


async def test_at_most_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "_READINGS", 2)
    shared, server = Catalogs(), Server()
    first = await server.read(shared)
    for token in ("bb", "cc"):
        server.token = token
        await server.read(shared)
    server.token = "aa"
    again = await server.read(shared)
    assert again is not first
    assert dataclasses.replace(again.catalog) == first.catalog
