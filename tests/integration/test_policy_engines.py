"""The default policy under a real OPA: its own tests, the schemas, and the same answers from both engines."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine
from tests.integration.conftest import OPA
from tests.integration.gateway import ROOT
from tests.integration.sql_questions import ORDINARY, question, questions
from tests.unit.playbook import Play, Policy, ask

pytestmark = pytest.mark.opa

POLICY = ROOT / "rego" / "policy"
SCHEMA = ROOT / "rego" / "schema"
CLAIMS = {"repository": "acme/billing", "event_name": "push", "actor": "octocat", "sub": "repo:acme/billing:ref:x"}
PATHS: list[tuple[str, list[str]]] = [
    ("/", []),
    ("/customers.json", ["customers.json"]),
    ("/customers/customers.csv", ["customers", "customers.csv"]),
    ("/-/versions.json", ["-", "versions.json"]),
    ("/-/plugins.json", ["-", "plugins.json"]),
]
QUERIES: list[dict[str, list[str]]] = [
    {},
    {"sql": ["select count(*) from customers"]},
    {"sql": ["select * from customers"]},
    {"sql": ["SELECT\t*\nFROM customers"]},
    {"sql": ["select id -- x"]},
    {"sql": ["select id from customers", "select * from customers"]},
    {"_stream": ["on"]},
    {"_size": ["20"]},
    {"_size": ["max"]},
    {"_size": ["0x10"]},
]
WHO: list[dict[str, Any]] = [
    CLAIMS,
    {**CLAIMS, "repository": "eve/evil"},
    {**CLAIMS, "event_name": "pull_request"},
    {**CLAIMS, "sub": "repo:acme/billing:pull_request"},
    {},
]


@pytest.fixture(scope="module")
def opa_url(opa_server: Callable[[str], str]) -> str:
    """An OPA with the default policy as it stands in the repository."""
    return opa_server(str(POLICY))


def inputs() -> list[dict[str, Any]]:
    return [
        {
            "version": 1,
            "phase": "request",
            "time": 1.5,
            "identity": {"issuer": "i", "subject": "s", "kind": "job", "claims": claims, "groups": []},
            "resource": {"name": "customers", "kind": "http", "labels": labels},
            "source": {"address": "127.0.0.1:1"},
            "session": {"id": "s-1", "requests": 1, "bytes_out": 0, "rows_out": 0},
            "request": {
                "method": method,
                "scheme": "http",
                "host": "customers.localhost",
                "path": path,
                "segments": segments,
                "query": query,
                "headers": {},
            },
        }
        for claims in WHO
        for labels in ({"data": "customers"}, {"open": "true"}, {})
        for method in ("GET", "POST")
        for path, segments in PATHS
        for query in QUERIES
    ]


def test_both_engines_give_the_same_answers(opa_url: str) -> None:
    embedded = EmbeddedEngine(POLICY)
    seen = set()
    with httpx.Client(base_url=opa_url, trust_env=False) as client:
        for document in inputs():
            answer = client.post("/v1/data/extproc/decision", json={"input": document}).json()["result"]
            own, _ = embedded.evaluate(json.dumps(document).encode())
            assert json.loads(own) == answer, document
            seen.add(read_decision(own, "").rule)
    assert {"customers.read", "customers.export", "customers.whole_table", "job.pull_request", "default.closed"} <= seen


def test_both_engines_give_the_same_answers_about_sql(opa_url: str) -> None:
    embedded = EmbeddedEngine(POLICY)
    seen = set()
    with httpx.Client(base_url=opa_url, trust_env=False) as client:
        for document in questions(1500):
            answer = client.post("/v1/data/extproc/decision", json={"input": document}).json()["result"]
            own, _ = embedded.evaluate(json.dumps(document).encode())
            assert json.loads(own) == answer, document["sql"]
            seen.add(read_decision(own, "").rule)
    assert seen == {
        "customers.read", "customers.export", "customers.whole_table", "sql.catalog", "sql.explain", "sql.function",
        "sql.read_only", "sql.setting", "sql.statistics", "sql.table", "sql.unsure",
    }  # fmt: skip


# Each helper, by an imported package as a policy's author would write it: the embedded engine then makes all of it.
HELPERS = (
    "sure", "reads_only", 'only({"select"})', 'within({"public.customers"})', 'within_or_catalog(["public.customers"])',
    'touches({"public.customers"})', 'uses("public.customers", "ssn", "order")', "catalog_reading", "statistics",
    "limit_at_most(100)", "whole_table", "scans_beyond(100)", "exports", "copies_in", "starts_program", "notifies",
    "two_phase", "large_objects", "replication", "harmless_functions", 'functions_within({"public.purge"})',
    "calls_volatile", "calls_dynamic", 'settings_within({"jit": [], "client_encoding": ["utf8"]})',
)  # fmt: skip
SETS = ("kinds", "doubts", "tables", "writes", "settings", "beyond([])", "functions_beyond([])")


def test_both_engines_agree_on_every_helper_for_sql(opa_server: Callable[[str], str], tmp_path: Path) -> None:
    lines = ["package extproc", "import data.extproc.lib.sql", "decision := {", '"yes": yes,']
    lines += [f'"{name.partition("(")[0]}": sql.{name},' for name in SETS] + ["}"]
    for number, helper in enumerate(HELPERS):
        lines += [f"yes contains {number} if sql.{helper}", f"yes contains {-1 - number} if not sql.{helper}"]
    (tmp_path / "policy.rego").write_text("\n".join(lines))
    shutil.copytree(POLICY / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("*_test.rego"))
    embedded = EmbeddedEngine(tmp_path)
    seen: set[int] = set()
    with httpx.Client(base_url=opa_server(str(tmp_path)), trust_env=False) as client:
        for document in questions(500):
            answer = client.post("/v1/data/extproc/decision", json={"input": document}).json()["result"]
            own = json.loads(embedded.evaluate(json.dumps(document).encode())[0])
            assert own == answer, document["sql"]
            seen |= set(own["yes"])
    assert seen == set(range(-len(HELPERS), len(HELPERS)))


def test_the_policys_own_tests_pass(opa_url: str) -> None:
    result = subprocess.run([str(OPA), "test", str(POLICY)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "PASS" in result.stdout


def checked(policy: Path) -> int:
    command = [str(OPA), "check", "--strict", "--schema", str(SCHEMA), str(policy)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("file", "field", "misspelled"),
    [
        ("policy.rego", "input.resource.kind", "input.resource.kynd"),
        ("http_customers.rego", "input.request.method", "input.request.methud"),
        ("sql_customers.rego", "s.kind", "s.kynd"),
        ("lib/sql.rego", "s.writes", "s.written"),
    ],
)
def test_the_policy_keeps_to_the_schema_of_the_input(
    opa_url: str, tmp_path: Path, file: str, field: str, misspelled: str
) -> None:
    shutil.copytree(POLICY, tmp_path / "policy")
    assert checked(tmp_path / "policy") == 0
    path = tmp_path / "policy" / file
    assert field in path.read_text()
    path.write_text(path.read_text().replace(field, misspelled))
    assert checked(tmp_path / "policy") != 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"sql": {"statements": []}},
        {"request": {}},
        {"phase": "response", "response": {"status": 200, "headers": {}}},
        {"resource": {"name": "app", "kind": "http", "labels": {}}},
    ],
)
def test_what_is_no_question_about_sql_does_not_follow_the_schema(wrong: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(json.loads((SCHEMA / "input.json").read_text()))
    assert validator.is_valid(question([ORDINARY]))
    columns = {"columns": [{"name": "id", "type": "int4"}]}
    assert validator.is_valid(question([ORDINARY], phase="response", response=columns))
    assert not validator.is_valid(question([ORDINARY], **wrong))


def test_what_a_policy_is_asked_follows_the_schema() -> None:
    validator = jsonschema.Draft7Validator(json.loads((SCHEMA / "input.json").read_text()))
    policy = Policy({"action": "allow"})
    assert [error.message for error in validator.iter_errors(question([ORDINARY]))] == []
    Play(policy) >> ask(path="/a/b?x=1&x=2", accept="*/*")
    assert [error.message for error in validator.iter_errors(policy.asked[0])] == []
