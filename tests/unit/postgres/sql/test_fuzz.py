"""Random statements made of the corpus: whatever they are, an answer comes, and soon."""

from __future__ import annotations

import time

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.postgres.sql.analyse import analyse
from extproc.postgres.sql.model import Analysis, SqlError
from tests.unit.postgres.sql.seen import SHOP
from tests.unit.postgres.sql.test_fooled_alike import CORPUS, tokens

WORDS = sorted({word for text in CORPUS for word in tokens(text)})
SPACES = ("", " ", "\n", "/**/", "--\n", "\0", ";", "(", ")", ",", "'", "$$", '"', "\\", "ü")
MOST_SECONDS = 5.0  # a machine may be busy; the bound is what matters


def answered(text: str) -> Analysis | None:
    started = time.process_time()
    try:
        found: Analysis | None = analyse(text, SHOP)
    except SqlError as error:
        assert len(error.sqlstate) == 5  # noqa: PT017
        found = None
    assert time.process_time() - started < MOST_SECONDS
    return found


def well_formed(found: Analysis | None) -> None:
    if found is None:
        return
    assert len([one for one in found.statements if not one.via]) == len(found.steps)
    assert len(orjson.loads(found.facts)) == len(found.statements)
    for one in found.statements:
        assert one.sure == (not one.doubts)
        assert set(one.writes) <= set(one.tables)


texts = st.sampled_from(CORPUS)
words = st.lists(st.sampled_from(WORDS), max_size=30)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(texts, st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=6),
    st.sampled_from([" ", ";", "\n"]),
)
def test_parts_of_statements_put_together(parts: list[tuple[str, int, int]], between: str) -> None:
    made = [" ".join(tokens(text)[begin % 20 : begin % 20 + length % 30]) for text, begin, length in parts]
    well_formed(answered(between.join(made)))


@settings(max_examples=400, deadline=None)
@given(texts, st.data())
def test_words_exchanged_left_out_and_put_in(text: str, data: st.DataObject) -> None:
    made = tokens(text)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(made) - 1, 0)))
        made[at : at + data.draw(st.integers(0, 2))] = data.draw(st.lists(st.sampled_from(WORDS), max_size=2))
    well_formed(answered(" ".join(made)))


@settings(max_examples=300, deadline=None)
@given(texts, st.data())
def test_characters_exchanged(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at] + data.draw(st.sampled_from(SPACES) | st.characters()) + text[at + data.draw(st.integers(0, 2)) :]
        )
    well_formed(answered(text))


@settings(max_examples=200, deadline=None)
@given(words)
def test_words_in_any_order(made: list[str]) -> None:
    well_formed(answered(" ".join(made)))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    well_formed(answered(text))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=4),
    st.sampled_from(
        [
            "({})",
            "SELECT ({})",
            "WITH a AS ({}) TABLE a",
            "EXPLAIN {}",
            "PREPARE p AS {}",
            "COPY ({}) TO STDOUT",
            "DO $q${}$q$",
            "DO $q$BEGIN {}; END$q$",
            "CREATE TABLE x AS {}",
            "SELECT * FROM ({}) a",
            "INSERT INTO audit (what) {}",
        ]
    ),
)
def test_statements_in_statements(parts: list[str], frame: str) -> None:
    text = parts[0]
    for _ in parts:
        text = frame.replace("{}", text)
    well_formed(answered(text))


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(2, 400), st.sampled_from([";", " UNION ALL ", " , ", " "]))
def test_the_same_many_times(text: str, count: int, between: str) -> None:
    well_formed(answered(between.join([text] * count)))
