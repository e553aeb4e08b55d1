"""Attacks by SQL and by the wire, carried out by hand: what reached the database stands in its own log."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from extproc.postgres import wire
from tests.integration.certificates import Authority
from tests.integration.database import psql, running
from tests.integration.gateway import ROOT, Gateway
from tests.integration.postgres import PASSWORDS, Server, serving
from tests.integration.rawpg import RawClient, cancel, run, wait_for
from tests.unit.postgres.talking import SYNC, bind, close, execute, parse, query, startup

pytestmark = pytest.mark.envoy

SHIPPED = {"policy": {"engine": "embedded", "path": str(ROOT / "rego" / "policy")}}
# Everything may be asked, certain or not; ssn is masked by column or, where nothing is certain, by its looks.
BY_COLUMN = """package extproc

decision := {"action": "allow", "redact": [{"columns": ["ssn"]}]}
"""
BY_LOOKS = """package extproc

decision := {"action": "allow", "redact": [{"detect": ["ssn"]}]}
"""
HELD = """package extproc

decision := {"action": "hold", "hold": {"approvers": ["group:data-owners"], "timeout": "60s"}} if {
	some s in input.sql.statements
	s.kind == "copy"
} else := {"action": "allow"}
"""
SSNS = ("078-05-1120", "219-09-9999")
INFERENCE = (
    "select name from customers where ssn >= '1' and id = 1",
    "select name from customers where id = 1 order by ssn",
    "select count(*), ssn from customers where id > 0 group by ssn",
    "select distinct ssn from customers where id > 0",
    "select max(ssn) from customers where id > 0",
    "select a.name from customers a join customers b on a.ssn = b.card_number where a.id = 1",
    "select ssn::int from customers where id = 1",
    "select case when ssn > '2' then 1 else 2 end from customers where id = 1",
    "select name from customers where id = 1 and (select ssn from customers where id = 2) > '2'",
    "select x from (select ssn as x from customers where id > 0) q where x like '0%'",
    "select length(ssn) from customers where id = 1",
    "select ssn || '' from customers where id = 1",
    "select to_json(c) from customers c where id = 1",
    "select c from customers c where id = 1",
    "select c.* is null from customers c where id = 1",
    "select array_agg(ssn) from customers where id > 0",
    "select row(ssn) from customers where id = 1",
    "select (c).ssn > '1' from customers c where id = 1",
    "select generate_series(1, left(ssn, 1)::int) from customers where id = 1",
    "select rank() over (order by ssn) from customers where id > 0",
    "select name from customers where id = 1 limit (select left(ssn, 1)::int from customers where id = 1)",
    "select ssn from customers where id > 0 union select email from customers where id > 0",
    "select most_common_vals from pg_stats where tablename = 'customers'",
    "explain select name from customers where ssn > '5'",
    "select ctid from customers where id = 1",
    "select pg_column_size(ssn) from customers where id = 1",
    "create table mine as select ssn from customers",
    "insert into customers (ssn) select ssn from customers returning ssn > '1'",
    "select query_to_xml('select ssn from customers', true, true, '')",
    "select table_to_xml('customers', true, true, '')",
)
CLOSED = (
    "copy customers to program 'cat > /tmp/stolen'",
    "copy customers from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "select lo_get(1)",
    "select pg_ls_dir('.')",
    "select pg_sleep(30)",
    "create extension dblink",
    "select dblink('host=evil', 'select 1')",
    "load 'evil'",
    "do $$begin delete from customers; end$$",
    "with gone as (delete from customers returning *) select 1",
    "sel/**/ect 1; drop table customers",
    "/* /* nested */ */ drop table customers -- select",
    "explain analyze delete from customers",
    "prepare p as delete from customers",
    "declare c cursor for select * from customers where ssn > '1'",
    "lock table customers in access exclusive mode",
    "prepare transaction 'x'",
    "listen x",
    "notify x, 'y'",
    "vacuum customers",
    "alter system set work_mem = 1",
    "set role postgres",
    "set session authorization postgres",
    "reset role",
    "set standard_conforming_strings = off",
    "select set_config('standard_' || 'conforming_strings', 'off', false)",
    "set client_encoding = 'SJIS'",
    "set session_replication_role = replica",
    "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(18) as made:
        made.create("create table sink (line text); grant select, insert, delete on sink to app")
        yield made


@pytest.fixture(scope="module")
def shipped(server: Server) -> Iterator[Gateway]:
    with running(server, role="reader", database={"labels": {"data": "customers"}}, settings=SHIPPED) as made:
        yield made


@pytest.fixture(scope="module")
def by_looks(server: Server) -> Iterator[Gateway]:
    with running(server, policy=BY_LOOKS, workers=2, database={"read_only": True}) as made:
        yield made


@pytest.fixture(scope="module")
def governed(server: Server) -> Iterator[Gateway]:
    """For tests that give it their own policy."""
    with running(server) as made:
        yield made


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    RawClient.close_all()


def refused_one_by_one(gateway: Gateway, server: Server, statements: tuple[str, ...]) -> None:
    """By the simple and by the extended protocol, on one connection that lives on; none reaches the database."""
    server.clear_log()
    client, readies = RawClient(gateway), 0
    for statement in statements:
        for messages in (query(statement), run(statement) + SYNC):
            readies += 1
            client.seen = b""
            client.send(messages).until(b"Z")
            assert next(kind for kind, _ in client.messages()) == b"E", statement
            assert client.error()["S"] == "ERROR", statement
    client.seen = b""
    client.send(query("select 'alive'")).until(b"Z")
    assert b"alive" in client.seen
    users = ("reader", "app")
    reached = [*server.statements(*users), *server.parsed(*users)]
    assert [text for text in reached if text in statements] == []


def test_a_masked_column_answers_no_questions(shipped: Gateway, server: Server) -> None:
    refused_one_by_one(shipped, server, INFERENCE)


def test_what_is_closed_is_closed_however_it_is_said(shipped: Gateway, server: Server) -> None:
    refused_one_by_one(shipped, server, CLOSED)


def test_a_column_stays_masked_on_every_way_it_is_selected(governed: Gateway, server: Server) -> None:
    governed.govern(BY_COLUMN)
    server.create("create view plain as select name, ssn as other from customers; grant select on plain to app")
    for statement in (
        "select ssn from customers",
        "select ssn as name from customers",
        "select * from customers",
        "table customers",
        "select x from (select ssn as x from customers) q",
        "with w as (select ssn as x from customers) select x from w",
        "select ssn::text from customers",
        "select name from customers union all select ssn from customers",
        "select other from plain",
        "select (select ssn from customers where id = 1)",
        "copy customers to stdout",
        "copy (select ssn from customers) to stdout (format csv)",
        "select c.* from customers c, lateral (select 1) l",
        "begin; declare c cursor for select ssn from customers; fetch all from c; commit",
        "prepare p as select ssn from customers",
    ):
        shown = psql(governed, statement)
        assert not any(ssn in shown for ssn in SSNS), statement
    both = psql(governed, "prepare p as select ssn, name from customers", "execute p")
    assert "****|Ada Byron" in both
    held = psql(governed, "begin", "declare c cursor for select ssn, name from customers", "fetch 1 from c")
    assert "****|Ada Byron" in held


def test_other_messages_carry_no_values(by_looks: Gateway) -> None:
    client = RawClient(by_looks)
    client.send(query("listen c"), query("select pg_notify('c', '078-05-1120')")).until(b"A")
    client.send(query("select set_config('application_name', '078-05-1120', false)")).until(b"S")
    client.send(query("do $$begin raise notice 'is it %', '078-05-1120'; end$$")).until(b"N")
    client.send(query("select '078-05-1120'::int")).until(b"E")
    client.send(query("select 1 / (length('078-05-1120') - 11)")).until(b"E", 2)
    client.quiet()
    assert b"078-05-1120" not in client.seen


def test_settings_that_change_what_is_read_or_written_stay(by_looks: Gateway, server: Server) -> None:
    refused_one_by_one(
        by_looks,
        server,
        (
            "begin read write",
            "start transaction read write",
            "set transaction read write",
            "set session characteristics as transaction read write",
            "set default_transaction_read_only = off",
            "set transaction_read_only = off",
            "select set_config('transaction_read_only', 'off', true)",
            "set standard_conforming_strings = off",
            "set backslash_quote = on",
            "set role postgres",
            "set session authorization default",
        ),
    )
    written = psql(by_looks, "insert into sink values ('x')")
    assert "25006" in written  # the database itself says so
    for options in ("-c standard_conforming_strings=off", "-c role=postgres"):
        shown = psql(by_looks, "select 1", options=f"'{options}'")
        assert "the startup parameter options is not open" in shown


def test_a_name_means_what_the_server_has_under_it(by_looks: Gateway) -> None:
    """After an error the server skips a Parse; whoever counted it would run another text under its name."""
    client = RawClient(by_looks)
    client.send(parse("select 'one'", "s"), SYNC).until(b"Z")
    client.send(run("select 1/0"), close("S", "s"), parse("select 'two'", "s"), SYNC).until(b"Z", 2)
    client.seen = b""
    client.send(bind("s"), execute(), SYNC).until(b"Z")
    assert b"one" in client.seen
    assert b"two" not in client.seen
    # What SQL prepares is another thing than what messages prepare, and the gateway's own names are nobody's.
    for statement in ("execute s", "execute extproc_1", "deallocate extproc_1", "fetch all from extproc_1"):
        client.seen = b""
        client.send(query(statement)).until(b"Z")
        assert client.error()["S"] == "ERROR", statement


def test_a_function_call_by_message_is_refused(by_looks: Gateway, server: Server) -> None:
    server.clear_log()
    client = RawClient(by_looks).send(wire.message(b"F", (1598).to_bytes(4, "big") + bytes(6)))  # random()
    client.until(b"Z")
    assert client.error()["C"] == "0A000"
    client.send(query("select 'alive'")).until(b"Z", 2)


def test_a_cancel_key_is_the_gateways_own_and_not_guessed(by_looks: Gateway, server: Server) -> None:
    client = RawClient(by_looks).send(query("select pg_sleep(30)"))
    active = (
        "select pid from pg_stat_activity where state = 'active' and usename = 'app' and query like '%pg_sleep(30)%'"
    )
    wait_for(lambda: server.psql(active).strip())
    for process, key in (
        (int(server.psql(active)), bytes(4)),
        (client.process, bytes(4)),
        (client.process ^ 1, client.key),
    ):
        cancel(by_looks, process, key)
    client.quiet(0.5)
    assert server.psql(active).strip()
    cancel(by_looks, client.process, client.key)  # whichever worker it reaches
    client.until(b"Z")
    assert client.error()["C"] == "57014"


def test_nobody_learns_the_password_and_the_token_goes_nowhere(by_looks: Gateway, server: Server) -> None:
    client = RawClient(by_looks)
    client.send(query("show all"), query("select current_user, session_user")).until(b"Z", 2)
    everything = by_looks.text_of_everything() + (by_looks.home / "up.log").read_bytes()
    for secret in (PASSWORDS["app"], by_looks.token()):
        assert secret.encode() not in client.seen
        assert secret.encode() not in everything
        assert secret not in server.log_text()


def test_clear_text_never_carries_a_token(server: Server, tmp_path: Path) -> None:
    authority = Authority()
    authority.issue("localhost", "localhost", "127.0.0.1").write(tmp_path / "crt", tmp_path / "key")
    (tmp_path / "ca").write_bytes(authority.pem)
    tls = {"certificate": str(tmp_path / "crt"), "key": str(tmp_path / "key")}
    with running(server, database={"tls": tls}) as gateway:
        port = gateway.database_port
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(startup(user="job"))
            answer = sock.recv(4096)
        assert answer[:1] == b"E"  # and no request for a password
        assert b"plaintext_refused" in answer
        request = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(request + query("select 'injected'"))
            with contextlib.suppress(ConnectionError):
                assert not sock.recv(4096).startswith(b"S")  # CVE-2021-23214
        trusting = gateway.dsn(sslmode="verify-full", sslrootcert=tmp_path / "ca")
        with psycopg.connect(trusting) as connection:
            assert connection.execute("select 'through TLS'").fetchone() == ("through TLS",)
        with pytest.raises(psycopg.OperationalError, match="plaintext_refused"):
            psycopg.connect(gateway.dsn(sslmode="disable"))
        gss = (8).to_bytes(4, "big") + (80877104).to_bytes(4, "big")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(gss)
            assert sock.recv(1) == b"N"


def test_a_yes_is_for_these_definitions_alone(governed: Gateway, server: Server) -> None:
    """A view that another connection replaces between the yes and its use."""
    governed.govern(HELD)
    server.create("create view shown as select name from customers; grant select on shown to app")
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(psql(governed, "copy (select * from shown) to stdout")))
    thread.start()
    waiting = pending(governed)
    server.create("create or replace view shown as select name, ssn from customers")
    approve(governed, waiting)
    thread.join(30)
    assert "definitions changed while the statement was held" in said[0]
    assert not any(ssn in said[0] for ssn in SSNS)


def test_a_held_statement_ends_with_a_cancel_and_nobody_can_approve_it_then(governed: Gateway) -> None:
    governed.govern(HELD)
    client = RawClient(governed).send(query("copy customers to stdout"))
    waiting = pending(governed)
    cancel(governed, client.process, client.key)
    client.until(b"Z")
    assert client.error()["C"] == "57014"
    wait_for(lambda: approve(governed, waiting) == 409)
    client.send(query("select 'alive'")).until(b"Z", 2)


def pending(gateway: Gateway) -> dict[str, str]:
    headers = {"authorization": f"Bearer {gateway.person()}"}
    found: list[dict[str, str]] = []

    def asked() -> bool:
        answer = httpx.get(f"{gateway.control}/v1/approvals?state=pending", headers=headers, trust_env=False)
        found[:] = answer.json()["approvals"]
        return bool(found)

    wait_for(asked)
    return found[0]


def approve(gateway: Gateway, approval: dict[str, str]) -> int:
    return httpx.post(
        f"{gateway.control}/v1/approvals/{approval['id']}/approve",
        json={"digest": approval["digest"], "acknowledge_masked": True},
        headers={"authorization": f"Bearer {gateway.person()}"},
        trust_env=False,
    ).status_code


def test_a_statement_has_the_time_that_policy_gives_it(governed: Gateway) -> None:
    governed.govern('package extproc\n\ndecision := {"action": "allow", "limits": {"seconds": 1, "rows": 3}}\n')
    client = RawClient(governed)
    for number, messages in enumerate((query("select pg_sleep(20)"), run("select pg_sleep(20)") + SYNC), 1):
        began = time.monotonic()
        client.send(messages).until(b"Z", 2 * number - 1)
        assert client.error()["C"] == "57014"
        assert time.monotonic() - began < 10
        client.send(query("select pg_sleep(0.7), 'in time'")).until(b"Z", 2 * number)
    client.seen = b""
    client.send(query("select generate_series(1, 10)")).until(b"Z")
    assert "".join(kind.decode() for kind, _ in client.messages()) == "TDDDEZ"
    assert client.error()["C"] == "53400"


def test_what_was_asked_and_answered_is_recorded_without_what_was_masked(shipped: Gateway) -> None:
    psql(shipped, "select name, ssn, email from customers where id = 1")
    listed = json.loads(shipped.cli("sessions", "list", "--json").stdout)["sessions"]
    session = next(one["session"] for one in listed if one["resource"] == "db")
    transcript = shipped.cli("sessions", "replay", session).stdout
    assert "select name, ssn, email from customers where id = 1" in transcript
    assert "Ada Byron" in transcript
    assert not any(ssn in transcript for ssn in SSNS)
    assert shipped.cli("sessions", "verify", check=False).returncode == 0


def test_the_extended_protocol_refuses_what_a_pipeline_hides(by_looks: Gateway, server: Server) -> None:
    """The decided part before it is undone, as its implicit transaction is."""
    server.clear_log()
    client = RawClient(by_looks)
    client.send(run("select 'first'"), run("set role postgres"), run("select 'third'"), SYNC).until(b"Z")
    assert client.error()["C"] == "42501"
    reached = server.statements("app")
    assert "set role postgres" not in reached
    assert "select 'third'" not in reached
