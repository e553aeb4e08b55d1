from __future__ import annotations

import pytest

from extproc.errors import Refusal
from extproc.postgres.names import Names, Portal, Prepared
from extproc.postgres.plan import Field
from extproc.postgres.sql.model import Analysis, Step
from extproc.postgres.sql.parse import parse
from extproc.postgres.sql.steps import step_of

ONE, OTHER = Analysis("SELECT 1", (), (Step("select"),)), Analysis("SELECT 2", (), (Step("select"),))


class Answer:
    outcome = ""

    def abandon(self, outcome: str) -> None:
        self.outcome = outcome


def prepared(name: bytes = b"s", server: bytes = b"extproc_1") -> Prepared:
    return Prepared(name, server, "SELECT 1", ONE, ())


def portal(name: bytes = b"p", **options: object) -> Portal:
    return Portal(name, b"extproc_2", prepared(), (), (), **options)  # type: ignore[arg-type]


def test_names_of_our_own_never_come_twice() -> None:
    names = Names()
    assert [names.give(b""), names.give(b"a"), names.give(b"a")] == [b"", b"extproc_1", b"extproc_2"]


def test_a_name_means_something_once_the_server_has_said_so() -> None:
    names, old, new = Names(), prepared(), prepared(server=b"extproc_9")
    names.parsed(old)
    names.coming_statements[b"s"] = new
    assert names.statement(b"s") is new  # what follows in the same group
    names.forget_coming()
    assert names.statement(b"s") is old
    names.coming_statements[b"s"] = new
    names.parsed(new)
    names.forget_coming()
    assert names.statement(b"s") is new


def test_what_does_not_exist_has_the_states_of_postgresql() -> None:
    names = Names()
    for find, state in ((names.statement, "26000"), (names.portal, "34000")):
        with pytest.raises(Refusal) as refused:
            find(b"none")
        assert refused.value.sqlstate == state


def test_a_portal_that_is_bound_again_ends_the_one_before() -> None:
    names, answer, unused = Names(), Answer(), Answer()
    names.bound(portal(answer=answer, opened=True))
    names.bound(portal(answer=unused))
    assert answer.outcome == "suspended"
    names.bound(portal())
    assert unused.outcome == "prepared"  # it was decided and bound, and never executed
    assert names.portal(b"p").answer is None


def test_portals_end_with_their_transaction_and_statements_do_not() -> None:
    names, answer = Names(), Answer()
    names.parsed(prepared())
    names.bound(portal(answer=answer, opened=True))
    names.transaction_ended()
    assert names.find_portal(b"p") is None
    assert names.find_statement(b"s") is not None
    assert answer.outcome == "suspended"


def test_the_shape_of_a_portal_has_the_formats_of_its_bind() -> None:
    fields = tuple(Field(name, 0, 0, 25, binary=False) for name in "ab")
    assert portal().shape() is None
    for formats, binary in (((), [False, False]), ((1,), [True, True]), ((0, 1), [False, True])):
        one = portal(fields=fields)
        one.formats = formats
        shape = one.shape()
        assert shape is not None
        assert [field.binary for field in shape] == binary
    one = portal()
    one.prepared.fields = fields
    assert one.shape() == fields


def test_at_most_ten_thousand_names() -> None:
    names = Names()
    names.statements = {b"%d" % number: prepared() for number in range(10_000)}
    with pytest.raises(Refusal) as refused:
        names.give(b"one more")
    assert refused.value.code.name == "overloaded"
    assert names.give(b"") == b""


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (Step("execute", executes="x"), "26000"),
        (Step("deallocate", deallocates="x"), "26000"),
        (Step("fetch", fetches="x"), "34000"),
        (Step("close", closes="x"), "34000"),
    ],
)
def test_sql_names_that_this_connection_did_not_make_are_refused(step: Step, state: str) -> None:
    with pytest.raises(Refusal) as refused:
        Names().of_step(step)
    assert refused.value.sqlstate == state


@pytest.mark.parametrize("step", [Step("prepare", prepares="extproc_7"), Step("declare_cursor", declares="extproc_x")])
def test_sql_cannot_take_names_of_the_gateway(step: Step) -> None:
    with pytest.raises(Refusal) as refused:
        Names().of_step(step)
    assert refused.value.code.name == "statement_refused"


