"""Everything of one run: servers, clients, the network between them, and the application.

The servers and the clients are the real ones, with all that belongs to them, in one thread and in
virtual time. `tests.simulation.steps` has what happens to them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from zlib import crc32

from reality import RealityServer
from reality.errors import NotReady
from reality.testing.hosts import Host
from reality.testing.network import Answer, Call, SimulatedNetwork
from tests.simulation.application import Application
from tests.simulation.clients import BALANCER, SimClient
from tests.simulation.groups import Group, Memory, MemoryGroup, StoreGroup
from tests.simulation.hints import Hub
from tests.simulation.mesh_groups import Meshed, MeshGroup, MixedGroup
from tests.simulation.plan import Plan

_GROUPS: dict[str, type[Group]] = {
    "memory": MemoryGroup,
    "store": StoreGroup,
    "mesh": MeshGroup,
    "mixed": MixedGroup,
}
_MONOTONIC_START_S = 1_000.0
# How long a server that is told to stop may take.
_STOPPING_S = 3.0


class World:
    """Who is there, and how they come and go.

    Attributes:
        names: of all servers that belong to the group, those included that are down.
        servers: the present run of every server that is up, by name.
        guarded: servers that must not go down for now.
        is_settling: whether faults have ended.
    """

    def __init__(self, plan: Plan, *, is_verbose: bool = False) -> None:
        setting = plan.setting
        self.plan = plan
        self.is_settling = False
        self.network = SimulatedNetwork(self.random("network"))
        self.network.watch = self._note_call
        self.group: Group = _GROUPS[setting.group](self.random("group"), setting.nodes_max)
        self.group.network = self.network
        if setting.has_hints:
            self.group.hints = Hub(self.random("hints"))
        self.names = [f"s{number}" for number in range(setting.servers)]
        self.servers: dict[str, RealityServer] = {}
        self.guarded: dict[str, int] = {}
        self.application = Application(self)
        self.clients = [SimClient(self, *each) for each in enumerate(setting.clients)]
        self._servers_ever = setting.servers
        self._busy: set[str] = set()
        self._to_remove: dict[str, None] = {}
        self._settled = asyncio.Event()
        self._is_verbose = is_verbose
        self._digest = hashlib.sha256()

    async def start(self) -> None:
        """Switch everything on."""
        for name in self.names:
            await self.start_server(name)
        balancing = self.random("balancer")
        self.network.balance(BALANCER, lambda: balancing.choice(self.names))
        self.application.start()
        for client in self.clients:
            client.start()

    def random(self, purpose: object) -> Random:
        """Where one part of the run draws from, so that others change it as little as can be."""
        return Random(f"{self.plan.seed} {purpose}")

    # ---- time ----------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return asyncio.get_running_loop().time() - _MONOTONIC_START_S

    async def rest(self, seconds: float) -> None:
        """Wait for so long, or until faults end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()

    def end_faults(self) -> None:
        """Whatever was broken works again; whoever was down comes back."""
        self.is_settling = True
        self._settled.set()
        self.network.heal()
        self.group.heal()
        if self.group.hints is not None:
            self.group.hints.heal()

    # ---- who -----------------------------------------------------------------------------------

    def live(self, number: int) -> str | None:
        """A server that is up."""
        names = [name for name in self.names if name in self.servers]
        return names[number % len(names)] if names else None

    def who(self, host: str) -> str:
        """A host, as steps write it: of a server or a client, and its number."""
        names = self.names if host[0] == "s" else [client.name for client in self.clients]
        return names[int(host[1:]) % len(names)]

    def everybody(self) -> list[str]:
        """The names of all hosts."""
        return [*self.names, *(client.name for client in self.clients), self.application.name]

    def client(self, number: int) -> SimClient:
        """One of the clients."""
        return self.clients[number % len(self.clients)]

    # ---- servers -------------------------------------------------------------------------------

    @contextmanager
    def busy_with(self, name: str | None) -> Iterator[bool]:
        """One step at a time brings a server down and up; whether this one may."""
        if name is None or name in self._busy or name in self.guarded or self.is_settling:
            yield False
            return
        self._busy.add(name)
        try:
            yield True
        finally:
            self._busy.discard(name)

    async def start_server(self, name: str, *, memory: Memory | None = None) -> None:
        """A server starts, unless another step has; or goes on with its parent's memory."""
        if name in self.servers:
            return
        host = self.network.start(name)
        if not self.plan.setting.has_clocks:
            host.wall_offset_s = -self.now_s
        make = self.group
        server = make.server(host) if memory is None else make.fork(memory, host)
        self.servers[name] = server
        await asyncio.wait([host.spawn(self._serve(host, server))])

    async def kill_server(self, name: str) -> None:
        """A server's process ends at once."""
        self.servers.pop(name, None)
        await self.network.kill(name)

    async def stop_server(self, name: str) -> None:
        """A server is told to stop, and its process ends."""
        server, host = self.servers.pop(name), self.network.hosts[name]
        host.call(server.end_waits)
        stopping = host.spawn(server.stop())
        await asyncio.wait([stopping], timeout=_STOPPING_S)
        if stopping.done() and not stopping.cancelled():
            stopping.result()
        if not host.is_dead:
            await self.network.kill(name)

    async def remove_server(self, name: str) -> None:
        """A server that is gone for good is removed from the mesh, if there is one."""
        if isinstance(self.group, Meshed):
            self._to_remove[name] = None
            await self.group.remove(name, self.servers)

    async def end_removals(self) -> None:
        """What was said to a server that has died since is said again, until it is heard."""
        for name in self._to_remove:
            assert isinstance(self.group, Meshed)
            while not await self.group.remove(name, self.servers):
                await asyncio.sleep(0.1)

    def new_name(self) -> str:
        """The name of a server that joins."""
        self._servers_ever += 1
        return f"s{self._servers_ever - 1}"

    async def _serve(self, host: Host, server: RealityServer) -> None:
        with suppress(NotReady):  # stopped before it was
            await server.start()
        self.network.serve(host, server.asgi())

    # ---- traces --------------------------------------------------------------------------------

    def trace(self, text: str) -> None:
        """Note what happens, and when: two runs of one plan must note the same."""
        line = f"{self.now_s:.6f} {text}"
        self._digest.update(line.encode())
        if self._is_verbose:
            print(line)

    @property
    def fingerprint(self) -> str:
        """A hash of all that was noted."""
        return self._digest.hexdigest()

    def _note_call(self, call: Call, host: Host, answer: Answer) -> None:
        asked, told = crc32(call.body), crc32(answer.body)
        self.trace(f"{call.source} > {host.name} {call.path} {asked:x} {answer.status} {told:x}")
        if self._is_verbose and call.path.endswith("/sync"):
            print("    ", call.body.decode(), "\n    ", answer.body.decode())
