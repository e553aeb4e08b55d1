from __future__ import annotations

import re
from typing import Any

import pytest

from extproc.postgres.catalog import Function
from extproc.postgres.sql.bodies import Body, Fragment, body_of, body_of_do, do_of
from extproc.postgres.sql.parse import parse
from tests.unit.postgres.sql.shop import shop

VOID, TRIGGER, EVENT_TRIGGER, TEXT = 2278, 2279, 3838, 25


def function(body: str, signature: str = "() RETURNS void", language: str = "plpgsql", **more: Any) -> Function:
    kind = "PROCEDURE" if "RETURNS" not in signature else "FUNCTION"
    definition = f"CREATE OR REPLACE {kind} public.f{signature}\n LANGUAGE {language}\nAS $function${body}$function$\n"
    given: dict[str, Any] = {"returns": VOID, "source": body, "definition": definition} | more
    return Function(1, "public", "f", "f", 0, 0, "volatile", language, **given)


def understood(body: Body) -> Body:
    """Every fragment can be parsed, and nothing is in doubt."""
    assert body.doubts == ()
    for fragment in body.fragments:
        assert parse(fragment.text if fragment.kind == "statement" else f"SELECT {fragment.text}\n")
    return body


DECLARATIONS = """
    a int := mark1(); b CONSTANT text NOT NULL DEFAULT mark2(); c record := mark3(); d public.mood = mark4();
    e customers DEFAULT (SELECT mark5()); g customers.ssn%TYPE := mark6(); h text[] := ARRAY[mark7()];
    "Odd "" Name" record := mark8(); k CURSOR (n int) FOR SELECT mark9(n) WHERE 1 = 1; m NO SCROLL CURSOR FOR SELECT mark10();
    x int; r record; al ALIAS FOR $1; y text COLLATE "C" := mark11() || '; := x' /* ; */ -- ;
    ;
"""
# A call in every place where PL/pgSQL takes an expression.
STATEMENTS = """
    x := mark12(); x = mark13(); h[mark14()] := mark15(); h[1:mark16()] = ARRAY[mark17()]; r.f := mark18();
    r.f[mark19()].q := mark20(); x := a = mark21(); x := mark22() FROM customers WHERE id = mark23();
    IF mark24() THEN PERFORM mark25(); ELSIF mark26() THEN NULL; ELSE x := mark27(); END IF;
    CASE mark28() WHEN mark29(), 2 THEN PERFORM mark30(); ELSE x := mark31(); END CASE;
    CASE WHEN mark32() THEN NULL; END CASE;
    <<outer>> LOOP EXIT outer WHEN mark33(); CONTINUE WHEN mark34(); x := mark35(); END LOOP;
    WHILE mark36() LOOP x := mark37(); END LOOP;
    FOR i IN REVERSE mark38() .. mark39() BY mark40() LOOP x := mark41(); END LOOP;
    FOR r IN SELECT mark42() LOOP x := mark43(); END LOOP;
    FOR x, b2 IN SELECT mark44(), 1 LOOP NULL; END LOOP;
    FOR q IN k(n := mark45()) LOOP x := mark46(); END LOOP;
    FOREACH x IN ARRAY mark47() LOOP x := mark48(); END LOOP;
    INSERT INTO t VALUES (mark49()) RETURNING mark50() INTO x;
    SELECT mark51() INTO STRICT x FROM t WHERE mark52();
    WITH w AS (DELETE FROM t WHERE mark53() RETURNING *) SELECT count(*) INTO x FROM w;
    CALL p(mark54()); GET DIAGNOSTICS x = ROW_COUNT;
    RAISE NOTICE 'a %', mark55() USING ERRCODE = mark56(), HINT = 'b';
    ASSERT mark57(), mark58();
    BEGIN x := mark59(); EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN x := mark60(); WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS b2 = MESSAGE_TEXT; RAISE; END;
    <<nested>> DECLARE x record := mark61(); z int DEFAULT mark62(); BEGIN x.y := mark63(); nested.z := mark64(); END;
    DO $q$BEGIN PERFORM mark65(); END$q$;
    RETURN NEXT mark66(); RETURN QUERY SELECT mark67(); RETURN;
"""


