"""Servers that leave their mesh: stopped, removed, silent for too long."""

from __future__ import annotations

import asyncio

import pytest

from reality import RealityServer
from reality.core.cursor import gone_origin
from reality.errors import NotReady
from reality.mesh.messages import encode
from tests.server.asking import Asker, answered, holding
from tests.server.meshed import (
    SOON_S,
    alike,
    digest_of,
    eventually,
    meshed,
    url_of,
)


async def test_a_goodbye_brings_the_last_news() -> None:
    """I1: what a server was told just before it stopped is known to the others when it is gone."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b")
        asker = await Asker(a, *(f"k:{number}" for number in range(50))).caught_up()
        for number in range(50):
            await b.invalidate(f"k:{number}")
        await b.stop()

        assert sorted((await asker.ask()).changed) == sorted(asker.known)
        farewells = [each for each in wires.said if each.message.kind == "goodbye"]
        assert {(each.source, each.target) for each in farewells} == {("b", "a")}


async def test_who_has_said_goodbye_is_not_missed() -> None:
    """A server that has stopped is of unknown health; it was told to stop, so nobody resets."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        idle = await Asker(a, "k").caught_up()
        await b.stop()
        await eventually(lambda: a.mesh.health == {url_of("b"): "unknown"})  # type: ignore[union-attr]
        response = await idle.ask()

        assert (response.changed, response.reset) == ({}, False)
        assert a.is_ready


async def test_a_peer_that_was_only_heard_of_is_forgotten_when_it_leaves() -> None:
    """Whoever was not configured, and says goodbye, is no peer any more."""
    async with meshed() as wires:
        a = wires.server("a", interval=SOON_S)
        await a.start()
        b = wires.server("b", peers=["a"], interval=SOON_S)
        await b.start()
        assert a.mesh is not None
        await eventually(lambda: a.stats().mesh.healthy == 1)  # type: ignore[union-attr]
        await b.stop()

        assert await a.mesh.peers() == []


async def test_a_removal_is_known_to_all_and_resets_once() -> None:
    """I1, I2: once a dead server is removed, each client refetches once; no one does again."""
    async with meshed() as wires:
        a, b, _ = await wires.started("a", "b", "c", interval=SOON_S)
        await wires.crash("c")
        asker = Asker(b, "k")
        async with holding(asker) as [task]:
            assert a.mesh is not None
            assert await a.mesh.remove_server("c") == "c!gone"
            response = await answered(task)
        await alike(a, b)
        again = [await asker.ask()]
        asker.server = a
        again.append(await asker.ask())

    assert response.reset
    assert [(each.changed, each.reset) for each in again] == [({}, False)] * 2
    assert gone_origin("c") in digest_of(b)


async def test_a_removed_server_answers_no_more() -> None:
    """A server that was removed while it lives says so, to clients and to whoever touches."""
    async with meshed() as wires:
        a, b, c = await wires.started("a", "b", "c", interval=SOON_S)
        assert a.mesh is not None
        await a.mesh.remove_server("b")
        await eventually(lambda: not b.is_ready)
        with pytest.raises(NotReady, match="b was removed from its mesh: start it under another"):
            await Asker(b, "k").ask()
        with pytest.raises(NotReady, match="removed"):
            await b.invalidate("k")
        assert b.stats().mesh.is_removed  # type: ignore[union-attr]
        assert b.mesh is not None
        with pytest.raises(NotReady, match="removed"):
            b.check_ready()

        assert [each.server_id for each in await a.mesh.peers()] == ["c"]
        assert c.is_ready


