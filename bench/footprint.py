"""In one process: what an invalidation and an answer cost, what a key and the import weigh."""

from __future__ import annotations

import asyncio
import operator
import statistics
import time
import tracemalloc
from collections.abc import Callable

from bench.processes import PYTHON, output
from bench.report import Table, Value
from reality import Limits, RealityServer
from reality.core.graph import Graph

_WAITERS = (0, 10, 10_000)
_WAIT_MS = 25_000
_BATCH = 100


def measure(*, is_quick: bool) -> list[Table]:
    """Tables of invalidations, answers, memory and the import."""
    batches = 20 if is_quick else 200
    return [
        asyncio.run(_invalidations(batches)),
        _answers(batches),
        _memory(20_000 if is_quick else 100_000),
        _imports(3 if is_quick else 15),
    ]


# ---- tables --------------------------------------------------------------------------------------


async def _invalidations(batches: int) -> Table:
    """One key nobody waits for, while others are waited for; the servers take turns."""
    servers = {count: RealityServer(limits=Limits(waiters_max=max(_WAITERS))) for count in _WAITERS}
    held = [each for count, server in servers.items() for each in await _hold(server, count)]
    times: dict[int, list[float]] = {count: [] for count in servers}
    for _ in range(batches):
        for count, server in servers.items():
            began_s = time.perf_counter()
            for _ in range(_BATCH):
                await server.invalidate("posts")
            times[count].append((time.perf_counter() - began_s) / _BATCH * 1e6)
    for server in servers.values():
        await server.stop()
    await asyncio.gather(*held)
    table = Table(
        "server.invalidate of one key, while syncs that do not ask for it are held",
        ("µs", f"x of {_WAITERS[0]} held"),
    )
    for count, found in times.items():
        ratios = map(operator.truediv, found, times[_WAITERS[0]])
        table.rows.append(
            (f"{count:,} held", (statistics.median(found), statistics.median(ratios)))
        )
    return table


async def _hold(server: RealityServer, count: int) -> list[asyncio.Task[object]]:
    """Syncs that are held, each for a key of its own."""
    held: list[asyncio.Task[object]] = []
    for number in range(count):
        key, client = f"other:{number}", f"client-{number}"
        request = {"clientId": client, "mode": "native", "hint": "poll", "wait": _WAIT_MS}
        answer = await server.sync(request | {"known": {key: 0}})
        known = {key: answer.changed[key].version}
        asking = server.sync(request | {"known": known, "cursor": answer.cursor})
        held.append(asyncio.create_task(asking))
    await asyncio.sleep(0)  # one turn of the loop, in which each of them begins to wait
    assert count == server.stats().waiters, "some were answered at once"
    return held


def _answers(batches: int) -> Table:
    """The decision alone, without messages and HTTP."""
    table = Table(
        "Graph.answer, the decision what is news, for a client that holds so many keys",
        ("µs", "µs/key"),
    )
    for count in (10, 1_000):
        graph = Graph("bench~1", register=1)
        keys = [f"posts:{number}" for number in range(count)]
        graph.touch(keys, now_ms=1)
        known = {key: graph.version(key) for key in keys}
        cursor = graph.cursor

        def ask(graph: Graph = graph, known: dict[str, int] = known, cursor: str = cursor) -> None:
            graph.answer(known, cursor)

        for case in ("nothing touched since", "another key touched since", "1 of them touched"):
            if case.startswith("another"):
                graph.touch(("other",), now_ms=2)
            elif case.startswith("1"):
                graph.touch((keys[0],), now_ms=3)
            cost_us = _median_us(ask, batches, calls=max(1, 1_000 // count))
            table.rows.append((f"{count:,} keys, {case}", (cost_us, cost_us / count)))
    return table


def _memory(count: int) -> Table:
    """What Python has handed out for the graph, the strings of its keys included."""
    tracemalloc.start()
    graph = Graph("bench~1", register=1)
    for number in range(count):
        graph.touch((f"posts:{number}",), now_ms=1)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    table = Table("Memory of a graph whose keys were touched one by one", ("MB", "bytes/key"))
    table.rows.append((f"{len(graph):,} keys", (size / 1e6, size / count)))
    return table


def _imports(rounds: int) -> Table:
    """Fresh interpreters, the empty one taking turns with the others."""
    scripts = {
        "import reality": "import reality",
        "from reality import RealityServer": "from reality import RealityServer",
        "import asyncio, to compare": "import asyncio",
    }
    times: dict[str, list[float]] = {name: [] for name in scripts}
    for _ in range(rounds):
        empty_s = _run_s("pass")
        for name, script in scripts.items():
            times[name].append((_run_s(script) - empty_s) * 1000)
    table = Table(
        f"Imports: time beyond that of an empty interpreter, medians of {rounds} fresh ones",
        ("ms", "loads asyncio"),
    )
    for name, script in scripts.items():
        row: tuple[Value, Value] = (statistics.median(times[name]), _loads_asyncio(script))
        table.rows.append((name, row))
    return table


# ---- measuring -----------------------------------------------------------------------------------


def _median_us(action: Callable[[], None], batches: int, calls: int) -> float:
    """Microseconds a call: the median over batches of so many calls."""
    times: list[float] = []
    for _ in range(batches):
        began_s = time.perf_counter()
        for _ in range(calls):
            action()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times) / calls * 1e6


def _run_s(script: str) -> float:
    began_s = time.perf_counter()
    output([*PYTHON, "-c", script])
    return time.perf_counter() - began_s


def _loads_asyncio(script: str) -> str:
    told = output([*PYTHON, "-c", f"{script}; import sys; print('asyncio' in sys.modules)"])
    return "yes" if told.strip() == "True" else "no"
