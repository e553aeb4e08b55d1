"""`extproc dev`: tokens on standard output, the notice on standard error, nothing without development."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from click.testing import CliRunner, Result

from extproc.cli.dev import dev
from extproc.errors import ConfigError

BASE = "http://127.0.0.1:8083"


def configured(folder: Path, **changed: Any) -> Path:
    identity = {
        "jobs": [{"issuer": f"{BASE}/jobs", "audience": "gateway"}],
        "people": [{"issuer": f"{BASE}/people", "audience": "console"}],
        "dev_issuer": {"listen": "127.0.0.1:8083"},
    }
    document = {
        "version": 1,
        "development": True,
        "state_dir": "s",
        "identity": {**identity, **changed.pop("identity", {})},
        "policy": {"path": "policy"},
        "resources": [{"name": "app", "hosts": ["app.localhost"], "upstream": "http://127.0.0.1:9000"}],
        **changed,
    }
    path = folder / "extproc.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(dev, [*arguments, "-c", str(path)], catch_exceptions=False)


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_only_the_token_stands_on_standard_output(tmp_path: Path) -> None:
    result = run(configured(tmp_path), "token", "--repo", "a/b", "--actor", "mona", "--run-id", "9")
    assert result.exit_code == 0
    said = claims(result.stdout.strip())
    assert (said["iss"], said["aud"], said["repository"]) == (f"{BASE}/jobs", "gateway", "a/b")
    assert (said["actor"], said["run_id"], said["extproc_development"]) == ("mona", "9", True)
    assert "development" in result.stderr


def test_a_person_with_groups(tmp_path: Path) -> None:
    result = run(configured(tmp_path), "token", "--person", "dana", "--group", "a", "--group", "b")
    said = claims(result.stdout.strip())
    assert (said["iss"], said["aud"]) == (f"{BASE}/people", "console")
    assert (said["preferred_username"], said["groups"]) == ("dana", ["a", "b"])


def test_a_job_with_groups(tmp_path: Path) -> None:
    path = configured(tmp_path)
    assert claims(run(path, "token", "--group", "writers").stdout.strip())["groups"] == ["writers"]
    assert "groups" not in claims(run(path, "token").stdout.strip())


def test_json_says_when_it_ends(tmp_path: Path) -> None:
    told = json.loads(run(configured(tmp_path), "token", "--json", "--lifetime", "60", "--audience", "x").stdout)
    said = claims(told["token"])
    assert (told["issuer"], told["subject"], told["development"]) == (said["iss"], said["sub"], True)
    assert told["expires_at"] == said["exp"] == said["iat"] + 60
    assert said["aud"] == "x"


@pytest.mark.parametrize("command", ["token", "issuer"])
@pytest.mark.parametrize("changed", [{"development": False}, {}])
def test_without_development_and_an_issuer_there_is_nothing(
    tmp_path: Path, command: str, changed: dict[str, Any]
) -> None:
    path = configured(tmp_path, identity={"dev_issuer": None}, **changed)
    with pytest.raises(ConfigError, match="development"):
        run(path, command)
    assert not (tmp_path / "s").exists()


def test_an_issuer_that_opens_nothing_mints_nothing(tmp_path: Path) -> None:
    jobs = [{"issuer": "https://issuer.test", "audience": "gateway"}]
    with pytest.raises(ConfigError, match="does not name"):
        run(configured(tmp_path, identity={"jobs": jobs}), "token")
