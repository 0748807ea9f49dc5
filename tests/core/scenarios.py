"""Scenarios of servers: origins, cursors and deltas. Those of hashes are in `hash_scenarios`.

A scenario is a script for `world`, as short as it could be made. It returns whether harm was done:
a client believes stale data to be fresh (I1), is told news for ever (I2), or servers stay different
(I8). `test_rules_are_needed` plays each twice, with all rules in force and with one switched off.
"""

from __future__ import annotations

from typing import NamedTuple

from reality.core.graph import Graph
from tests.core import broken
from tests.core.model_client import Client
from tests.core.world import Server, World


class Cast(NamedTuple):
    """Who plays: the classes of the world, its graphs and its clients."""

    world: type[World] = World
    graph: type[Graph] = Graph
    client: type[Client] = Client

    def start(
        self, *, volatile: int = 1, durable: int = 0, boot_ms: int = 10_000, older: bool = False
    ) -> tuple[World, Client]:
        """A world whose servers know each other, and a client that has just fetched everything."""
        world_class = type("PlayedWorld", (self.world,), {"graph_class": self.graph})
        world = world_class(volatile=volatile, durable=durable, boot_ms=boot_ms)
        world.settle()
        client = self.client(world, uses_cursor=not older)
        learn(client, world.servers[0])
        return world, client


def learn(client: Client, server: Server) -> None:
    """A client asks about all its keys and fetches what was reported."""
    client.sync(server)
    client.fetch_dirty()


def is_lost(world: World, client: Client, server: Server) -> bool:
    """Whether, once faults have ended, a full sync leaves a stale key unreported."""
    world.settle()
    client.sync(server)
    return bool(client.stale_keys())


# ---- origins and cursors -----------------------------------------------------------------------


def forked_process(cast: Cast) -> bool:
    """Two processes touch the same key under sequences of their own."""
    world, client = cast.start()
    parent = world.servers[0]
    child = world.fork(parent)
    world.touch(parent, "e")
    world.touch(parent, "e")
    learn(client, parent)
    world.touch(child, "e")
    return is_lost(world, client, child)


def lost_memory(cast: Cast) -> bool:
    """A server dies with a touch that nobody had heard of; its clock has gone back since."""
    world, client = cast.start(boot_ms=1)
    server = world.servers[0]
    world.touch(server, "e")
    world.crash(server)
    world.restart(server, skew_ms=-100)
    return is_lost(world, client, server)


def restored_store(cast: Cast) -> bool:
    """A store loses a touch, and goes on as a new lineage with what it still knows."""
    world, client = cast.start(volatile=0, durable=1)
    server = world.servers[0]
    world.touch(server, "e")
    server.graph = cast.graph("d0@2", register=0)
    return is_lost(world, client, server)


def partial_sync_after_lost_memory(cast: Cast) -> bool:
    """The first sync after a server lost its memory asks about another key."""
    world, client = cast.start(boot_ms=1)
    server = world.servers[0]
    world.touch(server, "e")
    world.crash(server)
    world.restart(server, skew_ms=-100)
    client.sync(server, ["a"])
    return is_lost(world, client, server)


def same_version_after_lost_memory(cast: Cast) -> bool:
    """A server loses a touch, and by accident its new versions are those of before it."""
    world, client = cast.start(boot_ms=1)
    server = world.servers[0]
    known = client.held.known["e"]
    world.touch(server, "e")
    world.crash(server)
    world.restart(server, skew_ms=known - 1 - (world.clock_ms + 1))
    assert server.graph.version("e") == known
    return is_lost(world, client, server)


def first_full_sync_after_lost_memory(cast: Cast) -> bool:
    """A client that has asked about single keys only asks about all after a server lost a touch."""
    world, _ = cast.start(boot_ms=1)
    server, client = world.servers[0], cast.client(world)
    client.sync(server, ["e"])
    client.fetch_dirty()
    known = client.held.known["e"]
    world.touch(server, "e")
    world.crash(server)
    world.restart(server, skew_ms=known - 1 - (world.clock_ms + 1))
    assert server.graph.version("e") == known
    return is_lost(world, client, server)


