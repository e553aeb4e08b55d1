"""SQLAlchemy in front by two drivers, where policy allows all: it reflects, it maps, it streams."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine

from tests.integration.database import Opened

pytestmark = pytest.mark.envoy


class Mood(enum.Enum):
    sad = "sad"
    fine = "fine"


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(schema="alchemy")


class Author(Base):
    __tablename__ = "authors"
    __table_args__ = (sa.UniqueConstraint("name", name="one_name"), {"comment": "who writes"})
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    mood: orm.Mapped[Mood | None]
    born: orm.Mapped[dt.date | None]
    paid: orm.Mapped[decimal.Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    tags: orm.Mapped[list[str] | None] = orm.mapped_column(pg.ARRAY(sa.Text))
    about: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(pg.JSONB)
    photo: orm.Mapped[bytes | None]
    at: orm.Mapped[dt.datetime] = orm.mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(index=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Author.id, ondelete="CASCADE"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


def url(opened: Opened, driver: str) -> sa.URL:
    where = opened.where
    query = {"sslmode": "disable"} if driver == "psycopg" else {"ssl": "disable"}
    return sa.URL.create(
        f"postgresql+{driver}",
        where["user"],
        where["password"],
        where["host"],
        where["port"],
        where["database"],
        query,
    )


def made(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP SCHEMA IF EXISTS alchemy CASCADE"))
    connection.execute(sa.text("CREATE SCHEMA alchemy"))
    Base.metadata.create_all(connection)
    connection.execute(sa.text("CREATE VIEW alchemy.names AS SELECT name FROM alchemy.authors"))
    connection.commit()


def mapped(connection: sa.Connection) -> None:
    with orm.Session(connection, expire_on_commit=True) as session:
        author = Author(
            name="Ada",
            mood=Mood.fine,
            born=dt.date(1815, 12, 10),
            paid=decimal.Decimal("12.50"),
            tags=["a", "b,c"],
            about={"k": [1, None]},
            photo=b"\0\xff",
        )
        author.books = [Book(title=f"volume {n}") for n in range(100)]  # inserted many at a time
        session.add(author)
        session.commit()
        found = session.scalars(sa.select(Author).options(orm.selectinload(Author.books))).one()
        assert (found.mood, found.paid, found.tags, found.about, found.photo) == (
            Mood.fine,
            decimal.Decimal("12.50"),
            ["a", "b,c"],
            {"k": [1, None]},
            b"\0\xff",
        )
        assert len(found.books) == 100
        found.about = {"changed": True}
        del found.books[50:]
        session.commit()
        with pytest.raises(exc.IntegrityError), session.begin_nested():
            session.execute(sa.insert(Author).values(name="Ada"))
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 50
        where = Author.about["changed"].as_boolean()
        assert session.scalars(sa.select(Author.name).where(where, sa.literal("a") == sa.any_(Author.tags))).all() == [
            "Ada"
        ]
        session.rollback()


def reflected(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    assert isinstance(inspector, pg.base.PGInspector)
    assert set(inspector.get_table_names("alchemy")) == {"authors", "books"}
    assert inspector.get_view_names("alchemy") == ["names"]
    columns = {column["name"]: column["type"] for column in inspector.get_columns("authors", "alchemy")}
    assert isinstance(columns["about"], pg.JSONB)
    assert isinstance(columns["tags"], pg.ARRAY)
    assert isinstance(columns["mood"], pg.ENUM)
    assert inspector.get_pk_constraint("books", "alchemy")["constrained_columns"] == ["id"]
    assert inspector.get_foreign_keys("books", "alchemy")[0]["options"] == {"ondelete": "CASCADE"}
    assert inspector.get_unique_constraints("authors", "alchemy")[0]["name"] == "one_name"
    assert inspector.get_indexes("books", "alchemy")[0]["column_names"] == ["title"]
    assert inspector.get_table_comment("authors", "alchemy") == {"text": "who writes"}
    assert inspector.get_view_definition("names", "alchemy").strip().startswith("SELECT")
    assert "mood" in [one["name"] for one in inspector.get_enums("*")]
    again = sa.MetaData(schema="alchemy")
    again.reflect(connection)
    assert set(again.tables) == {"alchemy.authors", "alchemy.books"}


def streamed(connection: sa.Connection) -> None:
    options = {"yield_per": 500}
    rows = connection.execute(sa.text("SELECT n FROM generate_series(1, 5000) n"), execution_options=options)
    assert sum(row.n for row in rows) == 5000 * 5001 // 2
    with pytest.raises(exc.DBAPIError) as raised:
        connection.execute(sa.text("SELECT 1/0"))
    assert getattr(raised.value.orig, "sqlstate", None) == "22012"
    connection.rollback()


STEPS = (made, mapped, reflected, streamed)


def test_with_psycopg(opened_database: Opened) -> None:
    engine = sa.create_engine(url(opened_database, "psycopg"))
    with engine.connect() as connection:
        for step in STEPS:
            step(connection)
        connection.rollback()
    with engine.connect() as connection, connection.begin_twophase() as transaction:
        connection.execute(sa.text("DELETE FROM alchemy.books"))
        transaction.prepare()
        transaction.rollback()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Book)) == 50
        connection.execute(sa.text("DROP SCHEMA alchemy CASCADE"))
    engine.dispose()


def test_with_asyncpg(opened_database: Opened) -> None:
    async def go() -> None:
        engine = create_async_engine(url(opened_database, "asyncpg"))
        async with engine.connect() as connection:
            for step in STEPS:
                await connection.run_sync(step)
                await connection.rollback()
            result = await connection.stream(sa.text("SELECT n FROM generate_series(1, 3000) n"))
            assert len([row async for row in result]) == 3000
            await connection.execute(sa.text("DROP SCHEMA alchemy CASCADE"))
            await connection.commit()
        await engine.dispose()

    asyncio.run(go())
