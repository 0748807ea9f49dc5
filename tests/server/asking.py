"""Askers for tests: clients as the protocol sees them, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from reality import RealityServer, SyncRequest, SyncResponse

Result = TypeVar("Result")

# Longer than anything but a lost wake-up takes, on a busy machine too.
PATIENCE_S = 20.0
LONG_WAIT_MS = 24_000


class Asker:
    """Knows what it was told, and its cursor; asks for all its keys unless told otherwise."""

    def __init__(
        self, server: RealityServer, *keys: str, client_id: str = "asker", has_cursor: bool = True
    ) -> None:
        self.server = server
        self.known = dict.fromkeys(keys, 0)
        self.client_id = client_id
        self.has_cursor = has_cursor
        self.cursor: str | UnsetType = UNSET

    def request(self, *, wait: int = 0, keys: Iterable[str] | None = None) -> SyncRequest:
        """What it would send now."""
        known = self.known if keys is None else {key: self.known[key] for key in keys}
        return SyncRequest(
            known=dict(known),
            client_id=self.client_id,
            mode="native",
            hint="poll",
            wait=wait,
            cursor=self.cursor if self.has_cursor else UNSET,
        )

    async def ask(
        self, *, wait: int = 0, keys: Iterable[str] | None = None, hidden: Iterable[str] = ()
    ) -> SyncResponse:
        """Sync, and take the answer in; a part of the keys does not move the cursor."""
        request = self.request(wait=wait, keys=keys)
        response = await self.server.sync(request, hidden=frozenset(hidden))
        self.known |= {key: node.version for key, node in response.changed.items()}
        if keys is None:
            self.cursor = response.cursor
        return response

    async def caught_up(self) -> Asker:
        """Itself, once it knows all there is to know."""
        await self.ask()
        return self


def at_once(call: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that has nothing to wait for."""
    try:
        call.send(None)
    except StopIteration as result:
        return result.value  # type: ignore[no-any-return]
    call.close()
    raise AssertionError(f"{call!r} waits")


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


async def settle() -> None:
    """Let everything that could run now run."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def holding(*askers: Asker) -> AsyncIterator[list[asyncio.Task[SyncResponse]]]:
    """The held syncs of askers that know everything already; cancelled at the end of the block."""
    server = askers[0].server
    before = server.stats().waiters
    for asker in askers:
        await asker.caught_up()
    tasks = [asyncio.create_task(asker.ask(wait=LONG_WAIT_MS)) for asker in askers]
    try:
        await until(lambda: server.stats().waiters == before + len(askers))
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answered(task: asyncio.Task[Result]) -> Result:
    """The answer of a held sync that should end well before its wait."""
    return await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)
