"""Servers in a mesh: those that keep their nodes in memory, and those that have a store besides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest import mock

from reality import Mesh, RealityServer
from reality.core.graph import Graph
from reality.errors import RealityError
from reality.mesh import runner
from reality.server import sharing
from reality.server.meshing import ServerMesh
from reality.storage.memory import MemoryStorage
from reality.testing.hosts import Host, HostThread
from reality.testing.network import SimulatedNetwork
from tests.simulation.groups import Memory, MemoryGroup, StoreGroup

_SECRET = "what all simulated servers know"  # and everybody else
_NAMES = ("s0", "s1", "s2", "s3")
# So few that a run comes to know as many, and opens another generation.
_FEW_ORIGINS = 12
# A store that has more names than that fits nowhere in memory; the rest is for the unit tests.
_NODES_MIN = 100
# What small pages have room for: two or three names, so that batches are split.
_SMALL_BYTES = 150


class Meshed:
    """What makes servers of a group members of a mesh."""

    network: SimulatedNetwork
    random: Random

    def mesh(self, host: Host) -> Mesh:
        """How a server is to exchange with the others; those that join later are heard of."""
        return host.call(
            Mesh,
            [f"http://{name}" for name in _NAMES],
            secret=_SECRET,
            advertise=f"http://{host.name}",
            http=self.network.http(host.name),
        )

    def joined(self, server: RealityServer, host: Host) -> RealityServer:
        """The same server, whose mesh runs on its host."""
        assert server.mesh is not None
        server.mesh._thread = HostThread(host, self.random)  # type: ignore[assignment]
        return server

    def digests(self, servers: Mapping[str, RealityServer]) -> dict[str, object]:
        """See `Group.digests`."""
        graphs = {name: server._state.graph for name, server in servers.items()}
        return {
            name: None if graph is None else (graph.generation, frozenset(graph.digest.items()))
            for name, graph in graphs.items()
        }

    def is_missed(self, gone: Graph | None, servers: Mapping[str, RealityServer]) -> bool:
        """Whether a server that has ended knew what none of the others does."""
        if gone is None:
            return True
        own, at = gone.own_origin, gone.own_position
        held = [each._state.graph for each in servers.values()]
        return not any(graph is not None and (graph.held(own) or (-1,)) >= at for graph in held)

    async def remove(self, name: str, servers: Mapping[str, RealityServer]) -> bool:
        """An operator says at one of the servers that another is gone; whether that was heard."""
        for server in list(servers.values()):
            mesh: ServerMesh | None = server.mesh
            assert mesh is not None
            try:
                async with asyncio.timeout(1.0):
                    await self.network.hosts[server.server_id].spawn(mesh.remove_server(name))
            except (RealityError, TimeoutError, asyncio.CancelledError):
                continue
            return True
        return False


class MeshGroup(Meshed, MemoryGroup):
    """Servers that keep their nodes in memory."""

    def __init__(self, random: Random, nodes_max: int) -> None:
        super().__init__(random, nodes_max)
        self._origins_max = random.choice([64, 64, _FEW_ORIGINS])

    def _make(self, host: Host, **options: Any) -> RealityServer:
        storage = options.pop("storage", None) or host.call(MemoryStorage)
        server = super()._make(host, storage=storage, mesh=self.mesh(host), **options)
        host.call(self._limit_origins, storage)
        return self.joined(server, host)

    def _limit_origins(self, storage: MemoryStorage) -> None:
        storage.graph._origins_max = self._origins_max


class MixedGroup(Meshed, StoreGroup):
    """Every other server keeps its nodes in memory; those between have stores, or one in common."""

    def __init__(self, random: Random, nodes_max: int) -> None:
        super().__init__(random, max(nodes_max, _NODES_MIN))

    def server(self, host: Host) -> RealityServer:
        """See `Group.server`."""
        if not self.has_store(host.name):
            return self._make(host)
        return super().server(host)

    def memory(self, parent: RealityServer) -> Memory:
        """See `Group.memory`."""
        if self.has_store(parent.server_id):
            return super().memory(parent)
        return MemoryGroup.memory(self, parent)  # type: ignore[arg-type]

    def fork(self, memory: Memory, host: Host) -> RealityServer:
        """See `Group.fork`."""
        if self.has_store(host.name):
            return super().fork(memory, host)
        return MemoryGroup.fork(self, memory, host)  # type: ignore[arg-type]

    def has_store(self, name: str) -> bool:
        """Whether this server is one of those on a store."""
        return int(name[1:]) % 2 == 0

    def is_seen_by(self, server: RealityServer) -> bool:
        """See `StoreGroup`."""
        return self.has_store(server.server_id) and super().is_seen_by(server)

    def _make(self, host: Host, **options: Any) -> RealityServer:
        return self.joined(super()._make(host, mesh=self.mesh(host), **options), host)


@contextmanager
def small_pages() -> Iterator[None]:
    """Messages between servers have room for a few names only."""
    with (
        mock.patch.object(runner, "_room", return_value=_SMALL_BYTES),
        mock.patch.object(sharing, "_PAGE_BYTES_MIN", _SMALL_BYTES),
    ):
        yield
