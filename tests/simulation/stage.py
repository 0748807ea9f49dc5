"""A mesh in virtual time that a test directs by hand, with clients that hop between its servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple

import msgspec

from reality import AsyncRealityClient, RealityServer
from reality.core.graph import Graph
from reality.core.messages import SyncResponse
from reality.testing.hosts import Host
from reality.testing.network import Answer, Call, SimulatedNetwork
from tests.simulation.groups import StoreGroup
from tests.simulation.mesh_groups import Meshed, MeshGroup

BALANCER = "balancer"
ORIGINS_MAX = 64
_NODES_MAX = 10_000
_FETCH_S = 0.05
_LOOK_S = 0.02


class StoreMesh(Meshed, StoreGroup):
    """Servers in a mesh that have all one store in common."""

    def _make(self, host: Host, **options: Any) -> RealityServer:
        return self.joined(super()._make(host, mesh=self.mesh(host), **options), host)


class DirectedNetwork(SimulatedNetwork):
    """A network that loses what a test says.

    Attributes:
        loses: whether a request never arrives: who sends it, where to, and its body.
    """

    loses: Callable[[str, str, bytes], bool] = staticmethod(lambda *_: False)

    async def call(self, source: str, method: str, url: str, **options: Any) -> Answer:
        """See `SimulatedNetwork.call`."""
        if self.loses(source, url, options.get("body", b"")):
            async with asyncio.timeout(options.get("timeout_s")):
                await asyncio.get_running_loop().create_future()
        return await super().call(source, method, url, **options)


class Told(NamedTuple):
    """What a sync was answered: its status, its text, and what that says if all is well."""

    status: int
    text: str
    sync: SyncResponse | None


class Stage:
    """Servers, clients, and the data that clients show.

    Attributes:
        servers: the present run of every server that is up, by name.
        names: of all servers that clients may ask.
        truth: the data of each key; how often it was changed.
        resets: how many answers have reset each client, by its name.
        fetches: how often each client has fetched.
        calls: how many messages each server has sent to others.
    """

    def __init__(
        self, seed: int, *, has_store: bool = False, origins_max: int = ORIGINS_MAX
    ) -> None:
        self.random = Random(f"{seed} stage")
        self.network = DirectedNetwork(Random(f"{seed} network"))
        self.network.watch = self._note
        self.servers: dict[str, RealityServer] = {}
        self.names: list[str] = []
        self.truth: Counter[str] = Counter()
        self.resets: Counter[str] = Counter()
        self.fetches: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.clients: dict[str, AsyncRealityClient] = {}
        self._keys: dict[str, list[str]] = {}
        random = Random(f"{seed} group")
        if has_store:
            self._group: StoreMesh | MeshGroup = StoreMesh(random, _NODES_MAX)
        else:
            self._group = MeshGroup(random, _NODES_MAX)
            self._group._origins_max = origins_max
        self._group.network = self.network
        self.network.balance(BALANCER, lambda: self.random.choice(self.names))

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return asyncio.get_running_loop().time()

    # ---- servers -------------------------------------------------------------------------------

    async def open(self, count: int, *, settling_s: float = 5.0) -> None:
        """Start so many servers, and let them meet."""
        self.names = [f"s{number}" for number in range(count)]
        for name in self.names:
            await self.start(name)
        await asyncio.sleep(settling_s + self.random.random())

    async def start(self, name: str) -> RealityServer:
        """A server starts, with nothing in memory; return once it is ready for clients."""
        host = self.network.start(name)
        self.servers[name] = server = self._group.server(host)
        self.network.serve(host, server.asgi())
        await host.spawn(server.start())
        return server

    async def crash(self, name: str) -> None:
        """A server's process ends at once."""
        del self.servers[name]
        await self.network.kill(name)

    async def stop(self, name: str) -> None:
        """A server's process ends in order."""
        host, server = self.network.hosts[name], self.servers[name]
        host.call(server.end_waits)
        await host.spawn(server.stop())
        await self.crash(name)

    async def touch(self, name: str, *keys: str) -> None:
        """Change the data of keys, and say so at one server."""
        self.truth.update(keys)
        server = self.servers[name]
        await self.network.hosts[name].spawn(server.invalidate_many(keys))

    def part(self, names: Iterable[str]) -> None:
        """Cut these servers off from the others; clients still reach all."""
        side = set(names)
        for one in side:
            for other in set(self.names) - side:
                self.network.link(one, other).is_cut = True
                self.network.link(other, one).is_cut = True

    def graph(self, name: str) -> Graph:
        """What a server knows."""
        graph = self.servers[name]._state.graph
        assert graph is not None
        return graph

    def version(self, name: str, key: str) -> int:
        """Which version of a key a server knows; 0 for none."""
        node = self.graph(name).node(key)
        return 0 if node is None else node.version

    @property
    def is_alike(self) -> bool:
        """Whether all servers that are up know the same."""
        return len(set(self._group.digests(self.servers).values())) == 1

    # ---- clients -------------------------------------------------------------------------------

    def join(self, name: str, keys: Iterable[str], *, wait_s: float = 5.0) -> None:
        """A client comes, which asks another server each time."""
        self._keys[name] = list(keys)
        host = self.network.start(name)
        client = self.clients[name] = host.call(
            AsyncRealityClient,
            f"http://{BALANCER}",
            wait=wait_s,
            timeout=2.0,
            http=self.network.http(name),
        )

        async def fetch(key: str) -> int:
            self.fetches[name] += 1
            await asyncio.sleep(self.random.uniform(0, _FETCH_S))
            return self.truth[key]

        for key in self._keys[name]:
            host.call(client.subscribe, key, fetcher=fetch)

    @property
    def stale(self) -> list[str]:
        """The clients that do not show the data there is, or do not know that they do."""
        found = []
        for name, client in self.clients.items():
            states = {key: client.get_state(key) for key in self._keys[name]}
            if any(
                state is None or state.status != "idle" or state.data != self.truth[key]
                for key, state in states.items()
            ):
                found.append(name)
        return found

    async def ask(self, server: str, known: dict[str, int], cursor: str = "") -> Told:
        """One sync of somebody who knows these versions, and comes with a cursor."""
        body = {"known": known, "clientId": "asker", "mode": "native", "hint": "idle"}
        if cursor:
            body["cursor"] = cursor
        answer = await self.network.call(
            "asker",
            "POST",
            f"http://{server}/reality/sync",
            headers=[(b"content-type", b"application/json")],
            body=msgspec.json.encode(body),
        )
        is_told = answer.status == 200
        told = msgspec.json.decode(answer.body, type=SyncResponse) if is_told else None
        return Told(answer.status, answer.body.decode(), told)

    def forget(self) -> None:
        """Count anew."""
        for counter in (self.resets, self.fetches, self.calls):
            counter.clear()

    # ---- inside --------------------------------------------------------------------------------

    def _note(self, call: Call, host: Host, answer: Answer) -> None:
        if call.path.endswith("/mesh/exchange"):
            self.calls[call.source] += 1
        if call.path.endswith("/sync") and answer.status == 200:
            told = msgspec.json.decode(answer.body, type=SyncResponse)
            self.resets[call.source] += told.reset


async def until(holds: Callable[[], bool], *, within_s: float) -> float:
    """Wait until something holds; how long that took, in virtual seconds.

    Raises:
        AssertionError: it does not in so many seconds.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while not holds():
        assert loop.time() - began_s < within_s, f"not within {within_s} s"
        await asyncio.sleep(_LOOK_S)
    return loop.time() - began_s
