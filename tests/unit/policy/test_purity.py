"""An answer may be remembered only where nothing but the input that is seen can change it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import regorus

from extproc.policy.embedded import EmbeddedEngine
from extproc.policy.purity import is_pure, reads

ROOT = Path(__file__).resolve().parents[3]


def modules(body: str, imports: str = "") -> list[object]:
    engine = regorus.Engine()
    engine.add_policy("p.rego", f"package extproc\n{imports}\n{body}\n")
    found: list[object] = json.loads(engine.get_ast_as_json())
    return found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("decision := 1 if input.request.method", {"request"}),
        ('decision := 1 if input["request"].method', {"request"}),
        ("decision := 1 if { some x in input.sql.statements; x.kind == input.phase }", {"sql", "phase"}),
        ("decision := 1 if { every x in input.sql.statements { x.sure } }", {"sql"}),
        ("decision := {x | some x in input.sql.tables}", {"sql"}),
        ("f(x) := x if input.time > 1\ndecision := f(1)", {"time"}),
        ("decision := 1 if input.session.id else := 2", {"session"}),
        ("decision := 1", set()),
        ("decision := input", None),
        ("f(x) := x\ndecision := f(input)", None),
        ("decision := 1 if { some key; input[key] == 1 }", None),
        ("decision := 1 if { some key, value in input; value }", None),
        ("decision := [x | x := input]", None),
        ("decision := {input: 1}", None),
        ("decision := 1 if data.x[input]", None),
    ],
)
def test_what_is_read_of_the_input(body: str, expected: set[str] | None) -> None:
    found = reads(modules(body))
    assert (None if found is None else set(found)) == expected


def test_an_import_of_the_input_is_a_reference() -> None:
    assert reads(modules("decision := s", "import input.sql as s")) == frozenset({"sql"})
    assert reads(modules("decision := i", "import input as i")) is None


@pytest.mark.parametrize(
    ("body", "pure"),
    [
        ("decision := count(input.sql.statements)", True),
        ('decision := sprintf("%v", [lower(input.phase)])', True),
        ("f(x) := x + 1\ndecision := f(1)", True),
        ('decision := regex.match("a", input.phase)', True),
        ("decision := time.now_ns()", False),
        ('decision := rand.intn("x", 5)', False),
        ('decision := uuid.rfc4122("x")', False),
        ("decision := 1 if { f(1) }\nf(x) := time.now_ns() + x", False),
        ("decision := [x | x := time.now_ns()]", False),
        ("decision := 1 if not time.now_ns() > 5", False),
        ("decision := 1 if time.weekday(input.time) == 1", False),
        ("decision := 1 if crypto_of_tomorrow(1)\ncrypto_of_tomorrow(x) := x", True),
    ],
)
def test_what_gives_the_same_for_the_same_input(body: str, *, pure: bool) -> None:
    assert is_pure(modules(body)) is pure


def engine_with(tmp_path: Path, body: str) -> EmbeddedEngine:
    (tmp_path / "policy.rego").write_text(f"package extproc\n{body}\n")
    return EmbeddedEngine(tmp_path)


def test_an_answer_is_remembered_until_the_policy_changes(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, 'decision := {"action": "allow", "rule": input.phase}')
    first = engine.evaluate(b'{"phase":"a"}')
    assert engine.evaluate(b'{"phase":"a"}') == first
    assert len(engine._known) == 1
    (tmp_path / "policy.rego").write_text('package extproc\ndecision := {"action": "deny", "reason": input.phase}\n')
    assert engine.reload_if_changed()
    assert json.loads(engine.evaluate(b'{"phase":"a"}')[0])["action"] == "deny"


def test_time_switches_remembering_off(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, 'decision := {"action": "allow", "rule": sprintf("%d", [time.now_ns()])}')
    assert engine.evaluate(b"{}") != engine.evaluate(b"{}")
    assert not engine._known


def test_a_refusal_is_not_remembered(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, 'decision := {"action": "allow"} if input.phase == "a"')
    for _ in range(2):
        with pytest.raises(Exception, match="policy_undefined"):
            engine.evaluate(b'{"phase":"b"}')
    assert not engine._known


def test_the_default_policy_may_be_remembered() -> None:
    engine = EmbeddedEngine(ROOT / "rego" / "policy")
    assert engine._pure
    assert engine.reads is not None
    assert not engine.reads & {"time", "session", "source"}