def same_version_on_two_servers(cast: Cast) -> bool:
    """Two servers that do not reach each other touch a key: it has one version, twice."""
    world, client = cast.start(volatile=2)
    one, other = world.servers
    world.touch(one, "e")
    learn(client, one)
    world.touch(other, "e")
    learn(client, other)
    return is_lost(world, client, other)


def memory_full(cast: Cast) -> bool:
    """A server drops what it knows before its client has asked."""
    world, client = cast.start()
    server = world.servers[0]
    world.touch(server, "e")
    world.renew(server)
    return is_lost(world, client, server)


def renewed_with_a_slow_clock(cast: Cast) -> bool:
    """A server that is full renews itself after its clock was set back; an older client asks."""
    world, client = cast.start(boot_ms=1, older=True)
    server = world.servers[0]
    world.touch(server, "e")
    world.touch(server, "e")
    learn(client, server)
    server.skew_ms = client.held.known["e"] - 2 - (world.clock_ms + 1)
    world.renew(server)
    world.touch(server, "e")
    return is_lost(world, client, server)


def removed_server(cast: Cast) -> bool:
    """A server dies for good with a touch that nobody had heard of."""
    world, client = cast.start(volatile=2)
    gone, left = world.servers
    world.touch(gone, "e")
    world.remove(gone)
    return is_lost(world, client, left)


def hopping_between_strangers(cast: Cast) -> bool:
    """A client goes to and fro between servers that do not know each other; are there resets?"""
    world, client = cast.start()
    one, other = world.servers[0], world.add_server("stranger")
    for server in (one, other):
        learn(client, server)
    return any(client.sync(server).reset for server in (one, other))


# ---- deltas ------------------------------------------------------------------------------------


def first_page_lost(cast: Cast) -> bool:
    """Of a delta of two pages only the second one arrives."""
    world, client = cast.start(volatile=2)
    sender, receiver = world.servers
    world.touch(sender, "e")
    world.touch(sender, "a")
    world.ask(receiver, sender, page_max=1)
    for _ in range(2):
        world.send(world.streams[0])
    world.mail.pop(0)
    world.deliver(0)
    return is_lost(world, client, receiver)


def first_delta_lost(cast: Cast) -> bool:
    """A server tells another about its second touch only."""
    world, client = cast.start(volatile=2)
    sender, receiver = world.servers
    world.touch(sender, "e")
    world.touch(sender, "a")
    for page in sender.graph.delta(sender.graph.own_origin, since=1):
        receiver.graph.merge(page)
    return is_lost(world, client, receiver)


def same_version_by_register(cast: Cast) -> bool:
    """One server booted a millisecond after the other; the client goes from it to the other."""
    world, client = cast.start(volatile=2, boot_ms=1)
    early, late = world.servers
    learn(client, late)
    world.touch(early, "e")
    learn(client, early)
    return is_lost(world, client, early)


def boots_apart(cast: Cast) -> bool:
    """Two servers booted at different times, and have exchanged all they know; do they differ?"""
    world, _ = cast.start(volatile=2)
    one, other = (server.graph for server in world.servers)
    return one.version("e") != other.version("e")


def origin_appears_during_an_answer(cast: Cast) -> bool:
    """While a server makes an answer, it hears of another one that has lost its memory."""
    world, client = cast.start(volatile=2)
    crashed, asked = world.servers
    world.touch(asked, "e", value="x")
    world.pull(crashed, asked)
    learn(client, asked)
    world.touch(crashed, "e")
    world.crash(crashed)
    world.restart(crashed)
    graph = asked.graph
    assert isinstance(graph, broken.Interrupted)
    graph.meanwhile = lambda: world.pull(asked, crashed)
    client.sync(asked)
    return is_lost(world, client, asked)
