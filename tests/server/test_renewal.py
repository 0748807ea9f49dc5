"""A full memory store starts anew: everybody is told once, and no version falls."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from reality import Limits, MemoryStorage, RealityServer
from tests.server.asking import Asker, answered, at_once, holding


async def fill(server: RealityServer) -> None:
    """Touch new keys until the store has started anew."""
    origin = server.stats().origin
    for number in range(server.limits.nodes_max + 1):
        await server.invalidate(f"fill:{number}")
        if server.stats().origin != origin:
            return
    raise AssertionError("the store was not renewed")


async def test_a_full_store_becomes_a_new_origin(caplog: pytest.LogCaptureFixture) -> None:
    """I6: at `nodes_max` names the store is full; one more, and it is empty, under a new origin."""
    server = RealityServer("alpha", limits=Limits(nodes_max=3))
    await server.invalidate("a", "b", "c:*")
    before = server.stats()
    with caplog.at_level(logging.WARNING, "reality.server"):
        await server.invalidate("a", "b")
        assert before.origin == server.stats().origin
        versions = await server.invalidate("a", "d")

    after = server.stats()
    assert before.origin != after.origin
    assert (3, 0) == (before.nodes, after.nodes)
    assert min(versions.values()) > before.version_max + 2
    assert ["alpha"] == [record.args[0] for record in caplog.records if record.args]  # type: ignore[index]
    assert "nodes_max" in caplog.text


async def test_renewal_wakes_everybody_and_resets_once() -> None:
    """I1, I2: a renewal answers every waiter with `reset`, and every cursor once."""
    server = RealityServer("alpha", limits=Limits(nodes_max=4))
    idle = await Asker(server, "idle").caught_up()
    plain = await Asker(server, "plain", has_cursor=False).caught_up()
    askers = [Asker(server, f"k:{number}", client_id=str(number)) for number in range(50)]
    async with holding(*askers) as held:
        await fill(server)
        responses = await asyncio.gather(*map(answered, held))

    assert all(response.reset for response in responses)
    assert [f"k:{number}" for number in range(50)] == [
        next(iter(response.changed)) for response in responses
    ]
    assert (await idle.ask()).reset
    assert ["plain"] == list((await plain.ask()).changed)
    for asker in (*askers, idle, plain):
        again = await asker.ask()
        assert ({}, False) == (again.changed, again.reset)


async def test_a_renewal_spreads_the_refetches() -> None:
    """A renewal that concerns more waiters than `refetches_per_s` tells them to spread."""
    server = RealityServer("alpha", limits=Limits(nodes_max=4, refetches_per_s=10))
    async with holding(*(Asker(server, "k", client_id=str(each)) for each in range(20))) as held:
        await fill(server)
        responses = await asyncio.gather(*map(answered, held))

    assert {2_000} == {response.spread_ms for response in responses}


async def test_a_batch_larger_than_the_store() -> None:
    """A batch that could never fit is told like any other: its keys have new versions."""
    server = RealityServer("alpha", limits=Limits(nodes_max=3))
    asker = Asker(server, *(f"k:{number}" for number in range(10)))
    await asker.caught_up()
    before = dict(asker.known)

    versions = await server.invalidate(*before)
    response = await asker.ask()

    assert before.keys() == versions.keys() == response.changed.keys()
    assert all(versions[key] > before[key] for key in before)
    assert versions == {key: node.version for key, node in response.changed.items()}


@pytest.mark.parametrize("clock", ["stands still", "runs backwards", "runs"])
def test_versions_never_fall(clock: str) -> None:
    """I4: through touches, patterns and renewals no version falls, whatever the clock does."""
    draw = random.Random(clock)
    now = 1_700_000_000_000

    def clock_ms() -> int:
        nonlocal now
        now += {"stands still": 0, "runs backwards": -500, "runs": 1}[clock]
        return now

    server = RealityServer(
        "alpha", storage=MemoryStorage(clock_ms=clock_ms), limits=Limits(nodes_max=6)
    )
    keys = [f"a:{each}" for each in range(5)] + [f"b:{each}" for each in range(5)]
    reader = Asker(server, *keys, has_cursor=False)
    seen = dict.fromkeys(keys, 0)
    origins = set()
    for _ in range(1_000):
        touched = draw.choice([*keys, "*", "a:*", "b:*"])
        versions = at_once(server.invalidate(touched))
        response = at_once(reader.ask())
        versions |= {key: node.version for key, node in response.changed.items()}
        assert all(version >= seen[key] for key, version in versions.items())
        if touched in seen:
            assert versions[touched] > seen[touched]
        seen |= versions
        origins.add(server.stats().origin)

    assert len(origins) > 20


async def test_a_position_of_before_is_reset_in_versions() -> None:
    """`list_changed_since` tells a position of the run before from one of this run."""
    server = RealityServer("alpha", limits=Limits(nodes_max=3))
    await server.invalidate("a")
    before = await server.list_changed_since(0)
    await fill(server)
    await server.invalidate("z")

    after = await server.list_changed_since(before.since)
    by_origin = await server.list_changed_since(before.since, server_id=before.origin)

    assert (True, ["z"]) == (after.reset, [node.key for node in after.changed])
    assert by_origin.reset
    assert not (await server.list_changed_since(after.since, server_id=after.origin)).reset
