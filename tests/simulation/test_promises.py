"""What the mesh promises, measured in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest

from reality.mesh.node import Node
from reality.testing.virtual_time import run_virtually
from tests.simulation.groups import in_order
from tests.simulation.stage import Stage, until

KEYS = [f"k{number}" for number in range(12)]
# An interval is 1 s, with a jitter of 20 %.
THREE_INTERVALS_S = 3 * 1.2
# Refetches after a reset are spread over 2 s.
REFETCHED_S = 4.0
# 200 ms to ask peers, and the ways to and from the server, which need 20 ms each at most.
ANSWERED_S = 0.2 + 2 * 0.02 + 0.02
# With 5 servers and room for 8 origins, the last of them opens another generation.
RESTARTS = 4


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Servers that go down are warned of, which is of no use here."""
    with caplog.at_level(logging.ERROR, "reality"):
        yield


def play(scenario: Callable[[Stage], Awaitable[Any]], seed: int, **options: Any) -> Any:
    """What a scenario returns."""

    async def main() -> Any:
        return await scenario(Stage(seed, **options))

    with in_order():
        return run_virtually(main(), seed=seed)


async def crowd(stage: Stage, count: int = 10) -> None:
    """So many clients come, each with three keys; return once they hold requests."""
    for number in range(count):
        stage.join(f"c{number}", stage.random.sample(KEYS, 3))
    await until(lambda: not stage.stale, within_s=5)
    await asyncio.sleep(stage.random.uniform(1, 6))
    stage.forget()


# ---- convergence ---------------------------------------------------------------------------------


def is_push(_source: str, _url: str, body: bytes) -> bool:
    """Whether a message is a push."""
    return b'"kind":"push"' in body


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", ["only the clock calls", "pushes are lost"])
def test_servers_converge_by_anti_entropy_alone(way: str, seed: int) -> None:
    """I5: news that no push brings has reached all of 5 servers within three intervals."""

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        for _ in range(10):
            await asyncio.sleep(3 + stage.random.random())
            if way == "pushes are lost":
                stage.network.loses = is_push
            await stage.touch(stage.random.choice(stage.names), "k")
            assert not stage.is_alike
            await until(lambda: stage.is_alike, within_s=THREE_INTERVALS_S)
            stage.network.loses = lambda *_: False

    with ExitStack() as patched:
        if way == "only the clock calls":
            patched.enter_context(mock.patch.object(Node, "touched", return_value=[]))
            patched.enter_context(mock.patch.object(Node, "learned"))
        play(scenario, seed)


def test_clients_are_right_within_two_seconds_of_a_partition() -> None:
    """I1: 3 and 2 servers, 200 touches a second on both sides: all get over 30 s without contact.

    Clients ask servers of both sides in turn, and none is reset.
    """
    keys = [f"k{number}" for number in range(1_000)]

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        for number in range(20):
            stage.join(f"c{number}", stage.random.sample(keys, 3))
        await until(lambda: not stage.stale, within_s=5)
        stage.forget()
        stage.part(stage.names[:2])
        for _ in range(30 * 5):
            await asyncio.sleep(0.2)
            name = stage.random.choice(stage.names)
            for key in stage.random.choices(keys, k=40):
                await stage.touch(name, key)
        stage.network.heal()
        assert stage.stale
        assert not stage.is_alike
        await until(lambda: stage.is_alike and not stage.stale, within_s=2.0)
        assert not stage.resets.total()

    play(scenario, 1)


@pytest.mark.parametrize("seed", range(2))
def test_a_mesh_at_rest_costs_little(seed: int) -> None:
    """I2: without a touch no client fetches in a minute, and servers make 2 requests a second."""

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        await crowd(stage)
        await asyncio.sleep(60)
        assert not stage.fetches.total()
        assert not stage.resets.total()
        assert all(0 < stage.calls[name] <= 2 * 60 for name in stage.names)

    play(scenario, seed)


def test_wrong_clocks_do_not_keep_servers_apart() -> None:
    """A server whose clock is a minute ahead and one that is a minute behind hear each other."""

    async def scenario(stage: Stage) -> None:
        await stage.open(3)
        for name, offset_s in (("s1", 60.0), ("s2", -60.0)):
            stage.network.hosts[name].wall_offset_s = offset_s
        await asyncio.sleep(5)
        for name in stage.names:
            await stage.touch(name, "k")
            await until(lambda: stage.is_alike, within_s=0.5)
        mesh = stage.servers["s0"].mesh
        assert mesh is not None
        assert mesh.stats().healthy == 2

    play(scenario, 1)


