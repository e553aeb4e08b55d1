from __future__ import annotations

import struct
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import Refusal
from extproc.model import Decision, MaskRule
from extproc.postgres.operation import Connecting, Parameter, SqlOperation, doubted, merged, one_line
from extproc.postgres.reading import Reading
from tests.unit.postgres.sql.shop import shop

READING = Reading(shop())


def operation(text: str, *parameters: Parameter) -> SqlOperation:
    return SqlOperation(
        text, READING.analyse(text), "extended", "execute", "shop", "ci", ("pg_catalog", "public"), "d-1", parameters
    )


def possible(text: str, *rules: MaskRule) -> bool:
    try:
        operation(text).require_possible(Decision("allow", redact=rules))
    except Refusal as refusal:
        return refusal.code.name != "column_protected"
    return True


# --- what is seen of it


def test_policy_sees_neither_the_text_nor_a_value() -> None:
    text = "SELECT name FROM customers WHERE id = $1 AND name <> 'quoted-secret' -- comment"
    facts = operation(text, Parameter(b"bound-secret")).facts()
    seen = orjson.dumps(facts)
    for word in (b"secret", b"SELECT", b"comment"):
        assert word not in seen
    sql = orjson.loads(seen)["sql"]
    assert sql["parameters"] == 1
    assert (sql["protocol"], sql["step"], sql["database"], sql["user"]) == ("extended", "execute", "shop", "ci")
    (statement,) = sql["statements"]
    assert (statement["kind"], statement["tables"], statement["where"]) == ("select", ["public.customers"], True)


def test_the_canonical_object_has_all_that_a_yes_is_for() -> None:
    one = operation("SELECT $1", Parameter(b"7"))
    differing = [
        replace(one, text="SELECT $2"),
        replace(one, parameters=(Parameter(b"8"),)),
        replace(one, parameters=(Parameter(None),)),
        replace(one, parameters=()),
        replace(one, database="other"),
        replace(one, user="other"),
        replace(one, search_path=("hr",)),
        replace(one, definitions="d-2"),
        replace(one, protocol="simple"),
    ]
    seen = {orjson.dumps(each.canonical()) for each in (one, *differing)}
    assert len(seen) == len(differing) + 1
    assert one.shown() == one.canonical()


