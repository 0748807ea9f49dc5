"""The stores that are measured, each on a private server of its own, and what their drivers cost.

A *raw* figure is what the driver needs by itself, without Reality and without another thread: for a
commit of one row, and for a question that needs no work. On a machine that others share it is what
makes the figures beside it worth something.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reality.storage.base import Storage
from reality.storage.memory import MemoryStorage
from reality.storage.opening import open_storage
from reality.testing.dictionary import DictStorage

_TABLE = "CREATE TABLE raw (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)"
_ROW = "INSERT INTO raw VALUES (1, 0)"
_COMMIT = "UPDATE raw SET n = n + 1 WHERE id = 1"
_ASK = "SELECT 1"


class Raw(NamedTuple):
    """What a driver does by itself.

    Attributes:
        commit: writes one row and commits it.
        ask: goes to the store and back.
    """

    commit: Callable[[], Awaitable[object]]
    ask: Callable[[], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store that is there.

    Attributes:
        name: what the tables call it.
        url: where other processes find it; "" if they cannot.
        raw: its driver by itself; None where there is none.
        goal: the keys per second that batches of 100 keys should reach; None where there is none.
        is_slow: it is an imitation that takes long, and is measured a few times only.
    """

    name: str
    url: str = ""
    raw: Callable[[], AbstractAsyncContextManager[Raw]] | None = None
    goal: int | None = None
    is_slow: bool = False

    def storage(self) -> Storage | MemoryStorage:
        """A store, not opened; where others cannot reach it, a new and empty one."""
        if self.name == MEMORY:
            return MemoryStorage()
        return open_storage(self.url) if self.url else DictStorage()


MEMORY = "memory"


@contextmanager
def places() -> Iterator[tuple[list[Place], list[str]]]:
    """All stores, until the block ends; and which are left out, and why."""
    found = [Place(name=MEMORY), Place(name="dictionary")]
    left_out: list[str] = []
    with ExitStack() as stack:
        for name, serve in SERVERS.items():
            try:
                found += stack.enter_context(serve())
            except (ImportError, pytest.skip.Exception) as error:
                left_out.append(f"left out: {name}, {error}")
        yield found, left_out


@contextmanager
def sqlite_place() -> Iterator[list[Place]]:
    """An SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        raw = partial(_raw_sqlite, Path(folder, "raw.db"))
        url = f"sqlite:///{folder}/reality.db"
        yield [Place(name="SQLite", url=url, raw=raw, goal=30_000)]


@contextmanager
def _postgres() -> Iterator[list[Place]]:
    from tests.support.postgres import PostgresServer

    with PostgresServer() as server:
        found = []
        for driver, raw in (("psycopg", _raw_psycopg), ("asyncpg", _raw_asyncpg)):
            plain = server.new_database()
            url = plain.replace("postgresql:", f"postgresql+{driver}:")
            name = f"PostgreSQL, {driver}"
            found.append(Place(name=name, url=url, raw=partial(raw, plain), goal=15_000))
        yield found


@contextmanager
def _mariadb() -> Iterator[list[Place]]:
    from tests.support.mariadb import PASSWORD, USER, MariaDBServer

    with MariaDBServer() as server:
        url = server.new_database()
        options = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD}
        raw = partial(_raw_pymysql, {**options, "database": url.rpartition("/")[2]})
        yield [Place(name="MariaDB", url=url, raw=raw)]


@contextmanager
def _redis() -> Iterator[list[Place]]:
    from tests.support.redis_server import RedisServer

    # As a store wants it: it survives a restart, and is written to disk once a second.
    with RedisServer(appendonly=True) as server:
        url = server.new_database()
        yield [Place(name="Redis", url=url, raw=partial(_raw_redis, url), goal=50_000)]


@contextmanager
def _dynamodb() -> Iterator[list[Place]]:
    from tests.support.dynamodb import CREDENTIALS, REGION, moto_server

    # Where the driver looks for them, here and in the processes that are started from here.
    os.environ.update({name.upper(): value for name, value in CREDENTIALS.items()})
    with moto_server() as server:
        url = f"dynamodb://bench?endpoint={server.url}&region={REGION}"
        raw = partial(_raw_dynamodb, server.factory())
        yield [Place(name="DynamoDB (moto)", url=url, raw=raw, is_slow=True)]


SERVERS = {
    "SQLite": sqlite_place,
    "PostgreSQL": _postgres,
    "MariaDB": _mariadb,
    "Redis": _redis,
    "DynamoDB": _dynamodb,
}


# ---- the drivers by themselves -------------------------------------------------------------------


def _blocking(execute: Callable[[str], object]) -> Raw:
    async def run(statement: str) -> object:
        return execute(statement)

    execute(_TABLE)
    execute(_ROW)
    return Raw(partial(run, _COMMIT), partial(run, _ASK))


@asynccontextmanager
async def _raw_sqlite(path: Path) -> AsyncIterator[Raw]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # As the store has it: a commit is on the disk when it returns.
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        yield _blocking(lambda statement: connection.execute(statement).fetchall())
    finally:
        connection.close()


@asynccontextmanager
async def _raw_psycopg(url: str) -> AsyncIterator[Raw]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        yield _blocking(lambda statement: connection.execute(statement.encode()))


@asynccontextmanager
async def _raw_asyncpg(url: str) -> AsyncIterator[Raw]:
    import asyncpg  # type: ignore[import-untyped]

    connection = await asyncpg.connect(url)
    try:
        for statement in (_TABLE, _ROW):
            await connection.execute(statement)
        yield Raw(partial(connection.execute, _COMMIT), partial(connection.fetchval, _ASK))
    finally:
        await connection.close()


@asynccontextmanager
async def _raw_pymysql(options: dict[str, Any]) -> AsyncIterator[Raw]:
    import pymysql

    with pymysql.connect(**options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            yield _blocking(cursor.execute)


@asynccontextmanager
async def _raw_redis(url: str) -> AsyncIterator[Raw]:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(url) as client:
        yield Raw(partial(client.incr, "raw"), partial(client.execute_command, "PING"))


@asynccontextmanager
async def _raw_dynamodb(factory: Callable[[], Any]) -> AsyncIterator[Raw]:
    key = {"id": {"S": "1"}}
    async with factory() as client:
        await client.create_table(
            TableName="raw",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield Raw(
            partial(client.put_item, TableName="raw", Item=key),
            partial(client.get_item, TableName="raw", Key=key),
        )


async def timed(calls: Callable[[], Awaitable[object]], count: int, *, at_once: int = 1) -> float:
    """How long so many calls take, in seconds; so many of them go on at the same time."""
    loop = asyncio.get_running_loop()

    async def some() -> None:
        for _ in range(count // at_once):
            await calls()

    began_s = loop.time()
    if at_once == 1:
        await some()
    else:
        await asyncio.gather(*(some() for _ in range(at_once)))
    return loop.time() - began_s
