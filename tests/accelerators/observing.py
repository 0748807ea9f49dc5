"""What tests of accelerators watch with: targets, servers that look seldom, frozen programs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from reality import RealityServer
from reality.accelerators.base import Accelerator, Hint
from reality.server.acceleration import Acceleration
from reality.server.store_state import StoreState
from reality.storage.memory import draw_nonce
from reality.storage.sqlite import SQLiteStorage
from tests.server.asking import PATIENCE_S
from tests.support.daemons import DatabaseServer


class Watched:
    """An acceleration, and what its target was told."""

    def __init__(self, accelerator: Accelerator, server_id: str) -> None:
        self.hints: list[Hint] = []
        self.rechecks = 0
        self.fails = False
        self.run = f"{server_id}~{draw_nonce()}"
        self.acceleration = Acceleration(accelerator, self, run=lambda: self.run)

    def hinted(self, hint: Hint) -> None:
        if self.fails:
            raise ValueError("the target fails")
        self.hints.append(hint)

    def recheck(self) -> None:
        self.rechecks += 1

    @property
    def told(self) -> list[tuple[str, int]]:
        """Origins and sequences of the hints."""
        return [(hint.origin, hint.sequence) for hint in self.hints]


@asynccontextmanager
async def watching(*accelerators: Accelerator) -> AsyncIterator[list[Watched]]:
    """An acceleration for each of these, connected; stopped at the end."""
    watched = [Watched(each, f"server-{number}") for number, each in enumerate(accelerators)]
    try:
        for each in watched:
            each.acceleration.start()
        for each in watched:
            await eventually(lambda each=each: each.rechecks == 1)  # type: ignore[misc]
        yield watched
    finally:
        for each in watched:
            await each.acceleration.stop()


class Patient(SQLiteStorage):
    """A file that a server never looks at by itself within a test: only hints make it."""

    feed_interval_s = 3_600.0


class Seldom(SQLiteStorage):
    """A file that a server looks at every few seconds."""

    feed_interval_s = 5.0


class Often(SQLiteStorage):
    """A file that a server looks at about three times a second."""

    feed_interval_s = 0.4


@asynccontextmanager
async def accelerated(
    *storages: SQLiteStorage, accelerator: Callable[[], Accelerator]
) -> AsyncIterator[list[RealityServer]]:
    """A server on each of these, each with an accelerator that is connected, if it can be."""
    servers = []
    try:
        for number, storage in enumerate(storages):
            server = RealityServer(f"server-{number}", storage=storage, accelerator=accelerator())
            servers.append(server)
            await server.start()
        yield servers
    finally:
        for server in servers:
            await server.stop()


def acceleration(server: RealityServer) -> Acceleration:
    """That of a server that has one."""
    found = server._acceleration
    assert found is not None
    return found


async def connected(*servers: RealityServer) -> None:
    """Return once all of them hear hints."""
    await eventually(lambda: all(acceleration(each).stats().is_connected for each in servers))


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that another thread or process brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


@contextmanager
def frozen(server: DatabaseServer) -> Iterator[None]:
    """A server that neither answers nor ends, nor do those that it has started."""
    assert server._process is not None
    stopped = list(_family(server._process.pid))
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _state(server: RealityServer) -> StoreState:
    state = server._state
    assert isinstance(state, StoreState)
    return state