def test_no_expression_of_pl_pgsql_is_missed() -> None:
    source = f"\n<<top>>\nDECLARE b2 text; {DECLARATIONS} BEGIN {STATEMENTS} END"
    body = understood(body_of(function(source, "(p int) RETURNS SETOF text", returns=TEXT)))
    marks = set(re.findall(r"mark\d+", " ".join(fragment.text for fragment in body.fragments)))
    assert marks == set(re.findall(r"mark\d+", source))
    assert len(marks) == 67
    assert body.variables >= {
        "a", "b", "c", "d", "e", "g", "h", 'Odd " Name', "k", "m", "n", "x", "r", "al", "y", "b2", "i", "q", "z", "p", "f",
        "found", "sqlerrm", "sqlstate", "top", "outer", "nested",
    }  # fmt: skip


def test_statements_and_expressions_are_told_apart() -> None:
    body = understood(
        body_of_do(
            "", "DECLARE a int := 1; BEGIN a := a + 2; DELETE FROM t; IF a > 3 THEN COMMIT; END IF; ROLLBACK; END"
        )
    )
    assert set(body.fragments) == {
        Fragment(" a + 2", "expression"), Fragment("a > 3", "expression"), Fragment(" 1", "expression"),
        Fragment("1", "expression"), Fragment("DELETE FROM t", "statement"), Fragment("COMMIT", "statement"),
        Fragment("ROLLBACK", "statement"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "doubt"),
    [
        ("BEGIN EXECUTE 'DROP ' || 'TABLE t'; END", "dynamic SQL"),
        ("BEGIN EXECUTE 'SELECT 1' USING f(1); END", "dynamic SQL"),
        ("DECLARE r record; BEGIN FOR r IN EXECUTE 'x' LOOP NULL; END LOOP; END", "dynamic SQL"),
        ("DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'x'; END", "dynamic SQL"),
        ("DECLARE c refcursor; BEGIN OPEN c FOR SELECT 1; END", "cursor by variable"),
        ("DECLARE c refcursor; BEGIN CLOSE c; END", "cursor by variable"),
        ("DECLARE c refcursor; r record; BEGIN FETCH c INTO r; END", "cursor by variable"),
        ("DECLARE c refcursor; BEGIN MOVE NEXT FROM c; END", "cursor by variable"),
        ("BEGIN IF false THEN BEGIN NULL; EXCEPTION WHEN OTHERS THEN EXECUTE 'x'; END; END IF; END", "dynamic SQL"),
        ("BEGIN", "PL/pgSQL not understood"),
        ("", "PL/pgSQL not understood"),
        ("BEGIN x := 1; END", "PL/pgSQL not understood"),
        ("DECLARE s hr.thing; BEGIN END", "PL/pgSQL not understood"),
        ("BEGIN " * 3000 + "END;" * 3000, "PL/pgSQL not understood"),
        ("BEGIN " * 900 + "END;" * 900, "PL/pgSQL not understood"),
        ("BEGIN " + "/*" * 50_000, "PL/pgSQL not understood"),
        ("DECLARE " + "a int; " * 30_000 + "BEGIN END", "PL/pgSQL not understood"),
        ("BEGIN \0 END", "PL/pgSQL not understood"),
        ("BEGIN '\ud800' END", "PL/pgSQL not understood"),
    ],
)
def test_what_cannot_be_known_is_a_doubt(source: str, doubt: str) -> None:
    assert doubt in body_of_do("plpgsql", source).doubts


def test_return_query_execute_is_dynamic_and_its_parameters_are_seen() -> None:
    body = body_of(function("BEGIN RETURN QUERY EXECUTE f1() USING f2(); END", "() RETURNS SETOF text", returns=TEXT))
    assert body.doubts == ("dynamic SQL",)
    assert {fragment.text for fragment in body.fragments} == {"f1()", "f2()"}


