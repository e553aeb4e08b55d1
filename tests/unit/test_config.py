from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.config import load
from extproc.errors import ConfigError

GOOD: dict[str, Any] = {
    "version": 1,
    "development": True,
    "state_dir": "s",
    "identity": {
        "jobs": [{"issuer": "http://127.0.0.1:8083/jobs", "audience": "extproc-gateway"}],
        "people": [{"issuer": "http://127.0.0.1:8083/people", "audience": "extproc-console"}],
        "dev_issuer": {"listen": "127.0.0.1:8083"},
    },
    "policy": {"path": "rego"},
    "credentials": {"app": {"kind": "bearer", "env": "APP_TOKEN"}},
    "resources": [
        {"name": "app", "hosts": ["app.localhost"], "upstream": "http://127.0.0.1:9000", "credential": "app"}
    ],
}


def written(folder: Path, change: dict[str, Any] | None = None, resource: dict[str, Any] | None = None) -> Path:
    document = {**GOOD, **(change or {})}
    if resource is not None:
        document["resources"] = [{**GOOD["resources"][0], **resource}]
    path = folder / "extproc.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not None}, sort_keys=False))
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load(written(tmp_path))
    assert config.state_dir == tmp_path / "s"
    assert config.policy.path == str(tmp_path / "rego")


def test_a_complaint_names_file_line_field_value_and_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "extproc.yaml"
    text = yaml.safe_dump(GOOD, sort_keys=False).replace("upstream: http://127.0.0.1:9000", "upstream: ftp://nowhere")
    path.write_text(text)
    line = next(n for n, t in enumerate(text.splitlines(), 1) if "ftp" in t)
    said = complaint(path)
    assert said.startswith(f"{path}:{line}: resources.0.upstream: expected scheme://host")
    assert "ftp://nowhere" in said


def test_every_complaint_is_told_at_once(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, {"workers": 0, "listen": "everywhere"}))
    assert "workers" in said
    assert "listen" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"workers": "2"}, "workers"),
        ({"listen": "127.0.0.1:99999"}, "host:port"),
        ({"policy": {"engine": "opa"}}, "url"),
        ({"policy": {"engine": "embedded"}}, "path"),
        ({"resources": []}, "resources"),
        ({"development": False}, "development: true"),
        ({"control": {"listen": "127.0.0.1:8080"}}, "twice"),
        ({"credentials": {"app": {"kind": "bearer"}}}, "either"),
        ({"credentials": {}}, "credential"),
        ({"credentials": {"app": {"kind": "header", "env": "X"}}}, "header"),
    ],
)
def test_what_does_not_make_sense_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in complaint(written(tmp_path, change))


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"name": "App"}, "lower-case"),
        ({"hosts": ["app.localhost:80"]}, "without port"),
        ({"hosts": []}, "hosts"),
        ({"upstream": "http://user:secret@host"}, "nothing else"),
        ({"upstream": "http://host/path"}, "no path"),
        ({"methods": ["CONNECT"]}, "never open"),
        ({"bodies": "headers_only"}, "inspect where the resource has a credential"),
        ({"bodies": "headers_only", "credential": None, "upgrades": ["websocket"]}, "names upgrades"),
        ({"bodies": "sometimes"}, "bodies"),
    ],
)
def test_a_resource_that_could_not_be_kept_is_refused(tmp_path: Path, resource: dict[str, Any], words: str) -> None:
    assert words in complaint(written(tmp_path, resource=resource))


def test_jobs_and_people_have_different_issuers(tmp_path: Path) -> None:
    identity = {**GOOD["identity"], "people": [{"issuer": "http://127.0.0.1:8083/jobs", "audience": "x"}]}
    assert "different issuers" in complaint(written(tmp_path, {"identity": identity}))


@pytest.mark.parametrize("kind", ["jobs", "people"])
def test_an_issuer_has_one_rule(tmp_path: Path, kind: str) -> None:
    rules = [{"issuer": "https://issuer.test", "audience": audience} for audience in ("one", "two")]
    said = complaint(written(tmp_path, {"identity": {**GOOD["identity"], kind: rules}}))
    assert "every issuer once; https://issuer.test stands twice" in said


def test_a_complaint_about_a_credential_shows_no_value(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, {"credentials": {"app": {"kind": "bearer", "token": "s3cret-value"}}}))
    assert "s3cret-value" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nversion: 1\n", "stands twice"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("a: [1\n", "not YAML"),
        ("- 1\n", "mapping"),
        ("", "mapping"),
        ("a: !!python/object:os.system x\n", "not YAML"),
    ],
)
def test_yaml_with_surprises_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "extproc.yaml"
    path.write_text(text)
    assert words in complaint(path)


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    assert "-c" in complaint(tmp_path / "nowhere.yaml")


def test_a_state_dir_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    assert "at most 80" in complaint(written(tmp_path, {"state_dir": "x" * 90}))


def test_the_demos_configuration_is_good() -> None:
    config = load(Path(__file__).parents[2] / "demo" / "extproc.yaml")
    assert config.resources[0].name == "customers"
