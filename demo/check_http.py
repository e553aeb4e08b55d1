"""The demo's first act: requests over HTTP, to a Datasette over the customers."""

from __future__ import annotations

import json

import httpx

from demo.customers import ROWS
from demo.job import Check, Job, leaked, masked, rows_of


def allowed(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers.json?sql=select+count(*)+as+n+from+customers&_shape=array")
    return answer.status_code == 200 and answer.json() == [{"n": ROWS}], f"{answer.status_code}, {answer.text[:60]}"


def masked_json(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers/customers.json?_shape=objects&_size=20")
    rows = answer.json()["rows"]
    good = masked(rows) and len(rows) == 20
    found = leaked(answer.text)
    return good and not found, f"{answer.status_code}, {len(rows)} rows, {found} originals, name {rows[0]['name']!r}"


def masked_csv(job: Job) -> tuple[bool, str]:
    answer = job.get("/customers/customers.csv?_size=20")
    rows = rows_of(answer.text)
    good = masked(rows) and len(rows) == 20
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
    held = job.held(lambda: job.get("/customers/customers.csv?_stream=on"))
    if held.answer is None:
        return False, f"approved ({held.decided}), but nothing was delivered"
    rows, found = rows_of(held.answer.text), leaked(held.answer.text)
    good = (held.own, held.decided, held.answer.status_code, len(rows), held.early) == (403, 200, 200, ROWS, False)
    return good and not found, f"own approval {held.own}, other's {held.decided}, {len(rows)} rows, {found} originals"


def session(job: Job) -> tuple[bool, str]:
    mine = next(item for item in job.sessions("customers") if item["requests"] >= 4)
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
