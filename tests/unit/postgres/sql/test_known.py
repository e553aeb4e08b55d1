"""What is worked out of a catalog once."""

from __future__ import annotations

from extproc.postgres.sql.known import known
from tests.unit.postgres.sql.shop import ADDRESS, INT4, MOOD, TEXT, shop, table


def test_a_catalog_is_known_once_and_not_for_another() -> None:
    one, other = shop(), shop(more=(table(60000, "customers", f"other {TEXT}"),))
    assert known(one) is known(one)
    assert known(one) is not known(other)


def test_names_are_looked_up_along_the_path() -> None:
    found = known(shop(more=(table(60001, "customers", f"id {INT4}", schema="hr"),)))
    for path, schema in ((("pg_catalog", "public", "hr"), "public"), (("pg_catalog", "hr", "public"), "hr")):
        relation = found.relation(path, "", "customers")
        assert relation is not None
        assert relation.schema == schema
    assert found.relation(("public",), "hr", "orders") is None


def test_temporary_tables_are_found_under_their_own_schema_and_hide_others() -> None:
    path = ("pg_temp_3", "pg_catalog", "public")
    found = known(shop(more=(table(60002, "customers", f"id {INT4}", schema="pg_temp_3"),), search_path=path))
    for schema in ("", "pg_temp", "pg_temp_3"):
        relation = found.relation(path, schema, "customers")
        assert relation is not None
        assert relation.schema == "pg_temp_3"


def test_no_function_is_looked_up_among_temporary_ones() -> None:
    found = known(shop())
    assert found.functions(("pg_temp_3",), "", "lower") == []
    assert [one.schema for one in found.functions(("pg_temp_3", "pg_catalog"), "", "lower")] == ["pg_catalog"]


def test_families_go_up_and_for_inheritance_down() -> None:
    catalog = shop(more=(table(60003, "vips", f"id {INT4}", parents=(16400,)),))
    found = known(catalog)

    def family(oid: int, *, only: bool = False) -> list[str]:
        return [one.name for one in found.family(catalog.relations_by_oid[oid], only=only)]

    assert family(16400) == ["customers", "vips"]
    assert family(16400, only=True) == ["customers"]
    assert family(60003) == ["vips", "customers"]
    assert family(16460) == ["events"]
    assert family(16461) == ["events_2026", "events"]


def test_types_are_named() -> None:
    found = known(shop())
    kind = found.type_named(("pg_catalog", "public"), ["mood"])
    assert kind is not None
    assert kind.oid == MOOD
    assert found.type_named(("pg_catalog",), ["mood"]) is None
    assert [name for name, _ in found.fields_of(ADDRESS) or ()] == ["street", "city"]
    assert found.fields_of(INT4) is None
