"""What several processes do to one store at once, and what a reader beside them sees."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

from reality.core.changelog import Batch, Logged
from reality.storage.base import Storage
from reality.storage.sql import SQLStorage

PROCESSES = 4
APPENDS = 20  # of each process; each of two batches
NAMES = tuple(f"board:{number}" for number in range(5))

Result = TypeVar("Result")
Work = Callable[[str, int], Coroutine[Any, Any, Result]]

_barrier: Barrier


def in_processes(work: Work[Result], url: str) -> list[Result]:
    """Run `work(url, number)` in four processes, which all begin at the same moment."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(
        PROCESSES, mp_context=context, initializer=_remember, initargs=(barrier,)
    ) as pool:
        futures = [pool.submit(_run, work, url, number) for number in range(PROCESSES)]
        return [future.result(timeout=50) for future in futures]


async def open_store(url: str, number: int) -> str:
    """Open the store, which makes it, and tell its origin."""
    storage = SQLStorage(url=url)
    try:
        return (await storage.open()).head.origin
    finally:
        await storage.close()


async def append_batches(url: str, number: int) -> list[int]:
    """Append batches of overlapping names; the sequences that they got."""
    storage = SQLStorage(url=url)
    sequences: list[int] = []
    try:
        await storage.open()
        for count in range(APPENDS):
            names = (f"writer:{number}", *NAMES[count % 5 :])
            appended = await storage.append([Batch(names, count), Batch(NAMES[:2], count)])
            sequences += [logged.position.sequence for logged in appended.batches]
    finally:
        await storage.close()
    return sequences


async def check_concurrent_writers(storage: Storage, url: str) -> None:
    """Four processes write while `storage`, open on the same state, reads the log as it grows."""
    writers = asyncio.create_task(asyncio.to_thread(in_processes, append_batches, url))
    log: list[Logged] = []
    appends = PROCESSES * APPENDS * 2
    while len(log) < appends:
        was_done = writers.done()
        answer = await storage.changes(len(log), limit=50)
        news = answer.batches[1:] if log else answer.batches
        log += news
        assert list(range(1, len(log) + 1)) == [logged.position.sequence for logged in log]
        assert answer.head.position.sequence >= len(log)
        if was_done and not news:
            break
        await asyncio.sleep(0.005)  # the pace of a reader, on a machine that the writers need
    given = [sequence for sequences in await writers for sequence in sequences]
    assert list(range(1, appends + 1)) == sorted(given)
    assert appends == len(log)
    await _check_counts(storage, log)


async def _check_counts(storage: Storage, log: list[Logged]) -> None:
    """No touch was lost, and none counted twice."""
    last = {each.name: each for logged in log for each in logged.touched}
    counted = dict.fromkeys(last, 0)
    for logged in log:
        for each in logged.touched:
            counted[each.name] += 1
    assert last == await storage.read(list(last))
    assert counted == {name: each.touches for name, each in last.items()}


def _remember(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 - a barrier can only be inherited
    _barrier = barrier


def _run(work: Work[Result], url: str, number: int) -> Result:
    _barrier.wait(timeout=40)
    return asyncio.run(work(url, number))