def test_sql_names_mean_what_was_done_last() -> None:
    names = Names()
    names.done(Step("prepare", prepares="x", inner=ONE))
    assert names.of_step(Step("execute", executes="x")) is ONE
    names.done(Step("deallocate", deallocates="x"))
    names.done(Step("prepare", prepares="x", inner=OTHER))
    assert names.of_step(Step("execute", executes="x")) is OTHER
    names.done(Step("declare_cursor", declares="c", inner=ONE))
    assert names.of_step(Step("fetch", fetches="c")) is ONE
    names.done(Step("close", closes="c"))
    with pytest.raises(Refusal):
        names.of_step(Step("fetch", fetches="c"))


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (Step("deallocate", deallocates="*"), {"cursors", "portals"}),
        (Step("close", closes="*"), {"prepared", "statements"}),
        (Step("discard", discard="all"), set()),
        (Step("discard", discard="plans"), {"prepared", "statements", "cursors", "portals"}),
        (Step("discard", discard="temp"), {"prepared", "statements", "cursors", "portals"}),
    ],
)
def test_what_forgets_names(step: Step, left: set[str]) -> None:
    names = Names(statements={b"s": prepared()}, portals={b"p": portal()}, prepared={"x": ONE}, cursors={"c": ONE})
    names.done(step)
    assert {kind for kind in ("statements", "portals", "prepared", "cursors") if getattr(names, kind)} == left


def test_a_cursor_is_known_by_the_name_that_sql_gave_it() -> None:
    names = Names()
    names.done(Step("declare_cursor", declares="c", inner=ONE))
    assert names.is_cursor(b"c")
    assert not names.is_cursor(b"d")


def test_a_name_is_free_behind_its_close_and_kept_if_that_is_not_reached() -> None:
    names = Names()
    names.parsed(prepared())
    names.bound(portal())
    names.closes(b"S", b"s")
    names.closes(b"P", b"p")
    assert names.find_statement(b"s") is None
    assert names.find_portal(b"p") is None
    names.forget_coming()
    assert names.find_statement(b"s") is not None
    assert names.find_portal(b"p") is not None
    names.closes(b"S", b"s")
    new = names.coming_statements[b"s"] = prepared(server=b"extproc_9")
    assert names.statement(b"s") is new
    names.statements.pop(b"s")  # CloseComplete
    names.parsed(new)
    assert names.statement(b"s") is new


def by_name(text: str, count: int = 1) -> Analysis:
    return Analysis(text, (), tuple(step_of(one.node) for one in parse(text)) * count)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("DEALLOCATE s", "DEALLOCATE extproc_1"),
        ('deallocate prepare "s" ; -- x', "deallocate prepare extproc_1 ;     "),
        ("FETCH p", "FETCH extproc_2"),
        ("FETCH BACKWARD 5 FROM p", "FETCH BACKWARD 5 FROM extproc_2"),
        ("MOVE /* p */ ALL IN P", "MOVE         ALL IN extproc_2"),
        ("CLOSE p", "CLOSE extproc_2"),
    ],
)
def test_what_messages_made_is_reached_by_sql_under_the_name_that_it_has_there(text: str, sent: str) -> None:
    names, analysis = Names(), by_name(text)
    names.parsed(prepared())
    names.bound(portal())
    found = names.of_step(analysis.steps[0])
    assert found is (ONE if analysis.steps[0].fetches else None)
    assert names.as_sent(analysis) == sent
    with pytest.raises(Refusal):
        names.as_sent(by_name(text, 2))
    names.done(analysis.steps[0])
    assert (names.find_statement(b"s") is None) == bool(analysis.steps[0].deallocates)
    assert (names.find_portal(b"p") is None) == bool(analysis.steps[0].closes)


def test_other_texts_are_sent_as_they_are() -> None:
    names = Names(
        prepared={"x": ONE},
        cursors={"x": ONE},
        statements={b"x": prepared(), b"*": prepared(), b"": prepared()},
        portals={b"x": portal(), b"*": portal(), b"": portal()},
    )
    for text in ("SELECT 1", "DEALLOCATE x", "DEALLOCATE ALL", "DEALLOCATE none", "FETCH x", "CLOSE x", "CLOSE ALL"):
        assert names.as_sent(by_name(text)) == text
    for text in ("DEALLOCATE x", "CLOSE x"):
        names.done(by_name(text).steps[0])
    assert names.find_statement(b"x") is not None
    assert names.find_portal(b"x") is not None


def test_a_text_that_cannot_be_put_right_is_refused() -> None:
    names = Names()
    names.bound(portal(b"data"))
    with pytest.raises(Refusal):
        names.as_sent(by_name("FETCH FROM U&\"d!0061ta\" UESCAPE '!'"))


def test_an_error_says_the_name_only_where_it_is_one() -> None:
    for name, said in ((b"x_1", 'portal "x_1"'), (b"a b", "portal"), (b"", "unnamed portal"), (b"x" * 64, "portal")):
        with pytest.raises(Refusal) as refused:
            Names().portal(name)
        assert refused.value.reason == f"{said} does not exist"
