"""Whatever may be changed in a text without changing what it means changes nothing of what is seen in it."""

from __future__ import annotations

import re

import postgast
import pytest

from extproc.postgres.sql.analyse import analyse
from extproc.postgres.sql.comments import without_comments
from extproc.postgres.sql.model import SqlError
from tests.unit.postgres.sql.seen import SHOP, analysed
from tests.unit.postgres.sql.test_fooled import READS, SEEN
from tests.unit.postgres.sql.test_fooled_calls import PLACES
from tests.unit.postgres.sql.test_fooled_output import OUTPUT
from tests.unit.postgres.sql.test_fooled_reads import PLAIN, UNTOUCHED, USES
from tests.unit.postgres.sql.test_fooled_state import COPIES, KINDS, SETS
from tests.unit.postgres.sql.test_fooled_writes import READ_ONLY, UNSURE, WRITES

TABLES = (SEEN, READS, OUTPUT, USES, KINDS, SETS, WRITES, COPIES)
# N'a' has two tokens that must stand together.
CORPUS = sorted({
    *(row[0] for table in TABLES for row in table),
    *(place.replace("@", "purge()") for place in PLACES),
    *PLAIN, *UNTOUCHED, *READ_ONLY, *UNSURE,
} - {"SELECT N'a'; DELETE FROM customers"})  # fmt: skip


def tokens(text: str) -> list[str]:
    data = without_comments(text).encode()
    return [data[token.start : token.end].decode() for token in postgast.scan(data.decode()).tokens]


def otherwise(word: str) -> str:
    """A name or keyword in another case; quoted ones, strings and what has letters beyond ASCII stay."""
    return word.swapcase() if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word) else word


def alike(text: str, other: str) -> bool:
    found, wanted = analyse(other, SHOP), analysed(text)
    same = found.fingerprint == wanted.fingerprint or found.text.count(";") > wanted.text.count(";")
    return (
        same
        and found.facts == wanted.facts
        and [step.output for step in found.steps] == [step.output for step in wanted.steps]
    )


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) > 700


def variants(words: list[str]) -> list[str]:
    """Comments between all tokens, other spaces and case, empty statements."""
    between = " -- '; DELETE FROM customers; $$ /*\n/* ' /* \" */ -- */"
    return [
        "/**/" + "/**/".join(words) + "/**/",
        between + between.join(words) + between,
        " ;\n;" + "\n\t\r\f ".join(otherwise(word) for word in words) + " ; ;",
    ]


@pytest.mark.parametrize("text", CORPUS)
def test_what_means_the_same_is_seen_the_same(text: str) -> None:
    for variant in variants(tokens(text)):
        assert alike(text, variant), variant


@pytest.mark.parametrize("text", CORPUS)
def test_a_statement_before_it_changes_nothing(text: str) -> None:
    both = analyse(f"SELECT 1; {text}", SHOP).statements
    assert both[0].kind == "select"
    assert both[1:] == analysed(text).statements


@pytest.mark.parametrize("text", [text for text in CORPUS if text.startswith(("SELECT", "VALUES", "TABLE", "WITH"))])
def test_parentheses_around_a_query_change_nothing(text: str) -> None:
    if ";" in text or "FOR UPDATE" in text or "INTO" in text:
        return
    try:
        same = analyse(f"((({text}\n)))", SHOP)
    except SqlError:  # WITH … DELETE, and such
        return
    assert same.facts == analysed(text).facts
