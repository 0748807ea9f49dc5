"""An event loop in a daemon thread of its own, for what must not depend on the application's loop.

The thread is started at the first call in a process, so never before a fork, and again in a child
that calls after one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from reality.storage.process import renew_after_fork

Result = TypeVar("Result")


class LoopThread:
    """One event loop that runs in one daemon thread. Safe to share by threads."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's, as debuggers show it."""
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._after_fork()
        renew_after_fork(self, LoopThread._after_fork)

    async def call(self, call: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine that runs in the thread; for callers in another event loop.

        It runs to its end even if the caller is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(call, self._running(call))
        waiting = asyncio.wrap_future(future)
        # If the caller is cancelled, nobody asks what it failed with.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(waiting)

    def block_on(
        self, call: Coroutine[Any, Any, Result], *, timeout_s: float | None = None
    ) -> Result:
        """The result of a coroutine that runs in the thread; for callers without an event loop.

        Raises:
            TimeoutError: it has not ended after so many seconds; it goes on.
        """
        future = asyncio.run_coroutine_threadsafe(call, self._running(call))
        return future.result(timeout_s)

    def spawn(self, call: Coroutine[Any, Any, object]) -> None:
        """Have a coroutine run in the thread; does not wait."""
        asyncio.run_coroutine_threadsafe(call, self._running(call))

    def soon(self, act: Callable[[], object]) -> None:
        """Have something done in the thread, if it runs; does not wait."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # just stopped
                loop.call_soon_threadsafe(act)

    def stop(self) -> None:
        """End the thread once nothing calls any more; the next call starts another."""
        with self._starting:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self, call: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        """The loop; if it cannot be started, the call is closed, as it will never run."""
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run, args=(loop,), name=self._name, daemon=True)
                try:
                    thread.start()
                except BaseException:
                    loop.close()
                    call.close()
                    raise
                self._loop = loop
            return self._loop

    def _after_fork(self) -> None:
        """In a child: the parent's thread is not here, and its lock may have been taken."""
        self._starting = threading.Lock()
        self._loop = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
