"""docs/threats.md names tests; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    files: dict[str, str] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):  # some rooms have files of the same name
        files[path.name] = files.get(path.name, "") + path.read_text()
    named = 0
    for line in (ROOT / "docs" / "threats.md").read_text().splitlines():
        file = ""
        for found, name in re.findall(r"`(test_\w+\.py)?::(test_\w+)`", line):
            file = found or file
            named += 1
            assert f"def {name}(" in files[file], f"{file}::{name}"
    assert named > 100


def test_every_attack_of_the_four_files_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "threats.md").read_text()
    for path in sorted((ROOT / "tests" / "integration").glob("test_threats_*.py")):
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE):
            assert f"::{name}`" in page, f"{path.name}::{name}"
