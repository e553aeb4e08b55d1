from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres.bind import Bind, read_bind, write_bind
from extproc.postgres.operation import Parameter
from extproc.postgres.wire import ProtocolViolation, Reader
from tests.unit.postgres.talking import bind

values = st.lists(st.none() | st.binary(max_size=9), max_size=5)


def read(data: bytes) -> Bind:
    return read_bind(Reader(data[5:]))


@given(values, st.lists(st.sampled_from([0, 1]), max_size=3))
def test_only_the_names_change(given_values: list[bytes | None], results: list[int]) -> None:
    found = read(bind("theirs", "portal", given_values, [1], results))
    assert (found.portal, found.statement, found.results) == (b"portal", b"theirs", tuple(results))
    assert found.values == tuple(given_values)
    assert write_bind(found, b"p1", b"s1") == bind("s1", "p1", given_values, [1], results)


@pytest.mark.parametrize(
    ("formats", "binary"), [([], [False, False]), ([1], [True, True]), ([0], [False, False]), ([0, 1], [False, True])]
)
def test_formats_are_for_none_for_all_or_for_each(formats: list[int], binary: list[bool]) -> None:
    found = read(bind("", "", [b"a", None], formats))
    assert [one.binary for one in found.parameters(())] == binary


def test_types_are_known_as_far_as_they_were_said() -> None:
    found = read(bind("", "", [b"\0\0\0\7", b"x", None], [1, 0, 0]))
    assert found.parameters((23,)) == (Parameter(b"\0\0\0\7", binary=True, type=23), Parameter(b"x"), Parameter(None))


@pytest.mark.parametrize(
    "data",
    [
        bind("", "", [b"a", b"b"], [0, 0, 0]),
        bind("", "", [b"a", b"b", b"c"], [0, 1]),
        bind("", "", [b"a"], [2]),
        bind("", "", [b"a"], [], [-1]),
        bind("", "", [b"a"]) + b"\0",
        bind("", "", [b"a"])[:-1],
        bind("", "", [b"abc"])[:-6],
        b"BBBBB\0\0" + b"\0\0" + b"\0\1" + b"\xff\xff\xff\xfe" + b"\0\0",  # a length of -2
        b"BBBBB\0\0" + b"\0\0" + b"\xff\xff" + b"\0\0",  # 65,535 values that are not there
        b"BBBBBportal",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read(data)
