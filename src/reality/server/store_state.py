"""The state of a server whose nodes live in a store that other processes share.

Syncs are answered from memory, under the lock, whenever memory has all that they ask for and the
store was looked at within the feed's interval. All work on the store is done in one thread with an
event loop of its own, so that it goes on while the application's loop is busy, and serves callers
of any loop and none.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar
from weakref import WeakSet

from reality.core.changelog import Appended, Batch, Changes
from reality.core.cursor import Position
from reality.core.delta import Delta, Mark
from reality.core.graph import Answer, Node
from reality.core.limits import Limits
from reality.core.messages import VersionsResponse
from reality.core.replica import Generation
from reality.core.store_graph import StoreGraph, Told, Verdict, with_ancestors
from reality.errors import (
    NotReady,
    RealityError,
    StorageBusy,
    StorageError,
    StorageUnavailable,
)
from reality.server.feed import Feed
from reality.server.holding import Ticket
from reality.server.loop_thread import LoopThread
from reality.server.state import PAGE_NAMES_MAX, State, nodes_of
from reality.server.writer import Writer
from reality.storage.base import Storage
from reality.storage.memory import draw_nonce, wall_clock_ms

Result = TypeVar("Result")

_logger = logging.getLogger("reality.server")

# How long whoever asks for a server's health waits for the first look at its store.
_PROBE_S = 1.0
# How long a process that ends without `stop` waits for its store to be closed.
_FAREWELL_S = 2.0


class StoreState(State):
    """What one server has in memory of a shared store, and its work on the store."""

    def __init__(self, server_id: str, storage: Storage, limits: Limits) -> None:
        self._storage = storage
        self._graph: StoreGraph | None = None
        self._told = Told()
        self._work: tuple[Feed, Writer] | None = None
        self._failure: StorageError | None = None
        self._write_failure: StorageError | None = None
        self._fresh_until = float("-inf")
        self._asked = self._is_idle = self._is_exchanged = False
        super().__init__(server_id, limits)
        self._thread = LoopThread("reality-store")

    @property
    def graph(self) -> StoreGraph | None:
        """See `State`."""
        return self._graph

    @property
    def is_healthy(self) -> bool:
        """See `State`. A store that was never opened is not healthy yet; see `probe`."""
        is_writable = self._write_failure is None
        return self._graph is not None and self._failure is None and is_writable

    @property
    def storage_name(self) -> str:
        """See `State`."""
        return self._storage.name

    # ---- verbs, for callers of any event loop --------------------------------------------------

    async def answer(
        self, known: Mapping[str, int], cursor: str | None, hidden: Collection[str]
    ) -> tuple[Answer, int]:
        """See `State`.

        Raises:
            StorageError: the store failed.
        """
        with self._lock:
            graph = self._graph
            if (
                graph is not None
                and self._is_fresh()
                and not graph.is_behind(cursor)
                and not graph.lacks(known)
            ):
                return graph.answer(known, cursor, hidden=hidden), graph.position

        def use(graph: StoreGraph) -> tuple[Answer, int]:
            return graph.answer(known, cursor, hidden=hidden), graph.position

        return await self._thread.call(self._use(known, use, cursor=cursor))

    async def node(self, key: str) -> Node | None:
        """See `State`."""
        return await self._thread.call(self._use((key,), lambda graph: graph.node(key)))

    async def touch(
        self, names: Sequence[str], *, hash: str = "", deleted: bool = False
    ) -> dict[str, Node]:
        """See `State`.

        Raises:
            StorageError: the store failed; unless it is `StorageUnavailable`, nothing was touched.
        """
        batch = Batch(tuple(dict.fromkeys(names)), wall_clock_ms(), hash, deleted)
        return await self._thread.call(self._touch(batch))

    async def listing(self, since: int, server_id: str | None, limit: int) -> VersionsResponse:
        """See `State`. Positions are sequences of the store; of a batch all is listed, or none."""
        return await self._thread.call(self._listing(since, server_id, limit))

    async def start(self) -> None:
        """See `State`. A store that cannot be reached yet is tried again and again.

        Raises:
            StorageError: the store refuses, for a reason that waiting will not remove.
        """
        try:
            await self._thread.call(self._use((), StoreGraph.__len__))
        except (StorageUnavailable, StorageBusy):
            return  # the feed has said so, and goes on

    async def probe(self) -> None:
        """See `State`."""
        if self._graph is None and self._failure is None:
            with suppress(RealityError, TimeoutError):
                async with asyncio.timeout(_PROBE_S):
                    await self._thread.call(self._use((), StoreGraph.__len__))

    async def stop(self) -> None:
        """See `State`."""
        if self._work is not None:
            await self._thread.call(self._close())
            self._thread.stop()

    def farewell(self) -> None:
        """The process ends without having stopped the server: record and close what there is."""
        if self._work is not None:
            with suppress(RealityError, TimeoutError):
                self._thread.block_on(self._close(), timeout_s=_FAREWELL_S)

    def take_ticket(self, client_id: str, names: frozenset[str]) -> Ticket:
        """See `State`.

        Raises:
            StorageError: the store cannot be written, so nobody could end the wait.
        """
        if self._write_failure is not None:
            raise self._write_failure.again()
        ticket = super().take_ticket(client_id, names)
        work = self._work
        if work is not None and self._is_idle:
            self._is_idle = False
            self._thread.soon(work[0].rouse)
        return ticket

    # ---- for other servers ---------------------------------------------------------------------

    @property
    def run(self) -> str:
        """See `State`."""
        return self._run

    def look_soon(self, *, is_doubtful: bool = False) -> None:
        """See `State`."""
        if is_doubtful:
            with self._lock:
                self._fresh_until = float("-inf")
        work = self._work
        if work is not None:
            self._thread.soon(work[0].rouse)

    async def opened(self) -> StoreGraph:
        """See `State`."""
        graph = self._graph
        if graph is not None:
            return graph
        return await self._thread.call(self._use((), lambda graph: graph))

    async def look(self) -> None:
        """See `State`."""
        await self._thread.call(self._look())

    async def page(
        self, origin: str, since: Position, begins: Mark, *, bytes_max: int
    ) -> Delta | None:
        """See `State`. Pages of the own origin are read from the store."""
        with self._lock:
            graph = self._graph
            if graph is None or origin not in graph.digest:
                return None
            if origin != graph.own_origin:
                return graph.page(
                    origin, since, begins, names_max=PAGE_NAMES_MAX, bytes_max=bytes_max
                )
        return await self._thread.call(self._own_page(graph, since, begins, bytes_max))

    def exchange(self) -> None:
        """See `State`."""
        self._is_exchanged = True

    def begin_generation(self, generation: Generation) -> None:
        """See `State`."""
        assert self._graph is not None, "an exchange begins with an opened graph"
        self._graph.forget_others(generation)
        self.took_in(None)

    async def renew_lineage(self) -> None:
        """See `State`."""
        await self._thread.call(self._renew_lineage())

    # ---- what the feed and the writer tell -----------------------------------------------------

    @property
    def told(self) -> Told:
        """What clients have been told, by this server object, of whatever store was there."""
        with self._lock:
            if self._graph is not None:
                self._told = self._graph.told
            return self._told

    def is_wanted(self) -> bool:
        """Whether anybody waits or has asked lately; if not, the feed slows down."""
        with self._lock:
            wanted = len(self._holding) > 0 or self._asked
            self._asked = False
            self._is_idle = not wanted
            return wanted

    def adopt(self, graph: StoreGraph) -> None:
        """Go on with another graph: every held sync is concerned.

        What other servers have told is kept. Where the store has another lineage now, they begin
        anew as well: some may hold of the last one what the store has lost.
        """
        with self._lock:
            before, self._graph = self._graph, graph
            if before is None:
                graph.raise_register(self._told.floor)
            else:
                graph.take_over(before)
                if self._is_exchanged and before.own_origin != graph.own_origin:
                    graph.forget_others(graph.generation.next(graph.own_origin))
            self.took_in(None)
            self.after_touch(False)

    def follow(self, graph: StoreGraph, changes: Changes, held: Position) -> Verdict:
        """Take in what the feed has read, if it fits, and wake whom it concerns."""
        with self._lock:
            if graph is not self._graph:
                return Verdict.FITS  # replaced meanwhile by one that is newer
            verdict = graph.judge(changes, held)
            if verdict is Verdict.FITS:
                self._wake(graph, graph.follow(changes), is_own=False)
            return verdict

    def extend(self, appended: Appended, began: float) -> bool:
        """Take in what the writer has appended; False if the feed has to look first.

        An append that follows on what the graph knew tells as much as a look that began with it.
        """
        with self._lock:
            self._invalidations += len(appended.batches)
            if self._write_failure is not None:
                self._write_failure = None
                _logger.warning("%s can be written again", self._storage.name)
            graph = self._graph
            names = None if graph is None else graph.extend(appended)
            if graph is None or names is None:
                return False
            self._wake(graph, names, is_own=True)
            self._fresh_until = max(self._fresh_until, began + self._storage.feed_interval_s)
            return True

    def succeed(self, began: float) -> None:
        """A look that began at this moment of the monotonic clock has gone well."""
        with self._lock:
            self._failure = None
            self._fresh_until = began + self._storage.feed_interval_s

    def fail(self, error: StorageError) -> None:
        """The store failed: nobody is left hanging, everybody is told."""
        with self._lock:
            self._failure = error
            self._holding.wake_all()

    def fail_to_write(self, error: StorageError) -> None:
        """The store refuses to be written: whoever waits would wait for nothing."""
        with self._lock:
            if self._write_failure is None:
                _logger.error("%s", error)
            self._write_failure = error
            self._holding.wake_all()

    def raise_failure(self) -> None:
        """Raise what the last look failed with, if it did."""
        if self._failure is not None:
            raise self._failure.again()

    # ---- inside, under the lock ----------------------------------------------------------------

    def _is_fresh(self) -> bool:
        self._asked = True
        return self._failure is None and time.monotonic() < self._fresh_until

    def _wake(self, graph: StoreGraph, names: Collection[str], *, is_own: bool) -> None:
        self.took_in(names)
        graph.drop_to(self._limits.nodes_max)
        if names:
            self.after_touch(is_own)

    # ---- inside, in the store's thread ---------------------------------------------------------

    async def _use(
        self,
        names: Collection[str],
        use: Callable[[StoreGraph], Result],
        *,
        cursor: str | None = None,
    ) -> Result:
        """What `use` makes of a graph that is fresh and has these names, in one step."""
        feed, _ = self._opened()
        with self._lock:
            graph, is_fresh = self._graph, self._is_fresh()
        self.raise_failure()  # the feed tries again soon; no use in everybody doing so
        if graph is None or not is_fresh or graph.is_behind(cursor):
            await feed.look()
        is_again = False
        while True:
            with self._lock:
                graph = self._graph
                if graph is None:
                    raise NotReady(f"the server {self._server_id} was stopped meanwhile")
                lacking = graph.lacks(names)
                if not lacking:
                    return use(graph)
                since = graph.own_position
            if is_again:
                # What was held a moment ago may be dropped by the time the rest has come.
                lacking = with_ancestors(names)
            is_again = True
            found = await self._storage.read(lacking)
            # A look that begins after the read and still fits shows that the read was of the same
            # history, not of a backup restored just before; and it brings the graph up to the read.
            await feed.look()
            with self._lock:
                is_usable = graph is self._graph and not graph.may_have_missed(since)
                if is_usable and graph.learn(lacking, found) and not graph.lacks(names):
                    result = use(graph)
                    graph.drop_to(self._limits.nodes_max)
                    return result

    async def _touch(self, batch: Batch) -> dict[str, Node]:
        feed, writer = self._opened()
        if self._graph is None or self._failure is not None:
            await feed.look()
        await writer.append(batch)
        return await self._use(batch.names, lambda graph: nodes_of(graph, batch.names))

    async def _look(self) -> None:
        feed, _ = self._opened()
        await feed.look()

    async def _own_page(
        self, graph: StoreGraph, since: Position, begins: Mark, bytes_max: int
    ) -> Delta | None:
        feed, _ = self._opened()
        held = graph.own_position
        after = begins.sequence - 1 if begins.name else begins.sequence
        listing = await self._storage.scan(after, limit=PAGE_NAMES_MAX)
        if listing.touched and listing.touched[-1].sequence > graph.position:
            await feed.look()
        with self._lock:
            if graph is not self._graph:
                return None
            return graph.own_page(listing, held, since, begins, bytes_max=bytes_max)

    async def _renew_lineage(self) -> None:
        feed, _ = self._opened()
        graph = self._graph
        if graph is not None:
            await feed.renew_lineage(graph.own_origin)

    async def _listing(self, since: int, server_id: str | None, limit: int) -> VersionsResponse:
        origin, position = await self._use((), lambda graph: (graph.own_origin, graph.position))
        is_ours = server_id in (None, self._server_id, origin)
        reset = not (is_ours and 0 <= since <= position)
        page = await self._storage.scan(0 if reset else since, limit=limit)
        last = page.touched[-1].sequence if page.touched else position
        names = [touched.name for touched in page.touched]
        changed = await self._use(names, lambda graph: [graph.listed(name) for name in names])
        return VersionsResponse(
            server_id=self._server_id,
            origin=origin,
            max_version=max(position, last),
            changed=changed,
            since=last,
            more=page.more,
            reset=reset,
            timestamp=wall_clock_ms(),
        )

    def _opened(self) -> tuple[Feed, Writer]:
        if self._work is None:
            _open_states.add(self)
            feed = Feed(self._storage, self)
            self._work = (feed, Writer(self._storage, self, feed, self._limits))
        return self._work

    async def _close(self) -> None:
        if self._work is not None:
            feed, writer = self._work
            await writer.stop()
            await feed.stop()
        self._work = None
        with self._lock:
            self._told = self.told  # a server that starts again takes nothing back either
            self._graph = None
        await self._storage.close()

    def _after_fork(self) -> None:
        """In a child: the parent's connections, tasks and thread are not here."""
        super()._after_fork()
        self._run = f"{self._server_id}~{draw_nonce()}"
        self._work = None
        if self._graph is not None:
            self._told = self._graph.told
        self._graph = None
        self._failure = self._write_failure = None
        self._fresh_until = float("-inf")
        self._asked = self._is_idle = False


_open_states: WeakSet[StoreState] = WeakSet()


@atexit.register
def _close_all() -> None:
    for state in list(_open_states):
        state.farewell()
