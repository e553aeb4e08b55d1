"""Logins to real servers, each way that they know."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from extproc.postgres.database.login import Login, LoginError, cancel_request
from extproc.postgres.settings import PINNED
from tests.integration.pglink import linked, trusting
from tests.integration.postgres import DATABASE, PASSWORDS, Server, serving


@pytest.fixture
def encrypted(postgres15: Server) -> Server:
    return postgres15


@pytest.fixture(scope="module")
def edwards(postgres15: Server) -> Iterator[Server]:
    with serving(15, digest="ed25519") as server:
        yield server


def login(user: str = "app") -> Login:
    return Login(user, DATABASE, PASSWORDS.get(user, ""), "extproc-gateway", PINNED, least="password")


@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize(
    ("user", "method"),
    [("app", "scram-sha-256"), ("legacy", "md5"), ("plain", "password"), ("reader", "scram-sha-256")],
)
def test_each_method(server: Server, user: str, method: str, *, unix: bool) -> None:
    with linked(server, login(user), unix=unix) as link:
        assert link.ready.method == method
        assert link.ready.protocol == (3, 0)
        assert link.ready.parameters["server_version"].startswith(str(server.version))
        asked = "SELECT current_user, session_user, current_setting('application_name')"
        assert link.query(asked) == [[(user, user, "extproc-gateway")]]


@pytest.mark.parametrize(
    ("user", "method"),
    [("app", "scram-sha-256-plus"), ("legacy", "md5"), ("plain", "password"), ("certified", "trust")],
)
def test_each_method_over_tls(encrypted: Server, user: str, method: str) -> None:
    pair = encrypted.client_pair() if user == "certified" else None
    asked = replace(login(user), least="scram-sha-256", certificate=True) if pair else login(user)
    with linked(encrypted, asked, tls=trusting(encrypted.ca_file, pair)) as link:
        assert link.ready.method == method
        assert link.query("SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [[(user, "t")]]


def test_another_ca_is_not_trusted(encrypted: Server, edwards: Server) -> None:
    with (
        pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"),
        linked(encrypted, login(), tls=trusting(edwards.ca_file)),
    ):
        pass


@pytest.mark.parametrize("digest", ["SHA384", "SHA512"])
def test_binding_to_certificates_signed_with_other_hashes(encrypted: Server, digest: str) -> None:
    with serving(15, digest=digest) as server, linked(server, login(), tls=trusting(server.ca_file)) as link:
        assert link.ready.method == "scram-sha-256-plus"


def test_a_certificate_without_a_hash_of_its_own_is_refused(edwards: Server) -> None:
    with pytest.raises(LoginError, match="certificate"), linked(edwards, login(), tls=trusting(edwards.ca_file)):
        pass


def test_a_server_without_tls_is_refused(postgres18: Server) -> None:
    if postgres18.tls:
        pytest.skip("this PostgreSQL has TLS")
    with (
        pytest.raises(LoginError, match="does not speak TLS"),
        linked(postgres18, login(), tls=trusting(postgres18.ca_file)),
    ):
        pass


@pytest.mark.parametrize("user", ["app", "legacy", "plain"])
def test_a_wrong_password(server: Server, user: str) -> None:
    with pytest.raises(LoginError) as caught, linked(server, replace(login(user), password="wrong")):
        pass
    assert caught.value.sqlstate == "28P01"
    assert user not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ({"database": "nowhere"}, "3D000"),
        ({"user": "postgres", "password": "x"}, "28000"),
        ({"parameters": {"no_such_setting": "1"}}, "08004"),
        ({"parameters": {**PINNED, "session_replication_role": "replica"}}, "42501"),
    ],
)
def test_servers_that_say_no(server: Server, change: dict[str, object], sqlstate: str) -> None:
    changed = replace(login(), **change)  # type: ignore[arg-type]
    with pytest.raises(LoginError) as caught, linked(server, changed):
        pass
    assert caught.value.sqlstate == sqlstate


def test_a_full_server_may_be_tried_again(server: Server) -> None:
    server.create("ALTER ROLE reader CONNECTION LIMIT 0")
    try:
        with pytest.raises(LoginError) as caught, linked(server, login("reader")):
            pass
    finally:
        server.create("ALTER ROLE reader CONNECTION LIMIT -1")
    assert (caught.value.sqlstate, caught.value.passing) == ("53000", True)


def test_what_is_pinned_holds_against_the_roles_own_settings(server: Server) -> None:
    server.create("ALTER ROLE reader SET standard_conforming_strings = off; ALTER ROLE reader SET search_path = evil")
    try:
        pinned = replace(login("reader"), parameters={**PINNED, "search_path": "public"})
        with linked(server, pinned) as link:
            ask = "SELECT current_setting('standard_conforming_strings'), current_setting('search_path')"
            assert link.query(ask) == [[("on", "public")]]
            assert link.query(f"RESET ALL; {ask}")[-1] == [("on", "public")]
    finally:
        server.create("ALTER ROLE reader RESET ALL")


def test_a_newer_protocol_where_the_server_has_it(server: Server) -> None:
    with linked(server, replace(login(), protocol=(3, 2))) as link:
        newer = server.version >= 18
        assert link.ready.protocol == ((3, 2) if newer else (3, 0))
        assert len(link.ready.key) == (32 if newer else 4)


@pytest.mark.parametrize("protocol", [(3, 0), (3, 2)])
def test_the_key_cancels_its_connection(server: Server, protocol: tuple[int, int]) -> None:
    with linked(server, replace(login(), protocol=protocol)) as link:
        link.query("SET statement_timeout = '20s'")
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            link.send("SELECT pg_sleep(30)")
            time.sleep(0.1)
            other.sendall(cancel_request(link.ready.process, link.ready.key))
            assert other.recv(1) == b""
        with pytest.raises(AssertionError, match="C57014"):
            link.results()
