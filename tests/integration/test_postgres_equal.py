"""
Where policy allows all and masks nothing, the server's bytes come back as they are: every type, every error, every
family of commands, in both protocols, compared message by message with a server of the same state that is asked straight.

What is normalised stands in `equal/client.py`, what must differ in `equal/different.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.integration.equal import commands, errors, protocol, types
from tests.integration.equal.client import Talk, comparable
from tests.integration.equal.different import DIFFERENT, Different, fields, summary
from tests.integration.equal.pieces import conversation, splitter, together
from tests.integration.equal.says import extended, simple
from tests.integration.equal.twins import Difference, Twins, shown, twins
from tests.integration.gateway import ALLOW_ALL
from tests.unit.postgres.talking import query

pytestmark = pytest.mark.envoy

# Of the types, those with a format or a rule of their own; the others are in the long run.
USUAL = [
    "integer",
    "numeric",
    "text",
    "bytea",
    "timestamptz",
    "jsonb",
    "int4range",
    "text[]",
    "regclass",
    "mood",
    "pair",
]
HOW: dict[str, Callable[[str], Talk]] = {"simple": simple, "extended": extended}


@pytest.fixture(scope="module", params=[18, 15])
def pair(request: pytest.FixtureRequest) -> Iterator[Twins]:
    with twins(request.param, ALLOW_ALL) as made:
        yield made


def require_equal(pair: Twins, talks: Iterable[Talk]) -> None:
    found = pair.differences(talks)
    assert not found, shown(found)


def test_the_greeting_is_the_servers_own(pair: Twins) -> None:
    with pair.pair() as (straight, gateway):
        assert sorted(comparable(straight.greeting)) == sorted(comparable(gateway.greeting))
        assert straight.greeting[-1] == gateway.greeting[-1]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("script", commands.SCRIPTS)
def test_commands(pair: Twins, script: str, how: str) -> None:
    require_equal(pair, map(HOW[how], commands.SCRIPTS[script]))


@pytest.mark.parametrize("group", protocol.GROUPS)
def test_conversations(pair: Twins, group: str) -> None:
    require_equal(pair, protocol.GROUPS[group]())


def test_types(pair: Twins) -> None:
    require_equal(pair, types.talks(USUAL))


@pytest.mark.slow
def test_all_types(pair: Twins) -> None:
    require_equal(pair, types.talks())


@pytest.mark.parametrize("how", HOW)
def test_errors(pair: Twins, how: str) -> None:
    """Of eighty SQLSTATEs at least (fewer in the extended protocol, which takes one statement at a time)."""
    states: set[str] = set()
    found = pair.differences(map(simple, errors.SETUP))
    with pair.pair() as (straight, gateway):
        for talk in (one for text in errors.ERRORS for one in (HOW[how](text), simple("ROLLBACK"))):
            expected, got = comparable(straight.talk(talk)), comparable(gateway.talk(talk))
            states |= {fields(one)["C"] for one in expected if one.kind == "E"}
            if expected != got:
                found.append(Difference(talk, expected, got))
    assert not found, shown(found)
    assert len(states) >= (80 if how == "simple" else 60)


def test_what_must_differ_does_so_in_the_way_that_is_listed(pair: Twins) -> None:
    wrong = []
    for row in DIFFERENT:
        with pair.pair() as (straight, gateway):
            for talk in row.before:
                assert comparable(straight.talk(talk)) == comparable(gateway.talk(talk))
            found = Difference(row.talk, comparable(straight.talk(row.talk)), comparable(gateway.talk(row.talk)))
            if not _as_listed(row, found):
                wrong.append(f"{row.reason}: {found}")
            if not row.gateway.endswith("(end)"):  # whatever was said, the connection is of use afterwards
                assert summary(gateway.talk(simple("ROLLBACK; SELECT 1"))).endswith("SELECT 1 I")
    assert not wrong, "\n".join(wrong)


def _as_listed(row: Different, found: Difference) -> bool:
    if found.straight == found.gateway or (summary(found.straight), summary(found.gateway)) != (
        row.straight,
        row.gateway,
    ):
        return False
    if not row.same_text:
        return True
    (theirs,), (ours,) = ([fields(one) for one in each if one.kind == "E"] for each in (found.straight, found.gateway))
    return all(theirs.get(code) == ours.get(code) for code in "SVCMP")


@pytest.mark.parametrize("text", ["", "SELECT pg_sleep(60)"], ids=["idle", "busy"])
def test_a_server_that_ends_the_connection_has_its_say_first(pair: Twins, text: str) -> None:
    """The gateway adds where the record is."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
    with pair.pair() as both:
        for client, server in zip(both, (pair.alone, pair.behind), strict=True):
            client.send([query(text)] if text else [])
            server.psql(f"SELECT pg_sleep(0.2); {end}")
        straight, gateway = (comparable(client.answers(1)) for client in both)
    *same, last, over = gateway
    assert [*same, over] == straight
    assert fields(last)["C"] == "08006"


def check_pieces(pair: Twins, seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        talks = conversation(chance)
        if chance.random() < 0.5:
            talks = together(talks, chance)
        found = pair.differences(talks, splitter(chance))
        assert not found, f"seed {seed}: {shown(found)}"


def test_a_conversation_in_pieces(pair: Twins) -> None:
    """However its bytes arrive, from one at a time to many messages at once, the same bytes come back."""
    check_pieces(pair, range(12))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_conversations_in_pieces(pair: Twins) -> None:
    check_pieces(pair, range(12, 300))


def test_a_splitter_loses_nothing() -> None:
    data = bytes(range(256)) * 3
    pieces = [list(splitter(random.Random(seed))(data)) for seed in range(20)]
    assert all(b"".join(one) == data for one in pieces)
    assert {len(one) == len(data) for one in pieces} == {True, False}
