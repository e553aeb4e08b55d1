from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.identity import documents
from extproc.identity.documents import document_of, masked_document_of
from extproc.model import Identity
from extproc.redact.text import mask

JOB = Identity("https://issuer", "repo:acme/app", "job", {"actor": "octocat", "mail": "ada@example.com"}, 1.0, ("ops",))
DOCUMENT = {
    "issuer": "https://issuer",
    "subject": "repo:acme/app",
    "kind": "job",
    "claims": {"actor": "octocat", "mail": "ada@example.com"},
    "groups": ["ops"],
}


def test_policy_sees_all_of_an_identity_but_when_it_ends() -> None:
    assert document_of(JOB) == DOCUMENT
    assert document_of(JOB) is document_of(JOB)


def test_the_record_sees_it_masked() -> None:
    assert masked_document_of(JOB, mask) == {**DOCUMENT, "claims": {"actor": "octocat", "mail": "****"}}
    assert masked_document_of(JOB, str.upper)["CLAIMS"]["ACTOR"] == "OCTOCAT"


def test_no_identity_is_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_MOST", 3)
    for number in range(50):  # objects that are gone leave their addresses to others
        one = replace(JOB, subject=f"repo:acme/{number}")
        assert document_of(one)["subject"] == masked_document_of(one, mask)["subject"] == f"repo:acme/{number}"
    assert document_of(JOB)["subject"] == "repo:acme/app"
