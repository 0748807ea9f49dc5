"""Messages that get lost, are late, or come twice: digests find what is missing (I1, I5, I8)."""

from __future__ import annotations

import asyncio
import logging
import random
import time

import pytest

from tests.server.asking import Asker
from tests.server.meshed import SOON_S, Said, alike, hears_of, meshed


def _is_push(said: Said) -> bool:
    return said.message.kind == "push"


async def test_with_every_push_lost_all_is_heard_of() -> None:
    """I5: pushes only make it faster; every touch arrives within a few intervals without them."""
    async with meshed() as wires:
        wires.loses = _is_push
        servers = await wires.started("a", "b", "c", interval=SOON_S)
        askers = [Asker(server, "k", client_id=server.server_id) for server in servers]
        for number in range(5):
            for asker in askers:
                await asker.ask()
            await servers[number % 3].invalidate("k")
            await asyncio.gather(*(hears_of(asker, "k") for asker in askers))
        await alike(*servers)


@pytest.mark.parametrize("seed", range(3))
async def test_servers_converge_whatever_gets_lost(seed: int) -> None:
    """I1, I8: after faults end, all nodes are equal, and every client has heard of every touch."""
    draw = random.Random(seed)
    keys = [f"k:{number}" for number in range(5)]

    async def late(_: Said) -> None:
        await asyncio.sleep(draw.random() * 0.02)

    async with meshed() as wires:
        servers = await wires.started("a", "b", "c", interval=SOON_S / 2, timeout=0.2)
        askers = [Asker(server, *keys, client_id=server.server_id) for server in servers]
        for asker in askers:
            await asker.ask()
        wires.loses = lambda _: draw.random() < 0.5
        wires.delay = late
        heard = {asker.client_id: dict.fromkeys(keys, 0) for asker in askers}
        for _ in range(60):
            key = draw.choice([*keys, "k:*"])
            await draw.choice(servers).invalidate(key)
            asker = draw.choice(askers)
            heard[asker.client_id] |= dict.fromkeys((await asker.ask()).changed, 1)
            await asyncio.sleep(draw.random() * 0.01)
        wires.loses = lambda _: False
        await alike(*servers)
        for asker in askers:
            await asker.ask()

        nodes = [[await server.get_node(key) for key in keys] for server in servers]
        assert nodes[1:] == [nodes[0], nodes[0]]
        for asker in askers:
            versions = {key: node.version for key, node in zip(keys, nodes[0], strict=True) if node}
            assert asker.known == versions


async def test_a_partition_heals() -> None:
    """I1: both sides of a partition go on, and hear of each other's touches once it ends."""
    async with meshed() as wires:
        servers = await wires.started("a", "b", "c", "d", interval=SOON_S)
        left, right = servers[:2], servers[2:]
        askers = [await Asker(server, "l", "r").caught_up() for server in servers]
        wires.loses = lambda said: (said.source in "ab") != (said.target in "ab")
        for _ in range(3):
            await left[0].invalidate("l")
            await right[1].invalidate("r")
        await alike(*left)
        await alike(*right)
        for asker, key in zip(askers, "llrr", strict=True):
            assert list((await asker.ask()).changed) == [key]
        wires.loses = lambda _: False
        await alike(*servers)
        for asker, key in zip(askers, "rrll", strict=True):
            assert list((await asker.ask()).changed) == [key]
            assert (await asker.ask()).changed == {}


async def test_a_failing_peer_is_complained_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A peer that does not answer is said once in the log, however often it is called."""
    async with meshed() as wires:
        a, _ = await wires.started("a", "b", interval=SOON_S)
        with caplog.at_level(logging.WARNING, "reality.mesh"):
            await wires.crash("b")
            failures = a.stats().mesh.failures  # type: ignore[union-attr]
            async with asyncio.timeout(20):
                while a.stats().mesh.failures < failures + 5:  # type: ignore[union-attr]
                    await asyncio.sleep(0.01)

        said = [each for each in caplog.records if "http://b/reality" in each.getMessage()]
        assert len(said) == 1
        assert a.stats().mesh.refused == 0  # type: ignore[union-attr]


async def test_a_slow_peer_slows_nobody() -> None:
    """While one peer takes seconds to answer, another has the news at once."""
    async with meshed() as wires:
        a, _, c = await wires.started("a", "b", "c", timeout=30)
        asker = await Asker(c, "k").caught_up()

        async def wait(said: Said) -> None:
            if said.target == "b":
                await asyncio.sleep(20)

        wires.delay = wait
        began_s = time.monotonic()
        for _ in range(5):
            await a.invalidate("k")
            await hears_of(asker, "k")

        assert time.monotonic() - began_s < 10
