"""What masking costs per row: CPU µs, without sockets. Ways in turn, medians of five rounds.

    python -m tests.bench.rows [--rows N] [--json]

Rows are of about 180 bytes in 7 columns, an e-mail address in each, in reads of 256 KB. Framing is part of every figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

from extproc.model import Strategy
from extproc.postgres.backend import Backend, Rows
from extproc.postgres.masking.copyrows import CopyMask
from extproc.postgres.masking.maskplan import MaskColumn, MaskPlan
from extproc.postgres.masking.rows import RowMask
from extproc.postgres.masking.values import type_info
from extproc.postgres.sql.model import CopyShape
from extproc.redact.detectors import ALL

READ, CAP, ROUNDS = 256 * 1024, 1 << 30, 5
NAMES = ("id", "name", "email", "phone", "city", "since", "notes")
OIDS = (23, 25, 25, 25, 1043, 1184, 25)
NOTES = b"Ships on Mondays, call before noon. Prefers the side door; ask for the manager there."


def fields(number: int, sign: bytes) -> tuple[bytes, ...]:
    return (
        b"%d" % number, b"Customer %d" % number, b"user%d%bexample.com" % (number, sign),
        b"+44 20 7946 0%03d" % (number % 1000), b"London", b"2024-01-01 10:00:00+00", NOTES,
    )  # fmt: skip


def data_row(values: tuple[bytes, ...]) -> bytes:
    body = struct.pack("!H", len(values)) + b"".join(struct.pack("!i", len(value)) + value for value in values)
    return b"D" + struct.pack("!I", len(body) + 4) + body


def copy_row(values: tuple[bytes, ...], delimiter: bytes) -> bytes:
    line = delimiter.join(values) + b"\n"
    return b"d" + struct.pack("!I", len(line) + 4) + line


def reads(rows: list[bytes]) -> list[bytes]:
    stream = b"".join(rows)
    return [stream[at : at + READ] for at in range(0, len(stream), READ)]


def plan(masked: tuple[str, ...] = (), strategy: Strategy = "mask", detect: frozenset[str] = frozenset()) -> MaskPlan:
    columns = tuple(
        MaskColumn(name, type_info(oid, {}), 0, strategy if name in masked else None)
        for name, oid in zip(NAMES, OIDS, strict=True)
    )
    return MaskPlan(columns, {"mask": detect}, b"k" * 32)


def through(make: Callable[[], RowMask | CopyMask], stream: list[bytes]) -> Callable[[], int]:
    def go() -> int:
        mask, backend, size = make(), Backend(CAP), 0
        for read in stream:
            backend.feed(read)
            while (found := backend.next()) is not None:
                assert isinstance(found, Rows)
                size += len(mask.feed(found.buffer, found.start, found.ends))
        return size

    return go


def ways(count: int) -> dict[str, Callable[[], int]]:
    with_address = [fields(number, b"@") for number in range(count)]
    without = [fields(number, b" at ") for number in range(count)]
    rows, plain = reads(list(map(data_row, with_address))), reads(list(map(data_row, without)))
    text = reads([copy_row(one, b"\t") for one in with_address])
    csv = reads([copy_row(one, b"|") for one in with_address])
    shape = CopyShape("out")
    shape_csv = CopyShape("out", format="csv", delimiter="|", null="")
    return {
        "rows, nothing to mask": through(lambda: RowMask(plan()), rows),
        "rows, all detectors, nothing found": through(lambda: RowMask(plan(detect=ALL)), plain),
        "rows, one column masked": through(lambda: RowMask(plan(("email",))), rows),
        "rows, one column hashed": through(lambda: RowMask(plan(("email",), "hash")), rows),
        "rows, three columns masked": through(lambda: RowMask(plan(("name", "email", "phone"))), rows),
        "rows, all detectors, each row hit": through(lambda: RowMask(plan(detect=ALL)), rows),
        "rows, column and detectors": through(lambda: RowMask(plan(("name",), detect=ALL)), rows),
        "COPY text, nothing to mask": through(lambda: CopyMask(shape, plan()), text),
        "COPY text, one column masked": through(lambda: CopyMask(shape, plan(("email",))), text),
        "COPY text, all detectors, each row hit": through(lambda: CopyMask(shape, plan(detect=ALL)), text),
        "COPY CSV, one column masked": through(lambda: CopyMask(shape_csv, plan(("email",))), csv),
        "COPY CSV, all detectors, each row hit": through(lambda: CopyMask(shape_csv, plan(detect=ALL)), csv),
    }


def measure(count: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, go in ways_of(count).items():
            began = time.process_time()
            go()
            taken.setdefault(name, []).append(time.process_time() - began)
    return {name: round(statistics.median(values) / count * 1e6, 3) for name, values in taken.items()}


def ways_of(count: int, kept: dict[int, Any] = {}) -> dict[str, Callable[[], int]]:  # noqa: B006 - made once
    if count not in kept:
        kept[count] = ways(count)
    return dict(kept[count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.rows)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, figure in found.items():
        print(f"{name:44} {figure:7.3f} µs/row")


if __name__ == "__main__":
    main()
