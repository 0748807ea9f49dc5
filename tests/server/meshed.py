"""Servers of one mesh in this process: what they say to each other goes by wire, without HTTP.

Each server works as it does in its own process, in its own thread; what is missing is only HTTP,
which `tests/server/test_mesh_http.py` has. A test decides which messages arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from reality import Mesh, RealityServer
from reality.core.cursor import Position
from reality.errors import RealityError, RemoteError, ServerUnavailable
from reality.mesh.messages import Exchange, decode_exchange
from tests.server.asking import PATIENCE_S, Asker

SECRET = "the-secret-of-the-tests"
# So long that, of a test, nothing has come by anything but pushes and first exchanges.
NEVER_S = 60.0
SOON_S = 0.1


class Said(NamedTuple):
    """A message that was sent, and the names of who sent it and to whom."""

    source: str
    target: str
    message: Exchange


class Wires:
    """What the servers of a test are connected by."""

    def __init__(self) -> None:
        self.servers: dict[str, RealityServer] = {}
        self.down: set[str] = set()
        self.said: list[Said] = []
        # Whether a message, or the answer to it, gets lost on its way.
        self.loses: Callable[[Said], bool] = lambda _: False
        # What a message waits for on its way.
        self.delay: Callable[[Said], Awaitable[object]] = _at_once

    def server(
        self,
        name: str,
        *,
        peers: Iterable[str] = (),
        interval: float = NEVER_S,
        remove_after: float | None = None,
        timeout: float = 2.0,
        **arguments: Any,
    ) -> RealityServer:
        """A server that is connected under its name, and was not started yet."""
        mesh = Mesh(
            [url_of(each) for each in peers],
            secret=SECRET,
            advertise=url_of(name),
            interval=interval,
            timeout=timeout,
            remove_after=remove_after,
        )
        server = RealityServer(name, mesh=mesh, **arguments)
        assert server.mesh is not None
        server.mesh.make_transport = lambda: _Wire(self, name)
        self.servers[name] = server
        self.down.discard(name)
        return server

    async def started(self, *names: str, **arguments: Any) -> list[RealityServer]:
        """Servers that have all of these names as peers, have started, and know the same."""
        servers = [self.server(name, peers=names, **arguments) for name in names]
        await asyncio.gather(*(server.start() for server in servers))
        await alike(*servers)
        return servers

    async def crash(self, name: str) -> None:
        """End a server without a word to the others; whoever calls it is refused."""
        self.down.add(name)
        await self.servers[name].stop()


class _Wire:
    """The transport of one of the servers."""

    def __init__(self, wires: Wires, source: str) -> None:
        self._wires = wires
        self._source = source

    async def post(self, url: str, route: str, body: bytes, *, timeout_s: float) -> bytes:
        """See `Transport`."""
        said = Said(self._source, _name_of(url), decode_exchange(body))
        try:
            async with asyncio.timeout(timeout_s):
                return await self._posted(said, route, body)
        except TimeoutError as error:
            raise ServerUnavailable(f"{url} did not answer") from error

    async def aclose(self) -> None:
        """See `Transport`."""

    async def _posted(self, said: Said, route: str, body: bytes) -> bytes:
        wires = self._wires
        wires.said.append(said)
        await wires.delay(said)
        server = wires.servers.get(said.target)
        if server is None or server.mesh is None or self._is_cut(said):
            raise ServerUnavailable(f"{said.target} cannot be reached")
        try:
            answer = await server.mesh.answer(route, body)
        except RealityError as error:
            raise RemoteError(str(error), status=error.status, code=error.code) from error
        if self._is_cut(said):
            raise ServerUnavailable(f"the answer of {said.target} was lost")
        return answer

    def _is_cut(self, said: Said) -> bool:
        is_down = not self._wires.down.isdisjoint((said.source, said.target))
        return is_down or self._wires.loses(said)


@asynccontextmanager
async def meshed() -> AsyncIterator[Wires]:
    """Wires; the servers on them are stopped when the block ends."""
    wires = Wires()
    try:
        yield wires
    finally:
        wires.delay = _at_once
        wires.down |= set(wires.servers)  # no farewells
        await asyncio.gather(*(server.stop() for server in wires.servers.values()))


def url_of(name: str) -> str:
    """Where a server is reached."""
    return f"http://{name}/reality"


def _name_of(url: str) -> str:
    return url.split("/")[2]


def digest_of(server: RealityServer) -> dict[str, Position]:
    """How far a server has come in each origin."""
    graph = server._state.graph
    return {} if graph is None else dict(graph.digest)


def pushes(said: Iterable[Said]) -> list[tuple[str, str]]:
    """From whom to whom news was pushed."""
    return [(each.source, each.target) for each in said if each.message.kind == "push"]


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the servers' threads run until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def alike(*servers: RealityServer) -> None:
    """Return once these servers have come equally far, and each knows all of the others."""

    def are_alike() -> bool:
        first, *others = [digest_of(server) for server in servers]
        return len(first) >= len(servers) and all(each == first for each in others)

    await eventually(are_alike)


async def hears_of(asker: Asker, key: str) -> None:
    """Return once an asker was told that a key has changed; it asks again and again."""
    async with asyncio.timeout(PATIENCE_S):
        while key not in (await asker.ask()).changed:
            await asyncio.sleep(0.002)


async def _at_once(_: Said) -> None:
    """Messages arrive without delay."""
