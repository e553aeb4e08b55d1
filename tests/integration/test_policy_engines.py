"""The default policy under a real OPA: its own tests, the schemas, and the same answers from both engines."""

from __future__ import annotations

import json
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


def test_the_policys_own_tests_pass(opa_url: str) -> None:
    result = subprocess.run([str(OPA), "test", str(POLICY)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "PASS" in result.stdout


def test_the_policy_keeps_to_the_schema_of_the_input(opa_url: str, tmp_path: Path) -> None:
    command = [str(OPA), "check", "--strict", "--schema", str(SCHEMA)]
    assert subprocess.run([*command, str(POLICY)], capture_output=True, check=False).returncode == 0
    (tmp_path / "policy.rego").write_text(
        "# METADATA\n# scope: package\n# schemas:\n#   - input: schema.input\npackage extproc\n\n"
        'decision := {"action": "allow"} if input.request.methud == "GET"\n'
    )
    assert subprocess.run([*command, str(tmp_path)], capture_output=True, check=False).returncode != 0


def test_what_a_policy_is_asked_follows_the_schema() -> None:
    validator = jsonschema.Draft7Validator(json.loads((SCHEMA / "input.json").read_text()))
    policy = Policy({"action": "allow"})
    Play(policy) >> ask(path="/a/b?x=1&x=2", accept="*/*")
    assert [error.message for error in validator.iter_errors(policy.asked[0])] == []
