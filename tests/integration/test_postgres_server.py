"""The servers that the other tests use do what those rely on."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.integration.postgres import DATABASE, PASSWORDS, Server


def connect(server: Server, user: str, **options: str) -> psycopg.Connection[tuple[object, ...]]:
    target = {"host": "127.0.0.1", "port": str(server.port), "user": user, "dbname": DATABASE}
    return psycopg.connect(make_conninfo("", **target, **options), password=PASSWORDS.get(user))


@pytest.mark.parametrize("user", sorted(PASSWORDS))
def test_each_role_logs_in_its_own_way(server: Server, user: str) -> None:
    with connect(server, user) as connection:
        assert connection.execute("SELECT current_user, count(*) FROM customers").fetchone() == (user, 3)


def test_a_certificate_opens_over_tls_only(server: Server) -> None:
    if not server.tls:
        pytest.skip("this PostgreSQL is built without TLS")
    certificate, key = map(str, server.client_pair())
    options = {"sslrootcert": str(server.ca_file), "sslmode": "verify-full", "sslcert": certificate, "sslkey": key}
    with connect(server, "certified", **options) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError):
        connect(server, "certified", sslmode="disable")


def test_the_superuser_has_no_way_in_over_tcp(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="reject"):
        connect(server, "postgres")


def test_the_log_says_what_was_run_and_what_was_only_parsed(server: Server) -> None:
    server.clear_log()
    with connect(server, "app") as connection:
        connection.execute("SELECT 1 AS\n simple", prepare=False)
        connection.execute("SELECT %s::int AS extended", [1])
        connection.pgconn.prepare(b"never_run", b"SELECT 2 AS parsed_only")
    assert "SELECT 1 AS\n simple" in server.statements()
    assert "SELECT $1::int AS extended" in server.statements("app")
    assert not [text for text in server.statements() if "parsed_only" in text]
    assert "SELECT 2 AS parsed_only" in server.parsed("app")
    assert server.statements("reader") == []


def test_a_killed_server_comes_back(server: Server) -> None:
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        connect(server, "app")
    server.run()
    assert server.psql("SELECT count(*) FROM customers") == "3"
