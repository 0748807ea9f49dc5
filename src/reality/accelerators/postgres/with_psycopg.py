"""Listening and notifying with psycopg 3."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.errors import error_from_result

from reality.accelerators.base import unavailable
from reality.accelerators.postgres.channel import NOTIFY, PostgresChannel


class PsycopgChannel(PostgresChannel):
    """Uses libpq's calls that do not block: psycopg's own either listen or send, not both."""

    errors = (Error, OSError)

    @classmethod
    async def opened(cls, dsn: str, channel: str, name: str) -> PsycopgChannel:
        """A channel that listens.

        Raises:
            AcceleratorUnavailable: the database cannot be reached, or refuses.
        """
        try:
            connection = await AsyncConnection.connect(dsn, autocommit=True)
        except cls.errors as error:
            raise unavailable(name, error) from error
        try:
            await connection.execute(f'LISTEN "{channel}"'.encode())
        except BaseException as error:
            await connection.close()
            if isinstance(error, Error):
                raise unavailable(name, error) from error
            raise
        return cls(connection, channel, name)

    def __init__(self, connection: Any, channel: str, name: str) -> None:
        super().__init__(channel, name)
        self._connection = connection
        self._libpq = connection.pgconn
        self._socket = self._libpq.socket
        self._answer: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)
        self._loop.call_soon(self._read)  # what came together with the answer to LISTEN

    async def _notify(self, payload: bytes) -> None:
        self._answer = self._loop.create_future()
        try:
            self._libpq.send_query_params(NOTIFY.encode(), [self._channel.encode(), payload])
            await self._answer
        except BaseException as error:
            self._fail(error)  # its answer would be taken for the next one's
            raise

    def _read(self) -> None:
        if self._failure is not None:
            return
        try:
            self._libpq.consume_input()
            self._take_answer()
            while (notification := self._libpq.notifies()) is not None:
                self._hear(notification.extra)
        except self.errors as error:
            self._fail(error)

    def _take_answer(self) -> None:
        while self._answer is not None and not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                answer, self._answer = self._answer, None
                if not answer.done():
                    answer.set_result(None)
            elif result.error_message:
                raise error_from_result(result)

    def _fail(self, error: BaseException) -> None:
        super()._fail(error)
        self._loop.remove_reader(self._socket)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    async def close(self) -> None:
        """See `Channel.close`."""
        if not self._connection.closed:
            self._fail(ConnectionError("closed"))
        with suppress(*self.errors):
            await self._connection.close()
