"""What must hold: I4 all the time; I1, I2 and I8 once faults have ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from reality.core.graph import Answer as News
from reality.core.graph import Graph, Node
from reality.core.messages import SyncResponse
from reality.core.polling import BREAKER_WINDOW_S
from reality.testing.hosts import Host, current_host
from reality.testing.network import Answer, Call
from tests.simulation.clients import SimClient
from tests.simulation.plan import KEYS, OTHERS, TIMEOUT_S_MAX, WAIT_S_MAX
from tests.simulation.world import World

# All in virtual seconds.
_HEALTHY_MAX_S = 30.0
_EXCHANGE_S = 3.0
# Fetches that fail are tried again after 30 s at most, those after a reset begin within 2 s.
_CORRECT_MAX_S = 40.0
# A request that was lost is repeated when its time is up, as it was, and so tells old news.
_CALM_S = WAIT_S_MAX + TIMEOUT_S_MAX + 3.0
_CALM_MAX_S = 60.0
_QUIET_S = 20.0
_LOOK_S = 0.25
# Bursts of touches, after which all must be right again: a look at a store and a fetch later.
_BURSTS = 5
_BURST_PAUSE_S = 0.06
_WAKE_S = 1.5


class Oracle:
    """Watches one run, and judges its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._told: dict[tuple[Host, str], int] = {}
        self._news: list[str] = []
        watch = world.network.watch

        def note(call: Call, host: Host, answer: Answer) -> None:
            if watch is not None:
                watch(call, host, answer)
            self._note_sync(call, host, answer)

        world.network.watch = note

    # ---- all the time --------------------------------------------------------------------------

    @contextmanager
    def watching_versions(self) -> Iterator[None]:
        """I4: what a run of a server tells of a key never falls."""
        answer_of, node_of = Graph.answer, Graph.node

        def answer(graph: Graph, *args: Any, **options: Any) -> News:
            news = answer_of(graph, *args, **options)
            for node in news.changed.values():
                self._check_version(node)
            return news

        def node(graph: Graph, key: str) -> Node | None:
            found = node_of(graph, key)
            if found is not None:
                self._check_version(found)
            return found

        with mock.patch.multiple(Graph, answer=answer, node=node):
            yield

    def _check_version(self, node: Node) -> None:
        host = current_host.get()
        if host is not None:
            before = self._told.get((host, node.key), 0)
            assert node.version >= before, (
                f"I4: {host.name} told version {before} of {node.key}, and now {node.version}"
            )
            self._told[host, node.key] = node.version

    def _note_sync(self, call: Call, host: Host, answer: Answer) -> None:
        if call.path.endswith("/sync") and answer.status == 200:
            told = msgspec.json.decode(answer.body, type=SyncResponse)
            client = next(each for each in self._world.clients if each.name == call.source)
            client.requests += 1
            if told.changed or told.reset:
                self._news.append(f"{host.name} told {call.source} {told}")

    # ---- once faults have ended ----------------------------------------------------------------

    async def judge(self) -> None:
        """Raise an AssertionError unless everything that must hold in the end does."""
        await self._wait_for("servers that are ready", self._unready, _HEALTHY_MAX_S)
        await asyncio.sleep(_EXCHANGE_S)
        clients = self._world.clients
        for client in clients:
            async with asyncio.timeout(_CORRECT_MAX_S):
                while await client.sync() is None:
                    await asyncio.sleep(_LOOK_S)
        await self._wait_for("I1: clients with the right data", self._stale, _CORRECT_MAX_S)
        await self._check_quiet()
        await self._check_alike()
        await self._check_waking()

    def _unready(self) -> dict[str, object]:
        servers, names = self._world.servers, self._world.names
        return {
            name: "down" if name not in servers else servers[name].stats()
            for name in names
            if name not in servers or not servers[name].is_ready
        }

    def _stale(self) -> dict[str, object]:
        found = {client.name: client.stale() for client in self._world.clients}
        return {name: keys for name, keys in found.items() if keys}

    async def _check_quiet(self) -> None:
        """I2: nobody is told anything or fetches, and what is held is held."""
        clients = self._world.clients
        deadline_s = self._world.now_s + _CALM_MAX_S
        fetches = -1
        while fetches != (fetches := sum(client.fetches for client in clients)):
            assert self._world.now_s < deadline_s, "I2: clients go on fetching"
            await asyncio.sleep(_CALM_S)
        self._news.clear()
        before = [(client.fetches, client.requests) for client in clients]
        await asyncio.sleep(_QUIET_S)
        for client, (fetched, requested) in zip(clients, before, strict=True):
            assert client.fetches == fetched, f"I2: {client.name} fetches, though nothing changed"
            requests = client.requests - requested
            assert requests <= _requests_max(client), f"I2: {client.name} asked {requests} times"
            for _ in range(2 * len(self._world.names)):
                told = await client.sync()
                assert told == {}, f"I2: {client.name} was told {told}, though nothing changed"
        assert not self._news, f"I2: {self._news}, though nothing changed"

    async def _check_alike(self) -> None:
        """I8: all servers know the same of every key."""
        nodes = {}
        for name, server in self._world.servers.items():
            asked = [server.get_node(key) for key in (*KEYS, *OTHERS)]
            host = self._world.network.hosts[name]
            nodes[name] = [await host.spawn(each) for each in asked]
        first = next(iter(nodes.values()))
        for name, found in nodes.items():
            assert found == first, f"I8: {name} knows {found}, another server {first}"
        digests = self._world.group.digests(self._world.servers)
        assert len(set(digests.values())) <= 1, f"I8: the digests differ: {digests}"

    async def _check_waking(self) -> None:
        """I1 at once: who holds a request is woken by every touch, however close they come."""
        world = self._world
        random = world.random("waking")
        # A server that forgets what it cannot keep resets its clients, who take their time then.
        patience_s = _CORRECT_MAX_S if world.group.is_forgetful else _WAKE_S
        for _ in range(_BURSTS):
            await asyncio.sleep(BREAKER_WINDOW_S)  # five in a row would look like a loop
            for _ in range(random.randint(2, 4)):
                await asyncio.sleep(random.uniform(0, _BURST_PAUSE_S))
                await world.application.write(
                    random, "invalidate", [random.choice(KEYS)], random.randrange(60), remote=False
                )
            await self._wait_for("I1: clients that were woken", self._late, patience_s)

    def _late(self) -> dict[str, object]:
        clients = [client for client in self._world.clients if client.setting.live == "auto"]
        found = {client.name: client.stale() for client in clients}
        return {name: keys for name, keys in found.items() if keys}

    async def _wait_for(self, what: str, missing: Any, seconds: float) -> None:
        deadline_s = self._world.now_s + seconds
        while found := missing():
            assert self._world.now_s < deadline_s, f"{what}: not {found}"
            await asyncio.sleep(_LOOK_S)


def _requests_max(client: SimClient) -> int:
    """How many requests a client may have answered in a quiet stretch."""
    setting = client.setting
    if setting.live is False:
        return 0
    pause_s = 5.0 if setting.live == "poll" else setting.wait_s * 0.9
    return math.ceil(_QUIET_S / pause_s) + 1
