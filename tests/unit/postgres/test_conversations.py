"""Whole conversations, made up at random: with a server that only answers, whatever a client says."""

from __future__ import annotations

import re
from collections import Counter

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extproc.postgres.events import Side
from tests.unit.playbook import Policy
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.fakeserver import FAILING, IN, OUT, RESULTS, TRANSACTIONS, FakeServer
from tests.unit.postgres.playbook import Play, Said, client, server
from tests.unit.postgres.talking import (
    COPY_DONE,
    FLUSH,
    SSN,
    SYNC,
    TERMINATE,
    Heard,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    heard,
    parse,
    password,
    query,
)

DENIED, MALFORMED, PINNED = "DELETE FROM customers", "SELEC 1", "SET role = postgres"
CHANGES = "CREATE TABLE t ()"
TEXTS = [
    "PREPARE x AS SELECT id, ssn FROM customers", *RESULTS, "DEALLOCATE x", *TRANSACTIONS, IN, OUT, FAILING, DENIED,
    MALFORMED, PINNED, CHANGES, "", "INSERT INTO orders VALUES (1)",
]  # fmt: skip
NEVER = frozenset({DENIED, MALFORMED, PINNED})
names = st.sampled_from(["", "a", "b"])
texts = st.sampled_from(TEXTS)
most = st.sampled_from([0, 0, 1, 2])
simple = texts.map(query)
extended = st.one_of(
    st.builds(parse, texts, names),
    st.builds(bind, names, names),
    st.builds(bind, names, names),
    st.builds(describe, st.sampled_from("SP"), names),
    st.builds(execute, names, most),
    st.builds(execute, names, most),
    st.builds(close, st.sampled_from("SP"), names),
    st.just(FLUSH),
    st.just(SYNC),
    st.just(SYNC),
)
grouped = st.builds(lambda text, many: parse(text) + bind() + execute("", many) + SYNC, texts, most)
copies = st.one_of(
    st.builds(copy_data, st.sampled_from([b"one\n", b"jane@example.com\n"])), st.just(COPY_DONE), st.just(copy_fail())
)
messages = st.one_of(simple, extended, extended, grouped, copies)
broken = st.one_of(
    st.binary(min_size=1, max_size=20),
    st.builds(lambda kind, body: message(bytes([kind]), body), st.integers(0, 255), st.binary(max_size=20)),
)
BUSY = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Careful(Policy):
    """Denies deletes, masks one column."""

    def evaluate(self, document: bytes) -> tuple[bytes, str]:
        asked = orjson.loads(document)
        self.asked.append(asked)
        kinds = {one["kind"] for one in asked["sql"]["statements"]}
        answer = {"action": "deny"} if "delete" in kinds else {"action": "allow", "redact": [{"columns": ["ssn"]}]}
        return orjson.dumps(answer), "r1"


class Conversation:
    """One connection between a client's bytes and the model of a server."""

    def __init__(self, policy: Policy | None = None, never: frozenset[str] = NEVER) -> None:
        self.never = never
        self.play, self.server = Play(policy or Careful()), FakeServer()
        self.told = b""
        self.sent: list[Heard] = []
        self._waiting = b""  # what the server has said, and nobody has read
        self._take(self.play >> client(password()))

    def say(self, data: bytes, sizes: list[int], replies: list[int]) -> None:
        """Everything the client says, in pieces of these sizes, as the server answers in pieces of those."""
        sizes, replies = [*sizes, len(data)], list(replies)
        while not self.play.over:
            if self._waiting and self.play.side is not Side.CLIENT:
                size = replies.pop(0) if replies else len(self._waiting)
                piece, self._waiting = self._waiting[:size], self._waiting[size:]
                self._take(self.play >> server(piece))
            elif data and self.play.side is not Side.SERVER:
                size = sizes.pop(0)
                piece, data = data[:size], data[size:]
                self._take(self.play >> client(piece))
            else:
                return

    def _take(self, said: Said) -> None:
        for one in said.client:
            self.told += message(one.kind.encode(), one.body)
        for one in said.server:
            self.sent.append(one)
            self._waiting += self.server.answer(one)
        self._check()

    def _sneak(self, text: str) -> None:
        """What must be noticed."""
        self.server.answer(next(heard(query(text))))
        self._check()

    def _check(self) -> None:
        """What reached the server was decided: as often as it runs, policy was asked about that text, and said yes."""
        assert not self.never.intersection(self.server.parsed)
        texts, released = {}, Counter[str]()
        for exchange, (kind, payload, _) in zip(self.play.recorder.exchanges, self.play.recorder.events, strict=True):
            if kind == "request.attempt":
                texts[exchange] = payload["operation"]["sql"]["text"]
            elif kind == "request.released":
                released[texts[exchange]] += 1
        assert {decided(text) for text in self.server.parsed} <= released.keys()
        ran = Counter(decided(text) for text in self.server.ran)
        assert all(released[text] >= count for text, count in ran.items())
        assert len(self.server.ran) <= sum(one["sql"]["step"] == "execute" for one in self.play.policy.asked)


