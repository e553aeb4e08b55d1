"""What stands in place of a value."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.model import Strategy
from extproc.redact.strategies import BY_SECRECY, VALUE_CAP, least, replacement

KEY, OTHER = b"k" * 32, b"o" * 32
CARD = b"4111-1111-1111-1234"


def test_each_strategy_shows_what_it_says() -> None:
    assert replacement("mask", CARD, KEY) == b"****"
    assert replacement("partial", CARD, KEY) == b"****1234"
    assert replacement("drop", CARD, KEY) == b""
    assert re.fullmatch(rb"[0-9a-f]{16}", replacement("hash", CARD, KEY))
    assert re.fullmatch(rb"tok_[0-9a-f]{20}", replacement("token", CARD, KEY))


def test_partial_shows_nothing_where_little_would_be_hidden() -> None:
    assert replacement("partial", b"ab-12-c", KEY) == b"****"


@pytest.mark.parametrize("strategy", ["hash", "token"])
def test_hash_and_token_depend_on_value_and_key(strategy: Strategy) -> None:
    assert replacement(strategy, CARD, KEY) == replacement(strategy, CARD, KEY)
    assert replacement(strategy, CARD, KEY) != replacement(strategy, CARD, OTHER)
    assert replacement(strategy, CARD, KEY) != replacement(strategy, CARD + b"0", KEY)


def test_a_token_does_not_tell_the_hash() -> None:
    assert replacement("hash", CARD, KEY)[:8] not in replacement("token", CARD, KEY)


@given(st.binary(), st.sampled_from(["mask", "partial", "hash", "token", "drop"]))
def test_every_replacement_is_safe_in_json_and_csv(value: bytes, strategy: Strategy) -> None:
    assert re.fullmatch(rb"[0-9A-Za-z_*]*", replacement(strategy, value, KEY))


@pytest.mark.parametrize("strategy", ["partial", "hash", "token"])
def test_a_value_too_long_to_keep_is_masked(strategy: Strategy) -> None:
    assert replacement(strategy, b"x" * (VALUE_CAP + 1), KEY) == b"****"


def test_of_several_strategies_the_one_that_shows_least_is_taken() -> None:
    for place, secret in enumerate(BY_SECRECY):
        assert least(reversed(BY_SECRECY[place:])) == secret
    assert set(BY_SECRECY) == set(get_args(Strategy))
    assert least(("hash", "drop", "partial")) == "drop"
    assert least(("partial", "mask")) == "mask"
