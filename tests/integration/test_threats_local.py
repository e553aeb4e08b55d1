"""Attacks from the same machine (sockets, processes, files) and on the eyes of people: terminals and logs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.gateway import CREDENTIAL, EXTPROC, Gateway, free_port
from tests.integration.issuer import Served, serving
from tests.integration.raw import Evil, answer, ask, request
from tests.integration.test_holds import Asking, decide, pending

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "allow"}

decision := {"action": "deny", "rule": "test", "reason": concat(" ", ["no:", input.request.path])} if {
	input.request.segments[0] == "denied"
}

decision := {"action": "hold", "hold": {"approvers": ["group:data-owners"], "timeout": "30s"}} if {
	input.request.segments[0] == "hold"
}
"""
NOBODY = 65534
ESC, BIDI, CSI = "\x1b[2J\x1b]0;owned\x07", "\u202e\u2066", "\x9b31m"
NASTY = f"a{ESC}b{BIDI}c{CSI}d"


@dataclass
class Stage:
    gateway: Gateway
    evil: Evil
    jobs: Served

    @property
    def pids(self) -> dict[str, int]:
        return {str(name): int(pid) for name, pid in self.gateway.ready["pids"].items()}

    @property
    def everybody(self) -> list[int]:
        """The supervisor, its children and theirs."""
        assert self.gateway.process is not None
        found, look = [], [self.gateway.process.pid]
        while look:
            pid = look.pop()
            found.append(pid)
            look += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        jobs = stack.enter_context(serving("jobs"))
        evil = Evil().start()
        evil.says(answer(NASTY.encode()))
        stack.callback(evil.stop)
        gateway = Gateway(upstream_port=evil.port, policy=POLICY, workers=2)
        gateway.home.chmod(0o755)  # what is around does not help
        document = yaml.safe_load(gateway.write().read_text())
        document["identity"]["jobs"].append({"issuer": jobs.url, "audience": "extproc-gateway"})
        gateway.config.write_text(yaml.safe_dump(document))
        with umask(0):
            gateway.start()
        stack.callback(gateway.stop)
        yield Stage(gateway, evil, jobs)


# --- files and sockets


def test_nobody_else_can_open_anything_of_the_gateways(stage: Stage) -> None:
    with stage.gateway.client() as client:
        client.get("/plain")
    state = stage.gateway.state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    found = list(state.rglob("*"))
    assert {path.suffix for path in found} >= {".sock", ".db", ".key", ".pem"}
    open_to_others = {str(path): oct(path.stat().st_mode) for path in found if path.stat().st_mode & 0o077}
    assert open_to_others == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as somebody else")
def test_another_user_cannot_connect_to_a_socket(stage: Stage) -> None:
    sockets = sorted((stage.gateway.state / "run").glob("*.sock"))
    assert [path.name for path in sockets] == ["admin.sock", "worker-0.sock", "worker-1.sock"]
    os.seteuid(NOBODY)
    try:
        for path in sockets:
            with socket.socket(socket.AF_UNIX) as attempt, pytest.raises(PermissionError):
                attempt.connect(str(path))
    finally:
        os.seteuid(0)


def _listening(pids: list[int]) -> tuple[set[str], set[str]]:
    """What these processes listen on: `address:port` (hexadecimal, as the kernel shows it), and unix paths."""
    own = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                own |= set(re.findall(r"socket:\[(\d+)\]", link.readlink().name))
            except OSError:  # closed meanwhile
                continue
    inet, unix = set(), set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/net/{name}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            columns = line.split()
            if columns[9] in own and (name.startswith("udp") or columns[3] == "0A"):
                inet.add(f"{name} {columns[1]}")
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[6] in own and columns[3] == "00010000":  # __SO_ACCEPTCON
            unix.add(columns[7] if len(columns) > 7 else "(no name)")
    return inet, unix


def test_only_what_is_configured_listens_and_only_on_loopback(stage: Stage) -> None:
    document = yaml.safe_load(stage.gateway.config.read_text())
    listens = [document["listen"], document["control"]["listen"], document["metrics"]["listen"]]
    listens.append(document["identity"]["dev_issuer"]["listen"])
    ports = {int(listen.rpartition(":")[2]) for listen in listens} | {document["resources"][0]["port"]}
    inet, unix = _listening(stage.everybody)
    assert inet == {f"tcp 0100007F:{port:04X}" for port in ports}
    run = stage.gateway.state / "run"
    assert unix == {str(run / name) for name in ("admin.sock", "worker-0.sock", "worker-1.sock")}


