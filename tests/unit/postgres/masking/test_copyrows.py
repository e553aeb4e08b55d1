"""Copied lines: masked as rows are, whatever the form and however they come."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.model import Strategy
from extproc.postgres.masking import copyrows
from extproc.postgres.masking.copyrows import CopyMask
from extproc.postgres.masking.detect import Detection
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan
from extproc.postgres.masking.values import masked, type_info
from extproc.postgres.sql.model import CopyShape
from extproc.postgres.wire import ProtocolViolation
from extproc.redact.detectors import ALL
from tests.unit.postgres.backendmessages import bodies, ends, in_batches, message, texts
from tests.unit.postgres.copylines import read, write

KEY = b"k" * 32
TEXT, JSON, INT8 = 25, 114, 20
SHAPES = [
    CopyShape("out"),
    CopyShape("out", delimiter="|"),
    CopyShape("out", delimiter=",", null="\\-"),
    CopyShape("out", delimiter="@"),
    CopyShape("out", delimiter="-"),
    CopyShape("out", delimiter="*"),
    CopyShape("out", delimiter="\x01"),
    CopyShape("out", format="csv", delimiter=",", null=""),
    CopyShape("out", format="csv", delimiter="|", null="NULL"),
    CopyShape("out", format="csv", delimiter=",", null="****"),
    CopyShape("out", format="csv", delimiter=",", null="", quote="'"),
    CopyShape("out", format="csv", delimiter=",", null="", quote="'", escape="\\"),
    CopyShape("out", format="csv", delimiter=",", null="", escape="|"),
    CopyShape("out", format="csv", delimiter="@", null=""),
    CopyShape("out", format="csv", delimiter="1", null=""),
    CopyShape("out", format="csv", delimiter=",", null="", quote="@"),
    CopyShape("out", format="csv", delimiter="*", null="", quote="x", escape="e"),
]
shapes = st.sampled_from(SHAPES)
ways = st.sampled_from(["mask", "partial", "hash", "token", "drop"])
sizes = st.lists(st.integers(1, 5), max_size=5)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(st.none() | texts, min_size=width, max_size=width), min_size=1, max_size=6)
)


def plan(width: int, detect: frozenset[str] = frozenset(), *ways: Strategy | None, oid: int = TEXT) -> MaskPlan:
    chosen = (*ways, *[None] * width)[:width]
    columns = tuple(MaskColumn(f"c{place}", type_info(oid, {}), 0, way) for place, way in enumerate(chosen))
    return MaskPlan(columns, {"mask": detect} if detect else {}, KEY)


def expected(made: MaskPlan, sent: Sequence[Sequence[bytes | None]]) -> list[list[bytes | None]]:
    detection = Detection(made.detect, KEY)

    def one(value: bytes | None, column: MaskColumn) -> bytes | None:
        if value is None:
            return None
        if column.strategy is not None:
            return masked(column.strategy, value, column.type, 0, KEY)
        return detection.edit(value, column.type, 0) if made.by_detector else value

    return [[one(value, column) for value, column in zip(row, made.columns, strict=True)] for row in sent]


def through(shape: CopyShape, made: MaskPlan, stream: bytes, batches: Sequence[int] = ()) -> bytes:
    mask = CopyMask(shape, made)
    out = b"".join(mask.feed(*batch) for batch in in_batches(stream, batches))
    mask.end()
    return out


def lines(stream: bytes) -> list[bytes]:
    return list(bodies(stream))


@settings(deadline=None, max_examples=700, suppress_health_check=[HealthCheck.too_slow])
@given(shapes, tables, st.booleans(), st.lists(st.none() | ways, min_size=4, max_size=4), sizes)
@example(SHAPES[0], [[b"x", b"jane@example.com"], [b"@example.com", b"n@x.com" + b"y" * 80]], True, [None] * 4, [])
@example(SHAPES[0], [[b"123-45-6789" + b"x" * (size - 15)] for size in (*range(46, 60), 92)], True, [None] * 4, [])
@example(SHAPES[0], [[b"123-45-6789" + b"x" * (size - 15)] for size in range(0x1030, 0x103A)], True, [None] * 4, [])
@example(SHAPES[7], [[b'a,"jane@example.com"\n', b"\n\n"], [b"", None]], True, [None] * 4, [1])
@example(SHAPES[7], [[b"jane@example.com", b"x"]], True, ["drop"] * 4, [])
@example(SHAPES[0], [[b"x", b"@example.com"], [b"@example.com", b"x"]], True, [None] * 4, [])
@example(SHAPES[4], [[b"123-45-6789"]], True, [None] * 4, [])
@example(SHAPES[13], [[b"jane@example.com", b"x"]], True, [None] * 4, [])
def test_values_are_masked_as_each_by_itself(
    shape: CopyShape, sent: list[list[bytes | None]], detect: bool, chosen: list[Strategy | None], batches: list[int]
) -> None:
    sent = [[value and value.replace(b"\0", b"") for value in row] for row in sent]
    made = plan(len(sent[0]), ALL if detect else frozenset(), *chosen)
    stream = b"".join(message(b"d", write(shape, row)) for row in sent)
    out = through(shape, made, stream, batches)
    wanted = expected(made, sent)
    assert len(lines(out)) == len(sent)
    got = read(shape, b"".join(lines(out)))
    if shape.format == "csv":
        assert got == wanted
    else:  # what looks the same as NULL is NULL, to every reader
        assert got == read(shape, b"".join(write(shape, row) for row in wanted))


@settings(deadline=None, max_examples=300)
@given(shapes, tables, st.booleans(), st.lists(st.none() | ways, min_size=4, max_size=4), st.data())
def test_how_lines_are_cut_into_messages_and_reads_makes_no_difference(
    shape: CopyShape, sent: list[list[bytes | None]], detect: bool, chosen: list[Strategy | None], data: st.DataObject
) -> None:
    made = plan(len(sent[0]), ALL if detect else frozenset(), *chosen)
    if not made.by_column and not made.by_detector:
        return
    whole = [write(shape, row) for row in sent]
    text = b"".join(whole)
    marks = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *marks], [*marks, len(text)], strict=True)]
    plain = through(shape, made, b"".join(message(b"d", one) for one in whole))
    batches = data.draw(sizes)
    assert through(shape, made, b"".join(message(b"d", one) for one in pieces), batches) == plain


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[7], SHAPES[11], SHAPES[12]])
def test_a_line_cut_anywhere_is_the_same_line(shape: CopyShape) -> None:
    rows: list[list[bytes | None]] = [[b"it's \\' |\" x@y.zz\n", b"'a'"], [None, b"\\"], [b"x@y.zz", b"\n'\n"]]
    text = b"".join(write(shape, row) for row in rows)
    made = plan(2, ALL)
    plain = through(shape, made, b"".join(message(b"d", write(shape, row)) for row in rows))
    assert read(shape, b"".join(lines(plain))) == expected(made, rows)
    for at in range(len(text) + 1):
        for also in (at, min(at + 1, len(text))):
            pieces = (text[:at], text[at:also], text[also:])
            assert through(shape, made, b"".join(message(b"d", piece) for piece in pieces)) == plain


def test_with_nothing_to_mask_anything_passes() -> None:
    for shape in (CopyShape("out", format="binary"), CopyShape("out", understood=False), *SHAPES):
        stream = message(b"d", b"any\0thing") + message(b"d", b"")
        mask = CopyMask(shape, plan(3))
        assert mask.feed(stream, 0, ends(stream)) is stream
        mask.end()
        assert mask.counts == {}


@pytest.mark.parametrize("made", [plan(1, ALL), plan(1, frozenset(), "mask")])
@pytest.mark.parametrize(
    "shape",
    [
        CopyShape("out", format="binary"),
        CopyShape("out", understood=False),
        CopyShape("out", delimiter=""),
        CopyShape("out", format="csv", delimiter=",", null="", quote="é"),
    ],
)
def test_a_form_that_is_not_known_is_refused_where_anything_is_masked(shape: CopyShape, made: MaskPlan) -> None:
    with pytest.raises(Refusal) as caught:
        CopyMask(shape, made)
    assert caught.value.code.name == "response_unmaskable"


@pytest.mark.parametrize("null", ["", "NULL", "123-45-6789", "\\\\N", "a\\tb", "\\|"])
def test_a_null_that_a_value_may_look_the_same_as_tells_who_has_that_value(null: str) -> None:
    """COPY (SELECT ssn …) TO STDOUT (NULL '123-45-6789') would leave just that one unmasked."""
    shape = CopyShape("out", delimiter="|", null=null)
    with pytest.raises(Refusal) as caught:
        CopyMask(shape, plan(1, frozenset(), "mask"))
    assert caught.value.code.name == "response_unmaskable"
    CopyMask(shape, plan(1, ALL))


@pytest.mark.parametrize("null", ["", "NULL", "123-45-6789"])
def test_in_csv_a_value_that_looks_the_same_as_null_is_quoted(null: str) -> None:
    shape = CopyShape("out", format="csv", delimiter=",", null=null)
    stream = message(b"d", null.encode() + b"," + b'"' + null.encode() + b'"\n')
    assert lines(through(shape, plan(2, frozenset(), "mask", "mask"), stream)) == [null.encode() + b",****\n"]


def test_null_stays_null_and_is_not_counted() -> None:
    mask = CopyMask(CopyShape("out"), plan(2, frozenset(), "mask", "drop"))
    stream = message(b"d", b"\\N\tx\n") + message(b"d", b"a\t\\N\n")
    assert lines(mask.feed(stream, 0, ends(stream))) == [b"\\N\t\\N\n", b"****\t\\N\n"]
    assert mask.counts == {"column:c0": 1, "column:c1": 1}


@pytest.mark.parametrize(
    ("shape", "header"),
    [
        (CopyShape("out", header=True), b"jane@example.com\tb\n"),
        (CopyShape("out", format="csv", delimiter=",", null="", header=True), b'"jane@example.com\n",b\n'),
    ],
)
def test_a_header_stays(shape: CopyShape, header: bytes) -> None:
    made = plan(2, ALL, "mask")
    row = write(shape, [b"a", b"x@y.org"])
    stream = b"".join(message(b"d", one) for one in (header, row, row))
    masked_row = write(shape, [b"****", b"****"])
    for batches in ([], [1, 1, 1]):
        assert lines(through(shape, made, stream, batches)) == [header, masked_row, masked_row]
    assert lines(through(shape, made, message(b"d", header + row) + message(b"d", row))) == [
        header,
        masked_row,
        masked_row,
    ]


def test_masked_values_are_valid_for_their_type() -> None:
    made = plan(3, frozenset(), "mask", "hash", oid=JSON)
    out = through(CopyShape("out"), made, message(b"d", b'{"a":1}\t[2]\t3\n'))
    assert out.count(b'"****"\t"') == 1
    csv = CopyShape("out", format="csv", delimiter=",", null="")
    assert lines(through(csv, plan(1, frozenset(), "mask", oid=JSON), message(b"d", b"1\n"))) == [b'"""****"""\n']
    assert lines(through(csv, plan(1, frozenset(), "mask", oid=INT8), message(b"d", b"17\n"))) == [b"0\n"]


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[7], SHAPES[11]])
def test_escapes_hide_nothing_in_json(shape: CopyShape) -> None:
    made = plan(1, ALL, oid=JSON)
    stream = message(b"d", write(shape, [rb'{"a":"j\u0061ne\u0040example.com"}']))
    assert read(shape, b"".join(lines(through(shape, made, stream)))) == [[b'{"a":"****"}']]


def test_counts_go_by_detector() -> None:
    mask = CopyMask(CopyShape("out"), plan(2, ALL))
    stream = message(b"d", b"jane@example.com\t123-45-6789\n") * 3
    mask.feed(stream, 0, ends(stream))
    assert mask.counts == {"email": 3, "ssn": 3}


# --- what lies


@pytest.mark.parametrize("line", [b"a\n", b"a\tb\tc\n", b"\n"])
def test_a_line_with_other_fields_is_refused(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        through(CopyShape("out"), plan(2, frozenset(), "mask"), message(b"d", line))
    assert caught.value.code.name == "response_unmaskable"
    with pytest.raises(Refusal):
        through(CopyShape("out"), plan(4, ALL), message(b"d", b"jane@example.com" + line))


@pytest.mark.parametrize("text", [b"a", b"a\tb\nc"])
def test_data_that_ends_inside_a_line_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        through(CopyShape("out"), plan(2, ALL), message(b"d", text))


def test_a_line_that_does_not_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copyrows, "LINE_CAP", 1000)
    for shape in (SHAPES[0], SHAPES[7]):
        mask = CopyMask(shape, plan(1, ALL))
        piece = message(b"d", b'"' + b"x" * 98)
        for _ in range(10):
            mask.feed(piece, 0, [len(piece)])
        with pytest.raises(Refusal) as caught:
            mask.feed(piece, 0, [len(piece)])
        assert caught.value.code.name == "response_malformed"


@settings(deadline=None, max_examples=300)
@given(shapes, st.lists(st.binary(max_size=20), max_size=6), st.booleans())
def test_any_bytes_end_in_lines_or_in_a_refusal(shape: CopyShape, sent: list[bytes], by_column: bool) -> None:
    made = plan(2, ALL, "hash") if by_column else plan(2, ALL)
    stream = b"".join(message(b"d", one) for one in sent)
    try:
        out = through(shape, made, stream)
    except (Refusal, ProtocolViolation):
        return
    assert all(line.endswith(b"\n") for line in lines(out))


def test_work_grows_with_the_data_alone() -> None:
    import time

    def cost(**shape: Any) -> float:
        one = CopyShape("out", **shape)
        mask, stream = CopyMask(one, plan(1, ALL)), b'd\0\0\0\5"' * 20_000
        began = time.process_time()
        mask.feed(stream, 0, ends(stream))
        return time.process_time() - began

    assert cost() < 2
    assert cost(format="csv", delimiter=",", null="") < 2
    assert struct.calcsize("!BI") == copyrows.BODY_AT
