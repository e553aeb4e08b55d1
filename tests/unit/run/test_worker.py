"""What a worker makes of the configuration."""

from __future__ import annotations

from pathlib import Path

from extproc.config import load
from extproc.credential.base import PasswordCredential
from extproc.identity.mtls import ClientRule
from extproc.run.worker import client_rules, credentials, issuer_rules
from tests.unit.config.test_resources import CREDENTIALS, DB, TLS
from tests.unit.test_config import GOOD, written


def test_a_jobs_groups_come_from_the_configured_claim(tmp_path: Path) -> None:
    jobs = [{**GOOD["identity"]["jobs"][0], "groups_claim": "environment"}]
    config = load(written(tmp_path, {"identity": {**GOOD["identity"], "jobs": jobs}}))
    assert [rule.groups_claim for rule in issuer_rules(config)] == ["environment"]
    assert [rule.groups_claim for rule in issuer_rules(load(written(tmp_path)))] == ["groups"]


def test_client_certificates_count_for_the_resource_that_lists_them(tmp_path: Path) -> None:
    listed = {"client_ca": "jobs.ca", "client_identities": [{"subject": "cn:deploy", "groups": ["ci"]}]}
    databases = [DB, {**DB, "name": "stock", "port": 6433, "tls": {**TLS, **listed}}]
    config = load(written(tmp_path, {"credentials": CREDENTIALS, "resources": databases}))
    assert client_rules(config) == {"stock": (ClientRule("cn:deploy", ("ci",)),)}


def test_a_login_is_given_from_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("planted\n")
    reader = {"kind": "password", "username": "shop_reader", "file": "password"}
    made = {**CREDENTIALS, "reader": reader}
    config = load(written(tmp_path, {"credentials": made, "resources": [DB]}))
    login = credentials(config).login("reader")
    assert login == PasswordCredential("shop_reader", "planted", (b"planted",))
