"""What a newcomer sees first comes out as promised, whichever psql there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo import psql

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.timeout(300)]


def check(path: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "demo", "check", "--json"]
    environ = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["passed"] is True
    rows: list[dict[str, object]] = told["rows"]
    assert all(row["ok"] for row in rows)
    return rows


def of_psql(rows: list[dict[str, object]]) -> str:
    return str(next(row["happened"] for row in rows if row["act"] == "PostgreSQL"))


@pytest.mark.skipif(not psql.find().tls, reason="no psql here that speaks TLS")
def test_with_the_systems_psql_over_tls() -> None:
    assert ", TLS: 20 rows" in of_psql(check(os.environ["PATH"]))


def test_with_nothing_but_pip(tmp_path: Path) -> None:
    rows = check(str(tmp_path))
    assert of_psql(rows).startswith("psql 18")
    assert ", no TLS: 20 rows" in of_psql(rows)
    assert {row["act"] for row in rows} == {"HTTP", "PostgreSQL"}
