from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres.backend import Backend, Rows
from extproc.postgres.wire import Message, ProtocolViolation
from tests.unit.postgres.backendmessages import message

LIMIT = 100
kinds = st.sampled_from([b"D", b"d", b"C", b"Z", b"T", b"E", b"S"])
streams = st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=12)


def taken(backend: Backend) -> list[tuple[bytes, bytes]]:
    """Every message that is there, runs taken apart."""
    found = []
    while (one := backend.next()) is not None:
        if isinstance(one, Message):
            found.append((one.kind, one.body))
            continue
        start = one.start
        for end in one.ends:
            assert one.buffer[start] == one.kind
            found.append((bytes([one.kind]), one.buffer[start + 5 : end]))
            start = end
    return found


@given(streams, st.lists(st.integers(1, 30)))
def test_any_split_gives_the_same_messages(sent: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    data = b"".join(message(kind, body) for kind, body in sent)
    backend, found = Backend(LIMIT), []
    for size in [*sizes, len(data)]:
        backend.feed(data[:size])
        data = data[size:]
        found += taken(backend)
    assert found == sent
    assert backend.empty


@given(streams)
def test_byte_by_byte(sent: list[tuple[bytes, bytes]]) -> None:
    backend, found = Backend(LIMIT), []
    for byte in b"".join(message(kind, body) for kind, body in sent):
        backend.feed(bytes([byte]))
        found += taken(backend)
    assert found == sent


def test_rows_of_one_kind_come_as_a_run() -> None:
    backend = Backend(LIMIT)
    rows = message(b"D", b"1") + message(b"D", b"22")
    backend.feed(rows + message(b"d", b"3") + message(b"C", b"x\0"))
    run = backend.next()
    assert isinstance(run, Rows)
    assert run.all() == rows
    assert run.first(1).all() == message(b"D", b"1")
    other = backend.next()
    assert isinstance(other, Rows)
    assert (other.kind, len(other.ends)) == (ord("d"), 1)
    assert backend.next() == (b"C", b"x\0")
    assert backend.next() is None
    assert backend.empty


@pytest.mark.parametrize("length", [0, 3, LIMIT + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", b"DCE")
def test_impossible_lengths(kind: int, length: int) -> None:
    backend = Backend(LIMIT)
    backend.feed(struct.pack("!BI", kind, length))
    with pytest.raises(ProtocolViolation):
        backend.next()


def test_an_incomplete_message_is_not_empty() -> None:
    backend, seen = Backend(LIMIT), []
    for data in (b"", b"D", struct.pack("!I", 50)):
        backend.feed(data)
        assert backend.next() is None
        seen.append(backend.empty)
    assert seen == [True, False, False]


@given(streams, st.integers(0, 200))
def test_what_was_not_read_can_go_on_elsewhere(sent: list[tuple[bytes, bytes]], cut: int) -> None:
    data = b"".join(message(kind, body) for kind, body in sent)
    first, second = Backend(LIMIT), Backend(LIMIT)
    first.feed(data[:cut])
    found = taken(first)
    second.feed(first.rest() + data[cut:])
    assert found + taken(second) == sent


def test_a_large_message_in_many_pieces_is_joined_once() -> None:
    """What it costs grows with the size of a message, not with its square."""
    size = 8 * 1024 * 1024
    backend = Backend(size + 4)
    backend.feed(struct.pack("!BI", ord("D"), size + 4))
    piece = bytes(4096)
    for _ in range(size // len(piece) - 1):
        backend.feed(piece)
        assert backend.next() is None
    backend.feed(piece)
    found = backend.next()
    assert isinstance(found, Rows)
    assert len(found.all()) == size + 5
