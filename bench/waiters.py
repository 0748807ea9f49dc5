"""How long after an invalidation the waiting clients know, and what a waiting client costs."""

from __future__ import annotations

import json
import statistics
from typing import Any

from bench import processes
from bench.apps import WAITERS_PATH
from bench.hosts import uvicorn
from bench.processes import PYTHON
from bench.report import Table, percentile
from tests.support.processes import free_port

# Clients and rounds.
_CROWDS = {1: 200, 100: 30, 2_000: 5}
_QUICK_CROWDS = {1: 50, 100: 5, 2_000: 1}
_SPARE_FILES = 100


def measure(*, is_quick: bool) -> list[Table]:
    """Latencies, and memory per held sync.

    Raises:
        CannotMeasure: the server did not start, or this machine allows too few open files.
    """
    crowds = _QUICK_CROWDS if is_quick else _CROWDS
    processes.allow_open_files(max(crowds) + _SPARE_FILES)
    table = Table(
        "Invalidation to answer, over HTTP: clients whose syncs one uvicorn worker holds, ended by "
        f"one invalidation; {processes.pinning()}",
        ("p50 ms", "p99 ms", "all answered ms", "rounds", "kB of server memory a waiter"),
    )
    for count, rounds in crowds.items():
        found = _crowd(count, rounds)
        latencies = [each for one in found["latencies_ms"] for each in one]
        table.rows.append(
            (
                f"{count:,} waiting",
                (
                    percentile(latencies, 50),
                    percentile(latencies, 99),
                    statistics.median(max(one) for one in found["latencies_ms"]),
                    rounds,
                    # One waiter is less than what memory is handed out by.
                    found["held_bytes"] / 1000 if count >= 100 else None,
                ),
            )
        )
    return [table]


def _crowd(count: int, rounds: int) -> Any:
    """What `bench.crowd` found with a fresh server."""
    port = free_port()
    with processes.started(uvicorn("observed", port), port, WAITERS_PATH) as process_id:
        asking = [*PYTHON, "-m", "bench.crowd", *map(str, (port, process_id, count, rounds))]
        return json.loads(processes.output(asking))
