"""What goes wrong for a while, by chance: cables, connections and processes, all at the same time.

Each of the three goes from one fault to the next, with pauses, and mends what it broke. Once all
three are over, nothing is broken any more, and every server that died runs again.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.network.network import TRUNK
from tests.network.proxy import CALM, Trouble
from tests.network.world import CLIENTS, NUMBERS, World

STOPPED_S = 10.0
KILLS = 3


class Faults:
    """A seeded sequence of faults.

    Args:
        world: what it does them to.
        seed: of the sequence; how long what was broken took to mend differs from run to run.

    Attributes:
        log: what was broken when.
        kills: how often a server died.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.log: list[str] = []
        self.kills = 0
        self._world = world
        self._seed = seed
        self._began = time.monotonic()

    async def live(self, duration_s: float) -> None:
        """Break things for so long, and return when all is mended."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._break_cables(duration_s, self._draw("cables")))
            group.create_task(self._break_connections(duration_s, self._draw("connections")))
            group.create_task(self._break_processes(duration_s, self._draw("processes")))

    def _draw(self, what: str) -> random.Random:
        """A source of chance of its own, so that nobody's haste changes what the others draw."""
        return random.Random(f"{self._seed} {what}")

    async def _break_cables(self, duration_s: float, draw: random.Random) -> None:
        while await self._pause(draw.uniform(0.5, 3), duration_s):
            number = draw.choice(NUMBERS)
            mesh, public = f"mesh{number}", f"public{number}"
            cables = draw.choice([(TRUNK,), (mesh,), (public,), (mesh, public)])
            async with self._broken(f"pulled {' and '.join(cables)}"):
                self._world.network.pull(*cables)
                await self._pause(draw.uniform(0.5, 6), duration_s)
                self._world.network.plug(*cables)

    async def _break_connections(self, duration_s: float, draw: random.Random) -> None:
        while await self._pause(draw.uniform(0.3, 2), duration_s):
            one, other = draw.sample(NUMBERS, 2)
            callers = draw.choice([NUMBERS, NUMBERS, (one,), (CLIENTS,)])
            called = draw.choice([NUMBERS, (other,), (other,)])
            pairs = [(each, number) for each in callers for number in called if each != number]
            trouble = draw.choice(
                [
                    Trouble(loss=draw.uniform(0.05, 0.5)),
                    Trouble(delay_s=draw.uniform(0.02, 0.5)),
                    Trouble(loss=0.1, delay_s=0.1),
                    Trouble(is_silent=True),
                    Trouble(is_refusing=True),
                    CALM,  # but reset
                ]
            )
            async with self._broken(f"{shown(callers)} calling {shown(called)}: {trouble}"):
                for caller, number in pairs:
                    self._world.servers[number].trouble(caller, trouble)
                    if trouble.is_refusing or trouble == CALM:
                        await self._world.servers[number].reset(caller)
                await self._pause(draw.uniform(0.5, 5), duration_s)
                for caller, number in pairs:
                    self._world.servers[number].trouble(caller, CALM)

    async def _break_processes(self, duration_s: float, draw: random.Random) -> None:
        actions = [self._kill] * KILLS + [self._stop] * (duration_s > 2 * STOPPED_S)
        draw.shuffle(actions)
        for action in actions:
            if not await self._pause(draw.uniform(1, 5), duration_s):
                return
            await action(draw, duration_s)

    async def _kill(self, draw: random.Random, duration_s: float) -> None:
        server = self._world.servers[draw.choice(NUMBERS)]
        async with self._broken(f"killed server {server.number}"):
            self.kills += 1
            server.kill()
            await self._pause(draw.uniform(0, 4), duration_s)
            server.start()
            await self._world.until_ready(server.number)

    async def _stop(self, draw: random.Random, duration_s: float) -> None:
        server = self._world.servers[draw.choice(NUMBERS)]
        async with self._broken(f"stopped server {server.number}"):
            server.send_signal(signal.SIGSTOP)
            await self._pause(STOPPED_S, duration_s)
            server.send_signal(signal.SIGCONT)

    async def _pause(self, pause_s: float, duration_s: float) -> bool:
        """Let time pass, no more than is left; False once none is."""
        left_s = self._began + duration_s - time.monotonic()
        await asyncio.sleep(max(min(pause_s, left_s), 0))
        return left_s > pause_s

    @asynccontextmanager
    async def _broken(self, what: str) -> AsyncIterator[None]:
        """Note what is broken, and until when."""
        began = time.monotonic() - self._began
        try:
            yield
        finally:
            ended = time.monotonic() - self._began
            self.log.append(f"{began:5.1f} s to {ended:5.1f} s: {what}")


def shown(callers: Iterable[int]) -> str:
    """Who they are, in words."""
    return ", ".join("clients" if each == CLIENTS else f"{each}" for each in callers)
