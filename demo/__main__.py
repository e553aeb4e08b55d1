"""`python -m demo run` keeps a gateway up to play with; `python -m demo check` is a CI job that tries everything."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from demo.check import ACTS, Row, checks
from demo.stack import NotReady, Stack, beside, running

STATEMENTS = """\
  SELECT name, email, ssn FROM customers WHERE city = 'East Michael';
  SELECT * FROM customers;
  COPY customers TO STDOUT;
"""


@click.group()
def main() -> None:
    """The gateway with a Datasette and a PostgreSQL over generated customers behind it."""


@main.command()
def run() -> None:
    """Start everything, say what to try, stop on Ctrl-C."""
    _interruptible()
    print("starting Datasette, PostgreSQL and the gateway …", file=sys.stderr, flush=True)
    try:
        with running(free_ports=False) as stack:
            print(_welcome(stack), flush=True)
            while stack.gateway.poll() is None:
                time.sleep(0.2)
            sys.exit("the gateway ended; see .extproc/demo/demo.log")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except NotReady as error:
        sys.exit(f"demo: {error}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="The same for a program.")
def check(*, as_json: bool) -> None:
    """Drive a scripted CI job through Envoy. Exit 0 only where every row came out as promised."""
    _interruptible()
    console = Console(stderr=True)
    rows: list[Row] = []
    try:
        with console.status("starting Datasette, PostgreSQL and the gateway …"), running(free_ports=True) as stack:
            for row in checks(stack):
                rows.append(row)
                told = f"  {'ok ' if row.ok else 'NOT'}  {row.act}: {row.what}"
                console.print(told, highlight=False, markup=False)
    except NotReady as error:
        sys.exit(f"demo: {error}")
    passed = all(row.ok for row in rows)
    if passed:
        shutil.rmtree(stack.config.parent, ignore_errors=True)
    else:
        print(f"what happened stands in {stack.config.parent}", file=sys.stderr)
    if as_json:
        print(json.dumps({"version": 1, "passed": passed, "rows": [row.as_dict() for row in rows]}, indent=2))
    else:
        for act, _ in ACTS:
            Console(soft_wrap=False).print(_table(act, [row for row in rows if row.act == act]))
    sys.exit(0 if passed else 1)


def _table(act: str, rows: list[Row]) -> Table:
    table = Table(title=f"What happened to a CI job over {act}", title_justify="left")
    for name in ("what it did", "expected", "what happened", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.what, row.expected, row.happened, "[green]ok[/]" if row.ok else "[bold red]NOT[/]")
    return table


def _welcome(stack: Stack) -> str:
    url, token = stack.customers, "$TOKEN"
    return f"""
The gateway is up. development: true - these tokens open it for everybody on this machine.

  customers      {url}   (or {stack.ready["listen"]} with Host: customers.localhost)
  customers-db   {stack.database}
  control        {stack.control}
  metrics        {stack.ready["metrics"]}

In a second terminal, in this folder: a CI job with its token (as GitHub Actions would issue it).

  TOKEN=$(.venv/bin/extproc dev token --repo acme/billing -c demo/extproc.yaml)

Allowed, with card numbers, SSNs and e-mails masked:

  curl -H "Authorization: Bearer {token}" '{url}/customers/customers.json?_shape=objects&_size=3'

Refused by the policy, with the reason; and refused without a token:

  curl -H "Authorization: Bearer {token}" '{url}/customers.json?sql=select+*+from+customers'
  curl {url}/

Held until somebody approves it:

  curl -H "Authorization: Bearer {token}" '{url}/customers/customers.csv?_stream=on' -o export.csv

The same customers in PostgreSQL, with the token as the password:

  PGPASSWORD={token} {_typed(stack.psql.path)} '{stack.conninfo}'

Typed there: the first is allowed and masked, the second refused, the third held until somebody approves it.

{STATEMENTS}
In a third terminal, in this folder: a data owner, who sees what waits and approves it (ID is in the list).

  export EXTPROC_TOKEN=$(.venv/bin/extproc dev token --person dana --group data-owners -c demo/extproc.yaml)
  .venv/bin/extproc approvals list -c demo/extproc.yaml
  .venv/bin/extproc approvals approve ID -c demo/extproc.yaml

What happened (SESSION is in the list); and what PostgreSQL got of it, beside the gateway's own questions:

  .venv/bin/extproc sessions list -c demo/extproc.yaml
  .venv/bin/extproc sessions replay SESSION -c demo/extproc.yaml
  .venv/bin/extproc sessions verify -c demo/extproc.yaml
  grep ' gateway ' .extproc/demo/postgres.log | grep -v pg_catalog

Ctrl-C stops everything.
"""


def _typed(path: str) -> str:
    """The command as it is typed in this folder."""
    return "psql" if shutil.which("psql") == path else beside(Path(path))


def _interruptible() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell starts what runs in the background with SIGINT ignored
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


main(prog_name="demo")
