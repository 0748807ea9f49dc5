"""How a promise is tested: a coroutine that is handed the stores it needs, run by itself.

Each test runs in an event loop of its own, so that it needs no plugin of pytest, nor any setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from typing import ClassVar, Literal, TypeVar

from reality.core.changelog import Logged
from reality.core.delta import Touched
from reality.storage.base import SHARED_AND_DURABLE, Capabilities, Storage

# What a test may need: an ability, `Suite.outage`, or a platform that forks.
Need = Literal["durable", "shared", "outage", "fork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much the tests do; a slow store may do less.

    Attributes:
        appends: by all concurrent writers together.
        names: in the greatest batch.
        log: batches that are written to see the oldest of them leave the log.
        batches: of one append, while the log is filled.
    """

    appends: int = 45
    names: int = 10_000
    log: int = 10_050
    batches: int = 670


class Suite:
    """What the tests ask of whoever tests a store.

    Attributes:
        capabilities: what the store says it can do; tests of what it cannot are left out.
        load: how much the tests do.
        in_one_process: whether only instances of one process share what is shared, as they do with
            a store in dictionaries.
    """

    capabilities: ClassVar[Capabilities] = SHARED_AND_DURABLE
    load: ClassVar[Load] = Load()
    in_one_process: ClassVar[bool] = False

    def new_storage(self) -> Storage:
        """A store over a fresh, empty state, not opened; a state of its own at each call.

        It is called in the running event loop of a test. The tests open and close what they get.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how a new store is made")

    def same_storage(self, storage: Storage) -> Storage:
        """Another store over the state of this one, as another process has it; not opened.

        `storage` may be open, or not yet. Called only if the store is shared.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how a store is opened twice")

    def outage(self, storage: Storage) -> AbstractContextManager[None]:
        """While it lasts, the store cannot work. Optional: without it, that test is left out."""
        raise NotImplementedError(f"{type(self).__name__} does not say how the store fails")

    async def dispose(self, storage: Storage) -> None:
        """Let go of what the suite itself made for a store, which is closed by now. Optional."""


class Stores:
    """The stores of one test, closed when it ends."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._made: list[Storage] = []
        self.load = suite.load

    def unopened(self) -> Storage:
        """A store with a state of its own."""
        self._made.append(self._suite.new_storage())
        return self._made[-1]

    def unopened_same(self, storage: Storage) -> Storage:
        """Another over the state of this one, as another process would have it."""
        self._made.append(self._suite.same_storage(storage))
        return self._made[-1]

    async def new(self) -> Storage:
        """A store with a state of its own, open."""
        storage = self.unopened()
        await storage.open()
        return storage

    async def same(self, storage: Storage) -> Storage:
        """Another over the state of this one, open; this one if the store cannot be shared."""
        if not self._suite.capabilities.is_shared:
            return storage
        other = self.unopened_same(storage)
        await other.open()
        return other

    async def several(self, count: int = 3) -> list[Storage]:
        """Some over one new state, open; the same one again if the store cannot be shared."""
        first = await self.new()
        return [first] + [await self.same(first) for _ in range(count - 1)]

    def outage(self, storage: Storage) -> AbstractContextManager[None]:
        """While it lasts, the store cannot work."""
        return self._suite.outage(storage)

    async def close(self) -> None:
        """Close them all."""
        for storage in reversed(self._made):
            await storage.close()
        for storage in reversed(self._made):
            await self._suite.dispose(storage)


SuiteType = TypeVar("SuiteType", bound=Suite)


def promise(
    *needs: Need,
) -> Callable[[Callable[[SuiteType, Stores], Awaitable[None]]], Callable[[SuiteType], None]]:
    """Make a test of a coroutine; it is left out of suites whose store lacks one of `needs`."""

    def decorate(
        test: Callable[[SuiteType, Stores], Awaitable[None]],
    ) -> Callable[[SuiteType], None]:
        @wraps(test)
        def run(self: SuiteType) -> None:
            asyncio.run(_run(self, test))

        del run.__wrapped__  # pytest would take `stores` for a fixture
        run.needs = frozenset(needs)  # type: ignore[attr-defined]
        return run

    return decorate


async def _run(suite: SuiteType, test: Callable[[SuiteType, Stores], Awaitable[None]]) -> None:
    stores = Stores(suite)
    try:
        await test(suite, stores)
    finally:
        await stores.close()


async def whole_log(storage: Storage, *, limit: int = 1_000) -> list[Logged]:
    """All that `changes` tells from the first batch on, asked for as a server does.

    The batch that one answer ends with, the next begins with; it is taken from the first.
    """
    found: list[Logged] = []
    while True:
        before = len(found)
        answer = await storage.changes(before, limit=limit)
        found += answer.batches[1:] if before else answer.batches
        if len(found) >= answer.head.position.sequence:
            return found
        assert len(found) > before, f"nothing follows {before}, but the head is {answer.head}"


async def walk(storage: Storage, *, limit: int, after: int = 0) -> list[Touched]:
    """All that `scan` tells, page by page."""
    found: list[Touched] = []
    more = True
    while more:
        page = await storage.scan(found[-1].sequence if found else after, limit=limit)
        found += page.touched
        more = page.more
        assert page.touched or not more, "an empty page says that there is more: nobody gets on"
    return found
