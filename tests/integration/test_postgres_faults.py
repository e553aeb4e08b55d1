"""What breaks, in each state of the protocol: nothing undecided reaches the database, nothing raw reaches the client."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from extproc.postgres import wire
from tests.integration.database import running
from tests.integration.gateway import Gateway
from tests.integration.postgres import Server, serving
from tests.integration.rawpg import RawClient, run, wait_for
from tests.unit.postgres.talking import SYNC, execute, parse, query

pytestmark = pytest.mark.envoy

POLICY = """package extproc

default decision := {"action": "allow", "redact": [{"columns": ["secret"]}, {"detect": ["ssn"]}]}

decision := {"action": "hold", "hold": {"approvers": ["group:data-owners"], "timeout": "60s"}} if {
	some s in input.sql.statements
	s.kind == "delete"
}
"""
MARK = "UNDECIDED"
RAW = (b"raw-secret-", b"078-05-1120")
# A statement for each way in which one can be under way; each carries the mark.
SIMPLE = query(f"select '{MARK}'")
EXTENDED = run(f"select '{MARK}'") + SYNC
PREPARE = parse(f"select '{MARK}'", "s") + SYNC
COPY_IN = query(f"copy sink from stdin /* {MARK} */")
SEVERAL = query(f"select 1; select '{MARK}'")
STATEMENTS = {"simple": SIMPLE, "extended": EXTENDED, "prepare": PREPARE, "copy in": COPY_IN, "several": SEVERAL}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(18) as made:
        made.create(
            "create table big (id int, secret text, note text);"
            "insert into big select n, 'raw-secret-' || n, 'ssn 078-05-1120' from generate_series(1, 20000) n;"
            "create table sink (line text); grant select, insert, delete on big, sink to app"
        )
        yield made


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[Gateway]:
    with running(server, policy=POLICY, workers=1) as made:
        yield made


@pytest.fixture(scope="module")
def another(server: Server) -> Iterator[Gateway]:
    """Whose worker was not killed yet: each kill doubles the pause before the next start. Tests may change its policy."""
    with running(server, policy=POLICY) as made:
        yield made


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    RawClient.close_all()


def kill_workers(gateway: Gateway) -> None:
    for pid in gateway.pids("worker"):
        os.kill(pid, signal.SIGKILL)


def await_service(gateway: Gateway) -> None:
    def serves() -> bool:
        with contextlib.suppress(AssertionError, OSError):
            client = RawClient(gateway)
            client.send(query("select 1")).until(b"Z")
            client.close()
            return True
        return False

    wait_for(serves, 20)


def clean(client: RawClient) -> None:
    """Nothing raw came, masked or not."""
    for value in RAW:
        assert value not in client.seen


def undecided(server: Server) -> list[str]:
    return [text for text in (*server.statements("app"), *server.parsed("app")) if MARK in text]


# --- the worker is killed


def test_the_worker_dies_at_rest_and_in_a_transaction(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    server.clear_log()
    idle, inside = RawClient(gateway), RawClient(gateway)
    inside.send(query("begin")).until(b"Z")
    kill_workers(gateway)
    for client in (idle, inside):
        with contextlib.suppress(OSError):
            client.send(SIMPLE)
        client.to_the_end()
    assert undecided(server) == []


def test_the_worker_dies_while_rows_stream(gateway: Gateway) -> None:
    await_service(gateway)
    client = RawClient(gateway).send(query("select * from big"))
    client.until(b"D", 10)
    kill_workers(gateway)
    client.to_the_end()
    clean(client)


def test_the_worker_dies_while_lines_are_copied_out(gateway: Gateway) -> None:
    await_service(gateway)
    client = RawClient(gateway).send(query("copy big to stdout"))
    client.until(b"d", 10)
    kill_workers(gateway)
    client.to_the_end()
    clean(client)


def test_the_worker_dies_while_data_is_copied_in(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    client = RawClient(gateway).send(query("copy sink from stdin"))
    client.until(b"G")
    client.send(wire.message(b"d", b"half of it\n"))
    kill_workers(gateway)
    with contextlib.suppress(OSError):
        client.send(wire.message(b"c"), SIMPLE)
    client.to_the_end()
    assert server.psql("select count(*) from sink").split() == ["0"]


def test_the_worker_dies_while_a_statement_is_held(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    server.clear_log()
    client = RawClient(gateway).send(query(f"delete from big where note = '{MARK}'"))
    client.until(b"N")
    kill_workers(gateway)
    client.to_the_end()
    assert undecided(server) == []


def test_the_worker_dies_in_the_middle_of_a_pipeline(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    server.clear_log()
    client = RawClient(gateway).send(run("select 1"), run("select * from big"))
    client.until(b"D", 5)
    kill_workers(gateway)
    with contextlib.suppress(OSError):
        client.send(run(f"select '{MARK}'"), SYNC)
    client.to_the_end()
    clean(client)
    assert undecided(server) == []


def test_kills_one_after_another_lose_no_record_of_what_was_released(another: Gateway, server: Server) -> None:
    gateway = another
    await_service(gateway)
    server.clear_log()
    for number in range(4):
        await_service(gateway)
        client = RawClient(gateway)
        with contextlib.suppress(OSError, AssertionError):
            for step in range(40):
                client.send(query(f"select {number}, {step}, 'counted'"))
                if step == 7 * number:
                    kill_workers(gateway)
                client.until(b"Z", step + 1)
        client.close()
    await_service(gateway)
    ran = [text for text in server.statements("app") if "counted" in text]
    assert ran
    shown = gateway.cli("sessions", "list", "--json").stdout
    assert shown
    listed = json.loads(shown)["sessions"]
    recorded = "".join(
        gateway.cli("sessions", "show", one["session"], "--json", check=False).stdout
        for one in listed
        if one["resource"] == "db"
    )
    for text in ran:
        assert text in recorded, text
    assert gateway.cli("sessions", "verify", check=False).returncode == 0


# --- the database is killed


@pytest.mark.parametrize("state", ["at rest", "rows", "copy in", "held"])
def test_the_database_dies(gateway: Gateway, server: Server, state: str) -> None:
    await_service(gateway)
    client = RawClient(gateway)
    if state == "rows":
        client.send(query("select * from big")).until(b"D", 5)
    elif state == "copy in":
        client.send(query("copy sink from stdin")).until(b"G")
    elif state == "held":
        client.send(query("delete from big where id = -1")).until(b"N")
    server.kill()
    try:
        with contextlib.suppress(OSError):
            client.send(query("select 1") if state == "at rest" else b"")
        client.to_the_end()
    finally:
        server.run()
    clean(client)
    assert client.error()["S"] == "FATAL"
    assert client.error()["C"][:2] in ("08", "57")
    await_service(gateway)


# --- the record cannot be written


@contextlib.contextmanager
def no_room(gateway: Gateway) -> Iterator[None]:
    """No file of the workers' can grow, as on a full disk."""
    pids = gateway.pids("worker")
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    for pid, (_, hard) in zip(pids, before, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_room_for_the_record(gateway: Gateway, server: Server, name: str) -> None:
    await_service(gateway)
    server.clear_log()
    client = RawClient(gateway)
    with no_room(gateway):
        client.send(STATEMENTS[name]).until(b"Z")
    assert client.error()["D"].startswith("extproc-gateway: code record_unavailable")
    assert undecided(server) == []
    # It recovers by itself, on the same connection.
    client.send(query("select 'again'")).until(b"Z", 2)
    assert b"again" in client.seen


def test_the_room_ends_while_rows_stream(gateway: Gateway) -> None:
    await_service(gateway)
    client = RawClient(gateway).send(query("select big.* from big, generate_series(1, 40)"))
    client.until(b"D", 5)
    with no_room(gateway):
        client.until(b"Z")
    clean(client)
    assert client.error()["D"].startswith("extproc-gateway: code record_unavailable")
    client.send(query("select 'again'")).until(b"Z", 2)


# --- policy does not answer


def each_is_refused(gateway: Gateway, server: Server, code: str) -> None:
    server.clear_log()
    for name, messages in STATEMENTS.items():
        client = RawClient(gateway).send(messages)
        client.until(b"Z")
        assert client.error()["D"].startswith(f"extproc-gateway: code {code}"), name
        client.close()
    assert undecided(server) == []


def test_policy_does_not_answer(server: Server) -> None:
    """Nothing listens where it should be, then what listens is silent."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        policy: dict[str, Any] = {"engine": "opa", "url": url, "timeout": 0.3}
        with running(server, settings={"policy": policy}) as gateway:
            each_is_refused(gateway, server, "policy_unavailable")
            sock.listen(100)
            each_is_refused(gateway, server, "policy_timeout")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('decision := {"action": "allow"} if input.nothing', "policy_undefined"),
        ('decision := "yes"', "policy_malformed"),
        ('decision := {"action": "allow", "oops": 1}', "policy_malformed"),
        ('decision := {"action": "allow"} if input.sql\ndecision := {"action": "deny"} if input.phase', "policy_error"),
        ('decision := {"action": "allow", "inspect": ["request_body"]}', "policy_unmet"),
    ],
)
def test_policy_answers_nonsense(another: Gateway, server: Server, answer: str, code: str) -> None:
    another.govern(f"package extproc\n\nother := 1\n\n{answer}\n")
    each_is_refused(another, server, code)


# --- the client


def test_a_client_that_leaves_ends_what_it_asked_for(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    client = RawClient(gateway).send(query("select pg_sleep(60)"))
    wait_for(lambda: "pg_sleep(60)" in server.psql("select query from pg_stat_activity where state = 'active'"))
    client.close()
    wait_for(
        lambda: (
            "select pg_sleep(60)"
            not in server.psql("select query from pg_stat_activity where state = 'active' and usename = 'app'")
        )
    )


def test_what_follows_a_failed_copy_is_decided(gateway: Gateway, server: Server) -> None:
    """COPY's error path: what a client sends on is dropped, and the next statement is decided."""
    await_service(gateway)
    server.clear_log()
    client = RawClient(gateway).send(query("copy sink from stdin"))
    client.until(b"G")
    client.send(wire.message(b"d", b"a\tb\n"), wire.message(b"d", b"x\ty\tz\n"), wire.message(b"c"))
    client.send(query(f"delete from big where note = '{MARK}'"))
    client.until(b"N")  # held, so decided
    client.quiet()
    assert undecided(server) == []


def test_bytes_that_are_no_protocol_cut_the_connection(gateway: Gateway, server: Server) -> None:
    await_service(gateway)
    server.clear_log()
    hostile = [
        b"Q\x7f\xff\xff\xff" + MARK.encode(),
        b"Q\0\0\0\x03" + MARK.encode(),
        b"Y\0\0\0\x20" + MARK.encode() * 4,
        wire.message(b"Q", MARK.encode()),  # no end
        wire.message(b"Q", f"select '{MARK}'\0select 2\0".encode()),
        wire.message(b"P", b"\0select '" + MARK.encode()),
        wire.message(b"p", MARK.encode() + b"\0"),
        wire.message(b"B", b"\0\0\0\1\0\7") + execute() + SYNC,
        parse("select 1") + wire.message(b"D", b"Xname\0"),
        wire.message(b"Q", b"select '\xff" + MARK.encode() + b"'\0"),
    ]
    for data in hostile:
        client = RawClient(gateway).send(data)
        client.to_the_end()
        assert client.error()["C"] == "08P01", data
    assert undecided(server) == []
