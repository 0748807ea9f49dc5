"""Stores on bare executors: the contract through three drivers, and what is special about SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from reality.core.changelog import Batch
from reality.errors import StorageDenied, StorageSchemaMissing, StorageUnavailable
from reality.storage.base import Storage
from reality.storage.sql import SQLStorage, schema_statements
from reality.storage.sql.executors import BlockingQuery, Paramstyle, Rows, rendered
from reality.testing.storage import Load, StorageContract
from tests.storage.bare_executors import Asyncpg, Psycopg, PyMySQL
from tests.support.mariadb import MariaDBServer
from tests.support.postgres import PostgresServer

BATCH = Batch(("a", "b"), 5)


class BareContract(StorageContract):
    """The contract on executors, each of which belongs to the test and not to the store."""

    __test__ = False
    load = Load(appends=30, names=2_000)
    executor: ClassVar[type[Psycopg | Asyncpg | PyMySQL]]
    dialect = "postgres"

    def new_url(self) -> str:
        raise NotImplementedError

    def new_storage(self) -> Storage:
        return self._storage(self.new_url())

    def same_storage(self, storage: Storage) -> Storage:
        url, _ = self.made[storage]
        return self._storage(url)

    async def dispose(self, storage: Storage) -> None:
        _, executor = self.made[storage]
        closing = executor.close()
        if isinstance(closing, Awaitable):
            await closing

    @property
    def made(self) -> dict[Storage, tuple[str, Any]]:
        made: dict[Storage, tuple[str, Any]] = self.__dict__.setdefault("_made", {})
        return made

    def _storage(self, url: str) -> Storage:
        executor = self.executor(url)
        storage = SQLStorage(executor=executor, dialect=self.dialect)
        self.made[storage] = (url, executor)
        return storage


class TestAsyncpg(BareContract):
    __test__ = True
    executor = Asyncpg

    @pytest.fixture(autouse=True)
    def server(self, postgres: PostgresServer) -> None:
        self.new_url = postgres.new_database  # type: ignore[method-assign]


class TestPyMySQL(BareContract):
    __test__ = True
    executor = PyMySQL
    dialect = "mysql"

    @pytest.fixture(autouse=True)
    def server(self, mariadb: MariaDBServer) -> None:
        self.new_url = mariadb.new_database  # type: ignore[method-assign]


# ---- what it is made with ------------------------------------------------------------------------


class SQLite:
    """The least that is an executor."""

    paramstyle = "qmark"

    def __init__(self, path: Path) -> None:
        self._path = path

    def query(self, sql: str, params: Any, /) -> Rows:
        with self.transaction() as query:
            return query(sql, params)

    @contextmanager
    def transaction(self) -> Iterator[BlockingQuery]:
        connection = sqlite3.connect(self._path)
        try:
            with connection:
                yield lambda sql, params: connection.execute(sql, params).fetchall()
        finally:
            connection.close()


@pytest.mark.parametrize(
    "given", [{}, {"url": "sqlite:///r.db", "executor": SQLite(Path()), "dialect": "sqlite"}]
)
def test_exactly_one_way_to_the_database(given: dict[str, Any]) -> None:
    """None or two of engine=, url= and executor= are refused."""
    with pytest.raises(ValueError, match="exactly one of engine=, url= and executor="):
        SQLStorage(**given)


def test_a_dialect_goes_with_an_executor() -> None:
    """An executor says nothing of its database, and a URL says it all."""
    with pytest.raises(ValueError, match="needs a dialect="):
        SQLStorage(executor=SQLite(Path()))
    with pytest.raises(ValueError, match="goes with executor="):
        SQLStorage(url="sqlite:///r.db", dialect="sqlite")
    with pytest.raises(ValueError, match="'sqlite', 'postgres', 'mysql', got 'oracle'"):
        SQLStorage(executor=SQLite(Path()), dialect="oracle")


def test_an_executor_declares_its_paramstyle() -> None:
    """A paramstyle that is none of PEP 249's is refused by name."""
    executor = SQLite(Path())
    executor.paramstyle = "dollars"
    with pytest.raises(ValueError, match="SQLite has 'dollars'"):
        SQLStorage(executor=executor, dialect="sqlite")


