"""Scenarios of hashes, deletions and clients; `scenarios` says what a scenario is."""

from __future__ import annotations

from tests.core.scenarios import Cast, is_lost, learn

# ---- hashes and deletion -----------------------------------------------------------------------


def hash_told_before_the_fetch(cast: Cast) -> bool:
    """Data is fetched that is newer than the hash that was told, and then goes back to it."""
    world, client = cast.start()
    server = world.servers[0]
    world.touch(server, "e", value="y")
    client.sync(server)
    world.touch(server, "e", value="x")
    client.fetch_dirty()
    world.touch(server, "e", value="y")
    return is_lost(world, client, server)


def lost_memory_with_a_hash(cast: Cast, *, older: bool = False) -> bool:
    """A server loses a touch; what is still known carries the hash of the data held."""
    world, client = cast.start(volatile=2, older=older)
    server = world.servers[0]
    world.touch(server, "e", value="x")
    world.settle()
    learn(client, server)
    world.touch(server, "e")
    world.crash(server)
    return is_lost(world, client, server)


def lost_memory_with_a_hash_and_no_cursor(cast: Cast) -> bool:
    """The same to a client without cursors: it cannot be told that anything was lost."""
    return lost_memory_with_a_hash(cast, older=True)


def hash_from_a_server_behind(cast: Cast) -> bool:
    """A client knows that a touch was lost, and then hears a hash from a server that does not."""
    world, client = cast.start(volatile=2)
    crashed, behind = world.servers
    world.touch(behind, "e", value="x")
    world.settle()
    learn(client, behind)
    world.touch(behind, "e", value="x")
    world.touch(crashed, "e")
    world.crash(crashed)
    world.cut.add(frozenset((crashed.id, behind.id)))
    world.restart(crashed)
    client.sync(crashed)
    client.sync(behind)
    return is_lost(world, client, behind)


def hash_during_a_fetch(cast: Cast) -> bool:
    """Data changes and changes back while the fetch of the change is under way."""
    world, client = cast.start()
    server = world.servers[0]
    world.touch(server, "e", value="x")
    learn(client, server)
    world.touch(server, "e", value="y")
    client.sync(server)
    client.begin_fetch("e")
    world.touch(server, "e", value="x")
    client.sync(server)
    client.finish_fetch("e")
    return is_lost(world, client, server)


def touch_without_a_hash(cast: Cast) -> bool:
    """After an update with a hash the data changes, and nobody says to what."""
    world, client = cast.start()
    server = world.servers[0]
    world.touch(server, "e", value="x")
    learn(client, server)
    world.touch(server, "e")
    return is_lost(world, client, server)


def hash_of_a_fast_clock(cast: Cast) -> bool:
    """The data changes where the clock is behind that of the server with the hash."""
    world, client = cast.start(volatile=2)
    fast, slow = world.servers
    slow.skew_ms = -1000
    world.touch(fast, "e", value="x")
    world.settle()
    learn(client, fast)
    world.touch(slow, "e")
    return is_lost(world, client, fast)


def hash_that_seems_to_stay(cast: Cast) -> bool:
    """Data changes at one server and back at another, which had not heard of the change."""
    world, client = cast.start(volatile=2)
    one, other = world.servers
    world.touch(other, "e", value="x")
    world.settle()
    world.touch(one, "e")
    learn(client, one)
    world.touch(other, "e", value="x")
    return is_lost(world, client, one)


def deletion(cast: Cast) -> bool:
    """A key that was touched is deleted."""
    world, client = cast.start()
    server = world.servers[0]
    world.touch(server, "e")
    learn(client, server)
    world.touch(server, "e", deleted=True)
    return is_lost(world, client, server)


# ---- clients -----------------------------------------------------------------------------------


def touch_during_a_fetch(cast: Cast) -> bool:
    """A touch is reported while the data of before it is on its way."""
    world, client = cast.start()
    server = world.servers[0]
    client.begin_fetch("e")
    world.touch(server, "e")
    client.sync(server)
    client.finish_fetch("e")
    return is_lost(world, client, server)


def restarted_client(cast: Cast) -> bool:
    """A client comes back with what it wrote down before the last touch."""
    world, client = cast.start()
    server = world.servers[0]
    client.persist()
    world.touch(server, "e")
    learn(client, server)
    client.restart()
    return is_lost(world, client, server)


def touch_while_a_page_is_rendered(cast: Cast) -> bool:
    """A key is touched between the two things that a rendered page captures."""
    world, _ = cast.start()
    server = world.servers[0]
    client = cast.client(world)
    client.open_page(server, meanwhile=lambda: world.touch(server, "e"))
    return is_lost(world, client, server)
