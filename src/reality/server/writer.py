"""How a server's touches get into its store.

Those that come while one append is under way go together in the next, so that a busy server commits
no more often than its store can.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from reality.core.changelog import Batch
from reality.core.limits import Limits
from reality.errors import StorageBusy, StorageError
from reality.server.feed import Feed
from reality.storage.base import Storage

if TYPE_CHECKING:
    from reality.server.store_state import StoreState

# Of one append, so that it stays one short transaction; one batch may have more.
_NAMES_MAX = 1_000


class Writer:
    """One server's appends to one store. Lives in the event loop of the store's thread."""

    def __init__(self, storage: Storage, state: StoreState, feed: Feed, limits: Limits) -> None:
        self._storage = storage
        self._state = state
        self._feed = feed
        self._limits = limits
        self._queue: list[tuple[Batch, asyncio.Future[None]]] = []
        self._queued = 0  # names
        self._task: asyncio.Task[None] | None = None

    async def append(self, batch: Batch) -> None:
        """Return once the batch is in the store and in the server's graph.

        Raises:
            StorageBusy: too many names wait to be recorded already.
            StorageError: the store failed.
        """
        names_max = self._limits.queued_names_max
        if self._queue and self._queued + len(batch.names) > names_max:
            raise StorageBusy(
                f"{self._queued} keys and patterns wait to be recorded in {self._storage.name}, "
                f"and {names_max} may: invalidate again later, or fewer keys at once"
            )
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, recorded))
        self._queued += len(batch.names)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await recorded

    async def stop(self) -> None:
        """Record what was asked for, and end."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._queue:
                taken = self._take()
                outcome = await self._record([batch for batch, _ in taken])
                for _, recorded in taken:
                    if recorded.cancelled():
                        continue
                    if outcome is None:
                        recorded.set_result(None)
                    else:
                        recorded.set_exception(type(outcome)(outcome.message))
        finally:
            self._task = None

    def _take(self) -> list[tuple[Batch, asyncio.Future[None]]]:
        taken: list[tuple[Batch, asyncio.Future[None]]] = []
        names = 0
        for each in self._queue:
            names += len(each[0].names)
            if taken and names > _NAMES_MAX:
                names -= len(each[0].names)
                break
            taken.append(each)
        del self._queue[: len(taken)]
        self._queued -= names
        return taken

    async def _record(self, batches: list[Batch]) -> StorageError | None:
        """Append; what went wrong, if something did."""
        try:
            began = monotonic()
            appended = await self._storage.append(batches)
            if not self._state.extend(appended, began):
                await self._feed.look()
        except StorageError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a store of a third party may raise anything
            failure = StorageError(f"{self._storage.name} failed in an unforeseen way: {error!r}")
            failure.__cause__ = error
            return failure
        return None
