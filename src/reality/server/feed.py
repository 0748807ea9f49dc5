"""How a server follows its store's change log.

The feed looks for batches of other processes at least once an interval while anybody waits, and
whenever an answer asks for a newer look. A look reads on from where the graph is, compares tags,
and drops the graph where the store's history is another than the one that the graph has seen. Hints
of the store make a look come early; nothing depends on them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

from reality.core.backoff import ceiling
from reality.core.store_graph import StoreGraph, Verdict
from reality.errors import NotReady, StorageError, StorageUnavailable
from reality.storage.base import Hinting, Storage
from reality.storage.memory import wall_clock_ms

if TYPE_CHECKING:
    from reality.server.store_state import StoreState

_logger = logging.getLogger("reality.server")

_PAGE_BATCHES = 200
# A little more often than a look goes out of date, so that answers seldom have to wait for one.
_PACE = 0.75
# While nobody waits, answers see to it that they are up to date; this keeps the way short.
_IDLE_PACE = 8
_RETRY_BASE_S = 0.1
_RETRY_MAX_S = 1.0
_CANCEL_AGAIN_S = 0.1
# Longer than any store waits for a lock or a connection: only one that hangs takes so long.
DEADLINE_S = 15.0


class Feed:
    """One server's looks at one store. Lives in the event loop of the store's thread."""

    def __init__(self, storage: Storage, state: StoreState) -> None:
        self._storage = storage
        self._state = state
        self._looking = asyncio.Lock()
        self._begun = self._done = 0
        self._failures = 0
        self._is_stopped = False
        self._roused = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run())]
        if isinstance(storage, Hinting):
            self._tasks.append(asyncio.create_task(self._take_hints(storage)))

    async def stop(self) -> None:
        """Look no more."""
        self._is_stopped = True
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            # Some drivers lose a cancellation that comes while they send.
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)

    def rouse(self) -> None:
        """Somebody has begun to wait: look soon, and often."""
        self._roused.set()

    async def look(self) -> None:
        """Look once, beginning after this call. Calls that come together share one look.

        Raises:
            StorageError: the store failed; all held syncs have been ended.
            NotReady: the server was stopped.
        """
        wanted = self._begun + 1
        async with self._looking:
            if self._is_stopped:
                raise NotReady(f"the server was stopped while it asked {self._storage.name}")
            if self._done < wanted:
                self._begun += 1
                await self._try_to_look()
                self._done = self._begun
        self._state.raise_failure()

    async def renew_lineage(self, origin: str) -> None:
        """Others hold another history of this origin: give the store a new lineage.

        Raises:
            StorageError: the store failed.
        """
        async with self._looking:
            await self._rotate(origin)
            await self._reload()

    async def _try_to_look(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._look()
        except StorageError as error:
            self._fail(error)
        except TimeoutError:
            self._fail(
                StorageUnavailable(
                    f"{self._storage.name} has not answered for {DEADLINE_S:.0f} s: look whether "
                    "it hangs"
                )
            )
        except Exception as error:  # a store of a third party may raise anything
            _logger.exception("%s failed in an unforeseen way", self._storage.name)
            failure = StorageError(f"{self._storage.name} failed in an unforeseen way: see the log")
            failure.__cause__ = error
            self._fail(failure)
        else:
            if self._failures:
                _logger.warning("%s works again", self._storage.name)
            self._failures = 0
            self._state.succeed(began)

    def _fail(self, error: StorageError) -> None:
        if self._failures == 0:
            _logger.error("%s", error)
        self._failures += 1
        self._state.fail(error)

    async def _look(self) -> None:
        while True:
            graph = self._state.graph
            if graph is None:
                return await self._reload()
            held = graph.own_position
            changes = await self._storage.changes(held.sequence, limit=_PAGE_BATCHES)
            verdict = self._state.follow(graph, changes, held)
            if verdict is Verdict.FITS:
                if graph.position >= changes.head.position.sequence:
                    return None
                continue
            _logger.warning("%s: %s; reading anew", self._storage.name, verdict.value)
            return await self._reload()

    async def _reload(self) -> None:
        """Begin with an empty graph where the store is now.

        A store that would make this server take back what it has told gets another lineage first,
        with a register above all of it.
        """
        while True:
            opening = await self._storage.open()
            if self._state.told.allows(opening):
                return self._state.adopt(StoreGraph(opening))
            await self._rotate(opening.head.origin)

    async def _rotate(self, origin: str) -> None:
        register = max(wall_clock_ms(), self._state.told.version_max)
        head = await self._storage.rotate(origin, register=register)
        _logger.warning(
            "%s is now %s instead of %s; all clients refetch once",
            self._storage.name,
            head.origin,
            origin,
        )

    async def _run(self) -> None:
        while not self._is_stopped:
            await self._pause()
            self._roused.clear()
            try:
                await self.look()
            except StorageError:
                continue  # said already, and known to the state

    async def _pause(self) -> None:
        if self._failures:
            longest = ceiling(self._failures - 1, base=_RETRY_BASE_S, cap=_RETRY_MAX_S)
            pause = longest * (1 + random.random()) / 2
            await asyncio.sleep(pause)
            return
        pace = _PACE if self._state.is_wanted() else _IDLE_PACE
        try:
            async with asyncio.timeout(self._storage.feed_interval_s * pace):
                await self._roused.wait()
        except TimeoutError:
            return

    async def _take_hints(self, storage: Hinting) -> None:
        while not self._is_stopped:
            try:
                await storage.hinted()
            except StorageError as error:
                _logger.debug("no hints for now: %s", error)
                await asyncio.sleep(_RETRY_MAX_S)
            else:
                self._roused.set()