@pytest.mark.parametrize(
    ("parameter", "shown"),
    [
        (Parameter(None), None),
        (Parameter(None, binary=True, type=23), None),
        (Parameter("ä".encode()), "ä"),
        (Parameter(b"\xff"), {"base64": "/w=="}),
        (Parameter(struct.pack("!i", -5), binary=True, type=23), "-5"),
        (Parameter(struct.pack("!q", 1 << 40), binary=True, type=20), str(1 << 40)),
        (Parameter(struct.pack("!h", 3), binary=True, type=21), "3"),
        (Parameter(struct.pack("!I", 1 << 31), binary=True, type=26), str(1 << 31)),
        (Parameter(struct.pack("!d", 1.5), binary=True, type=701), "1.5"),
        (Parameter(struct.pack("!f", 0.5), binary=True, type=700), "0.5"),
        (Parameter(b"\1", binary=True, type=16), "true"),
        (Parameter(b"\0", binary=True, type=16), "false"),
        (Parameter(b"text", binary=True, type=25), "text"),
        (Parameter(bytes(range(16)), binary=True, type=2950), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (Parameter(b"\xff", binary=True, type=25), {"base64": "/w=="}),
        (Parameter(b"\0\1", binary=True, type=3802), {"base64": "AAE="}),
        (Parameter(b"abc", binary=True, type=23), {"base64": "YWJj"}),
        (Parameter(b"abc", binary=True), {"base64": "YWJj"}),
        (Parameter(b"\2", binary=True, type=16), {"base64": "Ag=="}),
    ],
)
def test_parameters_are_shown_as_text_where_they_are_one(parameter: Parameter, shown: object) -> None:
    assert parameter.shown() == shown


@given(st.binary(max_size=20), st.sampled_from([0, 16, 20, 21, 23, 25, 26, 114, 700, 701, 1043, 2950, 3802]))
def test_whatever_is_bound_can_be_written_down(value: bytes, kind: int) -> None:
    for binary in (False, True):
        orjson.dumps(Parameter(value, binary, kind).shown())


def test_a_summary_is_one_line() -> None:
    assert one_line("SELECT\n\t1  ;\n") == "SELECT 1 ;"
    assert one_line("x" * 300) == "x" * 199 + "…"


def test_the_start_of_a_connection() -> None:
    about = Connecting("shop", "psql", "3.2", "TLSv1.3")
    assert about.shown() == {"database": "shop", "application_name": "psql", "protocol": "3.2", "tls": "TLSv1.3"}
    assert about.summary() == "connect shop"


# --- masked columns


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ssn FROM customers",
        "SELECT * FROM customers",
        "SELECT number FROM secrets",
        "SELECT id FROM customers WHERE city = 'x'",
        "SELECT ssn::text AS x FROM (SELECT ssn FROM customers) AS c",
        "BEGIN; SELECT ssn FROM customers; COMMIT",
    ],
)
def test_a_masked_column_may_be_selected_as_it_is(text: str) -> None:
    assert possible(text, MaskRule(columns=("ssn",)))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM customers WHERE ssn > '5'",
        "SELECT id FROM customers ORDER BY ssn",
        "SELECT count(*) FROM customers GROUP BY ssn",
        "SELECT DISTINCT ssn FROM customers",
        "SELECT max(ssn) FROM customers",
        "SELECT ssn || '' FROM customers",
        "SELECT tail FROM tails",
        "SELECT id FROM secrets WHERE number > '5'",
        "SELECT c.id FROM customers c JOIN hr.staff s ON s.ssn = c.ssn",
        "UPDATE orders SET note = ssn FROM customers WHERE customers.id = customer_id",
        "SELECT id FROM customers; SELECT id FROM customers WHERE ssn > '5'",
        "PREPARE x AS SELECT id FROM customers WHERE ssn > '5'",
        "SELECT ssn_of(1)",
        "SELECT nothing FROM unheard_of",  # not sure
        "SELECT run('SELECT 1')",
    ],
)
def test_and_nothing_else_is_done_with_it(text: str) -> None:
    assert not possible(text, MaskRule(columns=("ssn",)))
    assert possible(text, MaskRule(detect=("email",)))


def test_a_rule_may_open_uses() -> None:
    text = "SELECT id FROM customers WHERE ssn = '5' ORDER BY ssn"
    assert not possible(text, MaskRule(columns=("ssn",), uses=("predicate",)))
    assert possible(text, MaskRule(columns=("ssn",), uses=("predicate", "order")))


# --- what runs by name


def test_what_runs_by_name_is_part_of_the_statement() -> None:
    both = merged(READING.analyse("EXECUTE x(1)"), READING.analyse("SELECT ssn FROM customers"), "execute")
    assert [(one.kind, one.via) for one in both.statements] == [("execute", ()), ("select", ("execute",))]
    assert orjson.loads(both.facts)[1]["tables"] == ["public.customers"]
    (step,) = both.steps
    assert step.output is not None
    assert [column.name for column in step.output] == ["ssn"]
    assert step.executes == "x"


def test_and_so_is_what_it_changes() -> None:
    both = merged(READING.analyse("EXECUTE x"), READING.analyse("SELECT run('CREATE TABLE t ()')"), "execute")
    assert both.steps[0].changes_catalog


def test_doubts_begin_at_a_step_with_all_that_is_in_it() -> None:
    analysis = READING.analyse("SELECT 1; SELECT ssn_of(1); SELECT id FROM customers")
    found = doubted(analysis, 1, "why")
    assert [one.sure for one in found.statements if not one.via] == [True, False, False]
    assert all(one.sure == (number == 0) for number, one in enumerate(found.statements))
    assert [step.output_sure for step in found.steps] == [True, False, False]
    assert [one["sure"] for one in orjson.loads(found.facts)] == [one.sure for one in found.statements]
    assert analysis.statements[-1].sure
