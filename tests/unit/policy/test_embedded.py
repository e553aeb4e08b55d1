from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from extproc.errors import ConfigError, Refusal
from extproc.policy.embedded import EmbeddedEngine


def engine(folder: Path, text: str, data: str | None = None) -> EmbeddedEngine:
    (folder / "policy.rego").write_text("package extproc\n" + text)
    if data is not None:
        (folder / "data.json").write_text(data)
    return EmbeddedEngine(folder)


def test_it_answers_with_the_decision_and_its_revision(tmp_path: Path) -> None:
    made = engine(tmp_path, 'decision := {"action": input.wish}')
    answer, revision = made.evaluate(b'{"wish": "deny"}')
    assert json.loads(answer) == {"action": "deny"}
    assert revision == made.revision
    assert len(revision) == 16


def test_undefined_is_a_refusal_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        engine(tmp_path, 'decision := {"action": "allow"} if input.x == 1').evaluate(b"{}")
    assert caught.value.code.name == "policy_undefined"


def test_a_conflict_while_evaluating_is_a_refusal(tmp_path: Path) -> None:
    made = engine(tmp_path, 'decision := {"action": "allow"} if input.x\n\ndecision := {"action": "deny"} if input.x')
    with pytest.raises(Refusal) as caught:
        made.evaluate(b'{"x": true}')
    assert caught.value.code.name == "policy_error"


def test_input_that_is_no_json_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="policy_error"):
        engine(tmp_path, 'decision := {"action": "allow"}').evaluate(b"{")


@pytest.mark.parametrize(
    "call", ['http.send({"url": "x"})', 'crypto.sha256("x")', "io.jwt.decode(input.t)", "opa.runtime()"]
)
def test_a_builtin_that_the_engine_lacks_is_refused_at_load(tmp_path: Path, call: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.rego:3"):
        engine(tmp_path, f'\nhelper if {call}\n\ndecision := {{"action": "allow"}} if helper')


def test_the_policys_own_functions_are_no_builtins(tmp_path: Path) -> None:
    (tmp_path / "lib.rego").write_text("package extproc.lib\n\ntwice(x) := x * 2")
    made = engine(tmp_path, 'import data.extproc.lib as l\n\nown(x) := x\n\ndecision := {"n": l.twice(own(2))}')
    assert json.loads(made.evaluate(b"{}")[0]) == {"n": 4}


def test_a_package_in_two_files_is_refused_at_load(tmp_path: Path) -> None:
    (tmp_path / "more.rego").write_text("package extproc\n\ntwice(x) := x * 2")
    with pytest.raises(ConfigError, match=r"package extproc stands in more\.rego and in policy\.rego"):
        engine(tmp_path, 'decision := {"n": twice(2)}')


@pytest.mark.parametrize("below", ["a", "z"])
def test_rules_of_a_package_below_another_are_there_when_both_are_asked_for_at_once(tmp_path: Path, below: str) -> None:
    (tmp_path / "m.rego").write_text("package lib\n\nother := 1")
    (tmp_path / f"{below}.rego").write_text('package lib.sub\n\nbad if "k" in names\n\nnames := {"k"}')
    made = engine(
        tmp_path,
        'import data.lib\n\ndefault decision := {"action": "allow"}\n\ndecision := {"action": "deny"} if lib.sub.bad',
    )
    assert json.loads(made.evaluate(b"{}")[0]) == {"action": "deny"}


@pytest.mark.parametrize("text", ["decision := {", "decision := undefined_variable"])
def test_a_policy_with_an_error_never_starts(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="policy"):
        engine(tmp_path, text)


def test_a_folder_without_policy_never_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*\.rego"):
        EmbeddedEngine(tmp_path)
    with pytest.raises(ConfigError, match="not a folder"):
        EmbeddedEngine(tmp_path / "missing")


def test_a_changed_policy_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    made = engine(tmp_path, 'decision := {"action": "allow"}')
    first = made.revision
    assert not made.reload_if_changed()
    rewrite(tmp_path, 'decision := {"action": "deny"}', 1)
    assert made.reload_if_changed()
    assert json.loads(made.evaluate(b"{}")[0]) == {"action": "deny"}
    assert made.revision != first
    rewrite(tmp_path, "decision := {", 2)
    assert not made.reload_if_changed()
    assert json.loads(made.evaluate(b"{}")[0]) == {"action": "deny"}


def test_data_is_part_of_the_revision(tmp_path: Path) -> None:
    made = engine(
        tmp_path, 'decision := {"action": data.extproc_settings.wish}', '{"extproc_settings": {"wish": "deny"}}'
    )
    assert json.loads(made.evaluate(b"{}")[0]) == {"action": "deny"}
    (tmp_path / "data.json").write_text('{"extproc_settings": {"wish": "allow"}}')
    assert EmbeddedEngine(tmp_path).revision != made.revision


def rewrite(folder: Path, text: str, age: int) -> None:
    path = folder / "policy.rego"
    path.write_text("package extproc\n" + text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + age * 1_000_000_000))
