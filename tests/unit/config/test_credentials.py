"""Where a secret stands: one place, fit for its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extproc.config import load
from tests.unit.test_config import GOOD, complaint, written

APP = GOOD["credentials"]["app"]
FILES = {"certificate": "a.crt", "key": "a.key"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "password", "env": "X"}, "username"),
        ({"kind": "password", "env": "X", "username": ""}, "username"),
        ({"kind": "password", "env": "X", "username": "x" * 64}, "63 bytes"),
        ({"kind": "password", "env": "X", "username": "a\0b"}, "username"),
        ({"kind": "password", "username": "x"}, "either"),
        ({"kind": "password", "username": "x", "env": "X", "file": "x"}, "either"),
        ({"kind": "password", "username": "x", "env": "X", "header": "x"}, "kind: header"),
        ({"kind": "password", "username": "x", "env": "X", **FILES}, "kind: certificate"),
        ({"kind": "certificate", **FILES}, "username"),
        ({"kind": "certificate", "username": "x", "certificate": "a.crt"}, "two files"),
        ({"kind": "certificate", "username": "x", "env": "X", **FILES}, "no `env`"),
        ({"kind": "bearer", "env": "X", "key": "a.key"}, "kind: certificate"),
        ({"kind": "bearer", "env": "X", "username": "x"}, "only with kind: basic"),
        ({"kind": "other", "env": "X"}, "kind"),
    ],
)
def test_what_does_not_fit_its_kind_is_refused(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    assert words in complaint(written(tmp_path, {"credentials": {"app": APP, "db": spec}}))


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    made = {
        "app": APP,
        "reader": {"kind": "password", "username": "reader", "file": "secrets/reader"},
        "owner": {"kind": "certificate", "username": "owner", **FILES},
    }
    found = load(written(tmp_path, {"credentials": made})).credentials
    assert found["reader"].file == str(tmp_path / "secrets" / "reader")
    assert (found["owner"].certificate, found["owner"].key) == (str(tmp_path / "a.crt"), str(tmp_path / "a.key"))
