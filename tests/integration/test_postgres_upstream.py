"""The gateway's own way to a database over TLS: verified, bound to the channel, by password or by certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.certificates import Authority
from tests.integration.database import psql, running
from tests.integration.postgres import Server
from tests.integration.rawpg import RawClient, cancel, wait_for
from tests.unit.postgres.talking import query

pytestmark = pytest.mark.envoy

ACTIVE = (
    "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(30)%' and usename = 'app'"
)


def over_tls(server: Server, **more: Any) -> dict[str, Any]:
    return {"upstream_tls": "verify-full", "upstream_ca": str(server.ca_file), "upstream": upstream(server), **more}


def upstream(server: Server) -> str:
    return f"postgres://localhost:{server.port}/app"


def test_a_login_that_is_bound_to_the_channel_and_a_cancel_over_tls(postgres15: Server) -> None:
    database = over_tls(postgres15, upstream_auth="scram-sha-256-plus")
    with running(postgres15, database=database) as gateway:
        with psycopg.connect(gateway.dsn(), autocommit=True) as connection:
            found = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
            assert found == (True,)
        client = RawClient(gateway).send(query("select pg_sleep(30)"))
        wait_for(lambda: postgres15.psql(ACTIVE).split() == ["1"])
        cancel(gateway, client.process, client.key)
        client.until(b"Z")
        assert client.error()["C"] == "57014"
        client.close()


def test_a_login_by_certificate(postgres15: Server) -> None:
    certificate, key = postgres15.client_pair()
    credential = {"kind": "certificate", "username": "certified", "certificate": str(certificate), "key": str(key)}
    credentials = {"app": {"kind": "bearer", "env": "APP_TOKEN"}, "own": credential}
    with running(
        postgres15, database=over_tls(postgres15, credential="own"), settings={"credentials": credentials}
    ) as gateway:
        assert psql(gateway, "select current_user").strip() == "certified"


def test_a_database_that_is_not_the_one_is_refused(postgres15: Server, tmp_path: Path) -> None:
    (tmp_path / "other.crt").write_bytes(Authority().pem)
    with running(postgres15, database=over_tls(postgres15, upstream_ca=str(tmp_path / "other.crt"))) as gateway:
        shown = psql(gateway, "select 1")
        assert "upstream_unavailable" in shown