@pytest.mark.parametrize("wrong", ["a.b.c", ".a", "a.", "a-b", "a b.c", 'a"; DROP TABLE x'])
def test_a_table_name_is_checked(wrong: str) -> None:
    """Only letters, digits and underscores get into statements, with one dot at most."""
    with pytest.raises(ValueError, match="table name"):
        SQLStorage(executor=SQLite(Path()), dialect="postgres", table_name=wrong)


@pytest.mark.parametrize(
    ("paramstyle", "text"),
    [
        ("qmark", "a = ? AND b = ?"),
        ("format", "a = %s AND b = %s"),
        ("numeric", "a = :1 AND b = :2"),
        ("numeric_dollar", "a = $1 AND b = $2"),
    ],
)
def test_positions_are_written_as_declared(paramstyle: Paramstyle, text: str) -> None:
    """Statements are written with `?`, and each driver gets its own style."""
    assert (text, (5, "x")) == rendered("a = ? AND b = ?", (5, "x"), paramstyle)


@pytest.mark.parametrize(
    ("paramstyle", "text"),
    [("pyformat", "a = %(p1)s AND b = %(p2)s"), ("named", "a = :p1 AND b = :p2")],
)
def test_names_are_written_as_declared(paramstyle: Paramstyle, text: str) -> None:
    """Where parameters have names, they come in a dictionary."""
    assert (text, {"p1": 5, "p2": "x"}) == rendered("a = ? AND b = ?", (5, "x"), paramstyle)


async def test_the_least_executor_works(tmp_path: Path) -> None:
    """Plain `sqlite3` with its own transactions is enough: the first statement takes the lock."""
    storage = SQLStorage(executor=SQLite(tmp_path / "r.db"), dialect="sqlite")
    await storage.open()
    appended = await storage.append([BATCH, BATCH])
    assert (2, 4) == (appended.head.position.sequence, appended.head.touches)
    assert 0.02 == storage.feed_interval_s
    assert "the sqlite store 'reality'" == storage.name
    await storage.close()


# ---- what administrators and servers do ----------------------------------------------------------


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
async def executor(url: str) -> AsyncIterator[Psycopg]:
    executor = Psycopg(url)
    yield executor
    executor.close()


