from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.postgres.catalog import Catalog
from extproc.postgres.sql.analyse import analyse
from tests.unit.postgres.sql.shop import plpgsql, shop

CALLS = {
    "json_value": "json_value(what, '$')", "json_query": "json_query(what, '$')", "json_exists": "JSON_EXISTS(what, '$')",
    "json_array": "json_array(what)", "json_arrayagg": "json_arrayagg(what)", "json_object": "json_object(what)", "json": "json(what)",
    "json_scalar": "json_scalar(what)", "json_serialize": "json_serialize(what)", "merge_action": "merge_action()",
}  # fmt: skip


def catalog(version: int, *names: str) -> Catalog:
    body = "BEGIN DELETE FROM public.customers; RETURN ''; END"
    mine = tuple(plpgsql(18000 + number, name, 0, 25, body, "", "text") for number, name in enumerate(names))
    return replace(shop(functions=tuple(replace(one, most=None) for one in mine)), server_version=version)


def sure(text: str, catalog: Catalog) -> bool:
    return all(one.sure for one in analyse(text, catalog).statements)


@pytest.mark.parametrize("name", CALLS)
def test_a_word_of_a_later_grammar_may_be_a_function_on_an_older_server(name: str) -> None:
    text = f"SELECT {CALLS[name]} FROM audit"
    found = analyse(text, catalog(150_000, name)).statements
    assert not found[0].sure or any("public.customers" in one.writes for one in found)
    if name != "json_object":  # a built-in function as well, which this shop does not have
        assert sure(text, catalog(180_000, name))
        assert sure(text, catalog(150_000))


def test_a_name_that_became_a_value_is_not_taken_for_one() -> None:
    assert not sure("SELECT system_user FROM audit", catalog(150_000))
