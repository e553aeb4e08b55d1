from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.postgres.reading import Reading
from tests.unit.postgres.playbook import ALLOW, DENY, MASK, Play, client, logged_in, names_of, prepared, server
from tests.unit.postgres.sql.shop import TEXT, shop, table
from tests.unit.postgres.talking import (
    BOUND,
    CLOSED,
    EMPTY,
    FLUSH,
    NO_DATA,
    PARSED,
    SSN,
    SUSPENDED,
    SYNC,
    bind,
    close,
    complete,
    describe,
    description,
    execute,
    failure,
    of,
    parameter_types,
    parse,
    query,
    ready,
    result,
    rows,
)

ID = of("customers", "id")


# --- implicit transactions


def step(play: Play, text: str, tag: str) -> None:
    """One execution that is not ended with Sync."""
    assert (play >> client(parse(text), bind(), execute(), FLUSH)).told == ""
    play >> server(PARSED, BOUND, NO_DATA, complete(tag))


def test_a_denial_in_the_middle_undoes_what_ran_before_it() -> None:
    play = logged_in(ALLOW, DENY)
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    said = play >> client(parse("DELETE FROM customers"), bind(), execute())
    assert (said.told, said.sent) == ("E", "BH")
    assert said.error["M"] == "not on a Friday"
    assert names_of(said.server[0])[1] == b"extproc_refused"
    assert (play >> server(failure("26000"))).kinds == ""  # one error is enough
    assert (play >> client(parse("SELECT 1"), bind(), execute())).kinds == ""
    assert (play >> client(SYNC)).kinds == ">S"
    assert (play >> server(ready("I"))).kinds == "<Z"


@pytest.mark.parametrize("begin", [True, False])
def test_in_an_explicit_transaction_its_state_stays(begin: bool) -> None:
    play = logged_in(ALLOW, ALLOW, DENY)
    if begin:
        step(play, "BEGIN", "BEGIN")
    else:
        play >> client(query("BEGIN"))
        play >> server(complete("BEGIN"), ready("T"))
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    said = play >> client(parse("DELETE FROM customers"), bind(), execute(), SYNC)
    assert (said.told, said.sent) == ("E", "S")
    assert (play >> server(ready("T"))).kinds == "<Z"


def test_after_its_end_an_implicit_one_begins() -> None:
    play = logged_in(ALLOW, ALLOW, ALLOW, DENY)
    play >> client(query("BEGIN"))
    play >> server(complete("BEGIN"), ready("T"))
    step(play, "COMMIT", "COMMIT")
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    assert (play >> client(parse("DELETE FROM customers"), bind(), execute(), SYNC)).sent == "BH"


def test_what_was_only_parsed_needs_no_undoing() -> None:
    play = logged_in(ALLOW, DENY)
    play >> client(parse("SELECT 1", "s"), FLUSH)
    play >> server(PARSED)
    assert (play >> client(parse("DELETE FROM customers", "t"), SYNC)).sent == "S"


def test_a_result_that_is_cut_off_undoes_what_ran_before_it() -> None:
    """Where the server did not notice in time, it gets an error all the same."""
    play = logged_in(ALLOW, {"action": "allow", "limits": {"rows": 0}})
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    assert (play >> client(parse("SELECT id FROM customers"), bind(), execute(), SYNC)).kinds == ">P >B >D >E >H"
    said = play >> server(PARSED, BOUND, result(ID, ["1"]))
    assert said.cancels
    assert (said.told, said.sent) == ("12E", "BH")
    assert (play >> server(failure("26000"))).kinds == ">S"
    assert (play >> server(ready("I"))).kinds == "<Z"


def test_one_that_the_server_cut_off_itself_needs_no_more() -> None:
    play = logged_in(ALLOW, {"action": "allow", "limits": {"rows": 0}})
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    play >> client(parse("SELECT id FROM customers"), bind(), execute(), SYNC)
    assert (play >> server(PARSED, BOUND, description(ID), rows(["1"]))).cancels
    assert (play >> server(failure("57014"))).kinds == ">S"


def test_a_query_that_is_denied_undoes_what_was_not_ended_with_sync() -> None:
    play = logged_in(ALLOW, DENY, ALLOW)
    step(play, "INSERT INTO orders VALUES (1)", "INSERT 0 1")
    said = play >> client(query("DELETE FROM customers"))
    assert (said.told, said.sent) == ("E", "BS")
    assert said.error["M"] == "not on a Friday"
    assert (play >> server(failure("26000"), ready("I"))).kinds == "<Z"
    assert (play >> client(SYNC)).kinds == "<Z"


def test_a_query_settles_what_came_before_it() -> None:
    play = logged_in()
    assert (play >> client(parse("SELECT 1", "s"), query("SELECT 2"))).kinds == ">P >H"
    said = play >> server(PARSED)
    assert (said.told, said.sent) == ("1", "Q")
    play >> server(result(["a"], ["2"]), ready())
    assert (play >> client(SYNC)).kinds == "<Z"


# --- Describe, and portals in parts


def test_descriptions_go_back_as_they_came() -> None:
    play = logged_in()
    play >> client(parse("SELECT ssn FROM customers WHERE id = $1", "s"), describe("S", "s"), SYNC)
    said = play >> server(PARSED, parameter_types(23), description(of("customers", "ssn")), ready())
    assert said.told == "1tTZ"
    said = play >> client(bind("s", "", ["1"]), execute(), SYNC)
    assert said.kinds == ">B >E >S"  # it is known what it looks like


