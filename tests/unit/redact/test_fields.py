"""Members masked by name, in any JSON, however it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.model import Strategy
from extproc.redact.fields import JsonFieldFilter
from extproc.redact.json_walk import MAX_DEPTH
from extproc.redact.strategies import VALUE_CAP
from tests.unit.redact.cutting import cut, outcome, run, singles

NAMES = ("email", "SSN")


def make(*names: str, strategy: Strategy = "mask") -> JsonFieldFilter:
    return JsonFieldFilter(names or NAMES, strategy, key=b"k" * 32)


def masked(text: bytes, *names: str, strategy: Strategy = "mask") -> bytes:
    return run(lambda: make(*names, strategy=strategy), [text])


member_names = st.one_of(st.sampled_from(["email", "ssn", "Email", "rows", "columns", "id"]), st.text(max_size=5))
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(member_names, inner, max_size=5)),
    max_leaves=30,
)
documents = st.one_of(
    st.dictionaries(st.text(max_size=3).map("k".__add__), values, max_size=5),
    st.lists(st.dictionaries(member_names, values, max_size=5), max_size=5),
)


def expected(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "****" if name.lower() in ("email", "ssn") and item is not None else expected(item)
            for name, item in value.items()
        }
    return [expected(item) for item in value] if isinstance(value, list) else value


@given(documents, st.booleans(), st.sampled_from([None, 1]))
def test_every_member_of_a_name_is_masked_and_nothing_else(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    out = masked(text)
    assert json.loads(out.decode("utf-8", "surrogatepass")) == expected(value)
    assert outcome(make, singles(text)) == out


@settings(max_examples=200)
@given(documents, st.integers(0, 10_000), st.sampled_from([b"", b"]", b"}", b'"', b",", b"\\", b"0", b":", b" 1"]))
def test_what_is_not_json_is_refused_however_it_is_cut(value: Any, place: int, broken: bytes) -> None:
    text = json.dumps(value).encode()
    at = place % len(text)
    text = text[:at] + broken + text[at + 1 :]
    try:
        sequence(text)  # two values one after the other are a sequence, not a mistake
    except ValueError:
        assert outcome(make, [text]) in ("response_malformed", "response_unmaskable")
    else:
        assert outcome(make, [text]) != "response_malformed"
    assert outcome(make, singles(text)) == outcome(make, [text])


def sequence(text: bytes) -> list[Any]:
    """The values of concatenated JSON; raises where it is none."""
    found, rest = [], text.decode().lstrip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found


@given(documents, st.lists(st.integers(0, 100_000), max_size=10), st.sampled_from(["partial", "hash", "token", "drop"]))
def test_any_cut_gives_what_one_piece_gives(value: Any, places: list[int], strategy: Strategy) -> None:
    text = json.dumps(value).encode()
    assert run(lambda: make(strategy=strategy), cut(text, places)) == masked(text, strategy=strategy)


@pytest.mark.parametrize(
    "value", [b'"x"', b"1", b"-1.5e3", b"true", b'{"a":[1,{"email":2}]}', b"[1,[2]]", b'"\\""', b"{}"]
)
def test_a_value_of_any_kind_is_masked_whole(value: bytes) -> None:
    assert masked(b'{"email": ' + value + b' , "z":1}') == b'{"email": "****" , "z":1}'


def test_null_stays_null() -> None:
    assert masked(b'{"email":null}') == b'{"email":null}'


@pytest.mark.parametrize("name", [rb"\u0065mail", b"EMAIL", rb"e\u006Dail", rb"\u0045\u004d\u0041\u0049\u004c"])
def test_a_name_is_known_in_any_spelling(name: bytes) -> None:
    assert masked(b'{"a":1,"' + name + b'":"x","b":2}') == b'{"a":1,"' + name + b'":"****","b":2}'


def test_names_with_quotes_and_other_letters_are_known() -> None:
    assert masked(b'{"a\\"b":1,"c":2}', 'a"b') == b'{"a\\"b":"****","c":2}'
    assert masked('{"café":1}'.encode(), "café") == '{"café":"****"}'.encode()
    assert masked(rb'{"caf\u00e9":1}', "café") == rb'{"caf\u00e9":"****"}'


def test_each_of_two_members_of_one_name_is_masked() -> None:
    assert masked(b'{"email":1,"email":2}') == b'{"email":"****","email":"****"}'


def test_a_string_that_equals_a_name_is_not_a_name() -> None:
    text = b'{"a":"email","b":["email",{"c":"email\\":"}]}'
    assert masked(text) == text


def test_lines_and_sequences_of_values_are_read() -> None:
    assert masked(b'{"email":1}\n{"email":2}\n') == b'{"email":"****"}\n{"email":"****"}\n'
    assert masked(b'\x1e{"email":1}\n\x1e{"a":2}\n') == b'\x1e{"email":"****"}\n\x1e{"a":2}\n'
    assert masked(b"") == b""
    assert masked(b'\xef\xbb\xbf{"email":1}') == b'\xef\xbb\xbf{"email":"****"}'


def test_hash_goes_by_the_text_and_not_by_its_spelling() -> None:
    one = json.loads(masked(b'{"email":"jane"}', strategy="hash"))
    assert one == json.loads(masked(b'{"email":"j\\u0061ne"}', strategy="hash"))
    assert one != json.loads(masked(b'{"email":"john"}', strategy="hash"))


def test_partial_of_a_container_shows_nothing() -> None:
    assert masked(b'{"email":["12345678"]}', strategy="partial") == b'{"email":"****"}'
    assert masked(b'{"email":"12345678"}', strategy="partial") == b'{"email":"****5678"}'


def test_counts_go_by_name() -> None:
    one = make()
    list(one.feed(b'[{"email":1,"Email":2},{"ssn":3}]', end=True))
    assert one.counts == {"field:email": 2, "field:ssn": 1}


def test_a_long_value_is_swallowed_and_a_long_string_streamed() -> None:
    one = make(strategy="hash")
    out = b"".join(one.feed(b'{"email":"', end=False))
    for _ in range(100):
        out += b"".join(one.feed(b"x" * 1000, end=False))
        assert len(one.buffer) + len(one._taken) < VALUE_CAP + 2000
    out += b"".join(one.feed(b'","a":"', end=False))
    assert b"".join(one.feed(b"y" * 100_000, end=False)) == b"y" * 100_000
    assert out + b"".join(one.feed(b'"}', end=True)) == b'{"email":"****","a":""}'


def test_depth_is_bounded() -> None:
    deep = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert masked(deep) == deep
    assert outcome(make, [b'{"a":' + deep + b"}"]) == "response_malformed"


@pytest.mark.parametrize(
    "text",
    [b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b'[{"a":1},]', b"[{},,{}]", b"{]", b'{"a":01}', b'{"a":1.}', b'{"a":tru}',
     b'{"a":"\n"}', b'{"a":"\\x"}', b"{a:1}", b"nul", b'{"a":1}}', b'"', "{}".encode("utf-16"), b'{"email":[1}'],
)  # fmt: skip
def test_malformed_json_is_refused(text: bytes) -> None:
    assert outcome(make, [text]) == outcome(make, singles(text)) == "response_malformed"
