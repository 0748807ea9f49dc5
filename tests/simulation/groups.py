"""How the servers of a run are joined: what a new one is made of, and what a child inherits."""

from __future__ import annotations

import asyncio
import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest import mock

from reality import Limits, RealityServer
from reality.core.delta import Touched
from reality.core.store_graph import StoreGraph, Told
from reality.server.state import MemoryState
from reality.server.store_state import StoreState
from reality.storage.memory import MemoryStorage, wall_clock_ms
from reality.testing.dictionary import DictStorage
from reality.testing.hosts import Host, HostThread
from reality.testing.network import SimulatedNetwork
from tests.simulation import store
from tests.simulation.hints import Hub
from tests.simulation.plan import KEYS, OTHERS, PATTERNS, WAIT_S_MAX
from tests.simulation.store import SimStore, StoreLink, Trouble

# How long other threads may have it between two steps of one request, in seconds.
_HOP_S = 0.01

TOKEN = "the-credential-of-the-application"


# What a child of a server's process has of it.
Memory = MemoryStorage | Told


class Group(ABC):
    """The servers that clients may hop between.

    Attributes:
        is_forgetful: whether a server may still begin anew, as another origin, though all is well.
        hints: the accelerator of all servers, if they have one.
    """

    is_forgetful = False
    hints: Hub | None = None

    network: SimulatedNetwork

    def __init__(self, random: Random, nodes_max: int) -> None:
        self.random = random
        self.limits = Limits(nodes_max=nodes_max, wait_ms_max=int(WAIT_S_MAX * 1000))

    @abstractmethod
    def server(self, host: Host) -> RealityServer:
        """A server that starts on a host, with nothing in memory."""

    @abstractmethod
    def memory(self, parent: RealityServer) -> Memory:
        """A copy of a server's memory, as a fork makes it."""

    @abstractmethod
    def fork(self, memory: Memory, host: Host) -> RealityServer:
        """A server that begins with the memory of another, as in a child of its process."""

    @abstractmethod
    def heal(self) -> None:
        """Faults that are the group's own end."""

    def digests(self, servers: Mapping[str, RealityServer]) -> dict[str, object]:
        """What must be alike of servers that exchange what they know."""
        return {}

    def _make(self, host: Host, **options: Any) -> RealityServer:
        server = host.call(
            RealityServer,
            host.name,
            accelerator=self.hints,
            token=TOKEN,
            limits=self.limits,
            **options,
        )
        if server._acceleration is not None:
            server._acceleration._thread = HostThread(host, self.random)  # type: ignore[assignment]
        self._let_others_in(server)
        return server

    def _let_others_in(self, server: RealityServer) -> None:
        """After every look at the graph others may act, as other threads would."""
        look = server._state.answer

        async def look_and_wait(*args: Any, **options: Any) -> Any:
            found = await look(*args, **options)
            await asyncio.sleep(self.random.uniform(0, _HOP_S))
            return found

        server._state.answer = look_and_wait  # type: ignore[method-assign]


class MemoryGroup(Group):
    """One server that keeps its nodes in memory."""

    def __init__(self, random: Random, nodes_max: int) -> None:
        super().__init__(random, nodes_max)
        self.is_forgetful = nodes_max < len(KEYS) + len(OTHERS) + len(PATTERNS)

    def server(self, host: Host) -> RealityServer:
        """See `Group.server`."""
        return self._make(host)

    def memory(self, parent: RealityServer) -> Memory:
        """See `Group.memory`."""
        assert isinstance(parent._state, MemoryState)
        return copy.deepcopy(parent._state._storage)

    def fork(self, memory: Memory, host: Host) -> RealityServer:
        """See `Group.fork`."""
        assert isinstance(memory, MemoryStorage)
        memory._after_fork()
        return self._make(host, storage=memory)

    def heal(self) -> None:
        """See `Group.heal`. Memory has no faults."""


class StoreGroup(Group):
    """Servers on one store, which has troubles of its own."""

    def __init__(self, random: Random, nodes_max: int) -> None:
        super().__init__(random, nodes_max)
        self.store = SimStore()
        self.trouble = Trouble()
        self.backups: list[DictStorage] = [self.store.backup()]
        self.links: dict[str, StoreLink] = {}

    def server(self, host: Host) -> RealityServer:
        """See `Group.server`."""
        link = StoreLink(self.store, self.trouble, Random(self.random.random()))
        self.links[host.name] = link
        server = self._make(host, storage=link)
        state = server._state
        assert isinstance(state, StoreState)
        state._thread = HostThread(host, self.random, hop_s=_HOP_S)  # type: ignore[assignment]
        return server

    def memory(self, parent: RealityServer) -> Memory:
        """See `Group.memory`."""
        assert isinstance(parent._state, StoreState)
        return parent._state.told

    def fork(self, memory: Memory, host: Host) -> RealityServer:
        """See `Group.fork`."""
        child = self.server(host)
        assert isinstance(memory, Told)
        assert isinstance(child._state, StoreState)
        child._state._told = memory
        return child

    def heal(self) -> None:
        """See `Group.heal`."""
        self.trouble.heal()
        for link in self.links.values():
            link.rate = 0.0

    def restore(self, backup: int) -> None:
        """Put a backup in the place of what the store keeps."""
        store.restore(self.store, self.backups[backup % len(self.backups)], self.trouble)

    async def new_lineage(self) -> None:
        """What `reality store new-lineage` does, after a restore or a clone."""
        head = (await self.store.open()).head
        register = max(wall_clock_ms(), head.register + head.touches)
        await self.store.rotate(head.origin, register=register)

    async def clone(self, backup: int | None) -> None:
        """Go on with a copy of the store, or of a backup, as a store of its own."""
        copied = self.store if backup is None else self.backups[backup % len(self.backups)]
        clone = SimStore()
        clone.restore(copied)
        self.store = clone
        await self.new_lineage()

    def is_seen_by(self, server: RealityServer) -> bool:
        """Whether a server has followed the store to where it is now."""
        state = server._state
        assert isinstance(state, StoreState)
        return state.graph is not None and state.graph.own_position == self.store._head.position


@contextmanager
def in_order() -> Iterator[None]:
    """Names that are read from a store are taken in sorted, instead of in the order of a set.

    Which of them are dropped first would depend on the seed of Python's hashes.
    """
    learn = StoreGraph.learn

    def learn_sorted(graph: StoreGraph, names: Iterable[str], found: Mapping[str, Touched]) -> bool:
        return learn(graph, sorted(names), found)

    with mock.patch.object(StoreGraph, "learn", learn_sorted):
        yield