def decided(text: str) -> str:
    """A DEALLOCATE may have the server's name in it."""
    return re.sub(r"^DEALLOCATE extproc_\d+$", "DEALLOCATE x", text)


def settled(talk: Conversation) -> None:
    """Between two groups the gateway and the server mean the same."""
    if talk.play.over or talk.play.side is not Side.BOTH or talk.sent[-1:] == [] or talk.sent[-1].kind not in "SQ":
        return
    own = talk.play.connection._talk
    assert own is not None
    assert own.status.decode() == talk.server.status
    means = {one.server.decode(): one.text for one in own.names.statements.values()}
    assert {name: decided(text) for name, text in talk.server.statements.items()} == means
    assert {one.server.decode() for one in own.names.portals.values()} == talk.server.portals.keys()
    assert set(own.names.prepared) == ({"x"} if talk.server.prepared else set())


@BUSY
@given(st.lists(messages, max_size=25), st.lists(st.integers(1, 60)), st.lists(st.integers(1, 60)))
def test_whatever_a_client_says_is_decided_before_a_server_hears_it(
    said: list[bytes], sizes: list[int], replies: list[int]
) -> None:
    talk = Conversation()
    for one in said:
        talk.say(one, sizes, replies)
        settled(talk)
    assert SSN.encode() not in talk.told
    assert not any(one.kind not in "PBDECHSQXdcf" for one in talk.sent)
    if talk.play.over and talk.told:
        assert list(heard(talk.told))[-1].kind == "E"


@BUSY
@given(st.lists(st.one_of(messages, messages, messages, broken), max_size=25), st.lists(st.integers(1, 60)))
def test_a_client_that_breaks_the_protocol_is_cut_and_nothing_of_it_reaches_the_server(
    said: list[bytes], sizes: list[int]
) -> None:
    talk = Conversation()
    talk.say(b"".join(said), sizes, [])
    assert SSN.encode() not in talk.told
    assert not any(one.kind not in "PBDECHSQXdcf" for one in talk.sent)
    if talk.play.over:
        assert talk.play.connection.refusal is None or talk.play.connection.refusal.code.name == "protocol_error"


@BUSY
@given(st.lists(messages, max_size=15), st.lists(st.integers(1, 40)), st.lists(st.integers(1, 40)))
# A Sync behind a simple query is not one of what stands before it.
@example([parse("BEGIN"), bind(), query(DENIED), SYNC], [1, 1, 1, 1, 4, 40, 40], [])
def test_any_split_gives_the_same(said: list[bytes], sizes: list[int], replies: list[int]) -> None:
    whole, cut = Conversation(), Conversation()
    whole.say(b"".join(said) + TERMINATE, [], [])
    cut.say(b"".join(said) + TERMINATE, sizes, replies)
    assert plain(cut.told) == plain(whole.told)
    # Flush is said where Sync has not come yet.
    assert [one for one in cut.sent if one.kind != "H"] == [one for one in whole.sent if one.kind != "H"]
    assert cut.server.ran == whole.server.ran
    assert cut.play.over == whole.play.over


def plain(told: bytes) -> list[tuple[str, bytes]]:
    return [(one.kind, one.body) for one in heard(told)]


@given(st.lists(st.sampled_from([*RESULTS, *TRANSACTIONS, FAILING, DENIED, MALFORMED, OUT, ""]), max_size=8))
def test_every_query_is_answered_once(said: list[str]) -> None:
    talk = Conversation()
    talk.say(b"".join(map(query, said)), [], [])
    kinds = "".join(one.kind for one in heard(talk.told))
    assert kinds.count("Z") == len(said) + 1
    assert kinds.endswith("Z")


@given(st.lists(st.one_of(extended, grouped), max_size=25))
def test_every_sync_is_answered_once(said: list[bytes]) -> None:
    talk = Conversation()
    data = b"".join(one for one in said if b"STDIN" not in one)
    talk.say(data, [], [])
    syncs = sum(one.kind == "S" for one in heard(data))
    assert sum(one.kind == "Z" for one in heard(talk.told)) == syncs + 1


def test_the_model_runs_what_it_should() -> None:
    """A model that runs nothing would hold all of this up."""
    talk = Conversation(Policy({"action": "allow"}), frozenset())
    texts = [text for text in TEXTS if text not in (MALFORMED, PINNED, IN)]
    talk.say(b"".join(parse(text) + bind() + execute() + SYNC + query(text) for text in texts), [], [])
    talk.say(query(IN) + copy_data(b"1\n") + COPY_DONE, [], [])
    assert {*map(decided, talk.server.ran)} >= {*texts, IN} - {""}
    assert talk.server.copied == b"1\n"
    assert SSN.encode() in talk.told
    with pytest.raises(AssertionError):
        Conversation()._sneak("DELETE FROM customers")
