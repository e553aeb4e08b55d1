"""Functions and what their bodies do, whoever calls them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.postgres.catalog import Catalog, Function
from extproc.postgres.sql.analyse import analyse
from tests.unit.postgres.sql.seen import functions, output, statements, sure, uses
from tests.unit.postgres.sql.shop import INT4, TEXT, VOID, plpgsql, shop, sql


def ways(text: str, catalog: Catalog | None = None) -> list[str]:
    return [f"{'/'.join(one.via)} {one.kind}" for one in statements(text, catalog)]


def test_the_statements_of_a_body_follow() -> None:
    found = statements("SELECT purge()")
    assert found[0].functions[0].volatility == "volatile"
    assert (found[1].kind, found[1].via) == ("delete", ("function:public.purge",))
    assert "public.customers" in found[1].writes


def test_bodies_are_followed_from_one_function_to_the_next() -> None:
    assert "function:public.pick/function:public.purge delete" in ways("SELECT pick('x')")


def test_functions_that_call_each_other_end() -> None:
    assert ways("SELECT ping(1)") == [
        " select",
        "function:public.ping select",
        "function:public.ping/function:public.pong select",
    ]
    assert sure("SELECT ping(1)")


def test_the_order_in_which_functions_are_read_does_not_matter() -> None:
    """`a` calls `b`, which calls `a`: what is kept of `b` must not lack what `a` does."""
    a = plpgsql(61001, "a", 0, VOID, "BEGIN EXECUTE 'x'; PERFORM public.b(); END")
    b = plpgsql(61002, "b", 0, VOID, "BEGIN PERFORM public.a(); END")
    for first in ("SELECT a()", "SELECT b()"):
        catalog = shop(functions=(a, b))
        analyse(first, catalog)
        for text in ("SELECT a()", "SELECT b()"):
            assert not all(one.sure for one in analyse(text, catalog).statements), (first, text)
            assert any(use.dynamic for one in analyse(text, catalog).statements for use in one.functions)


def test_what_a_function_gives_may_be_anything_that_it_reads() -> None:
    assert output("SELECT ssn_of(1)") == "ssn_of~customers.id+customers.ssn"
    assert uses("SELECT id FROM orders WHERE ssn_of(id) = 'x'") >= {"argument", "predicate"}
    assert output("SELECT double(id) FROM customers") == "double~customers.id"
    assert output("SELECT f.ssn FROM find('x') f") == "ssn~customers.ssn"


def test_what_a_body_reads_may_go_anywhere() -> None:
    """Into a variable, and from there into a message: it is not only projected."""
    assert "argument" in uses("DO $$DECLARE x text; BEGIN SELECT ssn INTO x FROM customers; RAISE '%', x; END$$")


def test_variables_are_no_columns() -> None:
    assert sure("DO $$DECLARE x int := 1; BEGIN PERFORM 1 FROM customers WHERE id = x; END$$")
    assert not sure("DO $$BEGIN PERFORM 1 FROM customers WHERE id = x; END$$")
    assert sure("SELECT total(1)")
    assert sure("INSERT INTO orders (id) VALUES (1)")  # new.note in the trigger's body


def test_a_body_is_looked_up_by_the_path_that_the_function_sets() -> None:
    body = sql(61003, "count_staff", 0, INT4, "SELECT 1 FROM staff", "stable", "", "integer")
    set_path = replace(body, config=('search_path="hr", "$user"',))
    assert not all(one.sure for one in statements("SELECT count_staff()", shop(functions=(body,))))
    found = statements("SELECT count_staff()", shop(functions=(set_path,)))
    assert found[1].tables == ("hr.staff",)


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("SELECT run('x')", "public.run: dynamic SQL"),
        ("SELECT shell('x')", "function public.shell in language plpython3u"),
        ("SELECT dblink('x')", "function public.dblink in language c"),
        ("SELECT nothing(1)", "unknown function nothing"),
        ("SELECT hr.purge()", "unknown function hr.purge"),
        ("SELECT query_to_xml('x', true, true, '')", "dynamic function pg_catalog.query_to_xml"),
        ("SELECT set_config('a', name, true) FROM customers", "set_config that is not constant"),
        ("SELECT set_config(name, 'a', true) FROM customers", "set_config that is not constant"),
    ],
)
def test_what_cannot_be_followed_is_a_doubt(text: str, doubt: str) -> None:
    assert statements(text)[0].doubts == (doubt,)


def test_a_body_that_cannot_be_read_is_a_doubt() -> None:
    odd = plpgsql(61004, "odd", 0, VOID, "BEGIN THIS IS NOT SQL; END")
    assert not all(one.sure for one in statements("SELECT odd()", shop(functions=(odd,))))


def test_of_several_functions_of_a_name_the_worst_is_assumed() -> None:
    (use,) = statements("SELECT pick(1)")[0].functions
    assert (use.name, use.volatility) == ("public.pick", "volatile")


def test_the_number_of_arguments_tells_functions_apart() -> None:
    assert functions("SELECT lower(name) FROM customers") == {"pg_catalog.lower"}
    wide = plpgsql(61005, "lower", 2, TEXT, "BEGIN DELETE FROM public.customers; RETURN $1; END", "text, text", "text")
    catalog = shop(functions=(wide,))
    assert ways("SELECT lower(name) FROM customers", catalog) == [" select"]
    assert ways("SELECT lower(name, name) FROM customers", catalog)[1:] != []


def test_functions_of_pure_extensions_are_known() -> None:
    assert sure("SELECT crypt('a', 'b')")


def test_an_aggregate_of_the_users_is_a_doubt() -> None:
    """What its transition function does is not in the catalog."""
    own = Function(61006, "public", "mine", "a", 1, 1, "immutable", "internal", INT4)
    assert not statements("SELECT mine(id) FROM customers", shop(functions=(own,)))[0].sure


def test_settings_are_told() -> None:
    (setting,) = statements("SELECT set_config('Search_Path', 'x', false)")[0].settings
    assert (setting.name, setting.value, setting.local) == ("search_path", "x", False)


def test_a_function_that_is_a_crowd_is_cut() -> None:
    """Each of many functions calls all others: whatever is said, it is said soon."""
    crowd = tuple(
        plpgsql(
            62000 + number,
            f"f{number}",
            0,
            VOID,
            "BEGIN " + "".join(f"PERFORM public.f{n}();" for n in range(40)) + " END",
        )
        for number in range(40)
    )
    assert len(statements("SELECT f0()", shop(functions=crowd))) < 2000