async def test_the_id_of_a_removed_server_cannot_come_back() -> None:
    """I1: a server that starts under a removed id hears of it before it answers anybody."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        await wires.crash("b")
        assert a.mesh is not None
        await a.mesh.remove_server("b")
        b = wires.server("b", peers=["a"], interval=SOON_S)
        await b.start()

        with pytest.raises(NotReady, match="removed"):
            b.check_ready()
        with pytest.raises(NotReady, match="removed"):
            await Asker(b, "k").ask()
        assert await a.mesh.peers() == []
        assert b.stats().origin not in digest_of(a)


async def test_a_removed_server_is_news_to_who_was_away() -> None:
    """I1: a server that was cut off during a removal hears of it, and its clients with it."""
    async with meshed() as wires:
        a, b, _ = await wires.started("a", "b", "c", interval=SOON_S)
        asker = await Asker(b, "k").caught_up()
        await wires.crash("c")
        wires.down.add("b")
        assert a.mesh is not None
        await a.mesh.remove_server("c")
        assert not (await asker.ask()).reset
        wires.down.remove("b")
        await eventually(lambda: gone_origin("c") in digest_of(b))

        assert (await asker.ask()).reset
        assert not (await asker.ask()).reset


@pytest.mark.parametrize("server_id", ["a", "", "no id", "x" * 65])
async def test_only_another_server_can_be_removed(server_id: str) -> None:
    """A server does not remove itself, or what cannot be the id of a server."""
    async with meshed() as wires:
        (a,) = await wires.started("a")
        assert a.mesh is not None
        with pytest.raises(ValueError, match="is not the id of another server"):
            await a.mesh.remove_server(server_id)


async def test_removing_twice_is_removing_once() -> None:
    """I2: the second removal of a server is no news."""
    async with meshed() as wires:
        (a,) = await wires.started("a")
        assert a.mesh is not None
        await a.mesh.remove_server("never-met")
        asker = await Asker(a, "k").caught_up()
        await a.mesh.remove_server("never-met")

        assert not (await asker.ask()).reset


async def test_a_server_that_was_never_reached_is_not_removed() -> None:
    """I1: `remove_after` is about lost contact; who was only heard of may be well, elsewhere."""
    async with meshed() as wires:
        wires.loses = lambda said: {said.source, said.target} == {"a", "c"}
        a = wires.server("a", peers=["b"], interval=SOON_S, remove_after=60)
        b, c = (wires.server(name, peers=["b"], interval=SOON_S) for name in "bc")
        await asyncio.gather(*(server.start() for server in (a, b, c)))
        assert a.mesh is not None
        await eventually(lambda: ("a", "c") in {said[:2] for said in wires.said})
        for _ in range(5):
            await a.invalidate("k")
            await alike(a, b, c)

        assert ["b", "c"] == [each.server_id for each in await a.mesh.peers()]
        assert all(_is_member(server) for server in (a, b, c))


async def test_a_stopped_server_starts_again() -> None:
    """A server that was stopped and started is in its mesh again, and has missed nothing."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        asker = await Asker(b, "k").caught_up()
        await b.stop()
        await a.invalidate("k")
        await b.start()
        response = await asker.ask()
        assert list(response.changed) == ["k"]
        await alike(a, b)
        await b.invalidate("k")
        await alike(a, b)

        assert digest_of(a)[_own(b)].sequence == 1


async def test_held_syncs_are_answered_when_the_server_stops() -> None:
    """Whoever is held by a server that stops is answered at once, with what is known."""
    async with meshed() as wires:
        a, _ = await wires.started("a", "b")
        asker = Asker(a, "k")
        async with holding(asker) as [task]:
            await a.stop()
            response = await answered(task)

        assert (response.changed, response.reset) == ({}, False)


async def test_a_stopped_server_answers_no_peer() -> None:
    """A peer that calls a server that was stopped is refused, and does not start it again."""
    async with meshed() as wires:
        a, _ = await wires.started("a", "b")
        await a.stop()
        assert a.mesh is not None
        with pytest.raises(NotReady, match="was stopped"):
            await a.mesh.answer("/mesh/exchange", encode(wires.said[-1].message))
        assert _healthy(a) == 0


def _is_member(server: RealityServer) -> bool:
    mesh = server.stats().mesh
    return mesh is not None and not mesh.is_removed


def _healthy(server: RealityServer) -> int:
    mesh = server.stats().mesh
    return 0 if mesh is None else mesh.healthy


def _own(server: RealityServer) -> str:
    return server.stats().origin