# ---- resets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("is_orderly", [False, True])
def test_a_restart_resets_each_client_once(is_orderly: bool, has_store: bool, seed: int) -> None:
    """I2: a memory that is lost costs one reset of each client, however they hop; a store none."""

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        await crowd(stage)
        await (stage.stop if is_orderly else stage.crash)("s1")
        await asyncio.sleep(stage.random.uniform(0.1, 3))
        await stage.start("s1")
        await asyncio.sleep(15)
        await stage.touch("s1", *KEYS)
        await until(lambda: not stage.stale, within_s=REFETCHED_S)
        await asyncio.sleep(15)
        once = 0 if has_store else 1
        assert all(stage.resets[each] == once for each in stage.clients)

    play(scenario, seed, has_store=has_store)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_removal_resets_each_client_once(is_running: bool) -> None:
    """A removed server answers no more, nor does a later run of its id; clients refetch once."""

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        await crowd(stage)
        if not is_running:
            await stage.crash("s1")
        mesh = stage.servers["s0"].mesh
        assert mesh is not None
        await stage.network.hosts["s0"].spawn(mesh.remove_server("s1"))
        await asyncio.sleep(3)
        if is_running:
            assert "was removed" in await refusal(stage, "s1")
            await stage.stop("s1")
        await stage.start("s1")
        assert "was removed" in await refusal(stage, "s1")
        await stage.touch("s0", *KEYS)
        await until(lambda: not stage.stale, within_s=REFETCHED_S)
        await asyncio.sleep(15)
        assert all(stage.resets[each] == 1 for each in stage.clients)

    play(scenario, 1)


async def refusal(stage: Stage, server: str) -> str:
    """What a server says that answers no sync."""
    told = await stage.ask(server, {"k0": 0})
    assert told.status == 503
    return told.text


@pytest.mark.parametrize("seed", range(2))
def test_a_new_generation_costs_a_reset_and_nothing_else(seed: int) -> None:
    """I4: where origins no longer fit all begin anew; no version falls, clients miss nothing."""

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        await crowd(stage)
        versions = dict.fromkeys(KEYS, 0)
        for number in range(RESTARTS):
            await stage.touch(stage.random.choice(stage.names), *KEYS)
            await until(lambda: stage.is_alike and not stage.stale, within_s=REFETCHED_S)
            before, versions = versions, {key: stage.version("s0", key) for key in KEYS}
            assert all(versions[key] > before[key] for key in KEYS)
            name = stage.names[number % 5]
            await stage.crash(name)
            await stage.start(name)
            await asyncio.sleep(15)
        assert stage.graph("s0").generation.number == 1
        assert all(stage.resets[each] == RESTARTS for each in stage.clients)

    play(scenario, seed, origins_max=8)


# ---- hops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("is_reachable", [True, False])
def test_a_server_behind_its_asker_asks_its_peers_first(is_reachable: bool, seed: int) -> None:
    """I1: who hops to a server that a push has not reached is told the news there all the same.

    If its peers cannot be reached the answer comes without, and not much later.
    """

    async def scenario(stage: Stage) -> None:
        await stage.open(5)
        await stage.touch("s0", "k")
        for _ in range(5):
            await asyncio.sleep(3 + stage.random.random())
            assert stage.is_alike
            here, there = stage.random.sample(stage.names, 2)
            known = {"k": stage.version(there, "k")}
            stage.network.loses = is_push
            await stage.touch(here, "k")
            news = stage.version(here, "k")
            told = await stage.ask(here, known)
            assert told.sync is not None
            assert told.sync.changed["k"].version == news
            if is_reachable:
                assert await versions_told(stage, there, known, told.sync.cursor) == [news]
            else:
                stage.part([there])
                assert await versions_told(stage, there, known, told.sync.cursor) == []
            stage.network.loses = lambda *_: False
            stage.network.heal()

    play(scenario, seed)


async def versions_told(stage: Stage, server: str, known: dict[str, int], cursor: Any) -> list[int]:
    """The versions that a server tells an asker with a cursor, who need not wait for long."""
    began_s = stage.now_s
    told = await stage.ask(server, known, cursor)
    assert stage.now_s - began_s < ANSWERED_S
    assert told.sync is not None
    assert not told.sync.reset
    return [node.version for node in told.sync.changed.values()]
