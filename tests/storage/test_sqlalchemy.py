"""Stores through an application's SQLAlchemy engine: what they take, and what they leave alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from reality.core.changelog import Batch
from reality.errors import MissingDependency, StorageBusy
from reality.storage.sql import SQLStorage
from reality.storage.sqlalchemy import (
    Bound,
    SQLAlchemyStorage,
    engine_executor,
)
from tests.storage.sql_contract import ContractByURL
from tests.support.postgres import PostgresServer

BATCH = Batch(("a", "b"), 1)
ASYNC_DRIVERS = ["psycopg_async", "asyncpg"]


def by(driver: str, url: str) -> str:
    """The URL for another driver."""
    scheme, _, rest = url.partition(":")
    return f"{scheme}+{driver}:{rest}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.recycle(url)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    """The application's own."""
    engine = sa.create_engine(by("psycopg", postgres_url))
    yield engine
    engine.dispose()


async def use(storage: SQLStorage) -> int:
    """Open a store, append a batch, and close it; the batch's sequence."""
    try:
        await storage.open()
        return (await storage.append([BATCH])).head.position.sequence
    finally:
        await storage.close()


@pytest.mark.parametrize("made", [lambda engine: engine, sessionmaker])
async def test_an_application_brings_what_it_has(
    engine: sa.Engine, made: Callable[[sa.Engine], Bound]
) -> None:
    """A blocking engine will do, and so will a sessionmaker."""
    assert 1 == await use(SQLAlchemyStorage(made(engine)))


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
@pytest.mark.parametrize("made", [lambda engine: engine, async_sessionmaker])
async def test_an_async_application_brings_what_it_has(
    postgres_url: str, driver: str, made: Callable[[Any], Bound]
) -> None:
    """An async engine will do, and so will an async sessionmaker."""
    engine = create_async_engine(by(driver, postgres_url))

    assert 1 == await use(SQLAlchemyStorage(made(engine)))


@pytest.mark.parametrize("bound", [sessionmaker(), async_sessionmaker(), object()])
def test_what_has_no_engine_is_refused(bound: Any) -> None:
    """A sessionmaker without an engine, or something else, is refused with what was given."""
    with pytest.raises(ValueError, match=r"needs an Engine.*got"):
        SQLAlchemyStorage(bound)


async def test_the_applications_connections_are_left_alone(engine: sa.Engine) -> None:
    """The store takes no connection of the application's pool, and changes none."""
    assert 1 == await use(SQLAlchemyStorage(engine))

    assert (0, 0) == (engine.pool.checkedout(), engine.pool.checkedin())  # type: ignore[attr-defined]
    with engine.connect() as connection:
        assert "0" == connection.exec_driver_sql("SHOW lock_timeout").scalar()
        driver = connection.connection.driver_connection
        assert driver is not None
        assert not driver.autocommit


async def test_closing_the_store_closes_its_own_connections_only(engine: sa.Engine) -> None:
    """After `close` the application's connections are the only ones that the server has."""
    count = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    with engine.connect() as connection:
        storage = SQLAlchemyStorage(engine)
        await storage.open()
        await storage.changes(0, limit=1)
        assert 1 <= connection.exec_driver_sql(count).scalar_one()
        await storage.close()
        while connection.exec_driver_sql(count).scalar_one():
            connection.rollback()  # statistics are those of the transaction's first look
            await asyncio.sleep(0.01)


async def test_the_applications_events_prepare_the_stores_connections(engine: sa.Engine) -> None:
    """What the application does to new connections is done to the store's as well."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA elsewhere")

    @sa.event.listens_for(engine, "connect")
    def choose_schema(connection: DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("SET search_path TO elsewhere")
        connection.commit()

    assert 1 == await use(SQLAlchemyStorage(engine))

    assert {"reality_store", "reality_log", "reality_nodes"} == set(
        sa.inspect(engine).get_table_names(schema="elsewhere")
    )


async def test_a_store_is_no_part_of_the_applications_transaction(engine: sa.Engine) -> None:
    """What is appended while the application's transaction is open outlives its rollback."""
    storage = SQLAlchemyStorage(engine)
    await storage.open()
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE posts (id INTEGER)")
        await storage.append([BATCH])
        connection.rollback()

    assert {"a", "b"} == set(await storage.read(["a", "b"]))
    assert not sa.inspect(engine).has_table("posts")
    await storage.close()


