"""Databases in extproc.yaml, and the logins that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extproc.config import Config, HttpSection, PostgresSection, load
from extproc.config.resources import _KEPT
from extproc.model import PostgresResource, Role, TlsFiles
from extproc.postgres.settings import PINNED
from tests.unit.test_config import GOOD, complaint, written

TLS = {"certificate": "tls/gateway.crt", "key": "tls/gateway.key"}
DB: dict[str, Any] = {
    "name": "shop",
    "kind": "postgres",
    "port": 6432,
    "upstream": "postgres://db.internal/shop",
    "tls": TLS,
    "credential": "reader",
}
CREDENTIALS: dict[str, Any] = {
    **GOOD["credentials"],
    "reader": {"kind": "password", "username": "shop_reader", "env": "READER"},
    "owner": {"kind": "certificate", "username": "shop_owner", "certificate": "c/owner.crt", "key": "c/owner.key"},
}


def file(folder: Path, change: dict[str, Any] | None = None, /, **resource: Any) -> Path:
    """A configuration with an HTTP resource and a database; a field that is None is left out."""
    changed = {name: value for name, value in {**DB, **resource}.items() if value is not None}
    document = {"credentials": CREDENTIALS, "resources": [*GOOD["resources"], changed], **(change or {})}
    return written(folder, document)


def model(config: Config) -> PostgresResource:
    (section,) = config.postgres.values()
    return section.to_model(config.recording.level)


def test_a_database_with_what_is_needed_and_no_more(tmp_path: Path) -> None:
    config = load(file(tmp_path))
    assert model(config) == PostgresResource(
        "shop",
        "postgres",
        "postgres://db.internal/shop",
        credential="reader",
        database="shop",
        host="db.internal",
        port=5432,
        upstream_tls="verify-full",
        upstream_auth="scram-sha-256",
        tls=TlsFiles(str(tmp_path / "tls/gateway.crt"), str(tmp_path / "tls/gateway.key")),
        connections=100,
    )


def test_a_database_with_everything(tmp_path: Path) -> None:
    wanted = {
        "upstream_ca": "tls/db.ca",
        "upstream_auth": "md5",
        "tls": {**TLS, "client_ca": "tls/jobs.ca", "client_identities": [{"subject": "cn:deploy", "groups": ["ci"]}]},
        "roles": [{"groups": ["owners", "ops"], "credential": "owner"}],
        "labels": {"data": "customers"},
        "recording": "metadata",
        "read_only": True,
        "search_path": ["app", "public"],
        "settings": {"Statement_Timeout": "30s", "app.tenant": "7"},
        "connections": 7,
    }
    found = model(load(file(tmp_path, **wanted)))
    assert found.upstream_ca == str(tmp_path / "tls/db.ca")
    assert found.tls is not None
    assert found.tls.client_ca == str(tmp_path / "tls/jobs.ca")
    assert found.roles == (Role(frozenset({"owners", "ops"}), "owner"),)
    assert (found.labels, found.recording) == ({"data": "customers"}, "metadata")
    assert (found.read_only, found.search_path, found.connections) == (True, ("app", "public"), 7)
    assert found.settings == {"statement_timeout": "30s", "app.tenant": "7"}
    assert found.upstream_auth == "md5"


def test_a_socket_of_this_machine_needs_no_tls(tmp_path: Path) -> None:
    found = model(load(file(tmp_path, upstream="postgres:///shop?host=/run/pg&port=5433", upstream_tls="disable")))
    assert (found.host, found.socket_dir, found.port) == ("", "/run/pg", 5433)


def test_clear_text_on_loopback(tmp_path: Path) -> None:
    assert model(load(file(tmp_path, tls=None, plaintext=True))).tls is None


def test_kinds_lie_beside_each_other_and_keep_their_places(tmp_path: Path) -> None:
    config = load(file(tmp_path))
    assert [type(resource) for resource in config.resources] == [HttpSection, PostgresSection]
    assert [resource.name for resource in config.http] == ["app"]
    assert list(config.postgres) == [1]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"port": None}, "port"),
        ({"hosts": ["shop.localhost"]}, "hosts"),
        ({"upstream": "http://db.internal"}, "expected postgres://host:port/database"),
        ({"tls": None}, "either `tls` or plaintext"),
        ({"plaintext": True}, "either `tls` or plaintext"),
        ({"tls": {"certificate": "x"}}, "key"),
        ({"tls": {**TLS, "client_ca": "x"}}, "client_identities"),
        ({"tls": {**TLS, "client_identities": [{"subject": "cn:x"}]}}, "client_ca"),
        ({"tls": {**TLS, "client_ca": "x", "client_identities": [{"subject": "deploy"}]}}, "spiffe://"),
        ({"tls": {**TLS, "client_ca": "x", "client_identities": [{"subject": "cn:x"}, {"subject": "cn:x"}]}}, "twice"),
        ({"upstream_tls": "require"}, "upstream_tls"),
        ({"upstream_tls": "disable", "upstream_ca": "x"}, "upstream_ca"),
        ({"upstream_tls": "disable", "upstream_auth": "scram-sha-256-plus"}, "binds to it"),
        ({"upstream": "postgres:///shop?host=/run/pg"}, "unix socket"),
        ({"credential": None}, "without a login nobody gets in"),
        ({"credential": "app"}, "of kind password or certificate; app is another"),
        ({"credential": "nobody"}, "`credentials` names"),
        ({"roles": [{"groups": ["a"], "credential": "nobody"}]}, "`credentials` names"),
        ({"roles": [{"groups": ["a"], "credential": "app"}]}, "app is another"),
        ({"roles": [{"groups": [], "credential": "reader"}]}, "groups"),
        ({"search_path": ["x" * 64]}, "63 bytes"),
        ({"search_path": [""]}, "63 bytes"),
        ({"settings": {"Search_Path": "x"}}, "no search_path here"),
        ({"settings": {"work_mem": "1", "WORK_MEM": "2"}}, "each once"),
        ({"settings": {"a b": "1"}}, "each once"),
        ({"settings": {"_pq_.x": "1"}}, "each once"),
        ({"settings": {"work_mem": "1\0"}}, "control characters"),
        ({"settings": {"work_mem": 1}}, "settings"),
        ({"upstream_tls": "disable", "credential": "owner"}, "with a certificate"),
        ({"connections": 0}, "connections"),
        ({"port": 8080}, "port once"),
        ({"name": "app"}, "name once"),
    ],
)
def test_a_database_that_could_not_be_kept_is_refused(tmp_path: Path, resource: dict[str, Any], words: str) -> None:
    assert words in complaint(file(tmp_path, **resource))


@pytest.mark.parametrize("kind", ["mysql", "", 1, ["http"], None])
def test_a_kind_is_one_of_those_that_are_known(tmp_path: Path, kind: object) -> None:
    resource = {**DB, "kind": kind}
    said = complaint(written(tmp_path, {"resources": [resource]}))
    assert "resources.0: expected kind: http or postgres" in said


def test_a_complaint_names_the_field_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, search_path=["public", ""], port=0)
    lines = path.read_text().splitlines()
    said = complaint(path)
    port = next(n for n, text in enumerate(lines, 1) if text.strip() == "port: 0")
    assert f"{path}:{port}: resources.1.port: " in said
    assert "resources.1.search_path.1: " in said


def test_a_complaint_shows_no_password_of_a_url(tmp_path: Path) -> None:
    said = complaint(file(tmp_path, upstream="postgres://app:s3cret-value@db.internal/shop"))
    assert "resources.1.upstream" in said
    assert "s3cret-value" not in said


def test_secrets_go_over_tls_or_do_not_leave_this_machine(tmp_path: Path) -> None:
    production = {
        "development": False,
        "identity": {"jobs": [{"issuer": "https://issuer.test", "audience": "x"}]},
    }
    bare = {"upstream_tls": "disable"}
    assert "verify-full" in complaint(file(tmp_path, production, **bare))
    assert "verify-full" in complaint(file(tmp_path, production, upstream="postgres://10.0.0.1/x", **bare))
    load(file(tmp_path, production, upstream="postgres://127.0.0.1/x", **bare))
    load(file(tmp_path, production, upstream="postgres:///x?host=/run", **bare))
    load(file(tmp_path, **bare))  # development
    everywhere = {"listen": "0.0.0.0:8080"}
    assert "`tls`" in complaint(file(tmp_path, everywhere, tls=None, plaintext=True))
    load(file(tmp_path, everywhere))


def test_http_takes_no_login_of_a_database(tmp_path: Path) -> None:
    http = [{**GOOD["resources"][0], "credential": "reader"}]
    said = complaint(file(tmp_path, {"resources": http}))
    assert "of kind bearer or basic or header; reader is another" in said


def test_the_first_role_that_shares_a_group_decides(tmp_path: Path) -> None:
    roles = [{"groups": ["ops"], "credential": "owner"}, {"groups": ["ci", "ops"], "credential": "reader"}]
    found = model(load(file(tmp_path, roles=roles, credential=None)))
    asked: list[tuple[str, ...]] = [("ops",), ("x", "ci"), ("ci", "ops"), ("x",), ()]
    assert [found.credential_for(groups) for groups in asked] == ["owner", "reader", "owner", "", ""]
    other = model(load(file(tmp_path, roles=roles, credential="reader")))
    assert other.credential_for(("x",)) == "reader"


def test_what_the_gateway_pins_is_not_for_the_file() -> None:
    assert set(PINNED) <= _KEPT


def test_the_longest_state_dir_leaves_room_for_every_socket(tmp_path: Path) -> None:
    config = load(file(tmp_path)).model_copy(update={"state_dir": Path("/" + "x" * 79)})
    assert len(str(config.socket_path(63))) <= 107
    assert len(str(config.pg_socket_path(999_999, 63))) <= 107