def administer(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def test_printed_statements_make_the_tables(url: str, executor: Psycopg) -> None:
    """With create=False the error names the command, and what it prints is all that is needed."""
    storage = SQLStorage(
        executor=executor, dialect="postgres", table_name="app.touched", create=False
    )
    command = "reality schema --dialect postgres --table-name app.touched"
    with pytest.raises(StorageSchemaMissing, match=command):
        await storage.open()

    administer(url, "CREATE SCHEMA app", *schema_statements("postgres", "app.touched"))
    await storage.open()
    assert 1 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()


async def test_printed_statements_work_twice(mariadb: MariaDBServer) -> None:
    """The statements leave tables that are there as they are, in MariaDB as well."""
    executor = PyMySQL(mariadb.new_database())
    storage = SQLStorage(executor=executor, dialect="mysql", create=False)
    for _ in range(2):
        for statement in schema_statements("mysql"):
            executor.query(statement, ())
        await storage.open()
        await storage.append([BATCH])
    assert 2 == (await storage.read(["a"]))["a"].touches
    await storage.close()
    executor.close()


async def test_permissions_are_named(postgres: PostgresServer, url: str) -> None:
    """Without a permission the error says what to grant; with it the store works at once."""
    database = url.rpartition("/")[2]
    administer(
        url,
        "DROP ROLE IF EXISTS modest",
        "CREATE ROLE modest LOGIN PASSWORD 'modest'",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    executor = Psycopg(postgres.url(user="modest", password="modest", database=database))
    storage = SQLStorage(executor=executor, dialect="postgres")
    with pytest.raises(StorageSchemaMissing, match=r"may not make them.*reality schema"):
        await storage.open()

    tables = "reality_store, reality_log, reality_nodes"
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables}"
    administer(url, *schema_statements("postgres"), f"{grant} TO modest")
    await storage.open()
    await storage.append([BATCH])
    administer(url, "REVOKE UPDATE ON reality_store FROM modest")
    with pytest.raises(StorageDenied, match=grant):
        await storage.append([BATCH])
    administer(url, f"{grant} TO modest")
    assert 2 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()
    executor.close()


async def test_tables_that_vanish_are_named(url: str, executor: Psycopg) -> None:
    """Dropped tables are an error that names the command; new ones are another store."""
    storage = SQLStorage(executor=executor, dialect="postgres")
    before = (await storage.open()).head
    administer(url, "DROP TABLE reality_store, reality_log, reality_nodes")
    for verb in (lambda: storage.changes(0, limit=1), lambda: storage.append([BATCH])):
        with pytest.raises(StorageSchemaMissing, match="reality schema --dialect postgres"):
            await verb()

    administer(url, *schema_statements("postgres"))
    assert before.origin != (await storage.changes(0, limit=1)).head.origin
    assert 1 == (await storage.append([BATCH])).head.position.sequence
    await storage.close()


HANG_UP = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.mark.parametrize("kind", [Psycopg, Asyncpg])
async def test_connections_lost_while_idle_are_not_noticed(
    url: str, kind: type[Psycopg | Asyncpg]
) -> None:
    """Every verb is begun once more on a new connection, if the old one did nothing."""
    executor = kind(url)
    storage = SQLStorage(executor=executor, dialect="postgres")
    opening = await storage.open()

    for sequence in range(1, 4):
        administer(url, HANG_UP)
        assert sequence == (await storage.append([BATCH])).head.position.sequence
        administer(url, HANG_UP)
        assert sequence == (await storage.read(["a"]))["a"].touches
        administer(url, HANG_UP)
        assert sequence == (await storage.changes(0, limit=9)).head.position.sequence
    administer(url, HANG_UP)
    assert 9 == (await storage.rotate(opening.head.origin, register=9)).register

    await storage.close()
    closing = executor.close()
    if isinstance(closing, Awaitable):
        await closing


class Dropped(Psycopg):
    """Loses its connection once, before the statement that begins like this."""

    before = "none"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url

    def run(self, connection: Any, sql: str, params: Any) -> Rows:
        if sql.startswith(self.before):
            self.before = "none"
            administer(self._url, HANG_UP)
        return super().run(connection, sql, params)


@pytest.mark.parametrize("before", ["INSERT INTO reality_nodes", "UPDATE reality_store", "COMMIT"])
async def test_an_append_that_has_begun_is_not_repeated(url: str, before: str) -> None:
    """An append whose connection was lost in the middle raises, and is counted once at most."""
    executor = Dropped(url)
    storage = SQLStorage(executor=executor, dialect="postgres")
    await storage.open()
    await storage.append([BATCH])

    executor.before = before
    with pytest.raises(StorageUnavailable, match="dropped the connection"):
        await storage.append([BATCH])

    appended = await storage.append([BATCH])
    assert (1, 2) == (appended.after.sequence, appended.batches[0].touched[0].touches)
    await storage.close()
    executor.close()


async def test_names_of_four_byte_characters_fit(mariadb: MariaDBServer) -> None:
    """A name of 512 bytes fits MariaDB's column, whatever it is made of, and comes back whole."""
    executor = PyMySQL(mariadb.new_database())
    storage = SQLStorage(executor=executor, dialect="mysql")
    names = ("\U0001f600" * 128, "\U0001f600" * 127 + "   ", "\U0001f600" * 127 + "  ")
    await storage.open()
    await storage.append([Batch(names, 5, hash="\U0001f600 ")])

    read = await storage.read(names)
    assert set(names) == read.keys()
    assert {"\U0001f600 "} == {node.hash for node in read.values()}
    listing = await storage.scan(0, limit=1)
    assert set(names) == {node.name for node in listing.touched}
    await storage.close()
    executor.close()
