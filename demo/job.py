"""A CI job and a data owner of the demo, and what both kinds of checks need of them."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import httpx

from demo.stack import DATA, Stack

MASK = "****"
T = TypeVar("T")


@dataclass(frozen=True)
class Held(Generic[T]):
    """
    What came of something that was held: the status of the job's `own` approval and of what a data owner `decided`, the
    `answer` (None: none came), and whether it was there too `early`, before the data owner's yes.
    """

    own: int
    decided: int
    answer: T | None
    early: bool


class Job:
    """A CI job of acme/billing: it has its own token and nothing else. `owner` is a data owner's token."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = httpx.Client(base_url=stack.customers, timeout=60, trust_env=False)
        self.token = stack.token("--repo", "acme/billing", "--run-id", "4711")
        self.owner = stack.token("--person", "dana", "--group", "data-owners")
        self.author = stack.token("--person", "mona", "--group", "data-owners")  # who started the job

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        token = self.token if token is None else token
        return self.client.get(path, headers=bearer(token) if token else {})

    def pending(self) -> dict[str, object]:
        """The approval that waits; AssertionError where none does within 10 s."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            url = f"{self.stack.control}/v1/approvals?state=pending"
            listed = httpx.get(url, headers=bearer(self.owner), trust_env=False)
            if listed.is_success and listed.json()["approvals"]:
                approval: dict[str, object] = listed.json()["approvals"][0]
                return approval
            time.sleep(0.05)
        raise AssertionError("it was not held")

    def approve(self, approval: dict[str, object], token: str) -> int:
        """The answer's status."""
        url = f"{self.stack.control}/v1/approvals/{approval['id']}/approve"
        body = {"digest": approval["digest"], "justification": "quarterly audit"}
        return httpx.post(url, json=body, headers=bearer(token), trust_env=False).status_code

    def held(self, ask: Callable[[], T]) -> Held[T]:
        """Asks, while the job's own actor tries to approve it, and then a data owner."""
        answers: list[T] = []
        thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
        thread.start()
        approval = self.pending()
        own = self.approve(approval, self.author)
        early = bool(answers)
        decided = self.approve(approval, self.owner)
        thread.join(60)
        return Held(own, decided, answers[0] if answers else None, early)

    def sessions(self, resource: str) -> list[dict[str, Any]]:
        """What `extproc sessions list` says, without what was refused before there was a session."""
        told = self.stack.extproc("sessions", "list", "--resource", resource, "--json").stdout
        return [item for item in json.loads(told)["sessions"] if item["session"] != "-"]


# What is asked, what is expected, and what tells whether it came so and how.
Check = tuple[str, str, Callable[[Job], tuple[bool, str]]]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of CSV with a header."""
    return list(csv.DictReader(io.StringIO(text)))


def masked(rows: Iterable[Mapping[str, object]]) -> bool:
    """Whether every secret column of every customer is."""
    return all(row["card_number"] == row["email"] == row["ssn"] == MASK for row in rows)


@cache
def originals() -> frozenset[str]:
    """Every card number, SSN and e-mail of the databases."""
    with closing(sqlite3.connect(DATA / "customers.db")) as database:
        rows = database.execute("select card_number, ssn, email from customers").fetchall()
    return frozenset(value for row in rows for value in row)


def leaked(text: str) -> int:
    """How many original values stand in a text."""
    words = set(re.findall(r"[^\s,|\"'{}\[\]]+", text))
    return len(words & originals())