async def test_an_engine_without_a_pool(postgres_url: str) -> None:
    """An engine that connects anew each time, before pgbouncer say, gives a store that does too."""
    engine = sa.create_engine(by("psycopg", postgres_url), poolclass=NullPool)

    assert 1 == await use(SQLAlchemyStorage(engine))


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_cancelled_append_lets_go_of_the_lock(
    engine: sa.Engine, postgres_url: str, driver: str
) -> None:
    """An append that is cancelled has done nothing, and leaves no transaction behind."""
    storage = SQLStorage(url=by(driver, postgres_url))
    await storage.open()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    with engine.connect() as holder:
        holder.exec_driver_sql("SELECT 1 FROM reality_store FOR UPDATE")
        append = asyncio.create_task(storage.append([BATCH]))
        with engine.connect() as observer:
            while not observer.exec_driver_sql(waiting).scalar_one():
                observer.rollback()
                await asyncio.sleep(0.01)
        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append

    assert 1 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:shared?mode=memory&uri=true",
        "sqlite+aiosqlite://",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    """Another connection would see another database, and the error says so."""
    with pytest.raises(ValueError, match=r"in memory.*a database of its own"):
        SQLStorage(url=url)


def test_a_pool_of_one_connection_is_refused(tmp_path: Path) -> None:
    """A pool that has one connection for all cannot give the store one of its own."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/r.db", poolclass=StaticPool)

    with pytest.raises(ValueError, match="StaticPool"):
        SQLAlchemyStorage(engine)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://h/d", "psycopg"),
        ("postgresql://h/d", "psycopg"),
        ("mysql://h/d", "pymysql"),
        ("mariadb://h/d", "pymysql"),
        ("mysql+asyncmy://h/d", "asyncmy"),
        ("postgresql+asyncpg://h/d", "asyncpg"),
    ],
)
def test_urls_choose_the_driver(url: str, driver: str) -> None:
    """A URL without a driver is served by psycopg 3 or PyMySQL, another by the one it names."""
    executor = engine_executor(url).executor

    assert driver == executor._engine.dialect.driver


@pytest.mark.parametrize(
    ("url", "extra"),
    [("postgresql+psycopg2://h/d", "postgres"), ("mysql+aiomysql://h/d", "mysql")],
)
def test_a_missing_driver_names_the_extra(url: str, extra: str) -> None:
    """Without the driver the error has the line that installs it."""
    with pytest.raises(MissingDependency, match=rf"reality-sync\[{extra}\]"):
        SQLStorage(url=url)


@pytest.mark.parametrize("url", ["nonsense", "nosuch://h/d", "postgresql+nosuch://h/d"])
def test_what_is_no_url_of_a_database_is_refused(url: str) -> None:
    """A malformed URL, or one of an unknown kind, is a ValueError."""
    with pytest.raises(ValueError, match="no URL of a database"):
        SQLStorage(url=url)


def test_names_have_no_credentials() -> None:
    """The store's name says where it is, and neither who asks nor with which password."""
    storage = SQLStorage(url="postgresql://me:secret@db.example:5433/app?password=secret")

    assert "postgresql://db.example:5433/app" in storage.name
    assert "me" not in storage.name.split("//")[1].partition("@")[0].split(".")[0]
    assert "secret" not in storage.name


async def test_a_locked_file_is_busy(tmp_path: Path) -> None:
    """A SQLite file that the application is writing to is StorageBusy after some seconds."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/r.db")
    storage = SQLAlchemyStorage(engine)
    await storage.open()

    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE posts (id INTEGER)")
        connection.exec_driver_sql("INSERT INTO posts VALUES (1)")
        with pytest.raises(StorageBusy):
            await storage.append([BATCH])

    await storage.append([BATCH])
    await storage.close()
    engine.dispose()


class SQLiteContract(ContractByURL):
    """A file for each store."""

    driver = "pysqlite"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.files = 0

    def new_url(self) -> str:
        self.files += 1
        return f"sqlite+{self.driver}:///{self.folder}/{self.files}.db"


class TestPysqlite(SQLiteContract):
    pass


class TestAiosqlite(SQLiteContract):
    driver = "aiosqlite"
