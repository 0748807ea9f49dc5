"""Lines for hints (`reality.storage.sql.notify`): what psycopg and asyncpg do differently.

They are connected as the application's engine connects, then taken out of the pool. A connection of
psycopg, blocking or async, is watched by the event loop itself, so that none needs a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from reality.storage.sql.notify import Line, OpenLine

_DRIVERS = ("psycopg", "psycopg_async", "asyncpg")


def line_opener(new_engine: Callable[[], Engine | AsyncEngine]) -> OpenLine:
    """How to open lines to a PostgreSQL database.

    Args:
        new_engine: makes an engine with an empty pool, for one connection.

    Raises:
        ValueError: its driver is neither psycopg 3 nor asyncpg.
    """
    driver = new_engine().dialect.driver
    if driver not in _DRIVERS:
        raise ValueError(
            f"notify=True needs the driver psycopg (3) or asyncpg, and this is {driver}: use "
            "postgresql+psycopg:// or postgresql+asyncpg://, or leave notify= out"
        )
    return partial(_open, new_engine)


async def _open(new_engine: Callable[[], Engine | AsyncEngine], channel: str) -> Line:
    engine = new_engine()
    connection = await _connect(engine)
    line: PsycopgLine | AsyncpgLine
    if engine.dialect.driver == "asyncpg":
        line = AsyncpgLine(connection)
    else:
        line = PsycopgLine(connection)
    try:
        await line.listen(channel)
    except BaseException as error:
        line.fail(error)
        raise
    return line


class PsycopgLine(Line):
    """A connection of psycopg, used through libpq's calls that do not block."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection  # as garbage it would be closed
        self._libpq = connection.pgconn
        self._socket = self._libpq.socket
        self._answer: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    async def listen(self, channel: str) -> None:
        """Hear, from now on, what is sent on the channel."""
        await self.execute(f'LISTEN "{channel}"')

    async def _execute(self, sql: str) -> None:
        self._answer = self._loop.create_future()
        self._libpq.send_query(sql.encode())
        await self._answer

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
            self._take_answer()
            while (notification := self._libpq.notifies()) is not None:
                if notification.be_pid != self._libpq.backend_pid:
                    self.news.set()
        except Exception as error:  # noqa: BLE001  # told to whoever waits
            self.fail(error)

    def _take_answer(self) -> None:
        from psycopg.errors import error_from_result

        while self._answer is not None and not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                answer, self._answer = self._answer, None
                if not answer.done():
                    answer.set_result(None)
            elif result.error_message:
                raise error_from_result(result)

    def _end(self) -> None:
        try:
            self._loop.remove_reader(self._socket)
        finally:
            self._libpq.finish()
        if self._answer is not None and not self._answer.done():
            assert self.failure is not None
            self._answer.set_exception(self.failure)


class AsyncpgLine(Line):
    """A connection of asyncpg, which listens by itself."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection
        self._pid = connection.get_server_pid()
        connection.add_termination_listener(self._ended)

    async def listen(self, channel: str) -> None:
        """Hear, from now on, what is sent on the channel."""
        await self._connection.add_listener(channel, self._heard)

    async def _execute(self, sql: str) -> None:
        await self._connection.execute(sql)

    def _heard(self, _connection: object, pid: int, _channel: str, _payload: object) -> None:
        if pid != self._pid:
            self.news.set()

    def _ended(self, _connection: object) -> None:
        self.fail(ConnectionError("the server closed the connection"))

    def _end(self) -> None:
        self._connection.terminate()


async def _connect(engine: Engine | AsyncEngine) -> Any:
    """A connection of the driver's, out of the pool; the caller closes it."""
    if not isinstance(engine, AsyncEngine):
        return await _in_thread(partial(_connect_blocking, engine), _close)
    return _out_of_pool(await engine.raw_connection())


def _connect_blocking(engine: Engine) -> Any:
    return _out_of_pool(engine.raw_connection())


def _out_of_pool(pooled: PoolProxiedConnection) -> Any:
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def _close(connection: Any) -> None:
    connection.close()


async def _in_thread(function: Callable[[], Any], discard: Callable[[Any], None]) -> Any:
    """What a function returns in a daemon thread; discarded if nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.done():
            if error is None:
                discard(result)
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, result, failure)
        except RuntimeError:  # the loop has ended
            if failure is None:
                discard(result)

    threading.Thread(target=work, name="reality-listen", daemon=True).start()
    return await future