@pytest.mark.parametrize("quote", ["$extproc$", "$extprocx$", "$$", "$function$", "'", "\\"])
def test_a_body_cannot_end_the_quotes_around_it(quote: str) -> None:
    for source in (
        f"BEGIN PERFORM f('{quote * 2}'); DELETE FROM t; END",
        f"BEGIN DELETE FROM t; END -- {quote} LANGUAGE plpgsql",
    ):
        body = understood(body_of_do("", source))
        assert Fragment("DELETE FROM t", "statement") in body.fragments


def test_a_do_block_is_plpgsql_or_in_doubt() -> None:
    assert body_of_do("plpython3u", "pass") == Body(doubts=("language plpython3u",))
    assert body_of_do("sql", "SELECT 1") == Body(doubts=("language sql",))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DO $$BEGIN END$$", ("", "BEGIN END")),
        ("DO LANGUAGE plpgsql 'BEGIN END'", ("plpgsql", "BEGIN END")),
        (r"DO E'BEGIN \x45\u004eD' LANGUAGE 'PLpgSQL'", ("PLpgSQL", "BEGIN END")),
        ("DO $x$BEGIN\n$$ $y$ END$x$ LANGUAGE PLPGSQL", ("plpgsql", "BEGIN\n$$ $y$ END")),
        (r"DO U&'BEGIN \0045ND'", ("", "BEGIN END")),
        ("DO 'BEGIN ' -- a\n'END'", ("", "BEGIN END")),
        ("DO 'BEGIN DELETE' 'BEGIN END'", ("", "")),
    ],
)
def test_a_do_statement_is_read_whatever_its_quotes(text: str, found: tuple[str, str]) -> None:
    assert do_of(parse(text)[0].node) == found


@pytest.mark.parametrize(
    ("signature", "source"),
    [
        ("(a int, b text) RETURNS int", "BEGIN a := 1; RETURN a; END"),
        ("(a public.mood, b hr.thing, c public.mood[]) RETURNS int", "BEGIN c[1] := a; RETURN 1; END"),
        ("(VARIADIC a text[]) RETURNS text", "BEGIN RETURN a[1]; END"),
        ("(OUT a int) RETURNS integer", "BEGIN a := 1; RETURN; END"),
        ("(a int, OUT b int, OUT c text) RETURNS record", "BEGIN b := 1; c := 'x'; END"),
        ("(INOUT a int, INOUT b text)", "BEGIN a := 1; COMMIT; RETURN; END"),
        ("(a int) RETURNS TABLE(b int, c public.mood)", "BEGIN b := a; RETURN NEXT; RETURN QUERY SELECT 1, 'x'; END"),
        ("(OUT a int, OUT b text) RETURNS SETOF record", "BEGIN a := 1; RETURN NEXT; END"),
        ("(OUT a int) RETURNS SETOF integer", "BEGIN a := 1; RETURN NEXT; END"),
        ("(int, text) RETURNS int", "BEGIN $1 := 2; RETURN $1; END"),
        ("(a customers) RETURNS customers", "BEGIN a.ssn := NULL; RETURN a; END"),
        ('(a anyelement, "Odd Name" anyarray) RETURNS anyelement', 'BEGIN "Odd Name"[1] := a; RETURN a; END'),
        ("(a customers.ssn%TYPE) RETURNS text", "BEGIN RETURN a; END"),
        ("(a public.mood, b public.mood) RETURNS int", "BEGIN FOR a, b IN SELECT 'x', 'y' LOOP NULL; END LOOP; RETURN 1; END"),
        ("(a refcursor) RETURNS void", "#variable_conflict use_column\nDECLARE b record := f(); BEGIN END"),
        ("(a int) RETURNS void", "BEGIN f.a := 1; END"),
        ("() RETURNS SETOF customers", "BEGIN RETURN QUERY TABLE customers; END"),
    ],
)  # fmt: skip
def test_bodies_are_read_whatever_goes_in_and_comes_out(signature: str, source: str) -> None:
    understood(body_of(function(source, signature, returns=TEXT)))


