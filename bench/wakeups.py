"""How long after a write in one process a sync that another process holds is answered.

Before each write the driver is asked once, by itself; and the writer pauses for a random time, so
that writes meet the feed at any moment of its interval.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.places import Place, places, timed
from bench.processes import ENVIRONMENT, PYTHON, pinned
from bench.report import CannotMeasure, Table, percentile
from bench.teller import KEY
from reality import RealityServer
from reality.storage.base import Hinting
from reality.storage.memory import MemoryStorage

_WAIT_MS = 25_000
_ROUNDS = 60
_SLOW_ROUNDS = 10
# A sync that begins to be held makes the feed look at once: within so many intervals the feed's
# looks and the writes have nothing to do with each other any more.
_PAUSE_INTERVALS = 3
_HINTED_PAUSE_S = 0.05

# Pauses for so many seconds and invalidates the key; when it began, and when that was done.
Tell = Callable[[float], Awaitable[tuple[float, float]]]


@dataclass
class Found:
    """What the rounds of one store found, in milliseconds.

    Attributes:
        answer: from the beginning of the write to the answer of the held sync.
        write: how long the write took.
        ask: how long the driver needs to go there and back.
    """

    answer: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    ask: list[float] = field(default_factory=list)


def measure(*, is_quick: bool) -> list[Table]:
    """One table with all stores.

    Raises:
        CannotMeasure: a held sync was answered without news.
    """
    table = Table(
        "Write in one process, answer of a sync that another process holds",
        (
            *("p50 ms", "p99 ms", "p50 of the write ms", "p50 of a raw round trip ms"),
            *("feed interval ms", "hints", "rounds"),
        ),
    )
    with places() as (found, left_out):
        for place in found:
            rounds = _SLOW_ROUNDS if is_quick or place.is_slow else _ROUNDS
            asyncio.run(_add_row(table, place, rounds))
    table.notes += [
        "memory and dictionary: one process, which writes and is answered",
        *left_out,
    ]
    return [table]


async def _add_row(table: Table, place: Place, rounds: int) -> None:
    storage = place.storage()
    interval_s = 0.0 if isinstance(storage, MemoryStorage) else storage.feed_interval_s
    is_hinting = isinstance(storage, Hinting)
    pause_max_s = _HINTED_PAUSE_S if is_hinting else interval_s * _PAUSE_INTERVALS
    found = Found()
    async with AsyncExitStack() as stack:
        server = RealityServer("reader", storage=storage)
        stack.push_async_callback(server.stop)
        if place.url:
            tell = await stack.enter_async_context(_other_process(place))
        else:
            await server.invalidate(KEY)
            tell = _same_process(server)
        raw = None if place.raw is None else await stack.enter_async_context(place.raw())
        for _ in range(rounds):
            if raw is not None:
                found.ask.append(await timed(raw.ask, 1) * 1000)
            await _round(server, tell, random.random() * pause_max_s, found)
    row = (
        *(percentile(found.answer, 50), percentile(found.answer, 99), median(found.write)),
        median(found.ask) if found.ask else None,
        *(interval_s * 1000 or None, "yes" if is_hinting else "no", rounds),
    )
    table.rows.append((place.name, row))


async def _round(server: RealityServer, tell: Tell, pause_s: float, found: Found) -> None:
    request = {"clientId": "client", "mode": "native", "hint": "poll"}
    news = await server.sync(request | {"known": {KEY: 0}})
    known = {KEY: news.changed[KEY].version}
    asking = server.sync(request | {"known": known, "cursor": news.cursor, "wait": _WAIT_MS})
    held = asyncio.create_task(_answered(asking))
    while not server.stats().waiters:  # noqa: ASYNC110  # there is no event for it, only a count
        await asyncio.sleep(0)
    began_s, done_s = await tell(pause_s)
    answered_s = await held
    found.answer.append((answered_s - began_s) * 1000)
    found.write.append((done_s - began_s) * 1000)


async def _answered(asking: Awaitable[object]) -> float:
    """When a sync was answered with news."""
    answer = await asking
    answered_s = time.monotonic()
    if not getattr(answer, "changed", None):
        raise CannotMeasure(f"a held sync was answered without news: {answer}")
    return answered_s


def _same_process(server: RealityServer) -> Tell:
    async def tell(_: float) -> tuple[float, float]:
        began_s = time.monotonic()
        await server.invalidate(KEY)
        return began_s, time.monotonic()

    return tell


@asynccontextmanager
async def _other_process(place: Place) -> AsyncIterator[Tell]:
    command = pinned([*PYTHON, "-m", "bench.teller", place.url], is_server=False)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, env={**os.environ, **ENVIRONMENT}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def tell(pause_s: float) -> tuple[float, float]:
        stdin.write(f"{pause_s}\n".encode())
        line = await stdout.readline()
        if not line:
            raise CannotMeasure(f"the writer to {place.name} ended: see above")
        began_s, done_s = json.loads(line)
        return began_s, done_s

    try:
        await stdout.readline()  # it is ready
        yield tell
    finally:
        stdin.close()
        await process.wait()
