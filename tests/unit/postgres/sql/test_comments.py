from __future__ import annotations

import postgast
import pytest

from extproc.postgres.sql.comments import without_comments
from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.parse import inner, parse


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT/**/1", "SELECT    1"),
        ("a -- b\nc", "a     \nc"),
        ("a -- b\r\nc", "a     \r\nc"),
        ("a --", "a   "),
        ("a /* /* b */ */ c", "a               c"),
        ("a /* é */ ü -- ö", "a         ü     "),
        ("'--' /* '", None),
        ("'--' \"/*\" $$ -- $$ -- x", "'--' \"/*\" $$ -- $$     "),
        (r"E'\' --' --", r"E'\' --'   "),
        ("1 */**/1", "1 *    1"),
        ("5 <-- a\n6", "5 <    \n6"),
    ],
)
def test_comments_become_space_of_the_same_length(text: str, blanked: str | None) -> None:
    if blanked is None:
        with pytest.raises(postgast.PgQueryError):
            without_comments(text)
    else:
        assert without_comments(text) == blanked
        assert len(blanked) == len(text)


# A string that goes on after a comment, as the server reads it.
CONTINUED = {
    "'a' -- b\n 'c'": "ac",
    "'a'\n-- b\n'c'": "ac",
    "'a' -- b\n-- d\n -- 'e'\n'c'": "ac",
    "'a' -- '\n'c' -- '\n'd'": "acd",
    "E'a' -- b\n '\\' -- '\n '\\' -- '": "a' -- ' -- ",
    "U&'a' -- b\n '\\0063'": "ac",
    "'a' -- b\n '' -- b\n 'c'": "ac",
    "e'\\'' -- '\n '--' -- '\n 'x'": "'--x",
}
# The same, where the scanner sees an open string: the statement is refused.
REFUSED = {"E'a' -- b\n '\\'c'": "a'c", "E'a' -- b\n '\\' /* ' -- */ '\n 'd'": "a' /* d"}


@pytest.mark.parametrize("literal", CONTINUED)
def test_a_string_goes_on_after_a_comment_as_on_the_server(literal: str) -> None:
    node = parse(f"SELECT {literal}")[0].node
    assert inner(inner(node.target_list[0]).val).sval.sval == CONTINUED[literal]


@pytest.mark.parametrize("literal", REFUSED)
def test_what_looks_open_is_refused(literal: str) -> None:
    with pytest.raises(SqlError):
        parse(f"SELECT {literal}")


def test_strings_that_go_on_after_many_comments_are_refused() -> None:
    assert without_comments("SELECT 'a'" + "--\n'b'" * 20)
    with pytest.raises(postgast.PgQueryError):
        without_comments("SELECT 'a'" + "--\n'b' || 'c'" * 200)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 NOT /**/ IN (1)", "SELECT 1 ORDER BY 1 NULLS -- a\n FIRST", "SELECT a::timestamp WITH /* b */ TIME ZONE",
        "SELECT U&'a!0061' /**/ UESCAPE '!'", 'SELECT U&"a!0061" --\n UESCAPE --\n \'!\'', "SELECT * FROM f() WITH /**/ ORDINALITY",
        "/**/SELECT/**/a/**/./**/b/**/::/**/int/**/FROM/**/c/**/",
    ],
)  # fmt: skip
def test_comments_may_stand_between_all_tokens(text: str) -> None:
    assert len(parse(text)) == 1
