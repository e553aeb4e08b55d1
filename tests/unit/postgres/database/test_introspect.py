from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import postgast
import pytest

from extproc.postgres.database import introspect
from extproc.postgres.database.introspect import BUILT_IN, LOOK, OWN, CatalogError, Rows, combine, look, part, within

SESSION = ("180006", "shop", "ci", '["pg_catalog","public"]', "18.6", *["aa"] * 16)
RELATION = ("16400", "public", "t", "r", '[["a",1,23],["b",3,25]]', None, "{17001,17002}", "f", "{16410}", "{16390}")
FUNCTION = (
    *("17001", "public", "f", "f", "3", "1", "0", "v", "plpgsql", "23", "BEGIN END", "CREATE FUNCTION"),
    *("t", '["search_path=a, b"]', "ext"),
)
TYPE = ("16402", "public", "_t", "b", "A", "16401", "0", "0")


def results(*, session: Any = SESSION, **changed: Any) -> list[Rows]:
    parts = {
        "relations": [RELATION],
        "functions": [FUNCTION],
        "types": [TYPE],
        "operators": [("public", "===", "17001")],
        "casts": [("23", "16402", "17001")],
        "events": [("e", "login", "17001")],
        **changed,
    }
    return [[], [session], [("", "")], *parts.values(), []]


EMPTY: dict[str, list[Any]] = {
    "relations": [],
    "functions": [],
    "types": [],
    "operators": [],
    "casts": [],
    "events": [],
}


def names(node: Any) -> Iterator[tuple[str, list[str]]]:
    """Whatever PostgreSQL looks up by name below a node of a parse tree."""
    kind = node.DESCRIPTOR.name
    named = {"FuncCall": "funcname", "TypeName": "names", "A_Expr": "name", "SubLink": "oper_name"}.get(kind)
    if named and (parts := [part.string.sval for part in getattr(node, named)]):
        yield kind, parts
    if kind == "RangeVar":
        yield kind, [part for part in (node.schemaname, node.relname) if part]
    for _, value in node.ListFields():
        for one in value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]:
            if hasattr(one, "DESCRIPTOR"):
                yield from names(one)


@pytest.mark.parametrize("text", sorted({LOOK, *OWN, *BUILT_IN}))
def test_nothing_is_looked_up_by_search_path(text: str) -> None:
    found = list(names(postgast.parse(text)))
    assert found or text in ("COMMIT", OWN[0])
    made = re.findall(r"WITH (\w+) AS", text)
    for kind, parts in found:
        assert parts[0] == "pg_catalog" or (kind == "RangeVar" and parts == made), (kind, parts)


def test_rows_become_plain_data() -> None:
    own = part(results())
    relation, function, type_ = own.relations[0], own.functions[0], own.types[0]
    assert [(one.name, one.number, one.type) for one in relation.columns] == [("a", 1, 23), ("b", 3, 25)]
    assert (relation.triggers, relation.cascades, relation.parents) == ((17001, 17002), (16410,), (16390,))
    assert not relation.ruled
    assert (function.least, function.most, function.volatility) == (2, 3, "volatile")
    assert (function.security_definer, function.config, function.extension) == (True, ("search_path=a, b",), "ext")
    assert (type_.element, type_.category) == (16401, "A")
    assert own.event_triggers == (("login", 17001),)


def test_variadic_functions_have_no_most() -> None:
    assert part(results(functions=[(*FUNCTION[:6], "2276", *FUNCTION[7:])])).functions[0].most is None


def test_a_catalog_is_put_together() -> None:
    other = (*("1200", "pg_catalog", "f", "f", "1", "0", "0", "i", "internal", "23", None, None), "f", None, None)
    built_in = part(results(**{**EMPTY, "functions": [other]}))
    catalog = combine(look([SESSION]), built_in, part(results()))
    assert (catalog.server_version, catalog.database, catalog.role) == (180006, "shop", "ci")
    assert catalog.search_path == ("pg_catalog", "public")
    assert catalog.relation("", "t") is catalog.relations_by_oid[16400]
    assert {one.oid for one in catalog.functions_named("", "f")} == {1200, 17001}
    assert catalog.user_casts == ((23, 16402, 17001),)


def test_the_fingerprint_follows_everything() -> None:
    session = look([SESSION])
    built_in, own = part(results(**EMPTY)), part(results())
    usual = combine(session, built_in, own).fingerprint
    changed = part(results(relations=[(*RELATION[:5], " SELECT 1;", *RELATION[6:])]))
    fewer = part(results(**{**EMPTY, "types": [TYPE]}))
    assert combine(session, built_in, own).fingerprint == usual
    assert combine(session, built_in, changed).fingerprint != usual
    assert combine(session, fewer, own).fingerprint != usual
    assert combine(dataclasses.replace(session, search_path=("public",)), built_in, own).fingerprint != usual


@pytest.mark.parametrize("place", range(5, len(SESSION)))
def test_a_token_follows_every_part(place: int) -> None:
    for value in (None, "bb"):
        changed = (*SESSION[:place], value, *SESSION[place + 1 :])
        assert look([changed]).token != look([SESSION]).token


@pytest.mark.parametrize("change", [{"token": "x"}, {"release": "18.7"}, {"database": "other"}])
def test_parts_of_another_state_are_not_put_together(change: dict[str, Any]) -> None:
    own = part(results())
    with pytest.raises(CatalogError):
        combine(dataclasses.replace(own.session, **change), own, own)


@pytest.mark.parametrize(
    "broken",
    [
        [],
        results()[:-2],
        results(session=("180006", "shop", None, "[]", "18.6")),
        results(session=("eighteen", "shop", "ci", "[]", "18.6")),
        results(relations=[RELATION[:-1]]),
        results(relations=[(*RELATION[:4], "[", *RELATION[5:])]),
        results(functions=[(*FUNCTION[:7], "x", *FUNCTION[8:])]),
        results(functions=[(None, *FUNCTION[1:])]),
        results(types=[("x", *TYPE[1:])]),
    ],
)
def test_answers_that_cannot_be_read(broken: list[Rows]) -> None:
    with pytest.raises(CatalogError):
        part(broken)


def test_in_an_open_transaction_a_savepoint_keeps_the_state() -> None:
    inside = within(OWN)
    assert inside[1 : len(OWN) - 1] == OWN[1:-1]
    assert not [text for text in inside if text.startswith(("BEGIN", "COMMIT"))]
    assert (inside[0], inside[-2:]) == (
        "SAVEPOINT extproc_catalog",
        ("ROLLBACK TO SAVEPOINT extproc_catalog", "RELEASE SAVEPOINT extproc_catalog"),
    )
    assert part([*results(), []]) == part(results())
    assert introspect.LOOK in inside
