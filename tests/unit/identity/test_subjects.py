"""How a client certificate's subject is written."""

from __future__ import annotations

import pytest

from extproc.identity.subjects import is_subject


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://acme.test",
        "spiffe://acme.test/ci/deploy",
        "spiffe://acme.test/ns/A_b/sa/c.d-e",
        "dns:ci.acme.test",
        "dns:runner-7",
        "cn:deploy",
        "cn:Deploy Bot, Ünit 7",
    ],
)
def test_names_that_a_certificate_may_go_by(text: str) -> None:
    assert is_subject(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deploy",
        "spiffe://",
        "spiffe:///ci",
        "spiffe://Acme.test/ci",
        "SPIFFE://acme.test/ci",
        "spiffe://acme.test/",
        "spiffe://acme.test//ci",
        "spiffe://acme.test/ci/../admin",
        "spiffe://acme.test/./ci",
        "spiffe://acme.test/c%69",
        "spiffe://acme.test/ci?x",
        "spiffe://acme.test:443/ci",
        "spiffe://user@acme.test/ci",
        "spiffe://acme.test/ci\n",
        "spiffe://acme.test/" + "x" * 2048,
        "dns:",
        "dns:CI.acme.test",
        "dns:*.acme.test",
        "dns:ci.acme.test.",
        "dns:ci.acme.test\n",
        "cn:",
        "cn: ",
        "cn:a\0b",
        "cn:a\u202eb",
        "uri:https://acme.test",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_name(text: str) -> None:
    assert not is_subject(text)
