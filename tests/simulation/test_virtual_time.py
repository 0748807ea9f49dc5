from __future__ import annotations

import asyncio
import random
import secrets
import time
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest

from reality.testing.hosts import Host, HostThread
from reality.testing.virtual_time import BusyLoop, Deadlock, run_virtually


async def drawn() -> tuple[object, ...]:
    """What a program may draw, and the times it may see."""
    await asyncio.sleep(random.random())
    return (
        secrets.token_hex(4),
        secrets.randbelow(1000),
        secrets.randbits(32),
        secrets.choice(range(1000)),
        uuid.uuid4(),
        time.time(),
        time.time_ns(),
    )


def test_time_passes_only_where_a_program_waits() -> None:
    """A program sees an hour pass on all clocks, and nobody has waited for it."""

    async def main() -> list[float]:
        before = [time.time(), time.monotonic(), time.perf_counter(), time.time_ns() / 1e9]
        await asyncio.sleep(3600)
        after = [time.time(), time.monotonic(), time.perf_counter(), time.time_ns() / 1e9]
        return [new - old for new, old in zip(after, before, strict=True)]

    begun_s = time.perf_counter()
    assert run_virtually(main()) == pytest.approx([3600.0] * 4)
    assert time.perf_counter() - begun_s < 60


def test_one_seed_gives_one_run() -> None:
    """Random numbers, secrets, UUIDs and times are the seed's."""
    assert run_virtually(drawn(), seed=1) == run_virtually(drawn(), seed=1)
    assert run_virtually(drawn(), seed=1) != run_virtually(drawn(), seed=2)


def test_clocks_and_random_numbers_are_put_back() -> None:
    """After a run the process has its own time and randomness again."""
    random.seed(5)
    state = random.getstate()
    run_virtually(drawn())

    assert random.getstate() == state
    assert abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 60
    assert secrets.token_hex(8) != secrets.token_hex(8)


async def wait_for_ever() -> None:
    """Nothing will ever end this."""
    await asyncio.get_running_loop().create_future()


async def spin() -> None:
    """This never waits."""
    while True:
        await asyncio.sleep(0)


@pytest.mark.parametrize(("program", "error"), [(wait_for_ever, Deadlock), (spin, BusyLoop)])
def test_a_program_that_never_ends_is_an_error(program: Any, error: type[Exception]) -> None:
    """Waiting for nothing, and running without any time passing, both raise."""
    with pytest.raises(error):
        run_virtually(program())


def test_blocking_work_runs_at_once() -> None:
    """What is given to a thread is done in place; its errors come back."""

    async def main() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(time.monotonic)

    assert run_virtually(main()) == pytest.approx(1_000.0)


def ticking(log: list[float]) -> Coroutine[Any, Any, None]:
    """Note the time each second."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            log.append(round(time.monotonic() - 1_000, 3))

    return tick()


def test_a_paused_host_stands_still_and_goes_on() -> None:
    """No task or timer of the host goes on while it is paused; others do."""

    async def main() -> tuple[list[float], list[float], bool]:
        host, other = Host("one"), Host("other")
        log: list[float] = []
        others: list[float] = []
        host.spawn(ticking(log))
        other.spawn(ticking(others))
        await asyncio.sleep(2.5)
        host.pause(3)
        host.pause(1)  # cannot make it shorter
        later = host.spawn(asyncio.sleep(0, result="later"))
        timer = host.call(asyncio.get_running_loop().call_soon, log.append, -1.0)
        timer.cancel()
        await asyncio.sleep(2.9)
        was_done = later.done()
        await asyncio.sleep(2)
        return log, others, was_done

    log, others, was_done = run_virtually(main())
    assert log == [1.0, 2.0, 5.5, 6.5]
    assert others == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert not was_done


def test_a_timer_cancelled_on_a_paused_host_never_comes() -> None:
    """A timer that came due during a pause can still be cancelled by what runs before it."""

    async def main() -> list[str]:
        log: list[str] = []
        host = Host("one")
        loop = asyncio.get_running_loop()
        timer = host.call(loop.call_later, 1, log.append, "timer")

        def cancel() -> None:
            log.append("cancel")
            timer.cancel()

        host.pause(2)
        host.call(loop.call_soon, cancel)
        await asyncio.sleep(3)
        return log

    assert run_virtually(main()) == ["cancel"]


def test_a_dead_host_does_nothing_more() -> None:
    """Its tasks are cancelled, also if it was paused; its timers never come due."""

    async def main() -> list[float]:
        host = Host("one")
        log: list[float] = []
        task = host.spawn(ticking(log))
        host.call(asyncio.get_running_loop().call_later, 5, log.append, -1.0)
        await asyncio.sleep(1.5)
        host.pause(10)
        await asyncio.sleep(2)
        await host.kill()
        assert task.cancelled()
        late = host.spawn(ticking(log))
        await asyncio.sleep(20)
        assert late.cancelled()
        return log

    assert run_virtually(main()) == [1.0]


def test_a_host_has_a_wall_clock_of_its_own() -> None:
    """It may be wrong, in tasks and callbacks of the host; the monotonic clock never is."""

    async def main() -> tuple[float, float]:
        host = Host("one", wall_offset_s=-30.0)
        before = time.time(), time.monotonic()

        async def now() -> tuple[float, float]:
            return time.time(), time.monotonic()

        after = await host.spawn(now())
        return after[0] - before[0], after[1] - before[1]

    assert run_virtually(main()) == (-30.0, 0.0)


def test_what_a_host_thread_was_given_runs_to_its_end() -> None:
    """As in a thread, work goes on when its caller is cancelled; nothing can wait for it."""

    async def main() -> list[str]:
        host = Host("one")
        thread = HostThread(host, random.Random(1))
        log: list[str] = []

        async def work() -> str:
            await asyncio.sleep(1)
            log.append("done")
            return "result"

        caller = asyncio.create_task(thread.call(work()))
        await asyncio.sleep(0.5)
        caller.cancel()
        await asyncio.sleep(1)
        log.append(await thread.call(work()))
        thread.soon(lambda: log.append("soon"))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            thread.block_on(work(), timeout_s=1)
        return log

    assert run_virtually(main()) == ["done", "done", "result", "soon"]
