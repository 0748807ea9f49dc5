"""How a server's touches get into its store.

Those that come while one append is under way go together in the next, so that a busy server commits
no more often than its store can. Names that the store refused are touched again until it takes
them: their callers know of the failure, but clients may hold what is old, and it is how the server
finds out that the store can be written again.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import chain
from typing import TYPE_CHECKING

from reality.core.backoff import ceiling
from reality.core.changelog import Batch
from reality.core.limits import Limits
from reality.errors import StorageBusy, StorageError, StorageUnavailable
from reality.server.feed import DEADLINE_S, Feed
from reality.storage.base import Storage
from reality.storage.memory import wall_clock_ms

if TYPE_CHECKING:
    from reality.server.store_state import StoreState

# Of one append, so that it stays one short transaction; one batch may have more.
_NAMES_MAX = 1_000
_RETRY_BASE_S = 0.1
_RETRY_MAX_S = 1.0


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
        self._owed: dict[str, None] = {}  # names
        self._recovery: asyncio.Task[None] | None = None

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
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])
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
                        recorded.set_exception(outcome.again())
                        recorded.exception()  # its caller may have gone; the log has it
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
            began = time.monotonic()
            async with asyncio.timeout(DEADLINE_S):
                appended = await self._storage.append(batches)
            if not self._state.extend(appended, began):
                await self._feed.look()
        except TimeoutError:
            return StorageUnavailable(
                f"{self._storage.name} has not answered for {DEADLINE_S:.0f} s: look whether it "
                "hangs; what was to be recorded may be recorded yet"
            )
        except StorageUnavailable as error:
            return error
        except StorageError as error:
            self._refused(error, batches)
            return error
        except Exception as error:  # noqa: BLE001  # a store of a third party may raise anything
            failure = StorageError(f"{self._storage.name} failed in an unforeseen way: {error!r}")
            failure.__cause__ = error
            return failure
        return None

    def _refused(self, error: StorageError, batches: list[Batch]) -> None:
        """The store can be reached, but not written: say so until it can."""
        self._state.fail_to_write(error)
        for name in chain.from_iterable(batch.names for batch in batches):
            if len(self._owed) < _NAMES_MAX:
                self._owed[name] = None
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        attempt = 0
        while self._owed:
            longest = ceiling(attempt, base=_RETRY_BASE_S, cap=_RETRY_MAX_S)
            await asyncio.sleep(longest * (1 + random.random()) / 2)
            attempt += 1
            # Without the hash: others may have recorded a later one.
            owed = tuple(self._owed)
            if await self._record([Batch(owed, wall_clock_ms())]) is None:
                for name in owed:
                    del self._owed[name]