@pytest.mark.parametrize("path", ["/config_dump", "/stats", "/quitquitquit", "/server_info", "/clusters", "/logging"])
def test_envoys_admin_answers_on_no_port(stage: Stage, path: str) -> None:
    ready = stage.gateway.ready
    for base in (ready["listen"], stage.gateway.url, ready["control"], ready["issuer"], ready["metrics"][:-8]):
        told = httpx.post(str(base) + path, trust_env=False)
        assert told.status_code in (401, 404, 405)
    assert stage.gateway.pids("control")


# --- processes


def test_the_credential_is_in_no_environment_but_the_workers(stage: Stage) -> None:
    secret = CREDENTIAL.encode()
    holds = {name for name, pid in stage.pids.items() if secret in Path(f"/proc/{pid}/environ").read_bytes()}
    assert holds == {"worker-0", "worker-1"}
    names = {part.split(b"=")[0] for part in Path(f"/proc/{stage.pids['envoy']}/environ").read_bytes().split(b"\0")}
    assert names <= {b"", b"PATH", b"HOME", b"LANG", b"TZ", b"TMPDIR"}


def test_no_secret_is_on_a_command_line(stage: Stage) -> None:
    token, mask_key = stage.gateway.token(), (stage.gateway.state / "keys" / "mask.key").read_bytes()
    with subprocess.Popen(
        [*EXTPROC, "approvals", "watch", "-c", str(stage.gateway.config)],
        env={**os.environ, "EXTPROC_TOKEN": stage.gateway.person()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as watch:
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (*stage.everybody, watch.pid)]
        watch.terminate()
    assert any(b"envoy" in line for line in lines)
    for line in lines:
        assert not re.search(rb"eyJ[A-Za-z0-9_-]{10}|PRIVATE KEY", line)
        assert CREDENTIAL.encode() not in line
        assert token.encode() not in line
        assert mask_key.hex().encode() not in line


def test_envoys_configuration_has_no_secret(stage: Stage) -> None:
    text = (stage.gateway.state / "run" / "envoy.json").read_text()
    assert CREDENTIAL not in text
    assert "APP_TOKEN" not in text


def test_the_metrics_name_no_job_no_person_and_no_request(stage: Stage) -> None:
    token = stage.jobs.minted(repository="acme/marked-repo", actor="marked-actor", sub="repo:acme/marked-subject")
    for target in ("/marked-path?marked-query=1", "/denied/marked-path"):
        ask(stage.gateway.url, request(target, ("x-marked-header", "marked-value"), token=token))
    time.sleep(0.2)
    text = httpx.get(str(stage.gateway.ready["metrics"]), trust_env=False).text
    assert 'extproc_verdicts_total{resource="app",verdict="deny"}' in text
    assert "marked" not in text
    labels = {name for found in re.findall(r"\{([^}]*)\}", text) for name in re.findall(r"(\w+)=", found)}
    assert labels <= {"resource", "verdict", "code", "le", "stage", "pid", "process", "worker", "detector", "state"}


# --- development


def test_every_answer_of_a_development_gateway_says_so(stage: Stage) -> None:
    ready, gateway = stage.gateway.ready, stage.gateway
    token = gateway.token()
    ours = [
        ask(gateway.url, request("/plain")),  # 401
        ask(gateway.url, request("/denied", token=token)),
        ask(gateway.url, request("/a%5cb", token=token)),
        ask(
            str(ready["listen"]),
            request("/plain", ("x", "y"), token=token).replace(b"app.localhost", b"other.localhost"),
        ),
        ask(gateway.url, request("/plain", ("upgrade", "raw"), ("connection", "upgrade"), token=token)),  # Envoy's own
    ]
    assert [b'"development":true' in reply.body or b'"development":"true"' in reply.body for reply in ours] == [
        True
    ] * 5
    urls = [f"{ready['control']}/healthz", f"{ready['control']}/v1/approvals", f"{ready['control']}/none"]
    urls += [str(ready["metrics"]), f"{ready['issuer']}/jobs/jwks", f"{ready['issuer']}/none"]
    for url in urls:
        assert httpx.get(url, trust_env=False).headers["x-extproc-development"] == "true", url
    assert ready["development"] is True
    assert "development: true" in gateway.cli("dev", "token").stderr
    assert "development: true" in (gateway.home / "up.log").read_text()


@pytest.fixture(scope="module")
def production(stage: Stage) -> Iterator[Gateway]:
    """Trusts the issuer of the other gateway, but is no development gateway."""
    base = stage.gateway.ready["issuer"]
    jobs = [{"issuer": f"{base}/jobs", "audience": "extproc-gateway"}]
    people = [{"issuer": f"{base}/people", "audience": "extproc-console"}]
    settings = {"development": False, "identity": {"jobs": jobs, "people": people}}
    gateway = Gateway(upstream_port=stage.evil.port, policy=POLICY, settings=settings).start()
    yield gateway
    gateway.stop()


def test_a_development_token_opens_nothing_elsewhere(stage: Stage, production: Gateway) -> None:
    stage.evil.says(answer(b"fine"))
    token = stage.gateway.token()
    told = ask(production.url, request("/plain", token=token))
    assert (told.code, stage.evil.heads) == ("identity_unavailable", [])
    headers = {"authorization": f"Bearer {stage.gateway.person()}"}
    assert httpx.get(f"{production.control}/v1/approvals", headers=headers, trust_env=False).status_code == 503
    assert ask(stage.gateway.url, request("/plain", token=token)).status == 200  # where it was minted for


def test_a_gateway_that_is_none_for_development_does_not_say_so(production: Gateway) -> None:
    told = ask(production.url, request("/plain"))
    assert b"development" not in told.raw
    assert "x-extproc-development" not in httpx.get(f"{production.control}/healthz", trust_env=False).headers
    assert "development: true" not in (production.home / "up.log").read_text()


@pytest.mark.parametrize(
    ("command", "without"),
    [
        (("dev", "issuer"), "development"), (("dev", "issuer"), "dev_issuer"), (("dev", "token"), "development"),
        (("dev", "token"), "dev_issuer"), (("config", "validate"), "development"), (("up",), "development"),
    ],
)  # fmt: skip
def test_the_development_issuer_does_not_run_without_development(
    stage: Stage, tmp_path: Path, command: tuple[str, ...], without: str
) -> None:
    document = yaml.safe_load(stage.gateway.config.read_text())
    if without == "development":
        del document["development"]
    else:
        del document["identity"]["dev_issuer"]
    (tmp_path / "extproc.yaml").write_text(yaml.safe_dump(document))
    told = subprocess.run(
        [*EXTPROC, *command, "-c", str(tmp_path / "extproc.yaml")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert told.returncode == 2
    assert "development: true" in told.stderr
    assert told.stdout == ""


def test_the_development_issuer_mints_nothing_over_the_network(stage: Stage) -> None:
    base = str(stage.gateway.ready["issuer"])
    for path in ("/jobs/token", "/token", "/people/token", "/jobs/../keys/jobs.pem", "/jobs/jwks/../../jobs.pem", "/"):
        for method in ("GET", "POST", "PUT"):
            told = httpx.request(method, base + path, trust_env=False)
            assert told.status_code in (404, 405)
            assert "PRIVATE" not in told.text
    keys = httpx.get(f"{base}/jobs/jwks", trust_env=False).json()["keys"]
    assert all(set(key) <= {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys)


# --- what people see


def harmless(text: str) -> bool:
    """Nothing in it that a terminal obeys, or that changes the order of what is read."""
    return not [char for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@dataclass
class Injected:
    session: str
    exchange: str
    approval: dict[str, Any]
    watched: str
    watched_json: str


class Watching(threading.Thread):
    """`approvals watch` until it has said something."""

    def __init__(self, gateway: Gateway, *options: str) -> None:
        super().__init__(daemon=True)
        self.text = ""
        self._process = subprocess.Popen(
            [*EXTPROC, "approvals", "watch", "-c", str(gateway.config), *options],
            env={**os.environ, "EXTPROC_TOKEN": gateway.person(), "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
        )
        self.start()

    def run(self) -> None:
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 65536):
            self.text += data.decode(errors="surrogateescape")

    def done(self) -> str:
        deadline = time.monotonic() + 10
        while " used " not in self.text and '"used"' not in self.text and time.monotonic() < deadline:
            time.sleep(0.05)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        self.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self.text


@pytest.fixture(scope="module")
def injected(stage: Stage) -> Injected:
    """One run whose every text is hostile: claims, path, headers, bodies both ways, justification."""
    stage.evil.says(
        answer(NASTY.encode(), ("x-back", NASTY.encode().decode("latin-1").replace("\x1b", "").replace("\x07", "")))
    )
    claims = {"actor": NASTY, "repository": NASTY + "\r\nsecond", "sub": NASTY + "\n{}", "run_id": NASTY}
    token = stage.jobs.minted(**claims)
    high = (BIDI + CSI).encode().decode("latin-1")  # Envoy lets bytes above ASCII pass in values
    for target in ("/plain/%E2%80%AE?a=%1b%5b2J%0d%0a", "/plain/\u202ex".encode(), "/denied/%E2%80%AE%C2%9B"):
        ask(stage.gateway.url, request(target, ("x-note", high), ("user-agent", high), token=token))
    watches = [Watching(stage.gateway), Watching(stage.gateway, "--json")]
    asking = Asking(
        stage.gateway,
        "/hold/%E2%80%AE",
        token,
        method="POST",
        content=NASTY.encode(),
        headers={"x-note": high.encode("latin-1")},
    )
    (approval,) = pending(stage.gateway)
    for name in ("dana", "erin"):
        told = decide(stage.gateway, approval, stage.gateway.person(name), justification=NASTY + "\r\napproved")
        assert told.status_code == 200, told.text
    assert asking.done().status_code == 200
    watched = [watch.done() for watch in watches]
    time.sleep(1.2)  # a refusal is on disk within a second
    return Injected(approval["session"], approval["exchange"], approval, *watched)


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"), ("sessions", "show"), ("sessions", "replay"), ("sessions", "replay", "--bodies"),
        ("sessions", "verify"), ("approvals", "list", "--state", "all"), ("approvals", "show"),
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_that_was_recorded_reaches_a_terminal_unescaped(
    stage: Stage, injected: Injected, command: tuple[str, ...], as_json: bool
) -> None:
    what = {
        "show": injected.approval["id"] if command[0] == "approvals" else injected.session,
        "replay": injected.session,
    }
    arguments = [*command[:2], *filter(None, [what.get(command[1])]), *command[2:], *(["--json"] if as_json else [])]
    told = stage.gateway.cli(*arguments, token=stage.gateway.person())
    assert harmless(told.stdout.replace("\t", "")), told.stdout
    assert harmless(told.stderr)
    if as_json:
        json.loads(told.stdout)
    elif command[1] in ("replay", "show"):
        assert "\\u202e" in told.stdout or "%E2%80%AE" in told.stdout
    if command[-1] == "--bodies":
        assert "owned" in told.stdout  # the body was shown, not dropped


def test_nor_does_it_while_somebody_watches(injected: Injected) -> None:
    assert "  used  " in injected.watched
    assert harmless(injected.watched), injected.watched
    assert harmless(injected.watched_json)
    assert all(json.loads(line) for line in injected.watched_json.splitlines())
    lines = [line for line in injected.watched.splitlines() if line.strip()]
    assert all(injected.approval["id"] in line or "a-" in line for line in lines)  # no line of the attacker's own


def test_every_line_of_every_log_is_ours(stage: Stage, injected: Injected) -> None:
    stage.gateway.cli("sessions", "verify")
    for path in (stage.gateway.home / "up.log", *(stage.gateway.state / "logs").iterdir()):
        text = path.read_bytes().decode()
        assert harmless(text), path
        for line in text.splitlines():
            if line.startswith("{"):
                json.loads(line)
            else:
                assert re.match(r"development: true|resource |control |\[\d{4}-", line), line
        assert "owned" not in text
        assert "second" not in text


def test_a_refusal_repeats_nothing_of_the_attackers(stage: Stage) -> None:
    html = "<script>alert(1)</script>"
    told = ask(stage.gateway.url, request("/denied/%3Cscript%3E", ("x-a", html), token=stage.gateway.token()))
    assert told.get("content-type") == "application/problem+json"
    assert told.get("x-content-type-options") == "nosniff"
    assert harmless(told.body.decode())


def test_two_gateways_cannot_share_a_port_or_a_state_folder(stage: Stage, tmp_path: Path) -> None:
    document = yaml.safe_load(stage.gateway.config.read_text())
    for change in ({"state_dir": str(stage.gateway.state)}, {"listen": f"127.0.0.1:{free_port()}"}):
        text = yaml.safe_dump({**document, "state_dir": str(tmp_path / "s"), **change})
        (stage.gateway.home / "second.yaml").write_text(text)
        told = subprocess.run(
            [*EXTPROC, "up", "-c", str(stage.gateway.home / "second.yaml")],
            env={**os.environ, "APP_TOKEN": CREDENTIAL},
            capture_output=True,
            timeout=40,
            check=False,
        )
        assert told.returncode != 0
    assert ask(stage.gateway.url, request("/plain", token=stage.gateway.token())).status == 200
