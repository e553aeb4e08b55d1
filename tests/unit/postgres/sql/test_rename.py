from __future__ import annotations

import pytest

from extproc.postgres.sql.model import SqlError
from extproc.postgres.sql.rename import renamed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FETCH a", "FETCH x"),
        ('fetch next from "Odd ""name"', "fetch next from x"),
        ("MOVE ABSOLUTE -3 IN a;", "MOVE ABSOLUTE -3 IN x;"),
        ("CLOSE a -- a", "CLOSE x     "),
        ("CLOSE ü", "CLOSE x"),
        ('DEALLOCATE PREPARE U&"d\\0061ta"', "DEALLOCATE PREPARE x"),
    ],
)
def test_the_last_word_is_the_name(text: str, expected: str) -> None:
    assert renamed(text, "x") == expected


@pytest.mark.parametrize(
    "text",
    ["CLOSE a; CLOSE b", "SELECT 1 AS a", "EXECUTE a", "FETCH FROM U&\"d!0061ta\" UESCAPE '!'", "DEALLOCATE ALL a"],
)
def test_whatever_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, SqlError)):
        renamed(text, "x")
