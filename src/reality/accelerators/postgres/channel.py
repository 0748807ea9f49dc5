"""One connection to PostgreSQL that listens and notifies.

NOTIFY takes a lock of the whole database server when its transaction commits. So each is a
statement of its own, on a connection of its own, and there is at most one in 50 ms.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

from reality.accelerators.base import unavailable

NOTIFY = "SELECT pg_notify($1, $2)"
TIMEOUT_S = 5

_PAUSE_S = 0.05
# Hints that wait to be taken; more of them are dropped, as one is as good as many.
_PENDING_MAX = 1024


class PostgresChannel(ABC):
    """What both drivers' channels have in common: what was heard, the pace, the end.

    Attributes:
        errors: what the driver raises if the database refuses, or cannot be reached.
    """

    errors: tuple[type[Exception], ...] = ()

    def __init__(self, channel: str, name: str) -> None:
        self._channel = channel
        self._name = name
        self._heard: asyncio.Queue[bytes | None] = asyncio.Queue(_PENDING_MAX)
        self._failure: BaseException | None = None
        self._next_at = 0.0

    async def publish(self, payload: bytes) -> None:
        """See `Channel.publish`."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next_at - loop.time()))
        self._next_at = loop.time() + _PAUSE_S
        if self._failure is not None:
            raise unavailable(self._name, self._failure)
        try:
            await self._notify(payload)
        except self.errors as error:
            raise unavailable(self._name, error) from error

    async def receive(self) -> bytes:
        """See `Channel.receive`."""
        if self._failure is None or not self._heard.empty():
            payload = await self._heard.get()
            if payload is not None:
                return payload
        raise unavailable(self._name, self._failure) from self._failure

    def _hear(self, payload: bytes | None) -> None:
        with suppress(asyncio.QueueFull):
            self._heard.put_nowait(payload)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._hear(None)

    @abstractmethod
    async def _notify(self, payload: bytes) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """See `Channel.close`."""
