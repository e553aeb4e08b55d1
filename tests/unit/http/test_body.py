"""Undoing gzip on the way through, and what policy may know of a body."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.http.body import Gunzip, decoder, read_body

PIECE = 256 * 1024


def decode(encoded: bytes, *cuts: int) -> bytes:
    """What comes out where the bytes are cut at `cuts`."""
    gunzip = Gunzip()
    places = [0, *sorted(cut % (len(encoded) + 1) for cut in cuts), len(encoded)]
    out = b"".join(
        piece for start, stop in itertools.pairwise(places) for piece in gunzip.feed(encoded[start:stop], end=False)
    )
    return out + b"".join(gunzip.feed(b"", end=True))


# --- encodings


@pytest.mark.parametrize("encodings", [[], [b"identity"], [b""]])
def test_without_an_encoding_there_is_nothing_to_undo(encodings: list[bytes]) -> None:
    assert decoder(encodings) is None


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"GZIP"])
def test_gzip_is_undone_under_both_its_names(encoding: bytes) -> None:
    undo = decoder([encoding])
    assert undo is not None
    assert b"".join(undo.feed(gzip.compress(b"hello"), end=True)) == b"hello"


@pytest.mark.parametrize("encodings", [[b"br"], [b"zstd"], [b"deflate"], [b"gzip", b"gzip"], [b"gzip", b"br"], [b"?"]])
def test_every_other_encoding_is_unreadable(encodings: list[bytes]) -> None:
    with pytest.raises(Refusal) as refused:
        decoder(encodings)
    assert refused.value.code.name == "response_unreadable"


# --- gzip


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.lists(st.integers(0, 20000), max_size=6))
def test_members_come_out_the_same_however_they_are_cut(members: list[bytes], cuts: list[int]) -> None:
    assert decode(b"".join(gzip.compress(member) for member in members), *cuts) == b"".join(members)


def test_every_byte_on_its_own_gives_the_same() -> None:
    encoded = gzip.compress(b"one" * 100) + gzip.compress(b"") + gzip.compress(b"two")
    assert decode(encoded, *range(len(encoded))) == b"one" * 100 + b"two"


def test_a_bomb_comes_out_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    try:
        total = 0
        for piece in Gunzip().feed(bomb, end=True):
            assert len(piece) <= PIECE
            total += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 4 << 20


def test_output_that_zlib_holds_back_at_a_full_piece_is_not_lost() -> None:
    for size in (PIECE - 1, PIECE, PIECE + 1, PIECE + 257, 2 * PIECE):
        assert len(decode(gzip.compress(b"a" * size))) == size


def test_no_bytes_decode_to_none() -> None:
    assert decode(b"") == b""


@given(st.integers(1, 10_000))
def test_a_cut_off_member_is_malformed(cut: int) -> None:
    encoded = gzip.compress(b"some text " * 50)
    refuse(encoded[: cut % (len(encoded) - 1) + 1])


@pytest.mark.parametrize(
    "tail", [b"\0", b"garbage after the end", b"\x1f", b"\x1f\x8b\x08", gzip.compress(b"x")[:-1], zlib.compress(b"x")]
)
def test_anything_after_the_last_member_is_malformed(tail: bytes) -> None:
    refuse(gzip.compress(b"text") + tail)


@pytest.mark.parametrize("encoded", [b"plain text", zlib.compress(b"x"), gzip.compress(b"x")[:-8] + bytes(8)])
def test_what_is_not_gzip_or_has_a_wrong_checksum_is_malformed(encoded: bytes) -> None:
    refuse(encoded)


def refuse(encoded: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        decode(encoded)
    assert refused.value.code.name == "response_malformed"


# --- what policy knows


def read(body: bytes, media_type: str) -> dict[str, Any]:
    document = read_body(body, media_type, complete=True)
    assert document.pop("size") == len(body)
    document.pop("media_type")
    return document


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.api+json", "text/json"]
)
def test_json_is_read(media_type: str) -> None:
    assert read(b'{"a": [1]}', media_type) == {"complete": True, "json": {"a": [1]}}


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b"NaN", b'"\\ud800"', b"\xff", b"[" * 65 + b"]" * 65, b"{"])
def test_json_that_could_be_read_in_two_ways_is_not_complete(body: bytes) -> None:
    assert read(body, "application/json") == {"complete": False}


def test_a_form_gives_every_value_of_every_field() -> None:
    form = {"a": ["1", "2"], "b c": ["é&="], "d": [""]}
    assert read(b"a=1&b+c=%C3%A9%26%3D&a=2&d", "application/x-www-form-urlencoded") == {"complete": True, "form": form}


@pytest.mark.parametrize(
    "body", [b"a=%zz", b"a=%f", b"a=%ff", b"a=1;b=2", b"a= b", b"a=\xc3\xa9", b"a=\n", b"&a" * 1001]
)
def test_a_form_that_could_be_read_in_two_ways_is_not_complete(body: bytes) -> None:
    assert read(body, "application/x-www-form-urlencoded") == {"complete": False}


def test_text_is_given_where_it_is_utf_8() -> None:
    assert read("é".encode(), "text/plain") == {"complete": True, "text": "é"}
    assert read(b"\xff", "text/plain") == {"complete": False}


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_another_charset_is_not_read(media_type: str) -> None:
    assert read(b"1", media_type + '; charset="utf-16"') == {"complete": False}


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "multipart/form-data; boundary=b", "image/png"])
def test_other_types_are_not_complete(media_type: str) -> None:
    assert read(b"x", media_type) == {"complete": False}


def test_an_empty_body_is_complete() -> None:
    assert read(b"", "application/json") == {"complete": True}


def test_an_encoded_body_is_not_read() -> None:
    document = read_body(b'{"a":1}', "application/json; charset=utf-8", complete=False)
    assert document == {"size": 7, "media_type": "application/json", "complete": False}
