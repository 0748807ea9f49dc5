"""Simulated hosts: what runs on one machine, which can stand still, die, or have a wrong clock.

Whatever a host does, tasks and timers included, carries the host with it in a context variable.
That is how the loop of `reality.testing.virtual_time` knows whose callback it has at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, ParamSpec, TypeVar

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

# Whatever has not ended so many turns after it was cancelled does not mean to.
_TURNS_TO_END_MAX = 1_000


class Host:
    """One run of one machine, from its start to its death; needs a `VirtualLoop`.

    Attributes:
        name: what URLs and links call it.
        wall_offset_s: how far its wall clock is ahead of the true time, in seconds. May be changed
            at any time; the monotonic clock does not follow.
        slow_s: requests wait for up to so many seconds before they are handled.
        is_dead: set by `kill`, for good.
    """

    def __init__(self, name: str, *, wall_offset_s: float = 0.0) -> None:
        self.name = name
        self.wall_offset_s = wall_offset_s
        self.slow_s = 0.0
        self.is_dead = False
        self._context = copy_context()
        self._context.run(current_host.set, self)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._held: list[Callable[[], object]] = []
        self._paused_until_s = float("-inf")

    def __repr__(self) -> str:
        return f"Host({self.name!r})"

    # ---- what it does --------------------------------------------------------------------------

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Call a function as this host: what it starts belongs to the host."""
        return self.context().run(function, *args, **kwargs)

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run a coroutine as this host."""
        return asyncio.get_running_loop().create_task(work, context=self.context())

    def context(self) -> Context:
        """A context of this host, for one callback or task."""
        return self._context.copy()

    # ---- what happens to it --------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._paused_until_s > float("-inf")

    def pause(self, seconds: float) -> None:
        """Stand still for a while, as after SIGSTOP: no task goes on, no timer comes due.

        The clocks go on. A second pause can only make the first one longer.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        if until_s > self._paused_until_s:
            self._paused_until_s = until_s
            # In a context of nobody's: this must happen while the host stands still.
            loop.call_at(until_s, self._resume_at, until_s, context=Context())

    def resume(self) -> None:
        """Go on at once."""
        self._paused_until_s = float("-inf")
        held, self._held = self._held, []
        for run in held:
            run()

    async def kill(self) -> None:
        """Die: every task is cancelled, no timer comes due. What they clean up reaches nobody.

        Raises:
            RuntimeError: a task does not end.
        """
        self.is_dead = True
        for _ in range(_TURNS_TO_END_MAX):
            tasks = [each for each in self._tasks if each is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            self.resume()  # only now: they go on in order to end
            if not tasks:
                return
            await asyncio.sleep(0)
        raise RuntimeError(f"{self.name} died, but goes on with {list(self._tasks)}")

    # ---- for the loop --------------------------------------------------------------------------

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task was started as this host."""
        self._tasks[task] = None
        task.add_done_callback(self._forget, context=Context())
        if self.is_dead:
            task.cancel()

    def hold(self, run: Callable[[], object]) -> None:
        """Do something once the host goes on."""
        self._held.append(run)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def _resume_at(self, until_s: float) -> None:
        if self._paused_until_s == until_s:
            self.resume()


current_host: ContextVar[Host | None] = ContextVar("current_host", default=None)


class HostThread:
    """What `reality.server.loop_thread.LoopThread` is to a server, without a thread.

    Everything runs in the running loop, as the host. Going over takes a moment, and so does coming
    back, so that whatever can happen in between does, sooner or later.
    """

    def __init__(self, host: Host, random: Random, *, hop_s: float = 0.002) -> None:
        """`hop_s` is how long going over takes at most, in seconds."""
        self._host = host
        self._random = random
        self._hop_s = hop_s

    async def call(self, call: Coroutine[Any, Any, Result]) -> Result:
        """See `LoopThread.call`."""
        task = self._host.spawn(self._hopping(call))

        def ended(task: asyncio.Task[Result]) -> None:
            call.close()  # if the host died before it began
            if not task.cancelled():
                task.exception()  # its caller may have gone

        task.add_done_callback(ended)
        return await asyncio.shield(task)

    def spawn(self, call: Coroutine[Any, Any, object]) -> None:
        """See `LoopThread.spawn`."""
        self._host.spawn(self._hopping(call))

    def soon(self, act: Callable[[], object]) -> None:
        """See `LoopThread.soon`."""
        asyncio.get_running_loop().call_soon(act, context=self._host.context())

    def block_on(
        self, call: Coroutine[Any, Any, Result], *, timeout_s: float | None = None
    ) -> Result:
        """See `LoopThread.block_on`; there is no thread to wait for here.

        Raises:
            TimeoutError: always.
        """
        call.close()
        raise TimeoutError(f"{self._host.name} is simulated: nothing goes on after {timeout_s} s")

    def stop(self) -> None:
        """See `LoopThread.stop`."""

    async def _hopping(self, call: Coroutine[Any, Any, Result]) -> Result:
        await self._hop()
        try:
            return await call
        finally:
            await self._hop()

    async def _hop(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._hop_s))