@pytest.mark.parametrize(
    ("returns", "source"),
    [
        (
            TRIGGER,
            "BEGIN new.at := now(); IF tg_op = 'DELETE' AND TG_ARGV[0] = 'x' THEN RETURN old; END IF; RETURN NEW; END",
        ),
        (TRIGGER, "BEGIN INSERT INTO audit SELECT new.*; RETURN NULL; END"),
        (EVENT_TRIGGER, "BEGIN RAISE NOTICE '% %', tg_event, tg_tag; RETURN; END"),
    ],
)
def test_triggers_are_read_with_the_variables_that_they_have(returns: int, source: str) -> None:
    result = "trigger" if returns == TRIGGER else "event_trigger"
    body = understood(body_of(function(source, f"() RETURNS {result}", returns=returns)))
    assert {"new", "old", "tg_op", "tg_argv"} <= body.variables or {"tg_event", "tg_tag"} <= body.variables


@pytest.mark.parametrize(
    ("source", "fragments"),
    [
        ("SELECT 1; DELETE FROM t", [("SELECT 1; DELETE FROM t", "statement")]),
        ("RETURN (x * 2)", [(" (x * 2)", "expression")]),
        ("/* a */ return ssn", [(" ssn", "expression")]),
        ("BEGIN ATOMIC\n SELECT 1;\n DELETE FROM t WHERE a = ';';\nEND",
         [("SELECT 1", "statement"), ("DELETE FROM t WHERE a = ';'", "statement")]),
        ("BEGIN ATOMIC\n RETURN CASE WHEN a THEN 1 ELSE 2 END;\nEND", [(" CASE WHEN a THEN 1 ELSE 2 END", "expression")]),
        ("BEGIN ATOMIC\nEND", []),
        ("TABLE t", [("TABLE t", "statement")]),
    ],
)  # fmt: skip
def test_sql_bodies_are_their_statements(source: str, fragments: list[tuple[str, str]]) -> None:
    body = body_of(function(source, "(x int) RETURNS int", "sql"))
    assert [(fragment.text, fragment.kind) for fragment in body.fragments] == fragments
    assert {"x", "f"} <= body.variables
    understood(body)


def test_defaults_of_arguments_run_with_the_body() -> None:
    signature = "(a int DEFAULT (1 + mark1(2, 3)), b numeric(10,2) DEFAULT mark2(), c text[] DEFAULT ARRAY['x, DEFAULT y)', mark3()]) RETURNS int"
    for language, source in [("sql", "SELECT 1"), ("plpgsql", "BEGIN RETURN 1; END")]:
        body = understood(body_of(function(source, signature, language)))
        texts = [fragment.text for fragment in body.fragments if fragment.kind == "expression"]
        assert [set(re.findall(r"mark\d", text)) for text in texts[:3]] == [{"mark1"}, {"mark2"}, {"mark3"}]


def test_defaults_that_are_not_shown_are_a_doubt() -> None:
    hidden = Function(1, "public", "f", "f", 0, 1, "volatile", "sql", TEXT, "SELECT 1")
    assert body_of(hidden).doubts == ("default arguments",)
    assert body_of(Function(1, "public", "f", "f", 1, 1, "volatile", "sql", TEXT, "SELECT 1")).doubts == ()


def test_other_languages_are_a_doubt() -> None:
    assert body_of(function("", language="plpython3u")).doubts == ("language plpython3u",)
    assert body_of(Function(1, "public", "f", "f", 0, 0, "immutable", "c", TEXT)).doubts == ("language c",)


def test_every_body_of_the_shop_is_read() -> None:
    mine = [one for one in shop().functions_by_oid.values() if one.schema == "public" and one.source]
    assert len(mine) > 10
    for one in mine:
        body = body_of(one)
        assert body.fragments
        assert body.doubts == (("dynamic SQL",) if one.name == "run" else ()), one.name
