"""Servers on one store, and whoever asks them, under every interleaving that a seed can find.

The real server and feed run in one event loop; each verb of the store takes a random number of
turns before and after its work, fails now and then, and the store is restored from backups while
all go on. The application's data is a number per key that grows before each touch; a client reads
it when it is told of the key. What it holds in the end must be what there is (I1).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import pytest

from reality import Limits, RealityServer, SyncResponse
from reality.core.keys import ancestors
from reality.errors import RealityError
from reality.server.store_state import StoreState
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage
from tests.server.asking import Asker

Result = TypeVar("Result")

KEYS = ("a", "a:1", "a:2", "b:1:x", "c")
NAMES = (*KEYS, "*", "a:*", "b:1:*", "d", "e")
TURNS_MAX = 3


class InLoop:
    """What `LoopThread` is to a server, without a thread: everything in the running loop."""

    async def call(self, call: Coroutine[Any, Any, Result]) -> Result:
        return await call

    def soon(self, act: Callable[[], object]) -> None:
        act()

    def stop(self) -> None:
        pass


class Turning(DictStorage):
    """A store whose verbs take turns, drawn from a seed, before and after their work."""

    feed_interval_s = 0.0  # every answer asks for a look of its own

    def __init__(self, seed: random.Random) -> None:
        super().__init__()
        self.seed = seed

    async def _turn(self, work: Callable[[], Awaitable[Result]]) -> Result:
        for _ in range(self.seed.randint(0, TURNS_MAX)):
            await asyncio.sleep(0)
        result = await work()
        for _ in range(self.seed.randint(0, TURNS_MAX)):
            await asyncio.sleep(0)
        return result

    async def open(self) -> Any:
        return await self._turn(partial(super().open))

    async def append(self, batches: Any) -> Any:
        return await self._turn(partial(super().append, batches))

    async def changes(self, after: int, *, limit: int) -> Any:
        return await self._turn(
            partial(super().changes, after, limit=self.seed.choice([1, 2, limit]))
        )

    async def read(self, names: Any) -> Any:
        return await self._turn(partial(super().read, names))

    async def rotate(self, expected: str, *, register: int) -> Any:
        return await self._turn(partial(super().rotate, expected, register=register))

    def backup(self) -> DictStorage:
        seed, self.seed = self.seed, random.Random(0)
        copied = super().backup()
        self.seed = seed
        return copied

    def restore(self, backup: DictStorage) -> None:
        seed = self.seed
        super().restore(backup)
        self.seed = seed


class Reader(Asker):
    """A client that reads the application's data when it is told of a change."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        super().__init__(simulation.servers[0], *KEYS, client_id=f"reader {number}")
        self.simulation = simulation
        self.held: dict[str, int] = {}

    async def sync(self, **options: Any) -> SyncResponse:
        """Ask one of the servers, and fetch what it tells of."""
        server = self.server = self.simulation.seed.choice(self.simulation.servers)
        response = await self.ask(**options)
        for key, node in response.changed.items():
            self.held[key] = self.simulation.data[key]
            told = self.simulation.told.setdefault((server, key), node.version)
            assert node.version >= told, "I4: a version fell within one run"
            self.simulation.told[server, key] = node.version
        return response


