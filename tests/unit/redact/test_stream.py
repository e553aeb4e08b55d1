"""Detectors over a stream: the same result however it is cut, nothing late, nothing leaked."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.model import Strategy
from extproc.redact.detectors import ALL, mask_text
from extproc.redact.stream import DetectorFilter
from tests.unit.redact.cutting import cut, outcome, run, singles

JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-x"
BEGIN, END = b"-----BEGIN RSA PRIVATE KEY-----", b"-----END RSA PRIVATE KEY-----"
FRAGMENTS = [
    b"4111 1111 1111 1111", b"4111111111111111", b"123-45-6789", b"jane@example.com", rb"j\u0061ne@example.org", JWT,
    b"ghp_" + b"a1" * 18, b"AKIAIOSFODNN7EXAMPLE", b"DE89 3704 0044 0532 0130 00", BEGIN, END, b"-----", b"END ",
    b"\\", rb"\n", rb"\"", rb"\\", rb"\u002d", rb"\/", b'"', b" ", b".", b"@", b"%40", b"%", b"3D", b"1", b"2 ",
    b"a", b"Z",     b"-", b"\n", b",", b":", b"\xc3\xa9", b"%3D%40ex.com", b"A", b"eyJ", b"x@y.zz",
]  # fmt: skip
LONG = [b"A" * 5000, b"a." * 4500, b"eyJ" * 3000, b"ab c " * 2000, b"x@y.zz" * 1500, b"4" * 700, b"%3D%40ex.com" * 800,
        b"eyJhbGciOiJI." + b"q" * 17000, b"4111 " * 2000]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join)
long_texts = st.lists(st.sampled_from(FRAGMENTS + LONG), max_size=12).map(b"".join)
strategies = st.sampled_from(["mask", "partial", "hash", "token", "drop"])


def make(strategy: Strategy = "mask", *, json: bool = False) -> DetectorFilter:
    return DetectorFilter(ALL, strategy, key=b"k" * 32, json=json)


@given(texts, strategies, st.booleans())
@example(BEGIN + END, "mask", False)
@example(END + BEGIN + b"x" + END + b"y", "mask", False)
def test_single_bytes_give_what_one_piece_gives(text: bytes, strategy: Strategy, json: bool) -> None:
    assert outcome(lambda: make(strategy, json=json), singles(text)) == outcome(
        lambda: make(strategy, json=json), [text]
    )


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(long_texts, strategies, st.booleans(), st.lists(st.integers(0, 100_000), max_size=30))
def test_any_cut_gives_what_one_piece_gives(text: bytes, strategy: Strategy, json: bool, places: list[int]) -> None:
    pieces = cut(text, places)
    assert outcome(lambda: make(strategy, json=json), pieces) == outcome(lambda: make(strategy, json=json), [text])


@settings(deadline=None, max_examples=60)
@given(long_texts, st.lists(st.integers(0, 100_000), max_size=5))
def test_a_stream_is_masked_like_a_whole_text(text: bytes, places: list[int]) -> None:
    assert run(make, cut(text, places)) == mask_text(text)[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9000), st.sampled_from([b"4111 1111 1111 1111", b"123-45-6789", b"jane@example.com", JWT]))
def test_a_planted_value_never_comes_through(place: int, value: bytes) -> None:
    filler = b"word " * 4000
    text = filler[:place] + b" " + value + b" " + filler[place:]
    for at in range(place, place + len(value) + 2, 3):
        assert run(make, cut(text, [at])) == filler[:place] + b" **** " + filler[place:]


@pytest.mark.parametrize(
    "text", [b"data: hello world, it is\n\n", b"data: 12\n\n", b'data: {"n":1}\n\n', b"so it goes "]
)
def test_a_line_of_an_event_stream_goes_out_at_once(text: bytes) -> None:
    assert b"".join(make().feed(text, end=False)) == text


def test_what_waits_is_bounded() -> None:
    for piece in (b"A", b"a.", b"eyJ", b"4111 ", b"x@"):
        one = make("hash")
        sent = out = 0
        for _ in range(400):
            sent += len(piece) * 300
            out += sum(map(len, one.feed(piece * 300, end=False)))
            assert len(one._buffer) < 40_000
        assert sent > 40_000


def test_a_private_key_is_swallowed_without_being_kept() -> None:
    one = make("token")
    out = b"".join(one.feed(b"a " + BEGIN, end=False))
    for _ in range(1000):
        out += b"".join(one.feed(b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", end=False))
        assert len(one._buffer) < 300
    assert out + b"".join(one.feed(END + b" z", end=True)) == b"a **** z"
    assert one.counts == {"private_key": 1}


def test_a_token_longer_than_may_be_kept_is_masked_whole() -> None:
    text = b"t " + JWT + b"x" * 50_000 + b" z"
    assert run(lambda: make("hash"), cut(text, [100, 20_000, 40_000])) == b"t **** z"


@pytest.mark.parametrize("text", [b"a\0b", "hi".encode("utf-16"), b"\xfe\xff\0h"])
def test_text_that_detectors_cannot_read_is_refused(text: bytes) -> None:
    assert outcome(make, [text]) == outcome(make, singles(text)) == "response_malformed"


def test_counts_tell_how_many_of_each() -> None:
    one = make()
    list(one.feed(b"123-45-6789, 123-45-6780, jane@example.com", end=True))
    assert one.counts == {"ssn": 2, "email": 1}


# --- JSON


def test_escapes_hide_nothing_in_json() -> None:
    hidden = (
        rb'["j\u0061ne@example.com","\u0031\u0032\u0033\u002d45\u002d6789",'
        rb'"4111\u00201111 1111 1111","jane\u0040x.org"]'
    )
    assert run(lambda: make(json=True), [hidden]) == b'["****","****","****","****"]'


def test_an_escape_before_a_value_stays_whole() -> None:
    text = rb'{"a":"x\njane@example.com","b":"\u00e9jane@example.com\u00e9","c":"\\njane@example.com"}'
    out = json.loads(run(lambda: make(json=True), [text]))
    assert out == {"a": "x\n****", "b": "é****é", "c": "\\n****"}


def test_a_number_becomes_a_number_and_a_string_a_string() -> None:
    text = b'{"a":4111111111111111,"b":"4111111111111111","c":[4111111111111111],"\\"":4111111111111111.0}'
    assert run(lambda: make(json=True), [text]) == b'{"a":0,"b":"****","c":[0],"\\"":0.0}'


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(["jane@example.com", 4111111111111111])
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@given(values, st.booleans(), st.lists(st.integers(0, 10_000), max_size=5))
def test_json_stays_json_of_the_same_meaning(value: object, ascii_only: bool, places: list[int]) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    out = run(lambda: make(json=True), cut(text, places))
    masked = json.dumps(value).replace('"jane@example.com"', '"****"')
    assert b"example" not in out
    if "4111111111111111" not in masked and mask_text(masked.encode())[0] == masked.encode():
        assert json.loads(out.decode("utf-8", "surrogatepass")) == json.loads(masked)


@pytest.mark.parametrize("text", [rb'"\x41"', rb'"\u12g4"', b'"\x01"', b'"\\', rb'"\u00'])
def test_what_json_forbids_is_refused(text: bytes) -> None:
    assert (
        outcome(lambda: make(json=True), [text])
        == outcome(lambda: make(json=True), singles(text))
        == "response_malformed"
    )


def test_a_key_cut_into_lines_is_masked_through_its_last_line() -> None:
    text = json.dumps(["a", BEGIN.decode(), "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", END.decode(), "b"]).encode()
    assert json.loads(run(lambda: make(json=True), [text])) == ["a", "****", "b"]


def test_a_refusal_names_no_value() -> None:
    with pytest.raises(Refusal) as caught:
        list(make().feed(b"123-45-6789\0", end=True))
    assert "6789" not in str(caught.value)
