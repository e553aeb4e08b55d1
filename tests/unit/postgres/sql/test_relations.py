"""Tables and views: families, what a view's definition does, and what RowDescription's numbers mean."""

from __future__ import annotations

from dataclasses import replace

from extproc.postgres.sql.analyse import analyse, origins_of
from tests.unit.postgres.sql.seen import output, statements, tables, uses
from tests.unit.postgres.sql.shop import INT4, TEXT, plpgsql, shop, table


def test_a_view_shows_the_tables_under_it() -> None:
    assert statements("SELECT who FROM berlin")[0].tables == ("public.berlin", "public.contacts", "public.customers")


def test_what_a_view_chooses_and_computes_by_is_used_by_who_reads_it() -> None:
    assert uses("SELECT id FROM tails") == {"argument", "predicate"}
    assert uses("SELECT id FROM secrets") == set()
    assert uses("SELECT number FROM secrets") == {"project"}
    assert uses("SELECT who FROM berlin", "public.customers.city") == {"predicate"}
    assert uses("SELECT total FROM spend", "public.orders.amount") == {"argument"}


def test_columns_come_through_views() -> None:
    assert output("SELECT number FROM secrets") == "number=customers.ssn"
    assert output("SELECT * FROM berlin") == "id=customers.id who=customers.name mail~customers.email"
    assert output("SELECT tail FROM tails") == "tail~customers.ssn"


def test_a_materialised_view_has_rows_of_its_own_that_came_from_somewhere() -> None:
    assert output("SELECT city FROM cities") == "city=cities.city+customers.city"
    assert tables("SELECT city FROM cities") == "cities"


def test_a_partition_is_its_table() -> None:
    assert output("SELECT ip FROM events") == "ip=events.ip"
    assert output("SELECT ip FROM events_2026") == "ip=events.ip+events_2026.ip"
    assert tables("SELECT ip FROM events_2026") == "events events_2026"


def test_a_child_is_read_with_its_parent_unless_only_this_is_asked_for() -> None:
    child = table(60001, "vips", f"id {INT4}, ssn {TEXT}, perks {TEXT}", parents=(16400,))
    catalog = shop(more=(child,))
    (found,) = analyse("SELECT ssn FROM customers", catalog).statements
    assert found.tables == ("public.customers", "public.vips")
    assert [(one.table, one.column) for one in found.columns] == [("public.customers", "ssn"), ("public.vips", "ssn")]
    (found,) = analyse("SELECT ssn FROM ONLY customers", catalog).statements
    assert found.tables == ("public.customers",)


def test_a_view_that_cannot_be_read_is_a_doubt() -> None:
    for definition in (
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "DELETE FROM public.customers",
        "SELECT 1, 2",
        "SELECT * FROM gone",
    ):
        view = table(60002, "odd", f"a {INT4}", kind="v", definition=definition)
        analysis = analyse("SELECT a FROM odd", shop(more=(view,)))
        assert not analysis.statements[0].sure, definition
        assert analysis.steps[0].output is not None
        assert not analysis.steps[0].output[0].sure


def test_a_view_over_itself_ends() -> None:
    views = (
        table(60003, "one", f"a {INT4}", kind="v", definition="SELECT a FROM public.two"),
        table(60004, "two", f"a {INT4}", kind="v", definition="SELECT a FROM public.one"),
    )
    assert not analyse("SELECT a FROM one", shop(more=views)).statements[0].sure


def test_a_function_in_a_view_runs_with_it() -> None:
    view = table(60005, "hidden", f"a {INT4}", kind="v", definition="SELECT public.purge() IS NULL AS a")
    found = analyse("SELECT * FROM hidden", shop(more=(view,))).statements
    assert [one.name for one in found[0].functions] == ["public.purge"]
    assert found[1].via == ("function:public.purge",)


def test_views_look_names_up_where_they_were_made() -> None:
    """Unqualified names in a definition are built-in ones, whatever the search path says."""
    mine = plpgsql(60006, "upper", 1, TEXT, "BEGIN DELETE FROM public.customers; RETURN $1; END", "text", "text")
    catalog = shop(functions=(mine,), search_path=("public", "pg_catalog"))
    assert [one.kind for one in analyse("SELECT mail FROM berlin", catalog).statements] == ["select"]


def test_a_view_over_many_views_costs_what_it_shows() -> None:
    """2^40 ways lead to the table."""
    views = [table(61000, "v0", f"a {INT4}", kind="v", definition="SELECT id AS a FROM public.customers")]
    for number in range(1, 41):
        definition = f"SELECT x.a FROM public.v{number - 1} x JOIN public.v{number - 1} y ON x.a = y.a"
        views.append(table(61000 + number, f"v{number}", f"a {INT4}", kind="v", definition=definition))
    analysis = analyse("SELECT a FROM v40", shop(more=tuple(views)))
    assert analysis.statements[0].sure
    assert analysis.steps[0].output is not None
    assert {one.column for one in analysis.steps[0].output[0].origins} == {"id"}


def test_what_row_description_names_is_known() -> None:
    catalog = shop()

    def named(relation: int, number: int) -> set[str] | None:
        found = origins_of(catalog, relation, number)
        return None if found is None else {f"{one.table}.{one.column}" for one in found}

    assert named(16400, 7) == {"public.customers.ssn"}
    assert named(16502, 2) == {"public.customers.ssn"}
    assert named(16400, -1) == {"public.customers.ctid"}
    assert named(16461, 2) == {"public.events.ip", "public.events_2026.ip"}
    assert named(16500, 0) == {"public.customers.id", "public.customers.name", "public.customers.email"}
    assert named(16400, 99) is None
    assert named(99, 1) is None


def test_dropped_columns_do_not_shift_the_others() -> None:
    relation = table(60010, "holes", f"a {INT4}, b {TEXT}")
    columns = (relation.columns[0], replace(relation.columns[1], number=5))
    catalog = shop(more=(replace(relation, columns=columns),))
    found = origins_of(catalog, 60010, 5)
    assert found is not None
    assert [one.column for one in found] == ["b"]
    assert origins_of(catalog, 60010, 2) is None
