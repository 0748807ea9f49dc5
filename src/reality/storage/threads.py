"""Stores that block, made async: `ThreadedStorage` calls them from two threads of its own.

One thread writes and the other reads, so that a long write holds up no read. The threads are
started by `open` and ended by `close`; a child of a fork has none until it opens the store itself.
They are daemons: a process that ends does not wait for a database that no longer answers.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Opening
from reality.core.delta import Touched
from reality.errors import StorageUnavailable
from reality.storage.base import BlockingStorage, Capabilities
from reality.storage.process import renew_after_fork

Result = TypeVar("Result")


class ThreadedStorage:
    """A `Storage` on top of a `BlockingStorage`.

    `append`, `rotate` and `open` are called in one thread; `changes`, `read` and `scan` in the
    other; `close` in both, perhaps at once. A call that was cancelled is still made if it has
    begun. Before `open` and after `close` the other verbs raise `StorageUnavailable`.

    Args:
        blocking: the store; nobody else should use it.
    """

    def __init__(self, blocking: BlockingStorage) -> None:
        self._blocking = blocking
        self._lanes: _Lanes | None = None
        renew_after_fork(self, ThreadedStorage._after_fork)

    @property
    def name(self) -> str:
        """See `Storage`."""
        return self._blocking.name

    @property
    def capabilities(self) -> Capabilities:
        """See `Storage`."""
        return self._blocking.capabilities

    @property
    def feed_interval_s(self) -> float:
        """See `Storage`."""
        return self._blocking.feed_interval_s

    async def open(self) -> Opening:
        """See `Storage.open`."""
        if self._lanes is None:
            self._lanes = _Lanes(write=_Lane("reality-write"), read=_Lane("reality-read"))
        return await self._lanes.write.call(self._blocking.open)

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        return await self._opened().write.call(partial(self._blocking.append, batches))

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        return await self._opened().read.call(partial(self._blocking.changes, after, limit=limit))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        return await self._opened().read.call(partial(self._blocking.read, names))

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        return await self._opened().read.call(partial(self._blocking.scan, after, limit=limit))

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        call = partial(self._blocking.rotate, expected, register=register)
        return await self._opened().write.call(call)

    async def close(self) -> None:
        """See `Storage.close`."""
        lanes, self._lanes = self._lanes, None
        if lanes is None:
            return
        closings = [lane.submit(self._blocking.close) for lane in lanes]
        for lane in lanes:
            lane.end()
        for closing in closings:
            # Shielded: whoever gives up waiting does not keep the store from being closed.
            await asyncio.shield(asyncio.wrap_future(closing))

    def _opened(self) -> _Lanes:
        if self._lanes is None:
            raise StorageUnavailable(f"{self.name} is not open: await its open() first")
        return self._lanes

    def _after_fork(self) -> None:
        """In a child: the parent's threads are not here."""
        self._lanes = None


class _Lanes(NamedTuple):
    write: _Lane
    read: _Lane


class _Lane:
    """One thread that makes calls in the order in which they were submitted."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True).start()
        # A store that is dropped without being closed leaves no thread behind.
        self._end = weakref.finalize(self, self._calls.put, None)
        # At the end of the process the store may still be closed, which is done in this thread.
        self._end.atexit = False

    def submit(self, function: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._calls.put((future, function))
        return future

    async def call(self, function: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(self.submit(function))

    def end(self) -> None:
        """End the thread after what was submitted so far."""
        self._end()


_Call = tuple["Future[Any]", Callable[[], Any]]


def _work(calls: SimpleQueue[_Call | None]) -> None:
    """The thread; it refers to its queue alone, so that the store can be collected."""
    while (call := calls.get()) is not None:
        future, function = call
        if future.set_running_or_notify_cancel():
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  # whoever awaits the call gets it
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        # While it waits for the next call, nothing of this one is kept alive.
        del call, future, function
