"""Who asks and who answers, for tests of approvals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from extproc.approval.store import SqliteApprovalStore
from extproc.model import ApprovalRequest, HoldTerms, Identity

NOW = 1_800_000_000.0
ACTORS = {"octocat": "mona"}
TERMS = HoldTerms(approvers=("group:data-owners",), timeout=60.0)
JOB = Identity("https://jobs", "repo:acme/billing", "job", {"actor": "octocat", "run_id": "7"}, NOW + 600)
WINDOW = replace(TERMS, grant_seconds=3600.0, scope="GET /customers")


def person(name: str, *groups: str, subject: str = "", kind: Any = "person") -> Identity:
    found = groups or ("data-owners",)
    return Identity("https://people", subject or f"id-{name}", kind, {"actor": name}, NOW + 600, found)


ALICE, BOB = person("alice"), person("bob")


def asked(
    digest: str = "d" * 64, *, terms: HoldTerms = TERMS, identity: Identity = JOB, **changes: Any
) -> ApprovalRequest:
    request = ApprovalRequest(
        digest=digest,
        session="s-1",
        exchange="x-1",
        identity=identity,
        resource="app",
        summary="GET /customers.json",
        reason="customer data",
        rule="customers",
        shown={"identity": {"claims": {"actor": "octocat"}}, "operation": {"path": "/customers.json"}},
        whole=True,
        terms=terms,
        revision="r1",
        created_at=NOW,
    )
    return replace(request, **changes)


def opened(folder: Path, actors: dict[str, str] | None = None) -> SqliteApprovalStore:
    return SqliteApprovalStore(folder / "approvals.db", actors=ACTORS if actors is None else actors)
