"""
Drivers of other languages in front, where policy allows all: JDBC (tests/tools/jdbc) and node's pg (tests/tools/node-pg).

They are fetched from their registries once, into `.tools`. Skipped where Java, Maven, node or npm are missing or fetch
nothing, unless EXTPROC_REQUIRE_CLIENTS is set.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.database import Opened
from tests.integration.gateway import ROOT

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

SOURCES, MADE = ROOT / "tests" / "tools", ROOT / ".tools"


def fetch(name: str, described: list[str], *commands: list[str]) -> Path:
    """A folder in which the commands have run, once for the same files."""
    source = SOURCES / name
    if missing := [command[0] for command in commands if shutil.which(command[0]) is None]:
        give_up(f"no {', '.join(missing)} here")
    digest = hashlib.sha256(b"".join((source / file).read_bytes() for file in described)).hexdigest()[:16]
    made = MADE / f"{name}-{digest}"
    if not (made / ".complete").exists():
        shutil.copytree(source, made, dirs_exist_ok=True)
        for command in commands:
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=240, check=False)
            if done.returncode:
                give_up(f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")
        (made / ".complete").touch()
    return made


def give_up(why: str) -> None:
    if os.environ.get("EXTPROC_REQUIRE_CLIENTS"):
        pytest.fail(why)
    pytest.skip(why)


@functools.cache
def jdbc() -> Path:
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
    return fetch("jdbc", ["pom.xml", "Client.java"], copy, ["javac", "-cp", "lib/*", "Client.java"])


@functools.cache
def node() -> Path:
    return fetch("node-pg", ["package-lock.json", "client.js"], ["npm", "ci", "--ignore-scripts"])


def steps(command: list[str], folder: Path, opened: Opened) -> list[str]:
    environ = {**os.environ, "TOKEN": opened.where["password"], "TZ": "UTC"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout.splitlines()


def test_jdbc(opened_database: Opened) -> None:
    folder, port = jdbc(), opened_database.gateway.database_port
    found = steps(
        ["java", "-cp", ".:lib/*", "Client", f"jdbc:postgresql://127.0.0.1:{port}/app"], folder, opened_database
    )
    assert len(found) == 20
    assert all(line.startswith("ok ") for line in found)


def test_node(opened_database: Opened) -> None:
    folder, port = node(), opened_database.gateway.database_port
    found = steps(["node", "client.js", str(port)], folder, opened_database)
    assert len(found) == 12
    assert all(line.startswith("ok ") for line in found)
