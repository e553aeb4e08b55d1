"""The demo's first act: requests over HTTP, to a Datasette over the customers."""

from __future__ import annotations

import csv
import io
import json
import threading

import httpx

from demo.customers import ROWS
from demo.job import MASK, Check, Job, leaked


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
    approval = job.pending()
    own = job.approve(approval, job.author)
    early = bool(answers)
    decided = job.approve(approval, job.owner)
    thread.join(60)
    if not answers:
        return False, f"approved ({decided}), but nothing was delivered"
    rows = list(csv.DictReader(io.StringIO(answers[0].text)))
    found = leaked(answers[0].text)
    good = (own, decided, answers[0].status_code, len(rows)) == (403, 200, 200, ROWS)
    happened = f"own approval {own}, other's {decided}, {len(rows)} rows, {found} originals"
    return good and not found and not early, happened


def session(job: Job) -> tuple[bool, str]:
    listed = json.loads(job.stack.extproc("sessions", "list", "--resource", "customers", "--json").stdout)["sessions"]
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
