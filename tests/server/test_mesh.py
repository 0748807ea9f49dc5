"""What one server is told, clients of all servers of its mesh hear."""

from __future__ import annotations

import asyncio

import pytest

from reality import RealityServer
from reality.errors import NotReady
from tests.server.asking import PATIENCE_S, Asker, answered, holding
from tests.server.meshed import (
    NEVER_S,
    SOON_S,
    alike,
    eventually,
    hears_of,
    meshed,
    pushes,
    url_of,
)


async def test_a_touch_wakes_who_waits_elsewhere() -> None:
    """I1: an invalidation on one server is pushed at once, and ends waits on every other."""
    async with meshed() as wires:
        a, b, c = await wires.started("a", "b", "c")  # which exchange nothing later but pushes
        askers = [Asker(b, "posts"), Asker(c, "posts", "users")]
        async with holding(askers[0]) as [first], holding(askers[1]) as [second]:
            versions = await a.invalidate("posts")
            responses = [await answered(first), await answered(second)]

    for response in responses:
        assert not response.reset
        assert {"posts": versions["posts"]} == {
            key: node.version for key, node in response.changed.items()
        }


async def test_hashes_deletions_and_patterns_arrive() -> None:
    """I8: all that a touch says of a name is the same on every server."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b")
        await a.update_node("hashed", "h1")
        await a.delete_node("gone")
        below = await Asker(b, "chat:room:7", "other").caught_up()
        await a.invalidate("chat:*")
        await hears_of(below, "chat:room:7")

        hashed, gone = await b.get_node("hashed"), await b.get_node("gone")
        assert hashed == await a.get_node("hashed")
        assert gone == await a.get_node("gone")
        assert hashed is not None
        assert hashed.hash == "h1"
        assert gone is not None
        assert gone.deleted
        assert (await below.ask()).changed == {}


async def test_servers_that_touch_the_same_key_agree() -> None:
    """I8: touches of one key on all servers at once end in the same node everywhere."""
    async with meshed() as wires:
        servers = await wires.started("a", "b", "c")
        for round_ in range(5):
            await asyncio.gather(
                *(server.update_node("k", f"h{round_}-{server.server_id}") for server in servers)
            )
        await asyncio.gather(*(server.update_node("same", "h") for server in servers))
        await alike(*servers)
        nodes = [await server.get_node("k") for server in servers]
        same = [await server.get_node("same") for server in servers]

    assert nodes[0] is not None
    assert (nodes[0].hash, nodes) == ("", [nodes[0]] * 3)
    assert same[0] is not None
    assert (same[0].hash, same) == ("h", [same[0]] * 3)


@pytest.mark.parametrize("interval", [SOON_S / 2, NEVER_S])
async def test_a_newcomer_knows_all_before_it_answers(interval: float) -> None:
    """I1: a server that joins has what its peers know, however many pages, before its answers.

    Pages that come twice, because both call each other, do not make it begin anew.
    """
    names = [f"key:{number:04}:{'x' * 200}" for number in range(6_000)]
    async with meshed() as wires:
        (a,) = await wires.started("a", interval=interval)
        await a.invalidate(names)
        touched = await Asker(a, names[0], names[-1], "other").caught_up()
        newcomer = wires.server("b", peers=["a"], interval=interval)
        client = Asker(newcomer, names[0], names[-1], "other")
        client.known, client.cursor = dict(touched.known), touched.cursor
        first = await client.ask()  # without `start`: the first sync waits for it

        assert len(newcomer._state.graph or ()) == len(names)
        assert first.reset  # it has another origin that the client has not seen
        assert (await client.ask()).changed == {}
        assert len([each for each in wires.said if each.message.pages]) < 100  # 25 hold it all


async def test_a_server_is_not_ready_before_it_has_joined() -> None:
    """A server that has yet to hear what its peers know says so, and a sync waits for it."""
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hold(_: object) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(release.wait(), loop))

    async with meshed() as wires:
        (a,) = await wires.started("a")
        await a.invalidate("posts")
        wires.delay = hold
        b = wires.server("b", peers=["a"], timeout=30)
        sync = asyncio.create_task(Asker(b, "posts").ask())
        await eventually(lambda: bool(wires.said))
        with pytest.raises(NotReady, match="yet to hear what its peers know"):
            b.check_ready()
        assert not sync.done()
        release.set()
        assert list((await answered(sync)).changed) == ["posts"]
        assert b.is_ready


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_peer_that_is_down_does_not_delay_the_start(is_silent: bool) -> None:
    """A server whose peers are down, or never answer, serves after one attempt to reach them."""
    loop = asyncio.get_running_loop()

    async def never(_: object) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.Event().wait(), loop))

    async with meshed() as wires:
        if is_silent:
            wires.delay = never
        server = wires.server("a", peers=["gone", "lost"], timeout=0.2)
        async with asyncio.timeout(5):  # it would wait 10 s for a peer that answers
            await server.start()

        assert server.is_ready
        assert list((await Asker(server, "k").ask()).changed) == ["k"]


async def test_a_restart_resets_each_client_once() -> None:
    """I1, I2: a server that restarts is news to each client once, wherever it asks from then on."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        clients = [Asker(server, "k", client_id=server.server_id) for server in (a, b)]
        for client in clients:
            await client.caught_up()
        await wires.crash("b")
        b = wires.server("b", peers=["a"], interval=SOON_S)
        await b.start()
        await alike(a, b)  # "b" as it was before among them
        resets = {client.client_id: 0 for client in clients}
        for number in range(12):
            for client in clients:
                client.server = (a, b)[number % 2]
                resets[client.client_id] += (await client.ask()).reset

    assert resets == {"a": 1, "b": 1}


