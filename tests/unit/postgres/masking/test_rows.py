"""Rows masked by column and by detector: as each field by itself would be, however the rows come."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.model import Strategy
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan
from extproc.postgres.masking.rows import RowMask
from extproc.postgres.masking.values import type_info
from extproc.postgres.wire import ProtocolViolation
from extproc.redact.detectors import ALL, mask_text
from extproc.redact.stream import DetectorFilter
from tests.unit.postgres.backendmessages import ends, in_batches, message, row, rows, texts

TEXT, VARCHAR, INT4, INT8, NUMERIC, FLOAT8, JSON, JSONB, TEXTS, BYTEA, RECORD, DATE = (
    25, 1043, 23, 20, 1700, 701, 114, 3802, 1009, 17, 2249, 1082,
)  # fmt: skip
KEY = b"k" * 32
names = st.sets(st.sampled_from(sorted(ALL)), min_size=1).map(frozenset) | st.just(ALL)
ways = st.sampled_from(["mask", "partial", "hash", "token", "drop"])
sizes = st.lists(st.integers(1, 5), max_size=5)


def column(oid: int = TEXT, strategy: Strategy | None = None, *, binary: bool = False, name: str = "c") -> MaskColumn:
    return MaskColumn(name, type_info(oid, {}), int(binary), strategy)


def plan(columns: Sequence[MaskColumn], detect: frozenset[str] = frozenset(), strategy: Strategy = "mask") -> MaskPlan:
    return MaskPlan(tuple(columns), {strategy: detect}, KEY)


def feed(made: MaskPlan, sent: Sequence[Sequence[bytes | None]]) -> list[list[bytes | None]]:
    stream = b"".join(map(row, sent))
    return rows(RowMask(made).feed(stream, 0, ends(stream)))


def masked_alone(value: bytes | None, detect: frozenset[str]) -> bytes | None:
    return value and mask_text(value, detect)[0]


# --- nothing to do


def test_with_nothing_to_mask_rows_pass_unseen() -> None:
    stream = row([b"jane@example.com"]) + row([b"a", b"b"])
    mask = RowMask(plan([column()]))
    assert mask.feed(stream, 0, ends(stream)) is stream
    assert mask.feed(stream, 0, []) == b""
    assert mask.counts == {}


def test_rows_in_which_nothing_is_found_are_the_same_slice() -> None:
    stream = row([b"jane"]) * 3
    assert RowMask(plan([column()], ALL)).feed(stream, 0, ends(stream)) is stream


def test_only_the_messages_that_were_named_come_out() -> None:
    one = row([b"jane@example.com"])
    buffer = b"Z\0\0\0\x05I" + one + one + b"C\0\0\0\x04"
    start = 6
    for made in (plan([column()]), plan([column(strategy="mask")]), plan([column()], ALL)):
        out = RowMask(made).feed(buffer, start, [start + len(one), start + 2 * len(one)])
        assert len(rows(out)) == 2


# --- by detector

tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(st.none() | texts, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(tables, names, sizes)
@example([[b"x" * 7 + b"jane@example.com" + b"y" * 33]], ALL, [])
@example([[b"123-45-6789" + b"x" * (size - 11)] for size in (*range(46, 59), 92, 1 + 256)], ALL, [])
@example([[b".4111111111111111" + b"x" * (size - 17)] for size in (*range(46, 59), 92, 256 + 50)], ALL, [])
@example([[b"n@x.com" + b"y" * 85, b""], [b"ab@x.co", b""], [b"", b"x@y.c"], [b"", b"x@y.co"]], ALL, [])
@example([[b"123-45-6789" + b"x" * (size - 11)] for size in range(0x1030, 0x103A)], ALL, [])
@example([[b"a4111111111111112.com", b"e4111111111111111.com"]], ALL, [])
@example([[b"a@-b.com", b"a@b.c", b"@b.com", b"a%40-b.com"]], ALL, [])
@example([[b"x" * 5000 + b"123-45-6789", b"jane@example.com"]], ALL, [])
def test_fields_are_masked_as_each_by_itself(
    sent: list[list[bytes | None]], detect: frozenset[str], batches: list[int]
) -> None:
    stream = b"".join(map(row, sent))
    mask = RowMask(plan([column() for _ in sent[0]], detect))
    out = b"".join(mask.feed(*batch) for batch in in_batches(stream, batches))
    assert rows(out) == [[masked_alone(value, detect) for value in fields] for fields in sent]
    found = [mask_text(value or b"", detect)[1] for fields in sent for value in fields]
    assert mask.counts == {name: total for name in ALL if (total := sum(one.get(name, 0) for one in found))}


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, min_size=1, max_size=3), ways)
def test_strategies_work_on_what_was_found(values: list[bytes], strategy: Strategy) -> None:
    def alone(value: bytes) -> bytes:
        one = DetectorFilter(ALL, strategy, key=KEY, json=False)
        return b"".join(one.feed(value, end=True))

    if any(b"-----BEGIN" in value for value in values):
        return  # a stream that ends within a key keeps what follows from it, too
    assert feed(plan([column()] * len(values), ALL, strategy), [values]) == [[alone(value) for value in values]]


def test_each_detector_has_its_strategy_and_the_one_that_shows_least_wins() -> None:
    made = MaskPlan((column(),), {"drop": {"ssn"}, "partial": {"credit_card", "ssn"}, "mask": {"email"}}, KEY)
    assert feed(made, [[b"123-45-6789, 4111111111111111, jane@example.com"]]) == [[b", ****1111, ****"]]


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        RowMask(plan([column()], frozenset({"iris_scan"})))
    assert caught.value.code.name == "policy_unmet"


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["jane@example.com", 4111111111111111, "4111111111111111", "\tx@y.zz", 'a"b@c.de', "123-45-6789"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(json_texts, st.booleans(), ways, st.sampled_from([(JSON, False), (JSON, True), (JSONB, False), (JSONB, True)]))
def test_json_is_masked_as_a_body_is(
    value: object, ascii_only: bool, strategy: Strategy, kind: tuple[int, bool]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).replace("@", "\\u0040" if ascii_only else "@").encode()
    expected = b"".join(DetectorFilter(ALL, strategy, key=KEY, json=True).feed(text, end=True))
    version = b"\x01" if kind == (JSONB, True) else b""
    ((out,),) = feed(plan([column(kind[0], binary=kind[1])], ALL, strategy), [[version + text]])
    assert out is not None
    assert out.startswith(version)
    assert json.loads(out.removeprefix(version)) == json.loads(expected)


def test_a_key_without_end_leaves_json_that_can_be_read() -> None:
    text = b'{"a":1,"key":"-----BEGIN PRIVATE KEY-----\\nMII","b":[2]}'
    assert feed(plan([column(JSON)], ALL), [[text]]) == [[b'"****"']]
    assert feed(plan([column(JSONB, binary=True)], ALL), [[b"\x01" + text]]) == [[b'\x01"****"']]
    assert feed(plan([column(JSONB, binary=True)], ALL, "drop"), [[b"\x01" + text]]) == [[None]]


CARD = 4111111111111111


def numeric(number: int, fraction: bytes = b"") -> bytes:
    digits: list[int] = []
    rest = abs(number)
    while rest:
        digits.insert(0, rest % 10_000)
        rest //= 10_000
    weight = len(digits) - 1
    while digits and digits[-1] == 0:
        digits.pop()
    head = struct.pack("!HhHH", len(digits) + len(fraction) // 2, weight, 0x4000 if number < 0 else 0, 2)
    return head + b"".join(struct.pack("!H", digit) for digit in digits) + fraction


@pytest.mark.parametrize(
    ("oid", "binary", "value", "zero"),
    [
        (INT8, False, b"4111111111111111", b"0"),
        (INT8, True, struct.pack("!q", CARD), bytes(8)),
        (INT8, True, struct.pack("!q", -CARD), bytes(8)),
        (NUMERIC, False, b"4111111111111111.50", b"0"),
        (NUMERIC, True, numeric(CARD), bytes(8)),
        (NUMERIC, True, numeric(-CARD, struct.pack("!H", 5000)), bytes(8)),
        (NUMERIC, True, numeric(5105105105105100), bytes(8)),
        (FLOAT8, True, struct.pack("!d", 378282246310005.0), bytes(8)),
        (FLOAT8, False, b"378282246310005", b"0"),
    ],
)
def test_a_card_number_that_is_a_number_becomes_zero(oid: int, binary: bool, value: bytes, zero: bytes) -> None:
    made = plan([column(INT4, binary=binary), column(oid, binary=binary)], frozenset({"credit_card"}))
    assert feed(made, [[b"\0\0\0\1", value], [None, None]]) == [[b"\0\0\0\1", zero], [None, None]]
    assert feed(plan(made.columns, frozenset({"credit_card"}), "drop"), [[b"\0\0\0\1", value]])[0][1] is None


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (INT8, struct.pack("!q", CARD + 1)),
        (INT8, struct.pack("!q", 41)),
        (NUMERIC, numeric(CARD + 1)),
        (NUMERIC, numeric(7)),
        (NUMERIC, struct.pack("!HhHH", 0, 0, 0xC000, 0)),
        (NUMERIC, struct.pack("!HhHH", 0, 0, 0xD000, 0)),
        (NUMERIC, b"\0"),
        (NUMERIC, struct.pack("!HhHH", 40_000, 3, 0, 0)),
        (FLOAT8, struct.pack("!d", float("nan"))),
        (FLOAT8, struct.pack("!d", float("inf"))),
        (FLOAT8, struct.pack("!d", 0.5)),
        (BYTEA, b"jane@example.com"),
        (DATE, b"\x40aaa"),
    ],
)
def test_other_values_stay(oid: int, value: bytes) -> None:
    assert feed(plan([column(oid, binary=True)], ALL), [[value]]) == [[value]]


def test_elements_of_arrays_are_masked_one_by_one() -> None:
    def array(oid: int, *elements: bytes | None) -> bytes:
        parts = [b"\xff" * 4 if one is None else struct.pack("!i", len(one)) + one for one in elements]
        head = struct.pack("!iiIii", 1, int(None in elements), oid, len(elements), 1)
        return head + b"".join(parts)

    texts = [b"jane@example.com", None, b"x"]
    assert feed(plan([column(TEXTS, binary=True)], ALL), [[array(25, *texts)]]) == [[array(25, b"****", None, b"x")]]
    assert feed(plan([column(TEXTS)], ALL, "drop"), [[b'{jane@example.com,NULL,"a b"}']]) == [[b'{"",NULL,"a b"}']]
    cards = [struct.pack("!q", CARD), struct.pack("!q", 1)]
    assert feed(plan([column(1016, binary=True)], ALL), [[array(20, *cards)]]) == [[array(20, bytes(8), cards[1])]]


@pytest.mark.parametrize(
    ("binary", "value"),
    [
        (False, b'(1,"Jane Doe",jane@example.com)'),
        (True, b"\0\0\0\1\0\0\0\x19\0\0\0\x10jane@example.com"),
        (True, b"\0\0\0\1\0\0\0\x19\0\0\0\x30123-45-6789" + b"x" * 37),
    ],
)
def test_a_value_in_something_unknown_makes_it_null(binary: bool, value: bytes) -> None:
    assert feed(plan([column(RECORD, binary=binary)], ALL), [[value]]) == [[None]]


# --- by column


@settings(deadline=None, max_examples=300)
@given(tables, st.lists(st.none() | ways, min_size=4, max_size=4), sizes, st.booleans())
def test_columns_become_what_each_value_by_itself_becomes(
    sent: list[list[bytes | None]], chosen: list[Strategy | None], batches: list[int], also: bool
) -> None:
    from extproc.postgres.masking.values import masked

    columns = [column(strategy=way, name=f"c{place}") for place, way in enumerate(chosen[: len(sent[0])])]
    detect = ALL if also else frozenset[str]()
    stream = b"".join(map(row, sent))
    mask = RowMask(plan(columns, detect))
    out = b"".join(mask.feed(*batch) for batch in in_batches(stream, batches))

    def expected(value: bytes | None, one: MaskColumn) -> bytes | None:
        if value is None or one.strategy is None:
            return masked_alone(value, detect)
        return masked(one.strategy, value, one.type, 0, KEY)

    assert rows(out) == [[expected(value, one) for value, one in zip(fields, columns, strict=True)] for fields in sent]
    for place, one in enumerate(columns):
        count = sum(fields[place] is not None for fields in sent) if one.strategy else 0
        assert mask.counts.get(f"column:{one.name}", 0) == count


def test_two_columns_of_one_name_are_counted_together() -> None:
    columns = [column(strategy="mask", name="t.a"), column(name="b"), column(strategy="mask", name="t.a")]
    stream = row([b"1", b"2", b"3"])
    mask = RowMask(plan(columns))
    mask.feed(stream, 0, ends(stream))
    assert mask.counts == {"column:t.a": 2}


# --- what lies

plans = st.sampled_from(
    [
        plan([column(), column(strategy="mask"), column()]),
        plan([column(), column(strategy="hash"), column(strategy="drop")]),
        plan([column(), column(), column()], ALL),
        plan([column(), column(JSON), column(INT8, binary=True)], ALL),
        plan([column(strategy="mask"), column(), column(TEXTS, binary=True)], ALL),
        plan([], ALL),
    ]
)


@settings(deadline=None, max_examples=500)
@given(plans, st.lists(texts, min_size=3, max_size=3), st.data())
def test_damaged_rows_end_in_a_refusal_or_in_whole_messages(
    made: MaskPlan, fields: list[bytes], data: st.DataObject
) -> None:
    damaged = bytearray(row(fields))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(5, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    stream = row([b"a", b"b", None]) + bytes(damaged) + row([b"jane@example.com", None, b""])
    if not made.columns:
        stream = bytes(damaged)
    try:
        out = RowMask(made).feed(stream, 0, ends(stream))
    except (Refusal, ProtocolViolation):
        return
    assert ends(out)


@pytest.mark.parametrize("fields", [[], [b"a"], [b"a", b"b"]])
@pytest.mark.parametrize("made", [plan([column(strategy="mask")] * 3), plan([column()] * 3, ALL)])
def test_a_row_with_other_fields_is_refused(made: MaskPlan, fields: list[bytes]) -> None:
    with pytest.raises(Refusal) as caught:
        feed(made, [[b"a", b"b", b"c"], fields, [b"a", b"b", b"c"]])
    assert caught.value.code.name == "response_unmaskable"


@pytest.mark.parametrize("size", [-2, -(1 << 31), 1 << 20, (1 << 31) - 1])
@pytest.mark.parametrize(
    "made",
    [
        plan([column(strategy="mask"), column()]),
        plan([column(), column(strategy="mask")]),
        plan([column(strategy="hash"), column(strategy="mask")]),
        plan([column(), column()], ALL),
    ],
)
def test_a_field_beyond_its_row_is_refused(made: MaskPlan, size: int) -> None:
    fields = struct.pack("!i", size) + b"ab" + struct.pack("!i", 16) + b"jane@example.com"
    stream = message(b"D", b"\0\2" + fields) + row([b"x" * 9, b"y"])
    with pytest.raises(ProtocolViolation):
        RowMask(made).feed(stream, 0, ends(stream))


@pytest.mark.parametrize("made", [plan([column(strategy="mask")]), plan([column()], ALL), plan([], ALL)])
def test_a_row_without_room_for_its_count_is_refused(made: MaskPlan) -> None:
    for body in (b"", b"\0"):
        stream = message(b"D", body)
        with pytest.raises((ProtocolViolation, Refusal)):
            RowMask(made).feed(stream, 0, ends(stream))
