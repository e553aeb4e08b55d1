"""Questions to a policy about SQL: combinations of everything that `input.sql` can say, always the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

JSONObject = dict[str, Any]

CUSTOMERS = "public.customers"
CLASS = "pg_catalog.pg_class"
ORDINARY: JSONObject = {
    "kind": "select",
    "tables": [CUSTOMERS],
    "writes": [],
    "columns": [
        {"table": CUSTOMERS, "column": "id", "uses": ["predicate", "project"]},
        {"table": CUSTOMERS, "column": "name", "uses": ["project"]},
        {"table": CUSTOMERS, "column": "email", "uses": ["project"]},
        {"table": CUSTOMERS, "column": "ssn", "uses": ["project"]},
    ],
    "functions": [{"name": "pg_catalog.int4eq", "volatility": "immutable", "language": "internal", "dynamic": False}],
    "where": True,
    "limit": None,
    "sure": True,
    "doubts": [],
    "via": [],
    "settings": [],
    "options": [],
}


def function(name: str, volatility: str = "stable", *, dynamic: bool = False) -> JSONObject:
    return {"name": name, "volatility": volatility, "language": "internal", "dynamic": dynamic}


def setting(name: str, value: str | None) -> JSONObject:
    return {"name": name, "value": value, "local": False}


# Each is what a statement may say in place of the ordinary one.
OTHERWISE: dict[str, list[Any]] = {
    "kind": [
        "begin", "commit", "show", "set", "reset", "fetch", "prepare", "execute", "declare_cursor", "explain", "copy",
        "insert", "delete", "do", "create_table_as", "lock", "notify", "prepare_transaction", "create_subscription",
    ],
    "tables": [
        [], ["public.orders"], [CUSTOMERS, "hr.staff"], [CLASS], [CLASS, CUSTOMERS], ["pg_catalog.pg_stats"],
        ["information_schema.columns", CLASS], ["information_schema.user_mapping_options"], ["pg_catalog.pg_largeobject"],
        ["pg_catalog.pg_statistic_ext"], [".customers"],
    ],
    "writes": [[CUSTOMERS]],
    "columns": [
        [],
        [{"table": CUSTOMERS, "column": "ctid", "uses": ["predicate"]}],
        [{"table": CLASS, "column": "reltuples", "uses": ["project"]}],
        [{"table": CUSTOMERS, "column": "ssn", "uses": ["order", "project"]}],
    ],
    "functions": [
        [],
        [function("pg_catalog.random", "volatile"), function("pg_catalog.upper", "immutable")],
        [function("pg_catalog.pg_get_expr")],
        [function("pg_catalog.pg_relation_size", "volatile")],
        [function("pg_catalog.string_agg", "immutable")],
        [function("pg_catalog.set_config", "volatile")],
        [function("pg_catalog.table_to_xml")],
        [function("pg_catalog.upper", dynamic=True)],
        [function("pg_catalog.lo_get", "volatile"), function("public.purge", "volatile")],
        [function("pg_catalog.pg_notify", "volatile"), function("pg_catalog.pg_logical_slot_get_changes", "volatile")],
        [function("information_schema._pg_expandarray", "immutable")],
        [function("public.upper", "immutable"), function(".f", "unknown")],
    ],
    "where": [False],
    "limit": [0, 100, 101],
    "sure": [False],
    "doubts": [["unknown table x", "dynamic SQL"]],
    "via": [["cte"], ["copy"], ["explain"], ["cursor"], ["function:public.purge"]],
    "settings": [
        [setting("jit", "off")], [setting("JIT", None)], [setting("client_encoding", "UTF8")],
        [setting("client_encoding", "latin1")], [setting("role", "postgres"), setting("jit", "on")], [setting("", None)],
    ],
    "options": [["stdout"], ["stdin"], ["program"], ["analyze"], ["read_write"]],
}  # fmt: skip


def questions(count: int) -> Iterator[JSONObject]:
    """First each thing alone, then up to three statements with up to four things otherwise."""
    for name, values in OTHERWISE.items():
        for value in values:
            yield question([{**ORDINARY, name: value}])
            yield question([{**ORDINARY, "where": False, name: value}])
    for options in OTHERWISE["options"]:
        yield question([{**ORDINARY, "kind": "copy", "where": False, "options": options}])
    chance = random.Random(4)
    for _ in range(count):
        yield question([_statement(chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))])


def _statement(chance: random.Random) -> JSONObject:
    names = chance.sample(sorted(OTHERWISE), chance.choice((0, 1, 1, 2, 2, 3, 4)))
    return {**ORDINARY, **{name: chance.choice(OTHERWISE[name]) for name in names}}


def question(statements: list[JSONObject], **over: Any) -> JSONObject:
    """The policy input about these statements (rego/schema/input.json)."""
    return {
        "version": 1,
        "phase": "request",
        "time": 1.5,
        "identity": {
            "issuer": "https://issuer",
            "subject": "repo:acme/billing:ref:refs/heads/main",
            "kind": "job",
            "claims": {"repository": "acme/billing", "event_name": "push", "actor": "octocat", "run_id": "4711"},
            "groups": [],
        },
        "resource": {"name": "customers-db", "kind": "postgres", "labels": {"data": "customers"}},
        "source": {"address": "127.0.0.1:1"},
        "session": {"id": "s-1", "requests": 1, "bytes_out": 0, "rows_out": 0},
        "sql": {
            "protocol": "extended",
            "step": "execute",
            "database": "shop",
            "user": "job",
            "fingerprint": "0123456789abcdef",
            "parameters": 1,
            "statements": statements,
        },
        **over,
    }
