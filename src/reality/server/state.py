"""What the threads and event loops of one process share, under one lock.

`State` is what all servers have in common: the held syncs and the counters. `MemoryState` keeps the
nodes itself; `reality.server.store_state` has those of servers on a shared store. Every step taken
under the lock is one step as seen by other threads: a touch and the waking of whom it concerns, a
look at the graph.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from reality.core.cursor import Position
from reality.core.delta import Delta, Mark
from reality.core.graph import Answer, Graph, Node
from reality.core.keys import is_pattern
from reality.core.limits import Limits
from reality.core.messages import VersionsResponse
from reality.core.replica import Generation
from reality.server.holding import Holding, Ticket
from reality.server.stats import Stats
from reality.storage.memory import MemoryStorage, wall_clock_ms
from reality.storage.process import renew_after_fork

_logger = logging.getLogger("reality.server")

# Of one page for another server; its bytes bound it before.
PAGE_NAMES_MAX = 2_000


class State(ABC):
    """The nodes, the held syncs and the counters of one server."""

    def __init__(self, server_id: str, limits: Limits) -> None:
        self._server_id = server_id
        self._limits = limits
        self._made_ms = wall_clock_ms()
        self._syncs = self._invalidations = self._woken = 0
        # Called, under the lock, when the own origin has moved on; with True, because of a touch by
        # this very server. Must be quick.
        self.after_touch: Callable[[bool], None] = _nothing
        self._after_fork()
        renew_after_fork(self, lambda state: state._after_fork())  # noqa: SLF001  # a subclass's

    # ---- nodes ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def graph(self) -> Graph | None:
        """What is in memory; None while nothing is. To be used under the lock."""

    @property
    @abstractmethod
    def is_healthy(self) -> bool:
        """Whether the nodes can be read and written, as far as is known."""

    @property
    @abstractmethod
    def storage_name(self) -> str:
        """What the store is called in logs; without credentials."""

    @abstractmethod
    async def answer(
        self, known: Mapping[str, int], cursor: str | None, hidden: Collection[str]
    ) -> tuple[Answer, int]:
        """What is news, and the local apply position it was read at."""

    @abstractmethod
    async def node(self, key: str) -> Node | None:
        """The metadata of a key."""

    @abstractmethod
    async def touch(
        self, names: Sequence[str], *, hash: str = "", deleted: bool = False
    ) -> dict[str, Node]:
        """Record one batch of well-formed names and wake whom it concerns; the keys' new nodes."""

    @abstractmethod
    async def listing(self, since: int, server_id: str | None, limit: int) -> VersionsResponse:
        """One page of what was touched after a local apply position."""

    @abstractmethod
    async def start(self) -> None:
        """Get ready to answer."""

    @abstractmethod
    async def probe(self) -> None:
        """Find out whether the nodes can be read, if nobody has yet; does not fail."""

    @abstractmethod
    async def stop(self) -> None:
        """Let go of what `start` or the first use have opened."""

    # ---- for other servers ---------------------------------------------------------------------

    @property
    def lock(self) -> threading.RLock:
        """What serialises the use of `graph`."""
        return self._lock

    @abstractmethod
    async def opened(self) -> Graph:
        """What is in memory, once something is. To be used under the lock.

        Raises:
            StorageError: the store failed.
        """

    @property
    @abstractmethod
    def run(self) -> str:
        """The run of this server, `server_id~nonce`: another in each process."""

    def look_soon(self, *, is_doubtful: bool = False) -> None:  # noqa: B027  # memory needs none
        """Look at the store before it is time; may be called from any thread.

        With `is_doubtful`, something may have been missed: the next answer looks first.
        """

    @abstractmethod
    async def look(self) -> None:
        """Look whether the store has something that is not in memory yet.

        Raises:
            StorageError: the store failed.
        """

    @abstractmethod
    async def page(
        self, origin: str, since: Position, begins: Mark, *, bytes_max: int
    ) -> Delta | None:
        """A page of what is known of an origin; None if that has changed meanwhile.

        Raises:
            StorageError: the store failed.
        """

    @abstractmethod
    def exchange(self) -> None:
        """From now on the nodes are exchanged with other servers."""

    @abstractmethod
    def begin_generation(self, generation: Generation) -> None:
        """Forget what is known of others, and end every wait."""

    @abstractmethod
    async def renew_lineage(self) -> None:
        """Others have seen another history of the store: give it a new lineage."""

    def took_in(self, names: Iterable[str] | None) -> None:
        """Other servers have touched these names; None if every wait is concerned."""
        self._woken += self._holding.wake_all() if names is None else self._holding.wake(names)

    # ---- held syncs, counters ------------------------------------------------------------------

    def take_ticket(self, client_id: str, names: frozenset[str]) -> Ticket:
        """Begin to hold a sync; see `Holding.take`."""
        with self._lock:
            return self._holding.take(client_id, names)

    def give_back(self, ticket: Ticket) -> None:
        """A held sync was answered, or its asker has gone."""
        with self._lock:
            self._holding.give_back(ticket)

    def wake_all(self) -> None:
        """End every wait."""
        with self._lock:
            self._holding.wake_all()

    def count_sync(self) -> None:
        """A sync was answered."""
        with self._lock:
            self._syncs += 1

    def stats(self) -> Stats:
        """A consistent snapshot of the counters."""
        with self._lock:
            graph = self.graph
            return Stats(
                server_id=self._server_id,
                origin="" if graph is None else graph.own_origin,
                storage=self.storage_name,
                is_storage_healthy=self.is_healthy,
                uptime_s=(wall_clock_ms() - self._made_ms) / 1000,
                nodes=0 if graph is None else len(graph),
                position=0 if graph is None else graph.position,
                version_max=0 if graph is None else graph.version_max,
                waiters=len(self._holding),
                syncs=self._syncs,
                invalidations=self._invalidations,
                woken=self._woken,
            )

    def _after_fork(self) -> None:
        """In a child: nothing is held here, and the parent's lock may have been taken."""
        # Re-entrant, so that `end_waits` in a signal handler cannot wait for what it interrupted.
        self._lock = threading.RLock()
        self._holding = Holding(self._limits)


