"""Runs of messages in a read: all that are whole, none that is not, no length believed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres.framing import messages, run
from extproc.postgres.wire import ProtocolViolation
from tests.unit.postgres.backendmessages import message

CAP = 1000
some = st.lists(st.tuples(st.sampled_from([b"D", b"d", b"C"]), st.binary(max_size=20)), max_size=12)


@given(some, st.integers(0, 400), st.binary(max_size=3))
def test_a_run_is_what_reading_one_by_one_gives(sent: list[tuple[bytes, bytes]], cut: int, before: bytes) -> None:
    stream = before + b"".join(message(kind, body) for kind, body in sent)
    stream = stream[: len(before) + cut]
    expected, at = [], len(before)
    for kind, body in sent:
        at += 5 + len(body)
        if kind != b"D" or at > len(stream):
            break
        expected.append(at)
    end, ends = run(stream, len(before), ord("D"), CAP)
    assert ends == expected
    assert end == (expected[-1] if expected else len(before))


@given(some, st.integers(0, 400))
def test_messages_of_any_kind_are_found_one_by_one(sent: list[tuple[bytes, bytes]], cut: int) -> None:
    stream = b"".join(message(kind, body) for kind, body in sent)[:cut]
    found = [(bytes((one.kind,)), stream[one.start + 5 : one.end]) for one in messages(stream, 0, CAP)]
    assert found == sent[: len(found)]
    whole = sum(5 + len(body) for _, body in found)
    assert len(found) == len(sent) or whole + 5 + len(sent[len(found)][1]) > len(stream)


@pytest.mark.parametrize("length", [0, 1, 3, CAP + 1, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("before", [b"", message(b"D", b"ab")])
def test_a_length_that_cannot_be_is_refused_before_its_body_is_there(length: int, before: bytes) -> None:
    stream = before + b"D" + length.to_bytes(4, "big")
    with pytest.raises(ProtocolViolation):
        run(stream, 0, ord("D"), CAP)
    with pytest.raises(ProtocolViolation):
        list(messages(stream, 0, CAP))


def test_the_cap_itself_is_allowed() -> None:
    stream = message(b"D", b"x" * (CAP - 4))
    assert run(stream, 0, ord("D"), CAP) == (len(stream), [len(stream)])


def test_another_kind_of_impossible_length_is_not_looked_at() -> None:
    stream = message(b"D", b"ab") + b"E\0\0\0\0"
    assert run(stream, 0, ord("D"), CAP) == (7, [7])


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_give_a_run_or_a_violation(data: bytes, at: int) -> None:
    try:
        end, ends = run(data, min(at, len(data)), ord("D"), CAP)
    except ProtocolViolation:
        return
    assert end <= len(data)
    assert all(one <= end for one in ends)


def test_a_read_of_many_rows_costs_no_more_for_each() -> None:
    def cost(count: int) -> float:
        stream = message(b"D", b"x" * 20) * count
        began = time.process_time()
        run(stream, 0, ord("D"), CAP)
        return (time.process_time() - began) / count

    cost(1000)
    assert cost(200_000) < 20 * max(cost(2000), 2e-7)
