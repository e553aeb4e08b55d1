"""The demo's second act: psql, connected to a PostgreSQL over the same customers."""

from __future__ import annotations

import re
import subprocess

from demo.customers import ROWS
from demo.job import MASK, Check, Job, leaked, masked, rows_of

# Each of these takes rows or the table away, and hides it from whoever looks for words at the beginning.
DELETE_IN_CTE = "WITH gone AS (DELETE FROM customers RETURNING id) SELECT count(*) FROM gone"
DROP_IN_DO = "DO $$ BEGIN DROP TABLE customers; END $$"
# For PostgreSQL the first line is a comment up to its end; for whoever strips /* ... */ first, all but SELECT 1 is.
DROP_BEHIND_COMMENT = "SELECT 1 --/*\n; DROP TABLE customers --*/"
REFUSED = (DELETE_IN_CTE, DROP_IN_DO, DROP_BEHIND_COMMENT)

Done = subprocess.CompletedProcess[str]


def psql(job: Job, *arguments: str, script: str = "", password: str = "") -> Done:
    return job.stack.psql.run(job.stack.conninfo, password or job.token, *arguments, script=script)


def _error(done: Done) -> str:
    """SQLSTATE and message of the first error, and the rule where policy has one."""
    message = re.search(r"(?:ERROR|FATAL):  (.*)", done.stderr)
    rule = re.search(r"rule ([\w.]+)", done.stderr)
    told = message[1] if message else done.stderr.strip()[-200:] or "no error"
    return told + (f" (rule {rule[1]})" if rule else "")


def _refused(done: Done, state: str, name: str) -> tuple[bool, str]:
    """Whether it was refused with this SQLSTATE, by the rule or with the code that is named, and nothing came back."""
    good = f"ERROR:  {state}: " in done.stderr and name in done.stderr and not done.stdout
    return good, _error(done)


def first_rows(job: Job) -> tuple[bool, str]:
    done = psql(job, "-c", "SELECT id, name, email, card_number, ssn FROM customers WHERE id <= 20 ORDER BY id")
    rows = rows_of(done.stdout)
    if not rows:
        return False, _error(done)
    good = masked(rows) and len(rows) == 20
    found = leaked(done.stdout)
    client = f"{job.stack.psql.version}, {'TLS' if job.stack.psql.tls else 'no TLS'}"
    return good and not found, f"{client}: {len(rows)} rows, {found} originals, name {rows[0]['name']!r}"


def select_star(job: Job) -> tuple[bool, str]:
    """What is refused costs the statement alone: the same psql goes on over the same connection."""
    done = psql(job, script="SELECT * FROM customers;\nSELECT count(*) AS n FROM customers;\n")
    lives = rows_of(done.stdout) == [{"n": str(ROWS)}] and done.returncode == 0
    good = "ERROR:  42501: " in done.stderr and "customers.whole_table" in done.stderr
    return good and lives, f"{_error(done)}; {'then' if lives else 'NOT then'} count(*) on the same connection"


def sort(job: Job) -> tuple[bool, str]:
    done = psql(job, "-c", "SELECT id FROM customers ORDER BY ssn LIMIT 1")
    return _refused(done, "42501", "column_protected")


def export(job: Job) -> tuple[bool, str]:
    """Held; the job's own actor may not approve; a data owner may; then all rows come, masked."""
    held = job.held(lambda: psql(job, "-c", "COPY customers TO STDOUT (FORMAT csv, HEADER)"))
    if held.answer is None:
        return False, f"approved ({held.decided}), but nothing was delivered"
    rows, found = rows_of(held.answer.stdout), leaked(held.answer.stdout)
    good = (held.own, held.decided, len(rows), held.early) == (403, 200, ROWS, False) and masked(rows)
    return good and not found, f"own approval {held.own}, other's {held.decided}, {len(rows)} rows, {found} originals"


def delete_in_cte(job: Job) -> tuple[bool, str]:
    return _refused(psql(job, "-c", DELETE_IN_CTE), "42501", "sql.read_only")


def drop_in_do(job: Job) -> tuple[bool, str]:
    return _refused(psql(job, "-c", DROP_IN_DO), "42501", "sql.read_only")


def drop_behind_comment(job: Job) -> tuple[bool, str]:
    return _refused(psql(job, "-c", DROP_BEHIND_COMMENT), "42501", "sql.read_only")


def no_token(job: Job) -> tuple[bool, str]:
    done = psql(job, "-c", "SELECT 1", password="secret")  # noqa: S106 - that is the point
    return done.returncode == 2 and "FATAL:  " in done.stderr and not done.stdout, _error(done)


def database_log(job: Job) -> tuple[bool, str]:
    """What PostgreSQL itself wrote down: it logs whatever is parsed or run."""
    text = job.stack.database_log
    allowed = sum("SELECT id, name, email" in line for line in text.splitlines())
    refused = sum(word in text for word in ("DELETE", "DROP", "SELECT * FROM customers", "ORDER BY ssn"))
    still = psql(job, "-c", "SELECT count(*) AS n FROM customers")
    left = rows_of(still.stdout)[0]["n"]
    good = allowed > 0 and refused == 0 and left == str(ROWS)
    return good, f"{allowed} line(s) of what was allowed, {refused} of what was refused; {left} customers left"


def session(job: Job) -> tuple[bool, str]:
    mine = job.sessions(job.stack.database_resource)[0]
    replayed = job.stack.extproc("sessions", "replay", mine["session"])
    verified = job.stack.extproc("sessions", "verify")
    found = leaked(replayed.stdout)
    told = all(text in replayed.stdout for text in ("customers=> ", MASK, "approved by dana", "rule sql.read_only"))
    secret = job.token in replayed.stdout
    good = verified.returncode == 0 and told and not found and not secret
    shown = f"{mine['connections']} connections, {mine['requests']} statements, {found} originals"
    return good, f"{mine['session']}, {shown}, verify exits {verified.returncode}"


CHECKS: tuple[Check, ...] = (
    ("select 20 customers", "allowed, cards, SSNs and e-mails masked", first_rows),
    ("select * from customers", "refused with a reason; the connection lives on", select_star),
    ("order by ssn", "refused: order tells what a mask hides", sort),
    ("copy customers to stdout", "held; own approval refused; approved; delivered masked", export),
    ("delete in a CTE", "refused", delete_in_cte),
    ("drop table in a DO block", "refused", drop_in_do),
    ("drop table behind a comment trick", "refused", drop_behind_comment),
    ("a password that is no token", "refused", no_token),
    ("the database's own log", "nothing of what was refused reached it", database_log),
    ("the transcript afterwards", "listed, replayed without originals, verified", session),
)
