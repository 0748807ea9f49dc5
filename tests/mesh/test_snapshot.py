"""A server that joins learns all that the others know: in pages, of whoever is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reality import Limits, RealityServer
from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import NotReady
from reality.mesh.ports import Transport
from tests.server.asking import Asker
from tests.server.meshed import Said, Wires, digest_of, eventually, meshed

NAMES = 10_000
# Of each origin, how many names a batch has: one, some, and all, more than a page has room for.
BATCHES = {"old1~1": 1, "old2~2": 100, "old3~3": NAMES}
# Of the server that dies.
ANSWERS = 4
# What a page can have at most: an entry is no shorter than this.
PAGE_NAMES_MAX = MESH_MESSAGE_BYTES_MAX // 20


class Measured:
    """A transport that notes the size of every message and answer, and what is done meanwhile."""

    def __init__(self, transport: Transport, sizes: list[int], look: Callable[[], object]) -> None:
        self._transport = transport
        self._sizes = sizes
        self._look = look

    async def post(self, url: str, route: str, body: bytes, *, timeout_s: float) -> bytes:
        """See `Transport`."""
        self._look()
        answer = await self._transport.post(url, route, body, timeout_s=timeout_s)
        self._sizes += len(body), len(answer)
        return answer

    async def aclose(self) -> None:
        """See `Transport`."""
        await self._transport.aclose()


def measured(server: RealityServer, look: Callable[[], object] = list) -> list[int]:
    """The sizes of what a server will say and be answered."""
    sizes: list[int] = []
    mesh = server.mesh
    assert mesh is not None
    make = mesh.make_transport
    mesh.make_transport = lambda: Measured(make(), sizes, look)
    return sizes


def fill(server: RealityServer) -> RealityServer:
    """Have a server know what three others have touched, which are no more."""
    graph = server._state.graph
    assert graph is not None
    for origin, batch in BATCHES.items():
        touched = (
            Touched(f"{origin[:4]}:{at}", 1 + at // batch, 1, f"h{at % 7}", at, at % 5 == 0)
            for at in range(NAMES)
        )
        delta = Delta(
            origin=origin,
            sender=origin,
            position=0,
            register=1,
            since=0,
            after=0,
            upto=Position(NAMES // batch),
            last=True,
            touched=tuple(touched),
        )
        assert graph.merge(delta).applied
    return server


def entries(server: RealityServer) -> dict[str, set[Touched]]:
    """All that a server knows of the three."""
    graph = server._state.graph
    assert graph is not None
    return {
        origin: {each for page in graph.delta(origin, since=0) for each in page.touched}
        for origin in BATCHES
    }


def pages_from(wires: Wires, source: str) -> int:
    """How often the newcomer has asked a server."""
    return sum(each.target == source and each.source == "newcomer" for each in wires.said)


async def test_a_newcomer_learns_everything_in_small_messages() -> None:
    """I8: it ends identical to the server it asked; no message is larger than 64 KiB."""
    async with meshed() as wires:
        sender = fill(wires.server("sender"))
        await sender.start()
        newcomer = wires.server("newcomer", peers=["sender"])
        sizes = measured(newcomer)

        await newcomer.start()

        assert newcomer.is_ready
        assert digest_of(sender).items() <= digest_of(newcomer).items()
        assert entries(sender) == entries(newcomer)
        await eventually(lambda: digest_of(sender) == digest_of(newcomer))
        keys = [f"old{number}:{at}" for number in (1, 2, 3) for at in range(0, NAMES, 997)]
        nodes = [await newcomer.get_node(key) for key in keys]
        assert nodes == [await sender.get_node(key) for key in keys]
        assert None not in nodes
        assert max(sizes) <= MESH_MESSAGE_BYTES_MAX
        full = [size for size in sizes if size > MESH_MESSAGE_BYTES_MAX * 0.9]
        assert len(full) >= len(sizes) // 2 - len(BATCHES) - 2, "pages are as full as can be"


async def test_a_newcomer_goes_on_with_another_server_when_its_sender_dies() -> None:
    """I1, I8: pages of an origin whose sender dies between them are had anew of another."""
    async with meshed() as wires:
        for name in ("first", "second"):
            await fill(wires.server(name)).start()
        newcomer = wires.server("newcomer", peers=["first", "second"], interval=0.2)
        held_then: list[set[str]] = []

        def is_lost(said: Said) -> bool:
            """The first answers some times and never again; the second not before that."""
            is_over = pages_from(wires, "first") > ANSWERS
            if is_over and not held_then:
                held_then.append(set(BATCHES) & digest_of(newcomer).keys())
            return {"first": is_over, "second": not is_over}.get(said.target, False)

        wires.loses = is_lost
        await newcomer.start()

        assert held_then[0] < set(BATCHES), "it died before it had sent everything"
        await eventually(lambda: digest_of(newcomer).keys() >= set(BATCHES))
        assert entries(wires.servers["second"]) == entries(newcomer)


async def test_pages_that_are_not_whole_yet_have_a_limit() -> None:
    """I6: of an origin larger than the server's limit no more is kept, and it does not serve."""
    async with meshed() as wires:
        await fill(wires.server("sender")).start()
        limits = Limits(nodes_max=3_000)
        newcomer = wires.server("newcomer", peers=["sender"], interval=0.1, limits=limits)
        state = newcomer._state
        held: list[int] = []

        def look() -> None:
            with state.lock:
                graph = state.graph
                assert graph is not None
                held.append(sum(graph.pages_names(origin) for origin in BATCHES))

        measured(newcomer, look)
        starting = asyncio.create_task(newcomer.start())
        # More than it takes to send one of them.
        await eventually(lambda: len(held) >= 3 * NAMES // limits.nodes_max)

        assert 0 < max(held) <= limits.nodes_max + PAGE_NAMES_MAX
        with pytest.raises(NotReady, match="raise Limits"):
            await Asker(newcomer, "a").ask()
        starting.cancel()