async def test_idle_clients_are_told_nothing() -> None:
    """I2: exchanges, and touches of other keys, neither wake who waits nor are told to who asks."""
    async with meshed() as wires:
        a, b = await wires.started("a", "b", interval=SOON_S)
        idle = [Asker(server, "idle", client_id=server.server_id) for server in (a, b)]
        async with holding(idle[0]) as [one], holding(idle[1]) as [other]:
            exchanges = b.stats().mesh.exchanges  # type: ignore[union-attr]
            for number in range(20):
                await a.invalidate(f"busy:{number}")
            await eventually(
                lambda: b.stats().mesh.exchanges >= exchanges + 5  # type: ignore[union-attr]
            )
            await alike(a, b)

            assert not one.done()
            assert not other.done()
        for asker in idle:
            for server in (a, b, a):
                asker.server = server
                response = await asker.ask()
                assert (response.changed, response.reset) == ({}, False)


async def test_silent_servers_say_little() -> None:
    """I2: servers that have nothing to tell exchange once an interval, and never in a circle."""
    async with meshed() as wires:
        servers = await wires.started("a", "b", "c", interval=1.0)
        for server in servers:
            await server.invalidate("k")
        await alike(*servers)
        await asyncio.sleep(0.2)  # what is under way
        wires.said.clear()
        await asyncio.sleep(1.0)

        # Each calls one of the others, at most twice in an interval and a fifth.
        assert len(wires.said) <= 6


async def test_peers_are_added_and_removed_while_servers_run() -> None:
    """`add_peer` makes two servers one mesh; `remove_peer` ends the calls, not the membership."""
    async with meshed() as wires:
        (a,), (b,) = await wires.started("a"), await wires.started("b")
        assert a.mesh is not None
        assert b.mesh is not None
        waiting = Asker(b, "k")
        a.mesh.add_peer("http://b")
        await alike(a, b)
        async with holding(waiting) as [task]:
            await a.invalidate("k")
            assert list((await answered(task)).changed) == ["k"]

        await eventually(lambda: a.stats().mesh.healthy == 1)  # type: ignore[union-attr]
        assert [(each.url, each.is_configured) for each in await a.mesh.peers()] == [
            (url_of("b"), True)
        ]
        a.mesh.remove_peer(url_of("b"))
        await eventually(lambda: a.stats().mesh is not None and a.stats().mesh.peers <= 1)  # type: ignore[union-attr]
        assert not any(each.is_configured for each in await a.mesh.peers())
        await b.invalidate("k")
        await alike(a, b)  # "b" still knows "a"


async def test_one_configured_peer_is_enough_to_find_the_others() -> None:
    """Servers tell each other of those that they know, so each finds all."""
    async with meshed() as wires:
        first = wires.server("a", interval=SOON_S)
        await first.start()
        others = [wires.server(name, peers=["a"], interval=SOON_S) for name in "bcde"]
        await asyncio.gather(*(server.start() for server in others))
        servers = [first, *others]
        await eventually(lambda: all(_healthy(server) == 4 for server in servers))
        wires.said.clear()
        async with asyncio.timeout(PATIENCE_S):
            # More than once: an exchange that is under way may bring it before a push does.
            while not {("b", name) for name in "acde"} <= set(pushes(wires.said)):
                await others[0].invalidate("k")
                await asyncio.sleep(0.02)
        await alike(*servers)


async def test_health_of_peers_is_told_to_clients() -> None:
    """The answer to a sync has the public URL of each peer, and whether it is healthy."""
    async with meshed() as wires:
        a, _ = await wires.started("a", "b", interval=SOON_S)
        asker = Asker(a, "k")
        await eventually(lambda: a.mesh.health == {url_of("b"): "healthy"})  # type: ignore[union-attr]
        assert (await asker.ask()).mesh.peers == {url_of("b"): "healthy"}
        await wires.crash("b")
        await eventually(lambda: a.mesh.health == {url_of("b"): "unhealthy"})  # type: ignore[union-attr]
        assert (await asker.ask()).mesh.peers == {url_of("b"): "unhealthy"}
        assert a.is_ready


def _healthy(server: RealityServer) -> int:
    mesh = server.stats().mesh
    return 0 if mesh is None else mesh.healthy


def _own(server: RealityServer) -> str:
    return server.stats().origin
