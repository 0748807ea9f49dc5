"""Bare executors around three drivers, as an application might write them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from queue import Empty, LifoQueue
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg  # type: ignore[import-untyped]  # it has no types
import psycopg
import pymysql

from reality.storage.process import renew_after_fork
from reality.storage.sql.executors import AsyncQuery, BlockingQuery, Rows


class _Pooled:
    """Connections that block, lent to one thread at a time."""

    paramstyle = "format"

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._idle: LifoQueue[Any] = LifoQueue()
        self._inherited: list[Any] = []
        renew_after_fork(self, _Pooled._after_fork)

    def query(self, sql: str, params: Any, /) -> Rows:
        with self._lent() as connection:
            return self.run(connection, sql, params)

    @contextmanager
    def transaction(self) -> Iterator[BlockingQuery]:
        with self._lent() as connection:
            self.run(connection, "BEGIN", ())
            yield lambda sql, params: self.run(connection, sql, params)
            self.run(connection, "COMMIT", ())

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def run(self, connection: Any, sql: str, params: Any) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else ()

    def _after_fork(self) -> None:
        """In a child: the connections are the parent's, and not even to be closed."""
        self._inherited.append(self._idle)
        self._idle = LifoQueue()

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            # Closing rolls back; a connection of which nothing is known is not lent again.
            connection.close()
            raise
        self._idle.put(connection)


class Psycopg(_Pooled):
    def __init__(self, url: str) -> None:
        super().__init__(lambda: psycopg.connect(url, autocommit=True, connect_timeout=5))


class PyMySQL(_Pooled):
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__(
            lambda: pymysql.connect(
                host=parts.hostname,
                port=parts.port or 3306,
                user=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                database=parts.path[1:],
                autocommit=True,
                connect_timeout=5,
            )
        )


class Asyncpg:
    paramstyle = "numeric_dollar"

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Any] = []
        self._inherited: list[Any] = []
        renew_after_fork(self, Asyncpg._after_fork)

    async def query(self, sql: str, params: Any, /) -> Rows:
        async with self._lent() as connection:
            return await self._run(connection, sql, params)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncQuery]:
        async with self._lent() as connection, connection.transaction():

            async def query(sql: str, params: Any, /) -> Rows:
                return await self._run(connection, sql, params)

            yield query

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _run(self, connection: Any, sql: str, params: Sequence[Any]) -> Rows:
        rows: Rows = await connection.fetch(sql, *params)
        return rows

    def _after_fork(self) -> None:
        """In a child: the connections are the parent's, and not even to be closed."""
        self._inherited.append(self._idle)
        self._idle = []

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        connection = self._idle.pop() if self._idle else await asyncpg.connect(self._url, timeout=5)
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)
