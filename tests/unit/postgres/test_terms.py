from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from extproc.errors import Refusal
from extproc.model import MaskRule
from extproc.postgres import terms
from extproc.postgres.plan import Field
from extproc.postgres.reading import Reading
from extproc.postgres.terms import columns_of, masks_of, require_allowed, terms_of
from tests.unit.postgres.backendmessages import rows as read_rows
from tests.unit.postgres.masking.test_masks import run_of
from tests.unit.postgres.sql.shop import shop
from tests.unit.postgres.talking import rows

KEY = b"k" * 32
SSN, NAME = (MaskRule(columns=("ssn",)),), (MaskRule(columns=("name",)),)
TEXT = "SELECT id, ssn FROM customers WHERE id = 1"
FIELDS = (Field("id", 0, 0, 23, binary=False), Field("ssn", 0, 0, 25, binary=False))
ROW = ["1", "078-05-1120"]


@pytest.fixture
def reading() -> Reading:
    return Reading(shop())


def masked(
    reading: Reading, text: str, rules: tuple[MaskRule, ...], fields: tuple[Field, ...] = FIELDS
) -> list[bytes | None]:
    analysis = reading.analyse(text)
    masks = masks_of(terms_of(analysis, rules), analysis.steps[-1], fields, reading, KEY).fresh()
    found: list[bytes | None] = read_rows(masks.feed(run_of(rows(ROW))))[0]
    return found


def test_it_is_worked_out_once_for_a_statement_and_a_decision(reading: Reading) -> None:
    analysis = reading.analyse(TEXT)
    found = terms_of(analysis, SSN)
    assert terms_of(analysis, SSN) is found
    step = analysis.steps[0]
    assert masks_of(found, step, FIELDS, reading, KEY) is masks_of(found, step, FIELDS, reading, KEY)
    assert columns_of(analysis, FIELDS, reading.catalog) is columns_of(analysis, FIELDS, reading.catalog)


def test_each_decision_has_its_own(reading: Reading) -> None:
    assert masked(reading, TEXT, SSN) == [b"1", b"****"]
    assert masked(reading, TEXT, NAME) == [b"1", b"078-05-1120"]
    assert masked(reading, TEXT, ()) == [b"1", b"078-05-1120"]
    assert masked(reading, TEXT, (MaskRule(detect=("ssn",)),)) == [b"1", b"****"]


def test_rules_that_are_gone_leave_nothing_to_those_that_get_their_place(reading: Reading) -> None:
    for number in range(5 * terms._MOST):
        name = "ssn" if number % 2 else "name"
        assert masked(reading, TEXT, (MaskRule(columns=(name,)),))[1] == (b"****" if number % 2 else b"078-05-1120")
        gc.collect(0)


def test_each_step_and_each_shape_has_masks_of_its_own(reading: Reading) -> None:
    text = "SELECT ssn, id FROM customers WHERE id = 1; SELECT id, ssn FROM customers WHERE id = 1"
    analysis = reading.analyse(text)
    found = terms_of(analysis, SSN)
    swapped = FIELDS[::-1]
    first = masks_of(found, analysis.steps[0], swapped, reading, KEY).fresh()
    assert read_rows(first.feed(run_of(rows(ROW[::-1])))) == [[b"****", b"1"]]
    assert masked(reading, text, SSN) == [b"1", b"****"]
    binary = tuple(replace(one, binary=True) for one in FIELDS)
    assert columns_of(analysis, binary, reading.catalog)[0]["format"] == "binary"
    assert columns_of(analysis, FIELDS, reading.catalog)[0]["format"] == "text"


def test_a_fresh_one_has_counted_nothing(reading: Reading) -> None:
    analysis = reading.analyse(TEXT)
    rules = (*SSN, MaskRule(detect=("email",)))
    fields = tuple(replace(one, type=25) for one in FIELDS)
    first = masks_of(terms_of(analysis, rules), analysis.steps[0], fields, reading, KEY)
    counts = []
    for one in (first.fresh(), first.fresh(), first):
        one.feed(run_of(rows(["1", "078-05-1120"], ["ada@example.com", None])))
        counts.append(one.counts)
    assert counts == [{"column:customers.ssn": 1, "email": 1}] * 3


def test_what_is_not_certain_touches_what_is_masked_and_is_refused(reading: Reading) -> None:
    unsure = reading.analyse("SELECT nobody_knows(1)")
    assert terms_of(unsure, SSN).touched
    assert not terms_of(unsure, ()).touched
    require_allowed(unsure, ())
    for text in ("SELECT nobody_knows(1)", "SELECT id FROM customers WHERE ssn = 'x'"):
        with pytest.raises(Refusal) as refused:
            require_allowed(reading.analyse(text), SSN)
        assert refused.value.code.name == "column_protected"


def test_columns_that_are_not_the_promised_ones_are_refused_each_time(reading: Reading) -> None:
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            masked(reading, TEXT, SSN, FIELDS[:1])
        assert refused.value.code.name == "response_unmaskable"
