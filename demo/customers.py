"""Generated customers and their orders: always the same ones."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from faker import Faker

ROWS = 10_000
ORDERS = 2_000
SEED = 20260101
_ITEMS = ("kettle", "desk lamp", "notebook", "headphones", "office chair", "water bottle")
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


def rows(path: Path) -> list[tuple[object, ...]]:
    """All of them, from the database that `ensure` wrote."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("select * from customers order by id").fetchall()


def orders() -> Iterator[tuple[object, ...]]:
    """Id, the customer's id, a day, an item, a price."""
    chance = random.Random(SEED)  # noqa: S311 - the same ones each time
    for number in range(1, ORDERS + 1):
        day = dt.date(2025, 1, 1) + dt.timedelta(days=chance.randrange(365))
        yield number, chance.randint(1, ROWS), day, chance.choice(_ITEMS), f"{chance.uniform(5, 500):.2f}"


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
