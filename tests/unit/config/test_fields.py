"""The texts that stand in extproc.yaml."""

from __future__ import annotations

import pytest

from extproc.config.fields import Database, database


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgres://db.internal:6432/shop", Database("db.internal", "", 6432, "shop")),
        ("postgresql://db.internal/shop", Database("db.internal", "", 5432, "shop")),
        ("postgres://10.0.0.9/shop", Database("10.0.0.9", "", 5432, "shop")),
        ("postgres://[::1]:5433/shop", Database("::1", "", 5433, "shop")),
        ("postgres://db/Shop%20%2F%C3%A4", Database("db", "", 5432, "Shop /ä")),
        ("postgres:///shop?host=/run/postgresql", Database("", "/run/postgresql", 5432, "shop")),
        ("postgres:///shop?host=%2Frun%2Fpg&port=5433", Database("", "/run/pg", 5433, "shop")),
    ],
)
def test_where_a_database_is(url: str, found: Database) -> None:
    assert database(url) == found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "db.internal:5432/shop",
        "mysql://db.internal/shop",
        "postgres:shop",
        "postgres://db.internal",
        "postgres://db.internal/",
        "postgres:///shop",
        "postgres://db.internal:0/shop",
        "postgres://db.internal:99999/shop",
        "postgres://db.internal:x/shop",
        "postgres://one,two/shop",
        "postgres://one:1,two:2/shop",
        "postgres://db_internal/shop",
        "postgres://[::1/shop",
        "postgres://db.internal/shop/other",
        "postgres://db.internal/shop#x",
        "postgres://db.internal/shop?sslmode=disable",
        "postgres://db.internal/shop?host=/run/pg",
        "postgres://db.internal/%ff",
        "postgres://db.internal/a%00b",
        "postgres://db.internal/" + "x" * 64,
        "postgres:///shop?host=run/pg",
        "postgres:///shop?host=/run/pg&host=/run/other",
        "postgres:///shop?host=/run/pg&port=0",
        "postgres:///shop?host=/run/pg&port=x",
        "postgres:///shop?host=/run/pg&port=99999",
        "postgres:///shop?host=/run/pg&options=-crole=x",
        "postgres:///shop?host=/run/a%00b",
        "postgres:///shop?host=/" + "x" * 100,
        "postgres:///?host=/run/pg",
        "postgres:///shop?",
        "postgres:///shop?host",
    ],
)
def test_what_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        database(url)


@pytest.mark.parametrize("login", ["user@", "user:password@", ":password@", "@", ":@"])
def test_a_login_has_a_section_of_its_own(login: str) -> None:
    with pytest.raises(ValueError, match="credentials"):
        database(f"postgres://{login}db.internal/shop")


def test_the_longest_path_of_a_socket() -> None:
    folder = "/" + "x" * (107 - 1 - len("/.s.PGSQL.5432"))
    assert database(f"postgres:///shop?host={folder}").socket_dir == folder
    with pytest.raises(ValueError, match="107 bytes"):
        database(f"postgres:///shop?host={folder}x")
