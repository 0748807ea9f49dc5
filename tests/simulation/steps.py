"""What can happen in a run. The functions are named as in plans, and take a step's arguments."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.simulation.groups import StoreGroup
from tests.simulation.mesh_groups import Meshed
from tests.simulation.plan import SERVERS_MAX, Step
from tests.simulation.world import World

_LOOK_S = 0.1
# How long ago a client has written down what it held when it is switched off, at most.
_WRITTEN_S = 5.0


async def carry_out(world: World, step: Step) -> None:
    """Do what a step says, to its end."""
    world.trace(f"step {step.number} {step.what} {step.args}")
    await globals()[step.what](world, world.random(step.number), **step.args)


# ---- the application and its clients -------------------------------------------------------------


async def write(
    world: World, random: Random, verb: str, names: list[str], server: int, remote: bool
) -> None:
    """Data changes, and servers are told."""
    await world.application.write(random, verb, names, server, remote=remote)


async def subscribe(world: World, random: Random, client: int, key: str) -> None:
    """A client wants one more key."""
    world.client(client).subscribe(key)


async def unsubscribe(world: World, random: Random, client: int, key: str) -> None:
    """A client wants a key no more."""
    world.client(client).unsubscribe(key)


async def sync_keys(world: World, random: Random, client: int, keys: list[str]) -> None:
    """A client asks about some keys only."""
    await world.client(client).sync(keys)


async def restart_client(
    world: World,
    random: Random,
    client: int,
    down_s: float,
    keeps: bool = False,
    hydrates: bool = False,
) -> None:
    """A client's machine is switched off and on.

    It begins with nothing, or with what it has written down some time before (`keeps`), or with a
    page that was rendered while it was off (`hydrates`).
    """
    restarted = world.client(client)
    held = restarted.written() if keeps else None
    if keeps:
        await world.rest(random.uniform(0, _WRITTEN_S))
    if restarted.client is None:
        return
    await restarted.stop()
    if hydrates:
        held = await restarted.page(random.randrange(60), down_s)
    else:
        await world.rest(down_s)
    restarted.start(held)


# ---- the network and the machines ----------------------------------------------------------------


async def disturb_link(
    world: World,
    random: Random,
    kind: str,
    amount: Any,
    host: str,
    other: str | None,
    way: str,
    seconds: float,
) -> None:
    """Messages between a host and another, or all others, are lost, late or doubled."""
    one = world.who(host)
    others = world.everybody() if other is None else [world.who(other)]
    pairs = [(one, each) for each in others if way != "from"]
    pairs += [(each, one) for each in others if way != "to"]
    name = {"cut": "is_cut", "delay": "delay_s"}.get(kind, kind)
    value = (0.0, amount) if kind == "delay" else amount
    links = [world.network.link(*pair) for pair in pairs]
    before = [getattr(link, name) for link in links]
    for link in links:
        setattr(link, name, value)
    await world.rest(seconds)
    for link, each in zip(links, before, strict=True):
        setattr(link, name, each)


async def pause(world: World, random: Random, host: str, seconds: float) -> None:
    """A machine stands still."""
    machine = world.network.hosts[world.who(host)]
    if not machine.is_dead and not world.is_settling:
        machine.pause(seconds)


async def slow_down(world: World, random: Random, host: str, slow_s: float, seconds: float) -> None:
    """A machine takes its time before it handles a request."""
    machine = world.network.hosts[world.who(host)]
    machine.slow_s = slow_s
    await world.rest(seconds)
    machine.slow_s = 0.0


async def jump_clock(world: World, random: Random, host: str, offset_s: float) -> None:
    """A machine's wall clock is set."""
    world.network.hosts[world.who(host)].wall_offset_s = offset_s


async def break_hints(
    world: World, random: Random, loss: float, is_down: bool, seconds: float
) -> None:
    """Hints are lost for a while, or nobody can connect to send and hear them."""
    hub = world.group.hints
    if hub is not None:
        hub.disturb(loss=loss, is_down=is_down)
        await world.rest(seconds)
        hub.heal()


# ---- servers come and go -------------------------------------------------------------------------


async def crash(world: World, random: Random, server: int, down_s: float) -> None:
    """A server's process dies, and is started again."""
    name = world.live(server)
    with world.busy_with(name) as may:
        if may and name is not None:
            await world.kill_server(name)
            await world.rest(down_s)
            await world.start_server(name)


async def restart(world: World, random: Random, server: int, down_s: float) -> None:
    """A server is stopped as it should be, and started again."""
    await _restart(world, world.live(server), down_s)


