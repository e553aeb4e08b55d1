"""What a reader may rely on: sizes of files and functions, and that nothing imports upwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "extproc").rglob("*.py"))
MOST_LINES, MOST_FUNCTION = 300, 45
# Longer, and why: the order of things, one log with its failures.
LONG = {"extproc/pipeline.py": 500, "extproc/record/log.py": 340}
# Rooms, from the ground up. A room imports only rooms below it.
LEVELS = [
    {"errors", "model", "budget", "privatefile", "sqlitefile", "strictjson", "metrics", "logs", "remembered", "hosts"},
    {"waits", "redact"},
    {"identity", "credential", "policy", "record", "approval"},
    {"lane", "pipeline", "config"},
    {"connecting"},
    {"http", "postgres"},
    {"server", "envoyconf", "console"},
    {"run"},
    {"cli"},
]
# The bases of identity, credential and policy name waits; redaction's base names nothing above it.
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}


def room(path: Path) -> str:
    return path.relative_to(ROOT / "extproc").parts[0].removesuffix(".py")


def imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("extproc"):
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_can_be_read_at_once(path: Path) -> None:
    text = path.read_text()
    name = str(path.relative_to(ROOT))
    assert len(text.splitlines()) <= LONG.get(name, MOST_LINES)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_FUNCTION, f"{name}: {node.name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upwards(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    above = {name for name in imports(ast.parse(path.read_text())) if LEVEL[name] > LEVEL[own]}
    assert above == set()


def test_only_the_wire_and_the_renderer_know_protobuf() -> None:
    knowing = {
        str(path.relative_to(ROOT / "extproc"))
        for path in SOURCES
        if "_pb2" in path.read_text() or "envoy_data_plane" in path.read_text()
    }
    assert knowing == {"http/wire.py", "envoyconf/api.py"}


def test_a_worker_never_loads_the_renderer() -> None:
    for path in SOURCES:
        if room(path) not in ("envoyconf", "cli", "run"):
            assert "envoyconf" not in imports(ast.parse(path.read_text()))
    worker = ast.parse((ROOT / "extproc/run/worker.py").read_text())
    assert "envoyconf" not in imports(worker)
