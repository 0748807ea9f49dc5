"""When there is no room: for another origin, or for another name. All begin anew, together."""

from __future__ import annotations

import asyncio
import logging

import pytest

from reality import Limits, RealityServer
from reality.core.cursor import Position, gone_origin
from reality.core.limits import ORIGINS_MAX
from tests.server.asking import Asker, answered, holding
from tests.server.meshed import SOON_S, alike, digest_of, eventually, hears_of, meshed


def generation(server: RealityServer) -> int:
    mesh = server.stats().mesh
    return 0 if mesh is None else mesh.generation


def learn(server: RealityServer, *origins: str) -> None:
    """Have a server know of other origins, as if their servers had been here and gone."""
    graph = server._state.graph
    assert graph is not None
    with server._state.lock:
        for origin in origins:
            graph._admit(origin, Position(0))


async def test_the_65th_origin_opens_a_generation(caplog: pytest.LogCaptureFixture) -> None:
    """I1, I4: with no room for a newcomer, all begin anew: clients reset, no version falls."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        await a.invalidate("k")
        await alike(a, b)
        learn(a, *(f"old{number}~1" for number in range(ORIGINS_MAX - 2)))
        await alike(a, b)
        assert len(digest_of(a)) == ORIGINS_MAX
        clients = [Asker(server, "k", "m") for server in (a, b)]
        for client in clients:
            await client.caught_up()
        before = [dict(client.known) for client in clients]
        with caplog.at_level(logging.WARNING, "reality.mesh"):
            c = wires.server("c", peers=["a", "b"], interval=SOON_S)
            await c.start()
            await eventually(lambda: all(generation(each) >= 1 for each in (a, b, c)))
            await alike(a, b, c)

        assert len({frozenset(digest_of(each)) for each in (a, b, c)}) == 1
        assert len(digest_of(a)) <= 6
        assert "opens generation" in caplog.text
        for client, known in zip(clients, before, strict=True):
            first = await client.ask()
            assert first.reset
            assert all(client.known[key] > known[key] for key in known)
            for server in (a, b, c):
                client.server = server
                response = await client.ask()
                assert (response.changed, response.reset) == ({}, False)
        await c.invalidate("k")
        for client in clients:
            await hears_of(client, "k")


async def test_the_node_limit_of_one_server_is_that_of_the_mesh() -> None:
    """I6: a server whose memory is full drops what the mesh knows, and all others with it."""
    async with meshed() as wires:
        a = wires.server("a", peers=["b"], interval=SOON_S, limits=Limits(nodes_max=20))
        b = wires.server("b", peers=["a"], interval=SOON_S, limits=Limits(nodes_max=20))
        await asyncio.gather(a.start(), b.start())
        await alike(a, b)
        asker = Asker(b, "k", "fill:3")
        async with holding(asker) as [task]:
            version = asker.known["k"]
            for number in range(21):
                await a.invalidate(f"fill:{number}")
            response = await answered(task)
            while not response.reset:
                response = await asker.ask(wait=20_000)

        assert asker.known["k"] > version
        await eventually(lambda: generation(b) >= 1)
        await alike(a, b)
        assert a.stats().nodes <= 20
        assert not (await asker.ask()).reset
        await a.invalidate("k")
        await hears_of(asker, "k")


async def test_a_small_server_makes_all_begin_anew() -> None:
    """I6: what a peer tells fills memory as well; nobody is left with a part of it."""
    async with meshed() as wires:
        a = wires.server("a", peers=["b"], interval=SOON_S)
        b = wires.server("b", peers=["a"], interval=SOON_S, limits=Limits(nodes_max=20))
        await asyncio.gather(a.start(), b.start())
        await alike(a, b)
        for number in range(15):
            await a.invalidate(f"a:{number}")
            await b.invalidate(f"b:{number}")
        await eventually(lambda: generation(a) >= 1 and generation(b) == generation(a))
        await alike(a, b)

        assert b.stats().nodes <= 20
        assert b.is_ready


async def test_a_new_generation_knows_who_was_removed() -> None:
    """I1: a removed id does not come back with a generation; it stays with the newest 24."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        assert a.mesh is not None
        await a.mesh.remove_server("dead")
        await alike(a, b)
        learn(a, *(f"old{number}~1" for number in range(ORIGINS_MAX - 3)))
        await alike(a, b)
        await b.mesh.remove_server("other")  # type: ignore[union-attr]
        await eventually(lambda: generation(a) == generation(b) == 1)
        await alike(a, b)

        assert {gone_origin("dead"), gone_origin("other")} <= digest_of(a).keys()


async def test_servers_that_open_one_at_the_same_time_agree() -> None:
    """I8: of two generations of the same number, all end in the same."""
    async with meshed() as wires:
        servers = await wires.started("a", "b", "c", interval=SOON_S)
        askers = [await Asker(server, "k").caught_up() for server in servers]
        for server in servers:
            learn(server, *(f"{server.server_id}{number}~1" for number in range(ORIGINS_MAX - 5)))
        await servers[0].invalidate("k")
        await eventually(lambda: all(generation(each) >= 1 for each in servers))
        await eventually(lambda: len({frozenset(digest_of(each).items()) for each in servers}) == 1)
        graphs = [server._state.graph for server in servers]
        assert len({graph.generation for graph in graphs if graph is not None}) == 1
        for asker in askers:
            await hears_of(asker, "k")
            await asker.ask()
            assert not (await asker.ask()).reset


async def test_a_newcomer_enters_the_generation() -> None:
    """A server that joins later is in the generation of its peers before it answers."""
    async with meshed() as wires:
        (a,) = await wires.started("a", interval=SOON_S, limits=Limits(nodes_max=5))
        for number in range(6):
            await a.invalidate(f"k:{number}")
        assert generation(a) == 1
        b = wires.server("b", peers=["a"], interval=SOON_S)
        asker = Asker(b, "k:1")
        await asker.ask()
        assert generation(b) == 1
        await a.invalidate("k:1")
        await hears_of(asker, "k:1")
        assert not (await asker.ask()).reset