class MemoryState(State):
    """Nodes that live in this process only."""

    is_healthy = True
    storage_name = "memory"

    def __init__(self, server_id: str, storage: MemoryStorage, limits: Limits) -> None:
        self._storage = storage
        storage.serve_as(server_id, limits)
        super().__init__(server_id, limits)

    @property
    def graph(self) -> Graph:
        """See `State`."""
        return self._storage.graph

    async def answer(
        self, known: Mapping[str, int], cursor: str | None, hidden: Collection[str]
    ) -> tuple[Answer, int]:
        """See `State`."""
        with self._lock:
            graph = self._storage.graph
            return graph.answer(known, cursor, hidden=hidden), graph.position

    async def node(self, key: str) -> Node | None:
        """See `State`."""
        with self._lock:
            return self._storage.graph.node(key)

    async def touch(
        self, names: Sequence[str], *, hash: str = "", deleted: bool = False
    ) -> dict[str, Node]:
        """See `State`."""
        with self._lock:
            renewed = self._storage.touch(names, hash=hash, deleted=deleted)
            self._invalidations += 1
            self._woken += self._holding.wake_all() if renewed else self._holding.wake(names)
            graph = self._storage.graph
            # A store that was just filled and renewed has forgotten the keys, not their versions.
            nodes = nodes_of(graph, names)
            self.after_touch(True)
        if renewed:
            _logger.warning(
                "the memory store of %s passed its limit of nodes and starts anew as %s; all "
                "clients refetch once (raise Limits.nodes_max to keep more)",
                self._server_id,
                graph.own_origin,
            )
        return nodes

    async def listing(self, since: int, server_id: str | None, limit: int) -> VersionsResponse:
        """See `State`."""
        with self._lock:
            graph = self._storage.graph
            # 0 is "from the start": there is nothing before it to have missed.
            is_ours = server_id in (None, self._server_id, graph.own_origin)
            reset = not is_ours or not (
                since == 0 or graph.first_position <= since <= graph.position
            )
            found, more = graph.listing(0 if reset else since, limit=limit)
            return VersionsResponse(
                server_id=self._server_id,
                origin=graph.own_origin,
                max_version=graph.position,
                changed=[node for _, node in found],
                since=found[-1][0] if found else graph.position,
                more=more,
                reset=reset,
                timestamp=wall_clock_ms(),
            )

    # ---- for other servers ---------------------------------------------------------------------

    @property
    def run(self) -> str:
        """See `State`: what is kept in memory alone is known under its name."""
        with self._lock:
            return self._storage.graph.own_origin

    async def opened(self) -> Graph:
        """See `State`."""
        with self._lock:
            return self._storage.graph

    async def look(self) -> None:
        """See `State`."""

    async def page(
        self, origin: str, since: Position, begins: Mark, *, bytes_max: int
    ) -> Delta | None:
        """See `State`."""
        with self._lock:
            graph = self._storage.graph
            if origin not in graph.digest:
                return None
            return graph.page(origin, since, begins, names_max=PAGE_NAMES_MAX, bytes_max=bytes_max)

    def exchange(self) -> None:
        """See `State`."""
        self._storage.is_exchanged = True

    def begin_generation(self, generation: Generation) -> None:
        """See `State`."""
        self._storage.renew(generation)
        self.took_in(None)

    async def renew_lineage(self) -> None:
        """See `State`. What lives in one process has one history."""

    # ---- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """See `State`."""

    async def probe(self) -> None:
        """See `State`."""

    async def stop(self) -> None:
        """See `State`."""


def _nothing(is_own: bool) -> None:
    """What happens after a touch where nobody else is to be told."""


def nodes_of(graph: Graph, names: Sequence[str]) -> dict[str, Node]:
    """The nodes of the keys among the names; patterns have none."""
    return {
        name: graph.node(name) or Node(name, graph.version(name), "", 0)
        for name in names
        if not is_pattern(name)
    }
