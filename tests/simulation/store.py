"""The store that simulated servers share, and each server's way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from reality.errors import StorageFull, StorageUnavailable
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage, Verb

Result = TypeVar("Result")

# How long the store answers nobody while an operator puts a backup in its place.
_RESTORING_S = 0.5


class SimStore(DictStorage):
    """What is kept. Looked at as often as a database is."""

    name = "the simulated store"
    feed_interval_s = 0.25


@dataclass
class Trouble:
    """What ails a store, for all servers alike.

    Attributes:
        delay_s: how long a verb takes at most before its work, and after it, in seconds.
        is_full: whether it refuses to be written.
        epoch: grows when a backup is put in its place, which breaks every connection.
        down_until_s: when it answers again, by the loop's clock.
    """

    delay_s: float = 0.005
    is_full: bool = False
    epoch: int = 0
    down_until_s: float = 0.0

    def heal(self) -> None:
        """Faults end."""
        self.delay_s, self.is_full = Trouble.delay_s, False


class StoreLink(FaultyStorage):
    """One server's connections to the store."""

    def __init__(self, store: SimStore, trouble: Trouble, random: Random) -> None:
        super().__init__(store, seed=random.randrange(2**32))
        self._trouble = trouble
        self._delays = random

    async def _around(self, verb: Verb, work: Callable[[], Awaitable[Result]]) -> Result:
        trouble = self._trouble
        epoch = trouble.epoch

        async def connected() -> Result:
            if trouble.epoch != epoch or asyncio.get_running_loop().time() < trouble.down_until_s:
                raise StorageUnavailable(f"{self.name} is being restored; try again")
            if trouble.is_full and verb == "append":
                raise StorageFull(f"{self.name} has no room left; make some")
            return await work()

        await self._travel()
        result = await super()._around(verb, connected)
        await self._travel()
        if trouble.epoch != epoch:
            raise StorageUnavailable(f"{self.name} lost the connection; try again")
        return result

    async def _travel(self) -> None:
        await asyncio.sleep(self._delays.uniform(0, self._trouble.delay_s))


def restore(store: SimStore, backup: DictStorage, trouble: Trouble) -> None:
    """An operator puts a backup in the place of what the store keeps."""
    trouble.epoch += 1
    trouble.down_until_s = asyncio.get_running_loop().time() + _RESTORING_S
    store.restore(backup)