def test_what_has_no_rows() -> None:
    play = logged_in()
    play >> client(parse("DELETE FROM orders WHERE id = 1"), bind(), describe("P"), execute(), SYNC)
    assert (play >> server(PARSED, BOUND, NO_DATA, complete("DELETE 1"), ready())).told == "12nCZ"


def test_an_empty_statement() -> None:
    play = logged_in()
    play >> client(parse(""), bind(), execute(), SYNC)
    assert (play >> server(PARSED, BOUND, NO_DATA, EMPTY, ready())).told == "12IZ"


def test_masks_know_the_format() -> None:
    play = prepared("SELECT id FROM customers", {"action": "allow", "redact": [{"columns": ["id"]}]})
    for formats, masked in (([1], bytes(4)), ([], b"0")):
        play >> client(bind("s", "", [], [], formats), execute(), SYNC)
        binary = [replace(one, format=bool(formats)) for one in ID]
        said = play >> server(BOUND, description(binary), rows([b"\0\0\0\7"]), complete("SELECT 1"), ready())
        assert said.rows == [[masked]]


def test_a_portal_in_parts() -> None:
    play = prepared("SELECT ssn FROM customers", MASK)
    columns = of("customers", "ssn")
    play >> client(bind("s", "p"), execute("p", 1), FLUSH)
    said = play >> server(BOUND, description(columns), rows([SSN]), SUSPENDED)
    assert said.told == "2Ds"
    assert (play >> client(execute("p", 1), FLUSH)).kinds == ">E >H"
    assert (play >> server(rows([SSN]), SUSPENDED)).told == "Ds"
    play >> client(execute("p"), SYNC)
    assert (play >> server(complete("SELECT 0"))).told == "C"
    assert (play >> server(ready())).told == "Z"
    closed = play.closings[-1]
    assert (closed["rows"], closed["masked"]) == (2, {"column:customers.ssn": 2})
    assert len(play.policy.asked) == 2


def test_limits_hold_over_all_its_parts() -> None:
    play = prepared("SELECT id FROM customers", {"action": "allow", "limits": {"rows": 3}})
    play >> client(bind("s", "p"), execute("p", 2), FLUSH)
    play >> server(BOUND, description(ID), rows(["1"], ["2"]), SUSPENDED)
    play >> client(execute("p", 2), SYNC)
    said = play >> server(rows(["3"], ["4"]), SUSPENDED)
    assert said.rows == [[b"3"]]
    assert said.error["C"] == "53400"


def test_a_portal_that_is_closed_before_its_end_is_recorded() -> None:
    play = prepared()
    play >> client(bind("s", "p"), execute("p", 1), FLUSH)
    play >> server(BOUND, description(ID), rows(["1"]), SUSPENDED)
    play >> client(close("P", "p"), SYNC)
    assert (play >> server(CLOSED, ready())).told == "3Z"
    assert [one["outcome"] for one in play.closings] == ["prepared", "suspended"]


def test_definitions_that_change_after_a_portal_was_bound() -> None:
    play = prepared()
    play >> client(query("BEGIN"))
    play >> server(complete("BEGIN"), ready("T"))
    play >> client(bind("s", "p"), SYNC)
    play >> server(BOUND, ready("T"))
    play >> client(query("CREATE TABLE x ()"))
    play >> server(complete("CREATE TABLE"), ready("T"))
    play.reading = Reading(replace(shop((table(99_000, "x", f"a {TEXT}"),)), fingerprint="changed"))
    play >> client(query("SELECT 1"))
    play >> server(result(["a"], ["1"]), ready("T"))
    assert (play >> client(execute("p"), SYNC)).error["M"] == "definitions changed since the statement was bound"


def test_what_runs_by_name_is_described_anew() -> None:
    """EXECUTE x has other columns once x is another statement."""
    play = logged_in(MASK)
    for text in ("PREPARE x AS SELECT id FROM customers", "DEALLOCATE x", "PREPARE x AS SELECT ssn FROM customers"):
        play >> client(query(text))
        play >> server(complete("PREPARE"), ready())
        if text == "DEALLOCATE x":
            continue
        if text.endswith("id FROM customers"):
            play >> client(parse("EXECUTE x", "e"), describe("S", "e"), bind("e"), execute(), SYNC)
            shape = parameter_types(), description(ID)
            play >> server(PARSED, *shape, BOUND, rows(["1"]), complete("SELECT 1"), ready())
    assert (play >> client(bind("e"), execute(), SYNC)).kinds == ">B >D >E >S"
    said = play >> server(BOUND, result(of("customers", "ssn"), [SSN]), ready())
    assert said.rows == [[b"****"]]


def test_a_token_that_expires_between_two_parts() -> None:
    play = prepared()
    play >> client(bind("s", "p"), execute("p", 1), FLUSH)
    play >> server(BOUND, description(ID), rows(["1"]), SUSPENDED)
    play.now += 3600
    said = play >> client(execute("p", 1), SYNC)
    assert (said.error["S"], said.error["C"]) == ("FATAL", "28000")
    assert ">E" not in said.kinds
    assert play.over


def test_errors_before_an_execution_are_masked_as_its_own_are() -> None:
    play = logged_in(MASK)
    play >> client(parse("SELECT ssn FROM customers"), bind(), execute(), SYNC)
    said = play >> server(PARSED, failure("22P02", f"invalid input: {SSN}"), ready())
    assert SSN not in said.error["M"]
