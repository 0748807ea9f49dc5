"""Five server processes, twenty clients and a writer in a network that fails: nothing is lost.

`REALITY_NETWORK_SEED` repeats the faults of a failure, `REALITY_NETWORK_SECONDS` makes them last.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest

from tests.network.application import Data, Writer
from tests.network.calling import Caller
from tests.network.client import Client, live
from tests.network.faults import Faults
from tests.network.judge import judge_client, shortened, until_equal
from tests.network.network import TRUNK
from tests.network.world import NUMBERS, World
from tests.support.namespaces import require_namespaces

CLIENTS = 20
WRITERS = 20
# After the end of the faults all must be well within so long.
RECOVERY_S = 10.0
# It takes a second; two are promised, which virtual time can tell from three. A machine that runs
# other tests meanwhile cannot.
HEALED_S = 6.0
# Longer than any of the tests takes.
PATIENCE_S = 130.0
# A writer that nobody listens to gives up only with the test.
WRITER_PATIENCE_S = 15.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def seed() -> int:
    """The seed of everything that happens by chance."""
    given = os.environ.get("REALITY_NETWORK_SEED")
    return random.SystemRandom().randrange(1_000_000) if given is None else int(given)


def duration_s(usual: float) -> float:
    """For how long things go wrong."""
    return float(os.environ.get("REALITY_NETWORK_SECONDS", usual))


class Crowd:
    """The application and its clients before one world."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.data = Data(random.Random(f"{seed} data"))
        self._seed = seed
        self._callers: list[Caller] = []
        self._living: list[asyncio.Task[None]] = []
        self._asking = self._caller()
        self.clients = [Client(f"c{n}", self._caller(), self.data) for n in range(CLIENTS)]
        self.writers = [self._writer(n, NUMBERS) for n in range(WRITERS)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rest()
        for caller in self._callers:
            await caller.close()

    async def meet(self) -> None:
        """Return once every server has heard of every other."""
        async with asyncio.timeout(RECOVERY_S):
            for number in NUMBERS:
                await self._writer(number, [number]).write(self.data.keys[0])
        assert [] == await self.differing(time.monotonic() + RECOVERY_S)

    def _writer(self, number: int, servers: Sequence[int]) -> Writer:
        draw = random.Random(f"{self._seed} writer {number} {servers}")
        return Writer(self.data, self._caller(), servers, draw)

    def _caller(self) -> Caller:
        self._callers.append(self.world.caller())
        return self._callers[-1]

    def live(self) -> None:
        """Let the clients sync, each at its own pace, until `rest`."""

        def run(number: int) -> int:
            return self.world.servers[number].starts

        self._living = [
            asyncio.create_task(
                live(client, NUMBERS, random.Random(f"{self._seed} {client.name}"), run)
            )
            for client in self.clients
        ]

    async def rest(self) -> None:
        """End the clients' own syncs; whatever they have failed with is raised."""
        for task in self._living:
            task.cancel()
        ended = await asyncio.gather(*self._living, return_exceptions=True)
        self._living = []
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def write(self, per_s: float, duration_s: float) -> None:
        """Write so often, until all that was written is accepted."""
        async with asyncio.timeout(duration_s + WRITER_PATIENCE_S), asyncio.TaskGroup() as group:
            for writer in self.writers:
                group.create_task(writer.live(per_s / WRITERS, duration_s))

    async def differing(self, deadline: float) -> list[str]:
        """What servers do not agree on by the deadline."""
        return await until_equal(self._asking, NUMBERS, self.data.keys, deadline)

    def missed(self, expected: dict[str, int]) -> dict[str, list[str]]:
        """The clients that hold less than expected, each with the keys."""
        return {
            client.name: shortened(behind)
            for client in self.clients
            if (behind := client.behind(expected))
        }

    async def judge(self, deadline: float, *, resets_max: int) -> list[str]:
        """What is wrong once everything is mended; nobody writes any more, or syncs by itself."""
        complaints = shortened(self.world.oddities) + await self.differing(deadline)
        draw = random.Random(f"{self._seed} judge")
        # If servers never agreed, it is still of interest what clients have missed.
        deadline = max(deadline, time.monotonic() + RECOVERY_S / 2)
        async with asyncio.TaskGroup() as group:
            judged = [
                group.create_task(
                    judge_client(client, self.data, draw.sample(NUMBERS, len(NUMBERS)), deadline)
                )
                for client in self.clients
            ]
        for each in judged:
            complaints += each.result()
        complaints += [
            f"client {client.name} had {client.resets} resets, {resets_max} servers were restarted"
            for client in self.clients
            if client.resets > resets_max
        ]
        return complaints

    def summary(self) -> str:
        """What everybody has been through."""
        accepted = sum(writer.accepted for writer in self.writers)
        refused = sum(writer.refused for writer in self.writers)
        counts = ", ".join(
            f"{client.name} {client.syncs}/{client.resets}/{client.fetches}"
            for client in self.clients
        )
        return (
            f"seed {self._seed}; {accepted} changes accepted, {refused} calls failed\n"
            f"syncs/resets/fetches: {counts}"
        )


@asynccontextmanager
async def crowd(kind: str, folder: Path, seed: int) -> AsyncIterator[Crowd]:
    """A world of its own for a crowd of its own."""
    require_namespaces()
    # Not the alarm of pytest-timeout, which would leave servers and namespaces behind.
    async with asyncio.timeout(PATIENCE_S), World(kind, folder, seed) as world:
        async with Crowd(world, seed) as made:
            await made.meet()
            yield made


@pytest.mark.parametrize(("kind", "usual_s"), [("mesh", 60), ("store", 15)])
async def test_nothing_is_lost(kind: str, usual_s: float, tmp_path: Path, seed: int) -> None:
    """I1, I2, I4, I8: after a minute of faults one sync tells each client all that it missed."""
    async with crowd(kind, tmp_path, seed) as all_of_them:
        lasting_s = duration_s(usual_s)
        faults = Faults(all_of_them.world, seed)
        all_of_them.live()
        async with asyncio.TaskGroup() as group:
            group.create_task(faults.live(lasting_s))
            group.create_task(all_of_them.write(50, lasting_s))
        ended = time.monotonic()
        await all_of_them.rest()
        resets_max = faults.kills if kind == "mesh" else 0
        complaints = await all_of_them.judge(ended + RECOVERY_S, resets_max=resets_max)

        report = "\n".join([all_of_them.summary(), *sorted(faults.log), *complaints])
        print(report, f"\njudged {time.monotonic() - ended:.1f} s after the faults")
        assert not complaints, report


async def test_a_healed_partition_is_soon_forgotten(tmp_path: Path, seed: int) -> None:
    """I1: after 200 changes a second while 3|2 servers are apart, clients soon catch up.

    Once with as many changes afterwards, which load the servers; once with none, which would wake
    clients that the news of the other side does not.
    """
    async with crowd("mesh", tmp_path, seed) as all_of_them:
        all_of_them.live()
        late_s = [await heal(all_of_them, duration_s(10), more_s) for more_s in (3, 0)]
        await all_of_them.rest()
        complaints = await all_of_them.judge(time.monotonic() + RECOVERY_S, resets_max=0)

        report = "\n".join([all_of_them.summary(), f"late by {late_s} s", *complaints])
        print(report)
        assert not complaints, report
        assert max(late_s) < HEALED_S, report


async def heal(crowd: Crowd, lasting_s: float, more_s: float) -> float:
    """Part the servers for so long, and write then and for some time more.

    Returns:
        how long after the healing, in seconds, all clients knew of all that was accepted before.
    """
    crowd.world.network.pull(TRUNK)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(crowd.write(200, lasting_s + more_s))
        await (asyncio.sleep(lasting_s) if more_s else writing)
        crowd.world.network.plug(TRUNK)
        healed = time.monotonic()
        expected = dict(crowd.data.accepted)
        assert crowd.missed(expected), "nobody was parted"
        while missed := crowd.missed(expected):
            late_s = time.monotonic() - healed
            assert late_s < RECOVERY_S, f"{crowd.summary()}\n{late_s:.1f} s late: {missed}"
            await asyncio.sleep(0.02)
        return time.monotonic() - healed


async def test_an_idle_mesh_is_quiet(tmp_path: Path, seed: int) -> None:
    """I2: a server makes at most two requests a second, and clients that wait fetch nothing."""
    async with crowd("mesh", tmp_path, seed) as all_of_them:
        servers = all_of_them.world.servers
        for client in all_of_them.clients:
            await client.sync(draw_one(seed, client))
        fetched = sum(client.fetches for client in all_of_them.clients)
        all_of_them.live()
        before = {number: all_of_them.world.requests_of(number) for number in servers}
        began = time.monotonic()
        await asyncio.sleep(duration_s(10))
        lasted_s = time.monotonic() - began
        rates = {
            number: (all_of_them.world.requests_of(number) - before[number]) / lasted_s
            for number in servers
        }
        await all_of_them.rest()

        print({number: round(rate, 2) for number, rate in rates.items()})
        assert max(rates.values()) <= 2, rates
        assert sum(client.fetches for client in all_of_them.clients) == fetched


def draw_one(seed: int, client: Client) -> int:
    """A server for the client's first sync."""
    return random.Random(f"{seed} first of {client.name}").choice(NUMBERS)
