"""How many keys a second are invalidated, 100 at a time, beside a commit of one row.

The stores take turns, and with each of them so do its driver, its port and a server on it; a ratio
compares two of the same turn.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median

from bench.places import Place, Raw, places, timed
from bench.report import Table, Value, span
from reality import RealityServer
from reality.core.changelog import Batch
from reality.storage.base import Storage
from reality.storage.memory import MemoryStorage, wall_clock_ms

BATCH_KEYS = 100
_BATCHES = 50  # different ones: 5,000 keys in all, each touched again and again
_CALLERS = 8


@dataclass
class Case:
    """One row: a store, and what each turn found.

    Attributes:
        place: where it is.
        server: works on it.
        storage: the port, opened; None for the memory of a server, which has none.
        raw: the driver by itself; None where there is none.
        commit_s, append_s, invalidate_s, together_s: seconds of each turn, for one commit of a row;
            for 100 keys appended through the port, invalidated through the server, and so by
            several callers at once.
    """

    place: Place
    server: RealityServer
    storage: Storage | None
    raw: Raw | None
    commit_s: list[float] = field(default_factory=list)
    append_s: list[float] = field(default_factory=list)
    invalidate_s: list[float] = field(default_factory=list)
    together_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._different = 1 if self.place.is_slow else _BATCHES
        names = [
            tuple(f"board:{number}:post:{key}" for key in range(BATCH_KEYS))
            for number in range(self._different)
        ]
        self._names = cycle(names)

    async def warm_up(self) -> None:
        """Make what is made once: tables, connections, and every key."""
        for _ in range(self._different):
            await self._invalidate()

    async def run(self, batches: int) -> None:
        """One turn, of so many batches each way."""
        if self.raw is not None:
            self.commit_s.append(await timed(self.raw.commit, batches) / batches)
        if self.storage is not None:
            self.append_s.append(await timed(self._append, batches) / batches)
            await self._invalidate()  # takes in what was appended beside the server
        self.invalidate_s.append(await timed(self._invalidate, batches) / batches)
        count = batches * _CALLERS
        together = await timed(self._invalidate, count, at_once=_CALLERS)
        self.together_s.append(together / count)

    async def _append(self) -> None:
        assert self.storage is not None
        await self.storage.append([Batch(next(self._names), wall_clock_ms())])

    async def _invalidate(self) -> None:
        await self.server.invalidate_many(next(self._names))


def measure(*, is_quick: bool) -> list[Table]:
    """One table with all stores."""
    with places() as (found, left_out):
        table = asyncio.run(_measure(found, turns=2 if is_quick else 20))
    table.notes += left_out
    return [table]


async def _measure(found: list[Place], turns: int) -> Table:
    async with AsyncExitStack() as stack:
        cases = [await _case(place, stack) for place in found]
        for case in cases:
            await case.warm_up()
        for turn in range(turns):
            for case in cases:
                if not case.place.is_slow:
                    await case.run(batches=10)
                elif turn == 0:
                    await case.run(batches=1)
    return _table(cases, turns)


async def _case(place: Place, stack: AsyncExitStack) -> Case:
    storage = place.storage()
    server = RealityServer("bench", storage=storage)
    stack.push_async_callback(server.stop)
    port: Storage | None = None
    if not isinstance(storage, MemoryStorage):
        # Another than the server's, as that of another process would be.
        other = place.storage()
        assert not isinstance(other, MemoryStorage)
        port = other
        await port.open()
        stack.push_async_callback(port.close)
    raw = None if place.raw is None else await stack.enter_async_context(place.raw())
    return Case(place, server, port, raw)


def _table(cases: list[Case], turns: int) -> Table:
    table = Table(
        f"Invalidations of {BATCH_KEYS} keys at a time, in keys per second: through the port, "
        f"through a server, and through a server by {_CALLERS} callers at once; {turns} turns",
        (
            *("port", "from – to (port)", "server", "from – to (server)"),
            *(f"server, {_CALLERS} callers", "goal", "raw commit ms"),
            *("port x raw commit", "server x port"),
        ),
    )
    for case in cases:
        row: tuple[Value, ...] = (
            *(*_rates(case.append_s), *_rates(case.invalidate_s), _rates(case.together_s)[0]),
            case.place.goal,
            median(case.commit_s) * 1000 if case.commit_s else None,
            _times(case.append_s, case.commit_s),
            _times(case.invalidate_s, case.append_s),
        )
        table.rows.append((case.place.name, row))
    table.notes += [
        "x: how many times as long, turn by turn",
        "the port of each store is one more connection, beside the server's own",
    ]
    return table


def _rates(seconds: list[float]) -> tuple[Value, Value]:
    """Keys per second: the median, and from the worst to the best turn."""
    rates = [BATCH_KEYS / each for each in seconds]
    return (median(rates), span(rates)) if rates else (None, None)


def _times(seconds: list[float], others: list[float]) -> float | None:
    if not seconds or not others:
        return None
    return median(one / other for one, other in zip(seconds, others, strict=True))