class Simulation:
    """One run, all of it drawn from one seed."""

    def __init__(self, number: int, *, nodes_max: int, fault_rate: float) -> None:
        self.seed = random.Random(number)
        self.store = Turning(self.seed)
        self.backups = [self.store.backup()]
        self.faulty = [
            FaultyStorage(self.store, rate=fault_rate, seed=number * 10 + each) for each in range(3)
        ]
        self.data = dict.fromkeys(KEYS, 0)
        self.told: dict[tuple[RealityServer, str], int] = {}
        self.limits = Limits(nodes_max=nodes_max)
        self.servers = [self.server(f"s{each}", faulty) for each, faulty in enumerate(self.faulty)]
        self.readers = [Reader(self, each) for each in range(3)]

    def server(self, server_id: str, storage: FaultyStorage) -> RealityServer:
        """A server whose store's work is done in this loop."""
        server = RealityServer(server_id, storage=storage, limits=self.limits)
        assert isinstance(server._state, StoreState)
        server._state._thread = InLoop()  # type: ignore[assignment]
        return server

    async def write(self) -> None:
        """The application changes data, then says so until somebody has heard it."""
        for _ in range(15):
            names = self.seed.sample(NAMES, self.seed.randint(1, 3))
            for key in KEYS:
                if {key, *ancestors(key)} & set(names):
                    self.data[key] += 1
            while True:
                try:
                    await self.seed.choice(self.servers).invalidate(names)
                    break
                except RealityError:  # a failing store, or a server that is just being stopped
                    await asyncio.sleep(0)

    async def read(self, reader: Reader) -> None:
        """A client syncs in whole and in part, waits a little, and gives up on errors."""
        for _ in range(20):
            keys = self.seed.choice([None, self.seed.sample(KEYS, 2)])
            try:
                await reader.sync(keys=keys, wait=self.seed.choice([0, 0, 2]))
            except RealityError:  # a failing store, or a server that is just being stopped
                await asyncio.sleep(0)

    async def disturb(self) -> None:
        """An operator backs up and restores; servers go and come back."""
        for _ in range(6):
            for _ in range(self.seed.randint(1, 30)):
                await asyncio.sleep(0)
            what = self.seed.choice(["back up", "restore", "restart"])
            if what == "back up":
                self.backups.append(self.store.backup())
            elif what == "restore":
                # Not twice within one look: a real restore takes longer than that.
                for _ in range(40 * TURNS_MAX):
                    await asyncio.sleep(0)
                self.store.restore(self.seed.choice(self.backups))
            else:
                await self.restart(self.seed.randrange(3))

    async def restart(self, number: int) -> None:
        """A server dies with its memory, and another takes its place under its id."""
        old, storage = self.servers[number], self.faulty[number]
        self.servers[number] = self.server(old.server_id, storage)
        await old.stop()

    async def is_seeing(self, server: RealityServer) -> bool:
        """Whether a server that looks at its store now sees it."""
        try:
            await server._state.look()
        except RealityError:
            return False
        return server._state.is_healthy

    @asynccontextmanager
    async def without_faults(self) -> AsyncIterator[None]:
        """Faults end; at the end of the block all servers stop."""
        for faulty in self.faulty:
            faulty.rate = 0.0
        try:
            for server in self.servers:
                # Looks come one after the other: one that began before faults ended is over then.
                while not await self.is_seeing(server):
                    await asyncio.sleep(0.001)
            yield
        finally:
            for server in self.servers:
                await server.stop()


@pytest.mark.parametrize("nodes_max", [1_000, 3])
@pytest.mark.parametrize("fault_rate", [0.0, 0.1])
@pytest.mark.parametrize("number", range(20))
async def test_no_change_is_lost_on_a_shared_store(
    number: int, fault_rate: float, nodes_max: int
) -> None:
    """I1, I2, I4: with evictions, failing verbs, restored backups and restarted servers."""
    simulation = Simulation(number, nodes_max=nodes_max, fault_rate=fault_rate)
    await asyncio.gather(
        simulation.write(),
        simulation.write(),
        simulation.disturb(),
        *(simulation.read(reader) for reader in simulation.readers),
    )
    async with simulation.without_faults():
        for reader in simulation.readers:
            await reader.sync()
            lost = {key for key in KEYS if reader.held.get(key, 0) != simulation.data[key]}
            assert not lost, f"I1: {reader.client_id} was not told of {lost}"
        for server in simulation.servers * 2:
            await Asker(server, *KEYS).ask()  # each finds out what became of the store
        for reader in simulation.readers:
            await reader.sync()
            again = await reader.sync()
            assert {} == again.changed, "I2: told again"
