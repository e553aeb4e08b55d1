"""A scripted CI job: real requests through the Envoy listener, and whether each came out as promised."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache

import httpx

from demo.customers import ROWS
from demo.stack import DATA, Stack

MASK = "****"


@dataclass(frozen=True)
class Row:
    """One request of the job: what was expected, what happened, whether that is the same."""

    what: str
    expected: str
    happened: str
    ok: bool

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


Check = tuple[str, str, Callable[["Job"], tuple[bool, str]]]


class Job:
    """A CI job of acme/billing: it has its own token and nothing else."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = httpx.Client(base_url=stack.customers, timeout=60, trust_env=False)
        self.token = stack.token("--repo", "acme/billing", "--run-id", "4711")
        self.owner = stack.token("--person", "dana", "--group", "data-owners")

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        token = self.token if token is None else token
        return self.client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})


def checks(stack: Stack) -> Iterator[Row]:
    job = Job(stack)
    for what, expected, check in CHECKS:
        try:
            ok, happened = check(job)
        except (httpx.HTTPError, KeyError, ValueError, IndexError, AssertionError) as error:
            ok, happened = False, f"{type(error).__name__}: {error}"
        yield Row(what, expected, happened, ok)


@cache
def originals() -> frozenset[str]:
    """Every card number, SSN and e-mail of the database."""
    with sqlite3.connect(DATA / "customers.db") as database:
        rows = database.execute("select card_number, ssn, email from customers").fetchall()
    database.close()
    return frozenset(value for row in rows for value in row)


def leaked(text: str) -> int:
    """How many original values stand in a text."""
    words = set(re.findall(r"[^\s,\"'{}\[\]]+", text))
    return len(words & originals())


def allowed(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers.json?sql=select+count(*)+as+n+from+customers&_shape=array")
    return answer.status_code == 200 and answer.json() == [{"n": ROWS}], f"{answer.status_code}, {answer.text[:60]}"


def masked_json(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers/customers.json?_shape=objects&_size=20")
    rows = answer.json()["rows"]
    good = all(row["card_number"] == row["email"] == row["ssn"] == MASK for row in rows) and len(rows) == 20
    found = leaked(answer.text)
    return good and not found, f"{answer.status_code}, {len(rows)} rows, {found} originals, name {rows[0]['name']!r}"


def masked_csv(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers/customers.csv?_size=20")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    good = all(row["card_number"] == row["email"] == row["ssn"] == MASK for row in rows) and len(rows) == 20
    found = leaked(answer.text)
    return good and not found, f"{answer.status_code}, {len(rows)} rows, {found} originals"


def select_star(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers.json?sql=select+*+from+customers")
    problem = answer.json()
    good = answer.status_code == 403 and problem["rule"] == "customers.whole_table" and bool(problem["session"])
    return good, f"{answer.status_code}, {problem['detail']}"


def no_token(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers.json", token="")
    return answer.status_code == 401 and answer.json()["type"].endswith(":identity_missing"), _told(answer)


def pull_request(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers/customers.json", token=job.stack.token("--repo", "acme/billing", "--fork"))
    return answer.status_code == 403 and answer.json()["rule"] == "job.pull_request", _told(answer)


def export(job: Job) -> tuple[bool, str]:
    """Held; the job's own actor may not approve; a data owner may; then all rows come, masked."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(job.get("/customers/customers.csv?_stream=on")), daemon=True
    )
    thread.start()
    approval = _pending(job)
    own = _approve(job, approval, job.stack.token("--person", "mona", "--group", "data-owners"))
    early = bool(answers)
    decided = _approve(job, approval, job.owner)
    thread.join(60)
    if not answers:
        return False, f"approved ({decided.status_code}), but nothing was delivered"
    rows = list(csv.DictReader(io.StringIO(answers[0].text)))
    found = leaked(answers[0].text)
    good = (own.status_code, decided.status_code, answers[0].status_code, len(rows)) == (403, 200, 200, ROWS)
    happened = f"own approval {own.status_code}, other's {decided.status_code}, {len(rows)} rows, {found} originals"
    return good and not found and not early, happened


def _pending(job: Job) -> dict[str, object]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        listed = httpx.get(
            f"{job.stack.control}/v1/approvals?state=pending", headers=_bearer(job.owner), trust_env=False
        )
        if listed.is_success and listed.json()["approvals"]:
            approval: dict[str, object] = listed.json()["approvals"][0]
            return approval
        time.sleep(0.05)
    raise AssertionError("the request was not held")


def _approve(job: Job, approval: dict[str, object], token: str) -> httpx.Response:
    url = f"{job.stack.control}/v1/approvals/{approval['id']}/approve"
    body = {"digest": approval["digest"], "justification": "quarterly audit"}
    return httpx.post(url, json=body, headers=_bearer(token), trust_env=False)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def session(job: Job) -> tuple[bool, str]:
    listed = json.loads(job.stack.extproc("sessions", "list", "--json").stdout)["sessions"]
    mine = next(item for item in listed if item["session"] != "-" and item["requests"] >= 4)
    replayed = job.stack.extproc("sessions", "replay", mine["session"], "--json")
    exchanges = json.loads(replayed.stdout)["exchanges"]
    verified = job.stack.extproc("sessions", "verify")
    found = leaked(replayed.stdout)
    good = verified.returncode == 0 and len(exchanges) >= 4 and not found and job.token not in replayed.stdout
    happened = f"{mine['session']}, {len(exchanges)} exchanges, {found} originals, verify exits {verified.returncode}"
    return good, happened


def _told(answer: httpx.Response) -> str:
    return f"{answer.status_code}, {answer.json()['detail']}"


CHECKS: tuple[Check, ...] = (
    ("select count(*) from customers", "allowed", allowed),
    ("20 customers as JSON", "allowed, cards, SSNs and e-mails masked", masked_json),
    ("20 customers as CSV", "allowed, cards, SSNs and e-mails masked", masked_csv),
    ("select * from customers", "refused with a reason", select_star),
    ("CSV export of the whole table", "held; own approval refused; approved; delivered masked", export),
    ("a request without a token", "refused, 401", no_token),
    ("a job of a fork's pull request", "refused", pull_request),
    ("the session afterwards", "listed, replayed without originals, verified", session),
)
