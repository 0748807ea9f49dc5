"""What a mesh costs: how late news is on other servers, idle servers, newcomers with much to learn.

The servers are processes of `bench.member`. The client is this process; nobody is held to a core,
as there are more of them than cores.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from operator import truediv
from typing import Any

from bench import mesh_simulated
from bench.crowd import KEY
from bench.member import FIGURES_PATH
from bench.members import Member, connected, figures, meshed, started
from bench.processes import cpu_seconds, memory_bytes, memory_peak_bytes
from bench.report import CannotMeasure, Table, percentile, plot
from bench.traffic import BASE_PATH
from tests.support.processes import free_port

_WAIT_MS = 25_000
_LATENCY_GOAL = 3
_IDLE_SERVERS = 5
_IDLE_GOAL = 2
# Until connections are made, and the first exchanges with everybody done.
_SETTLING_S = 3.0
_SHARED = "no process is held to a core"
_SNAPSHOT_ORIGINS = 16


def measure(*, is_quick: bool) -> list[Table]:
    """All tables of the mesh.

    Raises:
        CannotMeasure: a server did not start, or news did not come.
    """
    return [
        asyncio.run(_latencies(turns=2 if is_quick else 12)),
        asyncio.run(_idle(5.0 if is_quick else 20.0)),
        asyncio.run(_costs((2, 4) if is_quick else (2, 4, 8), rounds=10 if is_quick else 60)),
        *mesh_simulated.measure(is_quick=is_quick),
        asyncio.run(_snapshots(2_000 if is_quick else 100_000)),
    ]


# ---- tables --------------------------------------------------------------------------------------


async def _latencies(turns: int, rounds: int = 25) -> Table:
    """Invalidate on one server, wait on another; a server by itself takes turns with the mesh."""
    table = Table(
        "Invalidation sent to one server, answer of a sync that another holds, over HTTP; "
        f"{_SHARED}; {turns} turns of {rounds}",
        ("p50 ms", "p99 ms", "x one server", "from – to", "goal"),
    )
    async with meshed(0) as (alone,), meshed(2) as two, meshed(3) as three:
        cases = {
            "one server, no mesh": (alone, alone),
            "2 servers, told and asked the same": (two[0], two[0]),
            "2 servers": (two[0], two[1]),
            "3 servers": (three[0], three[2]),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in cases}
        await asyncio.sleep(_SETTLING_S)
        for _ in range(turns):
            for name, (told, asked) in cases.items():
                latencies = await _rounds(told, [asked], rounds)
                found[name].append([each for (each,) in latencies])
    medians = {name: [percentile(each, 50) for each in some] for name, some in found.items()}
    one, *_ = medians.values()
    for name, some in found.items():
        ratios = list(map(truediv, medians[name], one))
        is_other = cases[name][0] is not cases[name][1]
        everything = [each for turn in some for each in turn]
        table.rows.append(
            (
                name,
                (
                    *(percentile(everything, 50), percentile(everything, 99)),
                    statistics.median(ratios),
                    f"{min(ratios):.2f} – {max(ratios):.2f}",
                    f"≤ {_LATENCY_GOAL}" if is_other else None,
                ),
            )
        )
    return table


async def _idle(seconds: float) -> Table:
    """A mesh that nobody uses."""
    table = Table(
        f"A mesh of {_IDLE_SERVERS} servers that nobody uses, for {seconds:.0f} s",
        ("requests/s and server", "goal", "CPU ms/s", "failures"),
    )
    async with meshed(_IDLE_SERVERS) as members:
        await asyncio.sleep(_SETTLING_S)
        began = await _all_figures(members)
        cpu_s = [cpu_seconds(each.process_id) for each in members]
        began_s = time.monotonic()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - began_s
        used_s = [cpu_seconds(each.process_id) for each in members]
        ended = await _all_figures(members)
    for index in range(_IDLE_SERVERS):
        made = [_since(began[index], ended[index], each) for each in ("pushes", "exchanges")]
        table.rows.append(
            (
                f"server {index + 1}",
                (
                    sum(made) / took_s,
                    f"≤ {_IDLE_GOAL}",
                    (used_s[index] - cpu_s[index]) / took_s * 1000,
                    _since(began[index], ended[index], "failures"),
                ),
            )
        )
    return table


async def _costs(sizes: Sequence[int], rounds: int) -> Table:
    """One invalidation after the other; a sync is held at each of the other servers."""
    table = Table(
        "One invalidation at a time on one server, until the others have all answered a held sync; "
        f"{_SHARED}; {rounds} rounds",
        (
            *("first answer p50 ms", "all answered p50 ms", "all answered p99 ms"),
            *("messages", "CPU ms, told server", "CPU ms, each other"),
        ),
    )
    known_ms: list[float] = []
    told_ms: list[float] = []
    for size in sizes:
        async with meshed(size) as members:
            await asyncio.sleep(_SETTLING_S)
            began = await _all_figures(members)
            cpu_s = [cpu_seconds(each.process_id) for each in members]
            latencies = await _rounds(members[0], members[1:], rounds)
            used_s = [cpu_seconds(each.process_id) for each in members]
            ended = await _all_figures(members)
        costs = [
            (after - before) / rounds * 1000 for before, after in zip(cpu_s, used_s, strict=True)
        ]
        pushes = sum(_since(*each, "pushes") for each in zip(began, ended, strict=True))
        last = [max(each) for each in latencies]
        known_ms.append(percentile(last, 50))
        told_ms.append(costs[0])
        first_ms = percentile([min(each) for each in latencies], 50)
        row = (first_ms, known_ms[-1], percentile(last, 99), pushes / rounds)
        table.rows.append((f"{size} servers", (*row, costs[0], statistics.mean(costs[1:]))))
    table.notes += [
        "CPU: the HTTP of the clients and the exchanges of that time included",
        *plot("all answered, p50 ms", sizes, known_ms),
        *plot("CPU ms, told server", sizes, told_ms),
    ]
    return table


async def _snapshots(names: int) -> Table:
    """A server that joins, and has all to learn from one other."""
    table = Table(
        f"A newcomer learns what {_SNAPSHOT_ORIGINS} servers have touched, from one server; "
        f"{_SHARED}",
        (
            *("entries", "s until ready", "calls", "CPU s, newcomer", "CPU s, sender"),
            *("newcomer MB before", "peak MB", "MB after", "sender MB before", "peak MB "),
        ),
    )
    for kind, what in (("other", "keys of their own"), ("same", "the same keys")):
        filling = (kind, str(_SNAPSHOT_ORIGINS), str(names))
        row = await asyncio.to_thread(_snapshot, filling)
        table.rows.append((f"{_SNAPSHOT_ORIGINS} x {names:,}, {what}", row))
    return table


def _snapshot(filling: tuple[str, str, str]) -> tuple[float, ...]:
    sender_port, port, nobody = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        sender = started(stack, "sender", sender_port, [nobody], filling)
        before = asyncio.run(figures(sender))
        sender_mb = memory_bytes(sender.process_id) / 1e6
        empty = started(stack, "empty", nobody, [])
        empty_mb = memory_bytes(empty.process_id) / 1e6
        cpu_s = cpu_seconds(sender.process_id)
        newcomer = started(stack, "newcomer", port, [sender_port])
        learned = asyncio.run(figures(newcomer))
        if learned["nodes"] != before["nodes"]:
            raise CannotMeasure(f"the newcomer knows {learned['nodes']} of {before['nodes']} nodes")
        return (
            int(filling[1]) * int(filling[2]),
            learned["ready_s"],
            learned["mesh"]["exchanges"],
            cpu_seconds(newcomer.process_id),
            cpu_seconds(sender.process_id) - cpu_s,
            empty_mb,
            memory_peak_bytes(newcomer.process_id) / 1e6,
            memory_bytes(newcomer.process_id) / 1e6,
            sender_mb,
            memory_peak_bytes(sender.process_id) / 1e6,
        )


# ---- clients -------------------------------------------------------------------------------------


async def _rounds(told: Member, asked: Sequence[Member], rounds: int) -> list[list[float]]:
    """Milliseconds from each sending of an invalidation to the answer of each server asked."""
    teller = await connected(told)
    ears = [await connected(each) for each in asked]
    watch = await connected(asked[-1])
    members = {"clientId": "bench", "mode": "native", "hint": "poll"}
    await asyncio.sleep(0.3)  # what was told before is known everywhere
    news = [
        await ear.ask("POST", f"{BASE_PATH}/sync", members | {"known": {KEY: 0}}) for ear in ears
    ]
    found = []
    for _ in range(rounds):
        answers = []
        for ear, body in zip(ears, news, strict=True):
            answer = json.loads(body)
            request = {"cursor": answer["cursor"], "wait": _WAIT_MS}
            known = {KEY: answer["changed"][KEY]["version"]}
            answers.append(
                ear.ask("POST", f"{BASE_PATH}/sync", members | request | {"known": known})
            )
        held = 0
        while held != 1:
            held = json.loads(await watch.ask("GET", FIGURES_PATH))["waiters"]
        # Nothing that belongs to the round before is under way any more; no server has just worked.
        await asyncio.sleep(random.uniform(0.03, 0.05))
        if any(each.done() for each in answers):
            raise CannotMeasure("a sync was answered before anything was told")
        began_s = time.perf_counter()
        done = teller.ask("POST", f"{BASE_PATH}/invalidate", {"keys": [KEY]})
        news = [await each for each in answers]
        found.append([(ear.answered_s - began_s) * 1000 for ear in ears])
        await done
    for connection in (teller, watch, *ears):
        connection.close()
    return found


async def _all_figures(members: Sequence[Member]) -> list[Any]:
    return [await figures(each) for each in members]


def _since(before: Any, after: Any, figure: str) -> int:
    return int(after["mesh"][figure]) - int(before["mesh"][figure])
