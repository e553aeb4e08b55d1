from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres import wire
from extproc.postgres.wire import Inbox, Message, ProtocolViolation, Reader
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.talking import failure, startup

LIMIT = 1000
CLIENT_KINDS = b"QPBEDCHSXFdcfp"


def whole(data: bytes, limit: int = LIMIT) -> list[Message]:
    inbox = Inbox(limit)
    inbox.feed(data)
    found = []
    while (one := inbox.next()) is not None:
        found.append(one)
    return found


def header(kind: int, length: int) -> bytes:
    return struct.pack("!BI", kind, length)


def test_messages_come_out_as_they_were_put_in() -> None:
    data = message(b"Q", b"SELECT 1\0") + message(b"S", b"") + message(b"d", b"x" * 70_000)
    assert whole(data) == [(b"Q", b"SELECT 1\0"), (b"S", b""), (b"d", b"x" * 70_000)]


@given(
    st.lists(st.tuples(st.sampled_from([bytes([kind]) for kind in CLIENT_KINDS]), st.binary(max_size=30)), max_size=8),
    st.lists(st.integers(1, 20)),
)
def test_any_split_gives_the_same_messages(sent: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    data = b"".join(message(kind, body) for kind, body in sent)
    inbox, found = Inbox(LIMIT), []
    for size in [*sizes, len(data)]:
        inbox.feed(data[:size])
        data = data[size:]
        kind = inbox.peek()
        while (one := inbox.next()) is not None:
            assert kind == one.kind
            found.append(one)
            kind = inbox.peek()
        assert kind == b""
    assert found == sent
    assert inbox.waiting == 0


@pytest.mark.parametrize("look", [Inbox.next, Inbox.peek])
def test_an_unknown_type_is_refused_as_soon_as_its_header_is_there(look: Callable[[Inbox], object]) -> None:
    for kind in set(range(256)) - {*CLIENT_KINDS}:
        inbox = Inbox(LIMIT)
        inbox.feed(header(kind, 4))
        with pytest.raises(ProtocolViolation):
            look(inbox)


@pytest.mark.parametrize(
    ("kinds", "most"),
    [(b"CDEHSXcf", 16 * 1024), (b"p", 32 * 1024), (b"QPBF", LIMIT), (b"d", 16 * 1024 * 1024)],
)
def test_a_length_beyond_the_limit_is_refused_before_the_body_is_there(kinds: bytes, most: int) -> None:
    for kind in kinds:
        inbox = Inbox(LIMIT)
        inbox.feed(header(kind, most + 4))
        assert inbox.next() is None  # may still come
        inbox = Inbox(LIMIT)
        inbox.feed(header(kind, most + 5))
        with pytest.raises(ProtocolViolation):
            inbox.next()


@pytest.mark.parametrize("length", [0, 1, 3, 1 << 31, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", CLIENT_KINDS)
def test_impossible_lengths_are_refused(kind: int, length: int) -> None:
    inbox = Inbox(1 << 30)
    inbox.feed(header(kind, length))
    with pytest.raises(ProtocolViolation):
        inbox.next()


@given(st.binary(max_size=40))
def test_random_bytes_are_messages_or_refused(data: bytes) -> None:
    try:
        found = whole(data)
    except ProtocolViolation:
        return
    assert data.startswith(b"".join(message(kind, body) for kind, body in found))


def test_a_reader_stays_within_its_message() -> None:
    reader = Reader(b"ab\0\xff\xff\0\0\0\2\xff\xff\xff\xff")
    assert reader.string() == b"ab"
    assert reader.count() == 65535
    assert reader.int32() == 2
    assert reader.uint32() == 4294967295
    reader.end()
    for read in (reader.string, reader.int16, reader.int32, lambda: reader.take(1), lambda: Reader(b"ab").take(-1)):
        with pytest.raises(ProtocolViolation):
            read()
    with pytest.raises(ProtocolViolation):
        Reader(b"x").end()


def test_signs() -> None:
    assert Reader(b"\xff\xfe").int16() == -2
    assert Reader(b"\xff\xff\xff\xfe").int32() == -2


def test_a_string_with_a_zero_byte_is_not_written() -> None:
    assert wire.text(b"name") == b"name\0"
    with pytest.raises(ProtocolViolation):
        wire.text(b"na\0me")


def test_fields_cannot_be_added_by_a_value() -> None:
    data = wire.fields(b"E", {"S": "ERROR", "C": "42501", "M": "no\0Hhint", "D": ""})
    assert data == message(b"E", b"SERROR\0C42501\0MnoHhint\0\0")


def test_a_startup_message() -> None:
    body = startup((3, 2), user="job", database="shop", application_name="ä")[4:]
    assert wire.startup(body) == ((3, 2), {"user": "job", "database": "shop", "application_name": "ä"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\3\0\0",  # no end
        b"\0\3\0\0user\0job\0",
        b"\0\3\0\0user\0",
        b"\0\3\0\0user\0job\0\0x",  # bytes behind the end
        b"\0\3\0\0user\0job\0user\0root\0\0",
        b"\0\3\0\0user\0\xff\xfe\0\0",
        "\0\3\0\0üser\0job\0\0".encode(),
    ],
)
def test_startup_messages_that_can_be_read_in_two_ways_are_refused(body: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wire.startup(body)


def test_the_state_of_an_error() -> None:
    assert wire.sqlstate_of(failure("23505")[5:]) == "23505"
    assert wire.sqlstate_of(b"SERROR\0\0") == "XX000"