async def roll(world: World, random: Random, down_s: float) -> None:
    """All servers are restarted, one after the other."""
    for name in list(world.names):
        if name in world.servers:
            await _restart(world, name, down_s)


async def fork(world: World, random: Random, server: int, parent_s: float = 0.0) -> None:
    """A server's process forks; the parent goes on for a while, then the child serves."""
    name = world.live(server)
    with world.busy_with(name) as may:
        if may and name is not None:
            memory = world.group.memory(world.servers[name])
            await world.rest(parent_s)
            if name not in world.guarded:
                await world.kill_server(name)
                await world.start_server(name, memory=memory)


async def add_server(world: World, random: Random) -> None:
    """One more server joins."""
    if len(world.names) < SERVERS_MAX:
        name = world.new_name()
        world.names.append(name)
        with world.busy_with(name):
            await world.start_server(name)


async def retire_server(world: World, random: Random, server: int) -> None:
    """A server leaves for good."""
    name = world.live(server)
    if name != world.names[0]:  # which every client knows
        with world.busy_with(name) as may:
            if may and name is not None:
                graph = world.servers[name]._state.graph
                world.names.remove(name)
                await world.stop_server(name)
                # A farewell that nobody heard is none.
                group = world.group
                if isinstance(group, Meshed) and group.is_missed(graph, world.servers):
                    await world.remove_server(name)


async def lose_server(world: World, random: Random, server: int) -> None:
    """A server dies and never comes back."""
    name = world.live(server)
    if name != world.names[0]:
        with world.busy_with(name) as may:
            if may and name is not None:
                world.names.remove(name)
                await world.kill_server(name)
                await world.rest(random.uniform(0, 10))
                await world.remove_server(name)


async def _restart(world: World, name: str | None, down_s: float) -> None:
    with world.busy_with(name) as may:
        if may and name is not None:
            await world.stop_server(name)
            await world.rest(down_s)
            await world.start_server(name)


# ---- the store -----------------------------------------------------------------------------------


async def fail_store(
    world: World, random: Random, server: int | None, rate: float, seconds: float
) -> None:
    """Verbs of the store fail, for one server or all."""
    group = _store_of(world)
    names = list(world.names) if server is None else [world.who(f"s{server}")]
    links = [group.links[name] for name in names if name in group.links]
    for link in links:
        link.rate = rate
    await world.rest(seconds)
    for link in links:
        link.rate = 0.0


async def fill_store(world: World, random: Random, seconds: float) -> None:
    """The store has no room for a while."""
    trouble = _store_of(world).trouble
    trouble.is_full = True
    await world.rest(seconds)
    trouble.is_full = False


async def delay_store(world: World, random: Random, delay_s: float, seconds: float) -> None:
    """The store is slow for a while."""
    trouble = _store_of(world).trouble
    trouble.delay_s = delay_s
    await world.rest(seconds)
    trouble.heal()


async def back_up(world: World, random: Random) -> None:
    """An operator makes a backup of the store."""
    group = _store_of(world)
    group.backups.append(group.store.backup())


async def restore(world: World, random: Random, backup: int, is_told: bool) -> None:
    """An operator restores a backup, and gives it a new lineage, or leaves that to the servers.

    They can find out if one of them goes on that knows what is lost; that one is left alone.
    """
    group = _store_of(world)
    up = [name for name in world.names if name in world.servers]
    witness = next((name for name in up if group.is_seen_by(world.servers[name])), None)
    group.restore(backup)
    if is_told or witness is None:
        await group.new_lineage()
        return
    server = world.servers[witness]
    world.guarded[witness] = world.guarded.get(witness, 0) + 1
    while not group.is_seen_by(server):
        await world.rest(_LOOK_S)
        if world.is_settling:
            break
    world.guarded[witness] -= 1
    if not world.guarded[witness]:
        del world.guarded[witness]


async def clone(world: World, random: Random, backup: int) -> None:
    """All servers go over to a copy of the store, or of a backup, with a lineage of its own."""
    group = _store_of(world)
    down: dict[str, None] = {}
    # Also those that are just stopping, or that another step starts meanwhile.
    while up := [name for name in world.names if not world.network.hosts[name].is_dead]:
        down |= dict.fromkeys(name for name in up if name in world.servers)
        await world.kill_server(up[0])
    await group.clone(backup if random.random() < 0.5 else None)
    for name in down:
        await world.start_server(name)


def _store_of(world: World) -> StoreGroup:
    assert isinstance(world.group, StoreGroup)
    return world.group
