"""What runs a store's statements on a SQLAlchemy engine, blocking or async.

The connections are in autocommit mode, so that a single statement is one round trip; transactions
are opened and ended by statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import Pool

from reality.storage.process import renew_after_fork
from reality.storage.sql.executors import AsyncQuery, BlockingQuery, Rows


class EngineExecutor:
    """Runs statements in the thread that calls it.

    Args:
        engine: for this executor alone.
        begin: the statement that opens a transaction.
    """

    def __init__(self, engine: Engine, begin: str) -> None:
        self.paramstyle = _paramstyle(engine)
        self._engine = engine
        self._begin = begin
        _abandon_after_fork(self, engine)

    def query(self, sql: str, params: Sequence[Any], /) -> Rows:
        """See `BlockingExecutor.query`."""
        with self._engine.connect() as connection:
            return _run(connection, sql, params)

    @contextmanager
    def transaction(self) -> Iterator[BlockingQuery]:
        """See `BlockingExecutor.transaction`."""
        with self._engine.connect() as connection:
            query = partial(_run, connection)
            try:
                query(self._begin, ())
                yield query
                query("COMMIT", ())
            except Exception:
                _roll_back(connection)
                raise
            except BaseException:
                connection.invalidate()
                raise

    def close(self) -> None:
        """See `ClosingBlockingExecutor.close`."""
        # Not `Engine.dispose`, which begins a new pool: what the other thread is using now comes
        # back to this one, and is closed when that thread closes.
        self._engine.pool.dispose()


class AsyncEngineExecutor:
    """Runs statements in the event loop that calls it.

    Args:
        engine: for this executor alone.
        begin: the statement that opens a transaction.
    """

    def __init__(self, engine: AsyncEngine, begin: str) -> None:
        self.paramstyle = _paramstyle(engine.sync_engine)
        self._engine = engine
        self._begin = begin
        _abandon_after_fork(self, engine.sync_engine)

    async def query(self, sql: str, params: Sequence[Any], /) -> Rows:
        """See `AsyncExecutor.query`."""
        async with self._engine.connect() as connection:
            return await _run_async(connection, sql, params)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncQuery]:
        """See `AsyncExecutor.transaction`."""
        async with self._engine.connect() as connection:
            query = partial(_run_async, connection)
            try:
                await query(self._begin, ())
                yield query
                await query("COMMIT", ())
            except Exception:
                await connection.run_sync(_roll_back)
                raise
            except BaseException:
                await connection.invalidate()
                raise

    async def close(self) -> None:
        """See `ClosingAsyncExecutor.close`."""
        await self._engine.dispose()


def _run(connection: Connection, sql: str, params: Sequence[Any]) -> Rows:
    result = connection.exec_driver_sql(sql, tuple(params))
    return result.fetchall() if result.returns_rows else ()


async def _run_async(connection: AsyncConnection, sql: str, params: Sequence[Any]) -> Rows:
    return await connection.run_sync(_run, sql, params)


def _roll_back(connection: Connection) -> None:
    """End the transaction; if that fails too, by ending the connection."""
    try:
        _run(connection, "ROLLBACK", ())
    except SQLAlchemyError:
        connection.invalidate()


def _paramstyle(engine: Engine) -> str:
    """The driver's own, whatever SQLAlchemy makes of it; `%s` where it takes that as well."""
    driver = engine.dialect.loaded_dbapi
    return "format" if driver.paramstyle == "pyformat" else str(driver.paramstyle)


def _abandon_after_fork(executor: EngineExecutor | AsyncEngineExecutor, engine: Engine) -> None:
    """In a child its parent's connections are neither used nor closed, not even as garbage."""
    inherited: list[Pool] = []

    def abandon(_: object) -> None:
        inherited.append(engine.pool)
        engine.dispose(close=False)

    renew_after_fork(executor, abandon)
