"""`extproc approvals`: shows first, asks, sends what was seen; nothing that others wrote reaches the terminal raw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from extproc.approval.store import SqliteApprovalStore
from extproc.cli import approvals as module
from extproc.cli.approvals import approvals
from extproc.cli.rest import Client, Refused, Unreachable, is_loopback, read_token
from extproc.console.app import app
from extproc.errors import Refusal
from extproc.model import Identity
from tests.unit.approval.people import ALICE, NOW, TERMS, asked, opened, person


class People:
    """Tokens are names."""

    def verify(self, token: str, now: float) -> Identity:
        if token not in ("alice", "mona"):
            raise Refusal("identity_invalid")
        return person(token)

    async def fetch(self, issuer: str, kid: str) -> None:
        raise AssertionError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteApprovalStore]:
    made = opened(tmp_path)
    people = People()
    served = app(made, people, people, clock=lambda: NOW + 1, development=True)

    def ask(request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://gw.test") as client:
                answer = await client.request(
                    request.method, request.url, headers=dict(request.headers), content=request.content
                )
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        return asyncio.run(ask())

    def connect(_: Path, url: str | None, token_file: Path | None) -> Client:
        return Client(url or "http://gw.test", read_token(token_file), httpx.MockTransport(ask))

    monkeypatch.setattr(Client, "made", connect)
    yield made
    made.close()


def run(*arguments: str, token: str = "alice", stdin: str = "") -> Result:
    return CliRunner().invoke(approvals, list(arguments), env={"EXTPROC_TOKEN": token}, input=stdin)


def state(store: SqliteApprovalStore, approval: str) -> str:
    found = store.get(approval)
    assert found is not None
    return found.state


def test_list_and_show_say_what_waits(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    for arguments in (["list"], ["show", approval.id]):
        said = run(*arguments)
        assert said.exit_code == 0
        for part in (approval.id, "GET /customers.json", "customer data", "octocat"):
            assert part in said.output
    assert json.loads(run("list", "--json").output)["approvals"][0]["id"] == approval.id
    assert json.loads(run("show", approval.id, "--json").output)["digest"] == "d" * 64
    assert json.loads(run("list", "--state", "used", "--json").output) == {"approvals": []}
    assert len(json.loads(run("list", "--state", "all", "--json").output)["approvals"]) == 1


def test_approving_sends_what_was_seen_and_why(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    said = run("approve", approval.id, "--justification", "ticket 4711", "--yes")
    assert said.exit_code == 0, said.output
    assert f"{approval.id} is approved" in said.output
    found = store.get(approval.id)
    assert found is not None
    assert (found.state, found.decided_by, found.justification) == ("approved", ("alice",), "ticket 4711")


def test_denying_does_too(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    said = run("deny", approval.id, "--yes", "--json")
    assert json.loads(said.output)["state"] == "denied"


def test_the_first_of_two_is_told_how_many_are_missing(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, minimum=2)), NOW)
    assert "1 of 2 people" in run("approve", approval.id, "--yes").output


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_without_a_terminal_and_without_yes_nothing_is_answered(store: SqliteApprovalStore, verb: str) -> None:
    approval = store.open(asked(), NOW)
    assert run(verb, approval.id, stdin="y\n").exit_code == 2
    assert state(store, approval.id) == "pending"


@pytest.mark.parametrize(
    ("typed", "expected", "exit_code"), [("n", "pending", 1), ("", "pending", 1), ("y", "approved", 0)]
)
def test_on_a_terminal_people_are_asked(
    store: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch, typed: str, expected: str, exit_code: int
) -> None:
    approval = store.open(asked(), NOW)
    monkeypatch.setattr(module, "sys", _Terminal)
    said = run("approve", approval.id, stdin=typed + "\n")
    assert said.exit_code == exit_code
    assert state(store, approval.id) == expected


class _Terminal:
    class stdin:  # noqa: N801
        @staticmethod
        def isatty() -> bool:
            return True


def test_what_is_not_shown_whole_needs_a_word_more(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(whole=False), NOW)
    said = run("approve", approval.id, "--yes")
    assert said.exit_code == 2
    assert "NOT ALL SHOWN" in said.output
    assert state(store, approval.id) == "pending"
    assert run("approve", approval.id, "--yes", "--acknowledge-masked").exit_code == 0
    assert state(store, approval.id) == "approved"


@pytest.mark.parametrize("token", ["mona", "nobody"])
def test_a_refusal_is_exit_code_1_and_says_its_stable_code(store: SqliteApprovalStore, token: str) -> None:
    approval = store.open(asked(), NOW)
    said = run("approve", approval.id, "--yes", token=token)
    assert said.exit_code == 1
    assert ("own_request" if token == "mona" else "identity_invalid") in said.output
    assert state(store, approval.id) == "pending"


def test_a_name_that_is_no_name_never_becomes_a_path(store: SqliteApprovalStore) -> None:
    for name in ("../healthz", "a/../b", "a?x", "", "a%2fb"):
        assert run("show", name).exit_code == 2


def test_what_others_wrote_cannot_move_the_terminal(store: SqliteApprovalStore) -> None:
    evil = "\x1b[2J\u202eevil\r\nfake line [bold]x[/bold]"
    approval = store.open(
        asked(summary=evil, reason=evil, rule=evil, shown={"body": evil, evil: [evil]}, resource=evil), NOW
    )
    store.decide(approval.id, ALICE, approve=False, justification=evil, now=NOW + 1)
    for arguments in (["list", "--state", "all"], ["show", approval.id], ["show", approval.id, "--json"]):
        said = run(*arguments)
        assert said.exit_code == 0
        assert not set(said.output) & set("\x1b\u202e\r\x7f")
        assert not [line for line in said.output.splitlines() if line.startswith("fake")]


def test_watch_shows_what_waits_and_each_change(store: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    approval = store.open(asked(), NOW)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    really, asked_before = Client.get, 0

    def get(self: Client, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        nonlocal asked_before
        asked_before += 1
        if asked_before == 2:
            raise Unreachable("starting again")
        if asked_before == 3:
            store.decide(approval.id, ALICE, approve=True, justification="", now=NOW + 1)
        if asked_before == 4:
            raise KeyboardInterrupt
        return really(self, path, query)

    monkeypatch.setattr(Client, "get", get)
    said = run("watch", "--json")
    assert said.exit_code == 0
    assert [json.loads(line)["state"] for line in said.output.splitlines()] == ["pending", "approved"]


# --- the connection


def answering(status: int, content: bytes) -> Client:
    return Client("http://127.0.0.1:1", "t", httpx.MockTransport(lambda _: httpx.Response(status, content=content)))


@pytest.mark.parametrize(
    ("status", "content"), [(200, b"<html>"), (200, b"[]"), (302, b"{}"), (500, b"{}"), (502, b"bad gateway")]
)
def test_an_answer_of_somebody_else_is_a_refusal(status: int, content: bytes) -> None:
    with answering(status, content) as client, pytest.raises(Refused):
        client.get("/v1/approvals")


def test_no_answer_is_a_refusal() -> None:
    with Client("http://127.0.0.1:1", "t") as client, pytest.raises(Unreachable) as refused:
        client.get("/v1/approvals")
    assert refused.value.exit_code == 1


def test_a_token_comes_from_the_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTPROC_TOKEN", "from-variable\n")
    assert read_token(None) == "from-variable"
    (tmp_path / "token").write_text("from-file\n")
    assert read_token(tmp_path / "token") == "from-file"


@pytest.mark.parametrize("token", ["", " \n", "two lines\nof it", "a\r\nhost: evil", "t\u00f6ken"])
def test_what_is_no_token_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.delenv("EXTPROC_TOKEN", raising=False)
    (tmp_path / "token").write_text(token)
    for where in (None, tmp_path / "token", tmp_path / "nothing"):
        with pytest.raises(click.UsageError):
            read_token(where)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8081", True),
        ("http://[::1]:8081", True),
        ("http://localhost:1", True),
        ("https://gateway.example", False),
        ("http://localhost.example", False),
    ],
)
def test_no_proxy_stands_between_us_and_this_machine(url: str, *, loopback: bool) -> None:
    assert is_loopback(url) is loopback
