"""From rules and a media type to filters; what cannot be masked is refused."""

from __future__ import annotations

import pytest

from extproc.errors import Refusal
from extproc.model import MaskRule
from extproc.redact.detectors import DETECTORS
from extproc.redact.plan import Chain, plan
from tests.unit.redact.cutting import cut, run, singles

NAMED = MaskRule(fields=("email",))
DETECT = MaskRule(detect=("ssn",))


def masked(rules: tuple[MaskRule, ...], media_type: bytes, text: bytes) -> bytes:
    return run(lambda: Chain(plan(rules, media_type, key=b"k")), [text])


def refused(rules: tuple[MaskRule, ...], media_type: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        plan(rules, media_type, key=b"k")
    return caught.value.code.name


@pytest.mark.parametrize(
    "media_type",
    [b"application/json", b"Application/JSON; charset=UTF-8", b"application/problem+json", b"application/x-ndjson",
     b"text/json", b'application/json;charset="utf-8"'],
)  # fmt: skip
def test_names_go_by_members_in_json(media_type: bytes) -> None:
    assert masked((NAMED,), media_type, b'{"email":1}') == b'{"email":"****"}'


def test_names_go_by_columns_in_csv() -> None:
    rule = MaskRule(columns=("email",))
    assert masked((rule,), b"text/csv; charset=utf-8", b"a,email\n1,x\n") == b"a,email\n1,****\n"
    assert masked((rule,), b"text/tab-separated-values", b"a\temail\n1\tx\n") == b"a\temail\n1\t****\n"
    assert masked((rule,), b"application/json", b'{"email":1}') == b'{"email":"****"}'


@pytest.mark.parametrize(
    "media_type",
    [b"text/plain", b"text/html", b"", b"text/event-stream", b"application/octet-stream", b"image/png",
     b"text/csv; header=absent", b"application/xml"],
)  # fmt: skip
def test_names_on_a_type_without_names_are_refused(media_type: bytes) -> None:
    assert refused((NAMED,), media_type) == "response_unmaskable"


@pytest.mark.parametrize(
    "media_type",
    [b"", b"text/plain", b"text/html; charset=iso-8859-1", b"application/xml", b"image/svg+xml", b"text/csv",
     b"application/x-www-form-urlencoded", b"text/event-stream", b"application/javascript", b"application/json"],
)  # fmt: skip
def test_detectors_read_every_kind_of_text(media_type: bytes) -> None:
    assert masked((DETECT,), media_type, b'"123-45-6789"') == b'"****"'


@pytest.mark.parametrize(
    "media_type",
    [b"image/png", b"application/octet-stream", b"application/zip", b"multipart/mixed; boundary=x", b"application/pdf",
     b"text/plain; charset=utf-16", b"application/json; charset=utf-7", b"text/html; charset=utf-8; charset=ibm037"],
)  # fmt: skip
def test_what_detectors_cannot_read_is_refused(media_type: bytes) -> None:
    assert refused((DETECT,), media_type) == "response_unmaskable"


def test_no_rules_and_empty_rules_need_no_filter() -> None:
    assert plan((), b"image/png", key=b"k") == []
    assert plan((MaskRule(),), b"image/png", key=b"k") == []


def test_an_unknown_detector_is_refused() -> None:
    assert refused((MaskRule(detect=("iris",)),), b"text/plain") == "policy_unmet"


def test_each_rule_keeps_its_strategy() -> None:
    rules = (MaskRule(fields=("a",), strategy="drop"), MaskRule(detect=("ssn",), strategy="partial"), NAMED)
    text = b'{"a":"x","email":"y","s":"123-45-6789"}'
    assert masked(rules, b"application/json", text) == b'{"a":"","email":"****","s":"****6789"}'


def test_a_name_in_two_rules_goes_by_the_one_that_shows_less() -> None:
    partial = MaskRule(detect=("ssn",), strategy="partial")
    for rules in ((partial, DETECT), (DETECT, partial)):
        assert masked(rules, b"text/plain", b"123-45-6789") == b"****"


def test_a_chain_counts_over_all_filters_and_does_not_depend_on_the_cut() -> None:
    rules = (NAMED, MaskRule(detect=tuple(DETECTORS)))
    text = b'[{"email":"a","b":"123-45-6789"},{"email":"b","c":"j\\u0061ne@example.com"}]'
    chain = Chain(plan(rules, b"application/json", key=b"k"))
    out = b"".join(chain.feed(text, end=True))
    assert out == b'[{"email":"****","b":"****"},{"email":"****","c":"****"}]'
    assert chain.counts == {"field:email": 2, "ssn": 1, "email": 1}
    for pieces in (singles(text), cut(text, [5, 30, 31])):
        assert run(lambda: Chain(plan(rules, b"application/json", key=b"k")), pieces) == out


def test_an_empty_chain_passes_everything() -> None:
    assert b"".join(Chain(()).feed(b"x", end=True)) == b"x"
