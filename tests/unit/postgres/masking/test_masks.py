from __future__ import annotations

import pytest

from extproc.errors import Refusal
from extproc.model import MaskRule
from extproc.postgres.backend import Backend, Rows
from extproc.postgres.masking.masks import RecordMask, copy_filter, row_filter
from extproc.postgres.plan import Field
from extproc.postgres.sql.model import CopyShape
from tests.unit.postgres.backendmessages import bodies, message
from tests.unit.postgres.backendmessages import rows as read_rows
from tests.unit.postgres.sql.shop import shop
from tests.unit.postgres.talking import complete, copy_data, description, failure, heard, rows

KEY = b"k" * 32
MAIL = "jane@example.com"
FIELDS = [Field("id", 0, 0, 23, binary=False), Field("ssn", 0, 0, 25, binary=False)]
PLAN = [None, ("customers.ssn", "mask")]


def run_of(data: bytes) -> Rows:
    backend = Backend(1 << 20)
    backend.feed(data)
    found = backend.next()
    assert isinstance(found, Rows)
    return found


def test_rows_are_masked_by_plan_and_by_detectors() -> None:
    masks = row_filter(PLAN, FIELDS, [MaskRule(detect=("email",), strategy="drop")], shop(), KEY)  # type: ignore[arg-type]
    found = read_rows(masks.feed(run_of(rows(["1", "secret"], ["2", None]))))
    assert found == [[b"1", b"****"], [b"2", None]]
    masks.end()
    assert masks.counts == {"column:customers.ssn": 1}


def test_types_come_from_the_catalog() -> None:
    fields = [Field("mail", 0, 0, 16903, binary=False)]  # a domain over text
    masks = row_filter([None], fields, [MaskRule(detect=("email",))], shop(), KEY)
    assert MAIL.encode() not in masks.feed(run_of(rows([MAIL])))


def test_copied_lines_are() -> None:
    masks = copy_filter(PLAN, FIELDS, [], CopyShape("out", delimiter="|"), KEY)  # type: ignore[arg-type]
    assert list(bodies(masks.feed(run_of(copy_data(b"1|secret\n"))))) == [b"1|****\n"]
    masks.end()


def test_the_one_does_not_pass_as_the_other() -> None:
    for masks, data in (
        (row_filter([None], FIELDS[:1], [], shop(), KEY), copy_data(b"1\n")),
        (copy_filter([None], FIELDS[:1], [], None, KEY), rows(["1"])),
    ):
        with pytest.raises(Refusal) as refused:
            masks.feed(run_of(data))
        assert refused.value.code.name == "response_unmaskable"


def test_a_shape_that_is_not_understood_passes_only_where_nothing_is_masked() -> None:
    data = copy_data(b"whatever")
    assert copy_filter([None], FIELDS[:1], [], None, KEY).feed(run_of(data)) == data
    with pytest.raises(Refusal):
        copy_filter([None], FIELDS[:1], [MaskRule(detect=("email",))], None, KEY)


def recorded(*messages: bytes) -> bytes:
    return b"".join(RecordMask().feed(b"".join(messages), end=True))


def test_for_the_record_everything_is_masked_that_a_detector_finds() -> None:
    data = recorded(
        description(["a", "b"]), rows(["x", MAIL], [MAIL, None]), complete("SELECT 2"), failure("22P02", f"bad {MAIL}"),
        copy_data(f"1\t{MAIL}\n".encode()), rows([MAIL]),
    )  # fmt: skip
    assert [one.kind for one in heard(data)] == list("TDDCEdD")
    assert MAIL.encode() not in data


def test_what_cannot_be_read_is_refused_which_the_record_takes_for_count_only() -> None:
    for data in (message(b"D", b"\0\1\0\0\0\x7fjane@example.com"), message(b"E", b"no end")):
        with pytest.raises(Refusal) as refused:
            recorded(data)
        assert refused.value.code.name == "response_malformed"
