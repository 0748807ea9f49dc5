"""Listening and notifying with asyncpg."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from asyncpg import (  # type: ignore[import-untyped]
    InterfaceError,
    PostgresError,
    connect,
)

from reality.accelerators.base import unavailable
from reality.accelerators.postgres.channel import NOTIFY, TIMEOUT_S, PostgresChannel


class AsyncpgChannel(PostgresChannel):
    """A connection of asyncpg, which listens by itself."""

    errors = (PostgresError, InterfaceError, OSError, TimeoutError)

    @classmethod
    async def opened(cls, dsn: str, channel: str, name: str) -> AsyncpgChannel:
        """A channel that listens.

        Raises:
            AcceleratorUnavailable: the database cannot be reached, or refuses.
        """
        try:
            connection = await connect(dsn, timeout=TIMEOUT_S)
        except cls.errors as error:
            raise unavailable(name, error) from error
        opened = cls(connection, channel, name)
        try:
            await connection.add_listener(channel, opened._notified)
        except BaseException as error:
            await opened.close()
            if isinstance(error, cls.errors):
                raise unavailable(name, error) from error
            raise
        return opened

    def __init__(self, connection: Any, channel: str, name: str) -> None:
        super().__init__(channel, name)
        self._connection = connection
        connection.add_termination_listener(self._ended)

    async def _notify(self, payload: bytes) -> None:
        await self._connection.execute(NOTIFY, self._channel, payload.decode(), timeout=TIMEOUT_S)

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        assert isinstance(payload, str)
        self._hear(payload.encode())

    def _ended(self, _connection: object) -> None:
        self._fail(ConnectionError("the connection has ended"))

    async def close(self) -> None:
        """See `Channel.close`."""
        self._fail(ConnectionError("closed"))
        with suppress(*self.errors):
            await self._connection.close(timeout=1)
