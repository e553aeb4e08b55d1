"""Generated customers: always the same ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from faker import Faker

ROWS = 10_000
SEED = 20260101
_SCHEMA = """
create table customers (
    id integer primary key, name text not null, email text not null, phone text not null, city text not null,
    card_number text not null, ssn text not null, balance real not null
)
"""


def ensure(path: Path) -> None:
    """Write the database once, whole or not at all."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with sqlite3.connect(temporary) as database:
        database.execute("pragma synchronous = off")
        database.execute(_SCHEMA)
        database.executemany("insert into customers values (?, ?, ?, ?, ?, ?, ?, ?)", _customers())
    database.close()
    temporary.replace(path)


def _customers() -> Iterator[tuple[object, ...]]:
    fake = Faker("en_US")
    fake.seed_instance(SEED)
    for number in range(1, ROWS + 1):
        name = fake.name()
        email = f"{name.lower().replace(' ', '.').replace('..', '.').strip('.')}{number}@example.com"
        yield (
            number,
            name,
            email,
            fake.numerify("+1-202-555-####"),
            fake.city(),
            fake.credit_card_number(card_type="visa16"),
            fake.ssn(),
            round(fake.random.uniform(0, 9999), 2),
        )
