"""The application whose data the clients show: it changes data, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from reality import AsyncRealityClient, RealityServer, create_hash
from reality.errors import RealityError, StorageError
from tests.simulation.clients import BALANCER
from tests.simulation.groups import TOKEN
from tests.simulation.plan import HASHED, KEYS, covered

if TYPE_CHECKING:
    from tests.simulation.world import World


class Application:
    """Writes data, in its own process or in those of the servers.

    Attributes:
        truth: the data of each key.
    """

    name = "application"

    def __init__(self, world: World) -> None:
        self.truth = dict.fromkeys(KEYS, 0)
        self._world = world
        self._writes = 0
        self._locks = {key: asyncio.Lock() for key in HASHED}

    def start(self) -> None:
        """Have a machine, and a client with the credential."""
        network = self._world.network
        self._client = network.start(self.name).call(
            AsyncRealityClient,
            f"http://{BALANCER}",
            token=TOKEN,
            live=False,
            timeout=1.0,
            http=network.http(self.name),
        )

    async def write(
        self, random: Random, verb: str, names: list[str], server: int, *, remote: bool
    ) -> None:
        """Change data, then tell servers until one of them has heard it."""
        # Recording a hash belongs into the transaction of the write, so no two writers race here.
        locks = [self._locks[key] for key in HASHED if key in covered(names)]
        for lock in locks:
            await lock.acquire()
        try:
            self._writes += 1
            for key in covered(names):
                self.truth[key] = self._writes
            if verb == "update" and random.random() < 0.3:
                self.truth[names[0]] = 0  # as it once was, so that a hash comes back
            while not await self._is_heard(verb, names, server, remote=remote):
                server = random.randrange(60)
                await asyncio.sleep(random.uniform(0.01, 0.3))
        finally:
            for lock in locks:
                lock.release()

    async def _is_heard(self, verb: str, names: list[str], server: int, *, remote: bool) -> bool:
        world = self._world
        name = self.name if remote else world.live(server)
        if name is None:
            return False
        if remote:
            say: Coroutine[Any, Any, object] = self._client.invalidate(names, remote=True)
        else:
            say = self._say(world.servers[name], verb, names)
        task = world.network.hosts[name].spawn(say)
        await asyncio.wait([task])
        if task.cancelled():
            return False
        error = task.exception()
        # A StorageError of no special kind is one that nobody has foreseen.
        if isinstance(error, RealityError) and type(error) is not StorageError:
            return False
        world.trace(f"{verb} {names} {'remotely' if remote else name}: {task.result()}")
        return True

    async def _say(self, server: RealityServer, verb: str, names: list[str]) -> object:
        if verb == "update":
            return await server.update_node(names[0], create_hash(self.truth[names[0]]))
        if verb == "delete":
            return await server.delete_node(names[0])
        return await server.invalidate(names)
