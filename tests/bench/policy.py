"""What a question to the default policy costs in the embedded engine.

    python -m tests.bench.policy [--rounds N] [--json]

CPU time of this process, the best of many rounds in turn: what the policy costs, not what the machine does besides.
No two questions are the same, so that no answer is a remembered one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from typing import Any

from extproc.policy.embedded import EmbeddedEngine
from tests.integration.gateway import ROOT
from tests.integration.sql_questions import CLASS, CUSTOMERS, ORDINARY, function, question

QUESTIONS = 100  # in a round
TIMES = itertools.count(1_800_000_000)

Document = dict[str, Any]


def http(path: str, segments: list[str], query: dict[str, list[str]]) -> Document:
    document = question([])
    del document["sql"]
    request = {
        "method": "GET",
        "scheme": "http",
        "host": "customers.localhost",
        "path": path,
        "segments": segments,
        "query": query,
        "headers": {"accept": ["*/*"], "user-agent": ["curl/8"]},
    }
    resource = {"name": "customers", "kind": "http", "labels": {"data": "customers"}}
    return {**document, "resource": resource, "request": request}


ASKED: dict[str, Document] = {
    "http: a page of customers": http("/customers/customers.json", ["customers", "customers.json"], {}),
    "http: a query": http("/customers.json", ["customers.json"], {"sql": ["select count(*) from customers"]}),
    "sql: an ordinary select": question([ORDINARY]),
    "sql: begin": question([{**ORDINARY, "kind": "begin", "tables": [], "columns": [], "functions": [], "where": False}]),
    "sql: of the catalogs": question([{
        **ORDINARY,
        "tables": [CLASS, "pg_catalog.pg_namespace"],
        "columns": [{"table": CLASS, "column": "relname", "uses": ["project"]}],
        "functions": [function("pg_catalog.pg_table_is_visible"), function("pg_catalog.oideq", "immutable")],
    }]),
    "sql: a whole table, refused": question([{**ORDINARY, "where": False, "functions": []}]),
    "sql: an export, held": question([{**ORDINARY, "kind": "copy", "where": False, "functions": [], "options": ["stdout"]}]),
    "sql: a write, refused": question([{**ORDINARY, "kind": "delete", "writes": [CUSTOMERS]}]),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engine = EmbeddedEngine(ROOT / "rego" / "policy")
    documents = {name: json.dumps(document).encode() for name, document in ASKED.items()}
    best = dict.fromkeys(documents, float("inf"))
    for _ in range(options.rounds):
        for name, document in documents.items():
            best[name] = min(best[name], microseconds(engine, document))
    if options.json:
        print(json.dumps({name: round(value, 1) for name, value in best.items()}))
        return
    for name, value in best.items():
        rule = json.loads(engine.evaluate(documents[name])[0])["rule"]
        print(f"{value:7.1f} µs  {name} ({rule}, {len(documents[name])} bytes)")


def microseconds(engine: EmbeddedEngine, document: bytes) -> float:
    different = [document.replace(b'"time": 1.5', b'"time": %d' % next(TIMES)) for _ in range(QUESTIONS)]
    began = time.process_time()
    for one in different:
        engine.evaluate(one)
    return (time.process_time() - began) / QUESTIONS * 1e6


if __name__ == "__main__":
    main()
