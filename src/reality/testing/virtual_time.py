"""Virtual time: programs run as fast as they can compute, and the same way each time.

    async def main() -> None:
        await asyncio.sleep(3600)  # takes no time

    run_virtually(main(), seed=7)

The event loop never waits: when nothing is ready, its clock jumps to the next timer. The `time`
module shows this clock, so every program that calls `time.monotonic()` follows it; `from time
import monotonic` would keep the real one. `random`, `secrets` and `uuid.uuid4` draw from the seed.
Two runs of one program with one seed are alike, whatever the machine does, as long as the program
does not let the order of a set decide what it does.

One thread only: what is given to an executor runs at once, in the loop. There are no sockets; see
`reality.testing.network` for a network.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import selectors
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVar, TypeVarTuple
from unittest import mock

from reality.testing.hosts import current_host

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

# Where the clocks start. The wall clock's is a day in 2027, so that no run depends on the day.
_MONOTONIC_START_S = 1_000.0
_WALL_START_S = 1_800_000_000.0
# So many turns of the loop at one moment are a busy loop.
_TURNS_AT_A_MOMENT_MAX = 100_000


class Deadlock(RuntimeError):
    """Everything waits, and nothing is scheduled that could end it."""


class BusyLoop(RuntimeError):
    """The program goes on and on without any time passing."""


class VirtualClock(selectors.BaseSelector):
    """The clocks of one run; as the loop's selector, it jumps instead of waiting.

    Attributes:
        elapsed_s: how long the run has taken so far, in virtual seconds.
    """

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._turns = 0
        self._registered: dict[Any, selectors.SelectorKey] = {}

    def monotonic(self) -> float:
        """What `time.monotonic` and `time.perf_counter` show, in seconds."""
        return _MONOTONIC_START_S + self.elapsed_s

    def wall(self) -> float:
        """What `time.time` shows to the running host, in seconds since the epoch."""
        host = current_host.get()
        return _WALL_START_S + self.elapsed_s + (0.0 if host is None else host.wall_offset_s)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let time pass, where the loop would wait. There is never anything to read.

        Raises:
            Deadlock, BusyLoop: the program will never end.
        """
        if timeout is None:
            raise Deadlock("everything waits, and no timer is set that could end it")
        if timeout > 0:
            self.elapsed_s += timeout
            self._turns = 0
        self._turns += 1
        if self._turns > _TURNS_AT_A_MOMENT_MAX:
            raise BusyLoop(
                f"{self._turns} turns of the loop have taken no time, at second {self.elapsed_s}"
            )
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """For the loop's own pipe, which nothing is ever read from here."""
        key = self._registered[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See `register`."""
        return self._registered.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """See `register`."""
        return self._registered


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time that knows the host of every task and timer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        super().__init__(clock)

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop.time`."""
        return self.clock.monotonic()

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """See `asyncio.AbstractEventLoop.create_task`; the host gets to know its task."""
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        context = options.get("context")
        host = current_host.get() if context is None else context.get(current_host)
        if host is not None:
            host.adopt(task)
        return task

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See `asyncio.AbstractEventLoop.call_soon`; of a host that stands still, it waits."""
        host = current_host.get() if context is None else context.get(current_host)
        if host is None or not host.is_paused:
            return super().call_soon(callback, *args, context=context)
        its_own = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, its_own)
        run = super().call_soon

        def go_on() -> None:
            if not handle.cancelled():
                run(callback, *args, context=its_own)

        host.hold(go_on)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.AbstractEventLoop.call_at`; of a host that stands still, it waits."""
        host = current_host.get() if context is None else context.get(current_host)
        if host is None:
            return super().call_at(when, callback, *args, context=context)

        def come_due() -> None:
            if host.is_paused:
                self.call_soon(come_due)
            elif not (host.is_dead or timer.cancelled()):
                callback(*args)

        timer = super().call_at(when, come_due, context=context)
        return timer

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> asyncio.Future[Result]:
        """See `asyncio.AbstractEventLoop.run_in_executor`; here it runs at once."""
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # told to whoever waits for it
            done.set_exception(error)
        return done


@contextmanager
def virtual_time(clock: VirtualClock, *, seed: int = 0) -> Iterator[None]:
    """Have `time` show a clock, and `random`, `secrets` and `uuid.uuid4` draw from a seed.

    It changes these modules for the whole process, and puts them back at the end of the block.
    """
    drawn = Random(f"{seed} secrets")
    state = random.getstate()
    random.seed(f"{seed} random")

    def token_bytes(nbytes: int | None = None) -> bytes:
        return drawn.randbytes(32 if nbytes is None else nbytes)

    def uuid4() -> uuid.UUID:
        return uuid.UUID(bytes=token_bytes(16), version=4)

    def nanoseconds(seconds: Callable[[], float]) -> Callable[[], int]:
        return lambda: int(seconds() * 1_000_000) * 1_000

    try:
        with (
            mock.patch.multiple(
                time,
                time=clock.wall,
                time_ns=nanoseconds(clock.wall),
                monotonic=clock.monotonic,
                monotonic_ns=nanoseconds(clock.monotonic),
                perf_counter=clock.monotonic,
                perf_counter_ns=nanoseconds(clock.monotonic),
            ),
            mock.patch.multiple(
                secrets,
                token_bytes=token_bytes,
                randbelow=drawn.randrange,
                randbits=drawn.getrandbits,
                choice=drawn.choice,
            ),
            mock.patch.object(uuid, "uuid4", uuid4),
        ):
            yield
    finally:
        random.setstate(state)


def run_virtually(main: Coroutine[Any, Any, Result], *, seed: int = 0) -> Result:
    """Run a program in virtual time, as `asyncio.run` runs it in real time.

    Args:
        main: the program; tasks that it leaves behind are cancelled.
        seed: what everything is drawn from that the program draws.

    Returns:
        What `main` returns.

    Raises:
        Deadlock, BusyLoop: it will never end.
    """
    clock = VirtualClock()
    with (
        virtual_time(clock, seed=seed),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner,
    ):
        return runner.run(main)
