"""Stores that fail or wait when they are told to: wrappers around any other store.

Both keep what the wrapped store can do, hints included. A fault, or a wait, comes *before* the work
(it is not done) or *after* it (it is done, but nobody was told): an application, and a server, must
get over both.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal, TypeVar, get_args

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Opening
from reality.core.delta import Touched
from reality.errors import StorageError, StorageUnavailable
from reality.storage.base import Capabilities, Hinting, Storage

Verb = Literal["open", "append", "changes", "read", "scan", "rotate", "hinted"]
VERBS: tuple[Verb, ...] = get_args(Verb)

T = TypeVar("T")


class _Wrapper:
    """Every verb of a store but `close` goes through `_around`, and so does `hinted`.

    Attributes:
        storage: the wrapped one.
        hinted: there only if the wrapped store gives hints.
    """

    hinted: Callable[[], Awaitable[None]]

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        if isinstance(storage, Hinting):
            # An attribute of this one object: that is how `isinstance(…, Hinting)` finds out.
            self.hinted = lambda: self._around("hinted", storage.hinted)

    @property
    def name(self) -> str:
        """See `Storage.name`."""
        return self.storage.name

    @property
    def capabilities(self) -> Capabilities:
        """See `Storage.capabilities`."""
        return self.storage.capabilities

    @property
    def feed_interval_s(self) -> float:
        """See `Storage.feed_interval_s`."""
        return self.storage.feed_interval_s

    async def open(self) -> Opening:
        """See `Storage.open`."""
        return await self._around("open", self.storage.open)

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        return await self._around("append", lambda: self.storage.append(batches))

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        return await self._around("changes", lambda: self.storage.changes(after, limit=limit))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return await self._around("read", lambda: self.storage.read(names))

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        return await self._around("scan", lambda: self.storage.scan(after, limit=limit))

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        return await self._around(
            "rotate", lambda: self.storage.rotate(expected, register=register)
        )

    async def close(self) -> None:
        """See `Storage.close`. It neither fails nor waits."""
        await self.storage.close()

    async def _around(self, verb: Verb, work: Callable[[], Awaitable[T]]) -> T:
        raise NotImplementedError


class FaultyStorage(_Wrapper):
    """A store that fails: all the time, at its next call, or now and then.

    Args:
        storage: the store that does the work.
        rate: how many of the calls fail, from 0 to 1; half of them after the work was done.
        seed: the same seed fails the same calls, if they come in the same order.

    Attributes:
        failing: what every verb raises, before it does anything, as long as this is set.
        rate: as above; may be changed at any time.
        faults: how many calls have failed.
    """

    def __init__(self, storage: Storage, *, rate: float = 0.0, seed: int = 0) -> None:
        super().__init__(storage)
        self.failing: StorageError | None = None
        self.rate = rate
        self.faults = 0
        self._random = random.Random(seed)
        self._next: dict[Verb, list[tuple[StorageError, bool]]] = {}

    def fail_next(
        self, verb: Verb, error: StorageError | None = None, *, after: bool = False
    ) -> None:
        """Make the next call of a verb fail; said twice, the next two.

        Args:
            verb: which one.
            error: what it raises; by default `StorageUnavailable`.
            after: whether it does its work first.

        Raises:
            ValueError: there is no such verb; or `after`, but not a `StorageUnavailable`, after
                which no store has done anything.
        """
        if verb not in VERBS:
            raise ValueError(f"a store has no verb {verb!r} that fails; it has {', '.join(VERBS)}")
        if after and error is not None and not isinstance(error, StorageUnavailable):
            raise ValueError(
                f"a store that raises {type(error).__name__} has done nothing: with `after`, only "
                "StorageUnavailable can be raised"
            )
        self._next.setdefault(verb, []).append((error or self._unavailable(), after))

    async def _around(self, verb: Verb, work: Callable[[], Awaitable[T]]) -> T:
        error, after = self._fault(verb)
        if error is None:
            return await work()
        self.faults += 1
        if after:
            await work()
        raise error

    def _fault(self, verb: Verb) -> tuple[StorageError | None, bool]:
        if self.failing is not None:
            return self.failing.again(), False
        if planned := self._next.get(verb):
            return planned.pop(0)
        if self.rate and self._random.random() < self.rate:
            return self._unavailable(), self._random.random() < 0.5
        return None, False

    def _unavailable(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self.name} was made to fail by a test; try again")


class SlowStorage(_Wrapper):
    """A store that takes its time: each call some seconds, or until the test lets it go on.

    To be used in one event loop.

    Args:
        storage: the store that does the work.
        delay_s: how much longer each call takes, in seconds; the wait comes before the work.

    Attributes:
        delay_s: as above; may be changed at any time.
        held: how many calls wait to be released.
    """

    def __init__(self, storage: Storage, *, delay_s: float = 0.0) -> None:
        super().__init__(storage)
        self.delay_s = delay_s
        self.held = 0
        self._before: frozenset[Verb] = frozenset()
        self._after: frozenset[Verb] = frozenset()
        self._changed = asyncio.Condition()

    def hold(self, *verbs: Verb, after: bool = False) -> None:
        """From now on calls of these verbs wait until `release`; of all verbs, if none is named.

        Args:
            verbs: which ones.
            after: whether they do their work first, and only their answers wait.
        """
        if after:
            self._after |= frozenset(verbs or VERBS)
        else:
            self._before |= frozenset(verbs or VERBS)

    async def release(self) -> None:
        """Hold no verb any longer, and let go of the calls that wait."""
        self._before = self._after = frozenset()
        async with self._changed:
            self._changed.notify_all()

    async def holding(self, calls: int = 1) -> None:
        """Wait until at least so many calls are held."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.held >= calls)

    async def _around(self, verb: Verb, work: Callable[[], Awaitable[T]]) -> T:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._wait(lambda: verb not in self._before)
        result = await work()
        await self._wait(lambda: verb not in self._after)
        return result

    async def _wait(self, is_free: Callable[[], bool]) -> None:
        if is_free():
            return
        async with self._changed:
            self.held += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(is_free)
            finally:
                self.held -= 1
