"""The memory store: one graph, and the life of its origin.

A server works on the graph itself. The verbs of the port are there for whoever treats all stores
alike; what a single process keeps has no change log and no tags, and cannot be rotated.

A run of a memory-only server is an origin of its own, `server_id~nonce`. The nonce is drawn at the
first use in the process that serves, and again after a fork, because two processes that went on
under one nonce would each claim the other's sequences. A store that reaches its node limit drops
everything and becomes a new origin: whoever held a cursor then refetches once, and no change is
ever answered with "no record".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Logged, Opening
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.core.graph import Graph
from reality.core.limits import Limits
from reality.core.replica import Generation
from reality.storage.base import Capabilities
from reality.storage.process import renew_after_fork


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def draw_nonce() -> str:
    """64 random bits, in hexadecimal."""
    return secrets.token_hex(8)


class MemoryStorage:
    """Keeps nodes in this process only. Not thread-safe: the server serialises calls.

    As a `Storage` it is neither shared nor durable: positions have the tag 0, `recent` is empty,
    `changes` leaves out what was overtaken, `rotate` does nothing.

    Args:
        nodes_max: keys and patterns it keeps; by default the server's `Limits.nodes_max`.
        clock_ms: the wall clock, in milliseconds.
        nonce: draws what tells runs of one server apart; never twice the same.
    """

    name = "memory"
    capabilities = Capabilities(is_shared=False, is_durable=False)
    feed_interval_s = 0.0

    def __init__(
        self,
        *,
        nodes_max: int | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
        nonce: Callable[[], str] = draw_nonce,
    ) -> None:
        if nodes_max is not None and nodes_max < 1:
            raise ValueError(f"nodes_max must be at least 1, got {nodes_max}")
        self._nodes_max = nodes_max
        self._clock_ms = clock_ms
        self._nonce = nonce
        self._server_id = ""
        self._limits = Limits()
        self._graph: Graph | None = None
        self._is_inherited = False
        # Whether servers exchange it with others, who would give back what it drops.
        self.is_exchanged = False
        renew_after_fork(self, MemoryStorage._after_fork)

    def serve_as(self, server_id: str, limits: Limits) -> None:
        """Serve under this id. The origin is drawn at the first use of `graph`."""
        if self._server_id not in ("", server_id):
            raise ValueError(
                f"this MemoryStorage already belongs to the server {self._server_id!r}; "
                f"give {server_id!r} one of its own"
            )
        self._server_id = server_id
        self._limits = limits

    @property
    def graph(self) -> Graph:
        """What is known, under an origin that belongs to this process alone."""
        if self._graph is None:
            self._graph = Graph(self._origin(), register=self._clock_ms())
        elif self._is_inherited:
            self._graph = self._graph.forked(self._origin(), now_ms=self._clock_ms())
            self._is_inherited = False
        return self._graph

    def touch(self, names: Iterable[str], *, hash: str = "", deleted: bool = False) -> bool:
        """Record one batch; True if that filled the store, which is now a new, empty origin."""
        graph = self.graph
        graph.touch(names, now_ms=self._clock_ms(), hash=hash, deleted=deleted)
        if len(graph) <= (self._nodes_max or self._limits.nodes_max):
            return False
        self.renew(graph.generation.next(self._server_id) if self.is_exchanged else None)
        return True

    def renew(self, generation: Generation | None = None) -> None:
        """Drop everything and go on as a new origin, and with a `generation` as a part of that."""
        self._graph = self.graph.renewed(
            self._origin(), now_ms=self._clock_ms(), generation=generation
        )

    # ---- the port; see `reality.storage.base.Storage` -------------------------------------------

    async def open(self) -> Opening:
        """See `Storage.open`."""
        return Opening(self._head(), ())

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        after = self._head().position
        for batch in batches:
            self.graph.touch(
                batch.names,
                now_ms=batch.updated_at,
                hash=batch.hash,
                deleted=batch.deleted,
                touches_min=batch.touches_min,
            )
        head = self._head()
        return Appended(head, after, self._logged(after.sequence))

    async def changes(self, after: int, *, limit: int) -> Changes:  # noqa: ARG002
        """See `Storage.changes`."""
        head = self._head()
        if after > head.position.sequence:
            return Changes(head, ())
        # All of it: a batch that is cut off may be all that is left of an earlier one's name.
        return Changes(head, self._logged(after - 1))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return {each.name: each for each in self._touched_after(0) if each.name in names}

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        page = next(self.graph.delta(self.graph.own_origin, since=after, page_max=limit))
        return Listing(page.touched, more=not page.last)

    async def rotate(self, expected: str, *, register: int) -> Head:  # noqa: ARG002
        """See `Storage.rotate`: nothing that could outlive a process has lineages."""
        return self._head()

    async def close(self) -> None:
        """See `Storage.close`."""

    def _head(self) -> Head:
        graph = self.graph
        server_id, _, nonce = graph.own_origin.partition("~")
        position = graph.digest[graph.own_origin]
        register = graph.version_max - graph.touches
        return Head(server_id, nonce, position, register, graph.touches)

    def _logged(self, after: int) -> tuple[Logged, ...]:
        """The sequences after this one; each with those of its names that it touched last."""
        last = self.graph.digest[self.graph.own_origin].sequence
        touched: dict[int, list[Touched]] = {
            each: [] for each in range(max(after, 0) + 1, last + 1)
        }
        for each in self._touched_after(after):
            touched[each.sequence].append(each)
        return tuple(
            Logged(Position(sequence), tuple(names)) for sequence, names in touched.items()
        )

    def _touched_after(self, sequence: int) -> Iterator[Touched]:
        for page in self.graph.delta(self.graph.own_origin, since=max(sequence, 0)):
            yield from page.touched

    def _after_fork(self) -> None:
        """In a child: the graph goes on under another origin, from its first use there."""
        self._is_inherited = self._graph is not None

    def _origin(self) -> str:
        return f"{self._server_id}~{self._nonce()}"
