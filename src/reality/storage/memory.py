"""The memory store: one graph, and the life of its origin.

A run of a memory-only server is an origin of its own, `server_id~nonce`. The nonce is drawn at the
first use in the process that serves, and again after a fork, because two processes that went on
under one nonce would each claim the other's sequences. A store that reaches its node limit drops
everything and becomes a new origin: whoever held a cursor then refetches once, and no change is
ever answered with "no record".
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable

from reality.core.graph import Graph
from reality.core.limits import Limits
from reality.storage.process import renew_after_fork


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def draw_nonce() -> str:
    """64 random bits, in hexadecimal."""
    return secrets.token_hex(8)


class MemoryStorage:
    """Keeps nodes in this process only. Not thread-safe: the server serialises calls.

    Args:
        nodes_max: keys and patterns it keeps; by default the server's `Limits.nodes_max`.
        clock_ms: the wall clock, in milliseconds.
        nonce: draws what tells runs of one server apart; never twice the same.
    """

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
        renew_after_fork(self, MemoryStorage._after_fork)

    def open(self, server_id: str, limits: Limits) -> None:
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
        self._graph = graph.renewed(self._origin(), now_ms=self._clock_ms())
        return True

    def _after_fork(self) -> None:
        """In a child: the graph goes on under another origin, from its first use there."""
        self._is_inherited = self._graph is not None

    def _origin(self) -> str:
        return f"{self._server_id}~{self._nonce()}"
