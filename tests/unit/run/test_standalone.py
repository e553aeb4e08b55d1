"""A worker and a control process as containers run them: on their own, without `extproc up`."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.run.test_control import CONFIG, free_ports


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rego").mkdir()
    (tmp_path / "rego" / "policy.rego").write_text('package extproc\n\ndecision := {"action": "deny"}\n')
    path = tmp_path / "extproc.yaml"
    path.write_text(CONFIG.format(*free_ports(4)))
    return path


def extproc(*arguments: str, config: Path) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    command = [sys.executable, "-m", "extproc.cli", *arguments, "-c", str(config)]
    with (config.parent / "stderr").open("ab") as errors:
        return subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stderr=errors)


def serves(*arguments: str, config: Path) -> bool:
    process = extproc(*arguments, "--check", config=config)
    return process.wait(30) == 0


@contextmanager
def running(*arguments: str, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = extproc(*arguments, config=config)
    try:
        until = time.monotonic() + 20
        while not serves(*arguments, config=config):
            assert process.poll() is None, (config.parent / "stderr").read_text()
            assert time.monotonic() < until, "never serving"
        yield process
    finally:
        process.terminate()
        assert process.wait(20) == 0, (config.parent / "stderr").read_text()


def test_a_check_fails_where_nothing_runs(config: Path) -> None:
    assert not serves("worker", config=config)
    assert not serves("control", config=config)


def test_each_answers_its_check_and_metrics_of_all_are_added_up(config: Path) -> None:
    address = metrics_of(config)
    with running("worker", config=config), running("control", config=config):
        assert not serves("worker", "--index", "1", config=config)
        # By name: in containers both would be process 1, and write into one file.
        files = {path.name for path in (config.parent / "s" / "metrics").iterdir()}
        assert "gauge_livesum_worker-0.db" in files
        assert "extproc_held_requests 0.0" in httpx.get(address, trust_env=False).text


def test_what_a_killed_worker_held_is_not_held_any_more(config: Path) -> None:
    library: Any = importlib.import_module("prometheus_client.mmap_dict")  # has no types
    folder = config.parent / "s" / "metrics"
    folder.mkdir(parents=True)
    file = library.MmapedDict(str(folder / "gauge_livesum_worker-0.db"))
    file.write_value(library.mmap_key("extproc_held_requests", "extproc_held_requests", (), (), ""), 3.0, 0.0)
    file.close()
    with running("worker", config=config), running("control", config=config):
        assert "extproc_held_requests 0.0" in httpx.get(metrics_of(config), trust_env=False).text


def metrics_of(config: Path) -> str:
    from extproc.config import load

    return f"http://{load(config).metrics.listen}/metrics"
