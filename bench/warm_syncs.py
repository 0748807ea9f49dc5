"""Syncs of a server that has everything in memory: on each store beside the memory store.

A server on a store and one without take turns; a ratio compares two neighbours. A hundred clients
with keys of their own ask in turn, as in `bench.traffic`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

from bench import processes
from bench.apps import STORE_VARIABLE
from bench.hosts import Host, uvicorn
from bench.http_load import CONNECTIONS, Case, served, times
from bench.places import MEMORY, Place, places, sqlite_place
from bench.report import CannotMeasure, Table, Value, span
from bench.traffic import CLIENTS
from reality import RealityServer
from reality.core.codec import sync_request
from reality.core.messages import SyncRequest
from reality.storage.base import Storage
from reality.storage.memory import MemoryStorage

KEYS = 10
_LOADS = {f"{KEYS} keys, {changed} changed": (KEYS, changed) for changed in (0, 1)}
_GOAL = 0.9
_SYNCS = 100  # between two looks at the clock


@dataclass
class Runner:
    """A server, what it is asked, and what each turn found."""

    server: RealityServer
    requests: cycle[SyncRequest]
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """One turn. The processor time is that of all threads, so that of the feed is in it."""
        sync, requests, count = self.server.sync, self.requests, 0
        cpu_s, began_s = time.process_time(), time.perf_counter()
        while (elapsed_s := time.perf_counter() - began_s) < seconds:
            for _ in range(_SYNCS):
                await sync(next(requests))
            count += _SYNCS
        self.rates.append(count / elapsed_s)
        self.cpu_us.append((time.process_time() - cpu_s) / count * 1e6)


def measure(*, is_quick: bool) -> list[Table]:
    """A table of syncs in process, and one over HTTP.

    Raises:
        CannotMeasure: a server did not start, or an answer was wrong.
    """
    with places() as (found, left_out):
        in_process = asyncio.run(_in_process(found, turns=2 if is_quick else 20))
    in_process.notes += left_out
    if shutil.which("wrk") is None:
        in_process.notes.append("left out: over HTTP, needs the program wrk: apt-get install wrk")
        return [in_process]
    return [in_process, _over_http(rounds=1 if is_quick else 12)]


def _row(found: Runner | Case, memory: Runner | Case | None) -> tuple[Value, ...]:
    """Rates and processor time, compared with those of memory, turn by turn."""
    return (
        *(median(found.rates), span(found.rates)),
        *((times(found.rates, memory.rates), _GOAL) if memory else (None, None)),
        median(found.cpu_us),
        times(memory.cpu_us, found.cpu_us) if memory else None,
    )


# ---- in process ----------------------------------------------------------------------------------


async def _in_process(found: list[Place], turns: int) -> Table:
    table = Table(
        f"server.sync of {KEYS} keys in process, warm; {turns} turns",
        ("syncs/s", "from – to", "x memory", "goal", "CPU µs/sync", "CPU x memory"),
    )
    for load, (_, changed) in _LOADS.items():
        for place in found:
            if place.name != MEMORY:
                runner, memory = await _pair(place, changed, turns)
                table.rows.append((f"{place.name}: {load}", _row(runner, memory)))
        # As it was beside the last one.
        table.rows.append((f"{MEMORY}: {load}", _row(memory, None)))
    return table


async def _pair(place: Place, changed: int, turns: int) -> tuple[Runner, Runner]:
    """A store and memory, in turn."""
    runners = [await _runner(each, changed) for each in (place.storage(), MemoryStorage())]
    for _ in range(turns):
        for runner in runners:
            await runner.run(0.2)
    for runner in runners:
        await runner.server.stop()
    return runners[0], runners[1]


async def _runner(storage: Storage | MemoryStorage, changed: int) -> Runner:
    """A server, and the requests of clients of which each has so many keys that changed."""
    server = RealityServer("bench", storage=storage)
    known = {f"posts:{number}": 0 for number in range(CLIENTS * KEYS)}
    names = list(known)
    await server.invalidate_many(names)
    requests = []
    for number in range(CLIENTS):
        own = names[number * KEYS : (number + 1) * KEYS]
        request = {"clientId": f"client-{number}", "mode": "native", "hint": "poll"}
        answer = await server.sync(request | {"known": dict.fromkeys(own, 0)})
        versions = {key: node.version for key, node in answer.changed.items()}
        # One key of each client is touched either way, so that all cursors but the last lie behind.
        await server.invalidate(own[0] if changed else f"other:{number}")
        requests.append(sync_request(request | {"known": versions, "cursor": answer.cursor}))
        answer = await server.sync(requests[-1])
        if len(answer.changed) != changed or answer.reset:
            raise CannotMeasure(f"{requests[-1]} was answered {answer}")
    return Runner(server, cycle(requests))


# ---- over HTTP -----------------------------------------------------------------------------------


def _over_http(rounds: int) -> Table:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (place,) = stack.enter_context(sqlite_place())
        hosts = [_host(MEMORY, "memory://"), _host(place.name, place.url)]
        memory, sqlite = (stack.enter_context(served(host, folder, _LOADS)) for host in hosts)
        cases = [case for pair in zip(memory, sqlite, strict=True) for case in pair]
        for case in cases:
            case.ask(1)
        for _ in range(rounds):
            for case in cases:
                case.run(1)
    table = Table(
        f"POST /sync over HTTP, warm: one uvicorn worker, {CONNECTIONS} connections, "
        f"{processes.pinning()}; medians of {rounds} times 1 s",
        (
            *("requests/s", "from – to", "x memory", "goal"),
            *("server CPU µs/request", "CPU x memory"),
        ),
    )
    for one, other in zip(memory, sqlite, strict=True):
        table.rows.append((f"{one.host}: {one.load}", _row(one, None)))
        table.rows.append((f"{other.host}: {other.load}", _row(other, one)))
    return table


def _host(name: str, store: str) -> Host:
    def command(port: int) -> list[str]:
        return ["env", f"{STORE_VARIABLE}={store}", *uvicorn("application", port)]

    return Host(name, partial(command), None, loads_all=True)
