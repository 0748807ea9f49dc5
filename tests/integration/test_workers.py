"""Several worker processes on one store: they answer alike, and wake each other's waiters."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http import raw
from tests.http.calling import BEARER, following, message
from tests.integration.worker_apps import USED_VARIABLE
from tests.integration.workers import leave, meet, serving_workers, until_all_hold
from tests.server.asking import LONG_WAIT_MS, PATIENCE_S
from tests.support.processes import free_port

WORKERS = 4
# Far below the wait; a busy machine needs some of it.
AT_ONCE_S = 5.0
ASKED = message("posts", "users")


@pytest.mark.parametrize(
    "kind", ["reality", "uvicorn", "gunicorn", "gunicorn --preload", "granian"]
)
async def test_a_touch_at_one_worker_wakes_waiters_of_all(kind: str, tmp_path: Path) -> None:
    """I1, I4: whichever worker is told, all waiters wake and hear the same version."""
    store = f"sqlite:///{tmp_path}/reality.db"
    with serving_workers(kind, "alone", workers=WORKERS, store=store) as (port, _):
        met = await meet(port, WORKERS)
        try:
            await wake_all(port, met)
        finally:
            await leave(met)


async def test_a_server_that_was_used_before_the_fork(tmp_path: Path) -> None:
    """I1, I4: a server used at import, under `gunicorn --preload`, serves in every worker."""
    used = {USED_VARIABLE: "1"}
    store = f"sqlite:///{tmp_path}/reality.db"
    with serving_workers("gunicorn --preload", "alone", workers=WORKERS, store=store, **used) as (
        port,
        _,
    ):
        met = await meet(port, WORKERS)
        try:
            told = [
                (await connection.post("/reality/sync", ASKED)).json()["changed"]
                for connection in met.values()
            ]
            assert [1] * WORKERS == [changed["posts"]["version"] for changed in told]
            await wake_all(port, met)
        finally:
            await leave(met)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_stop_ends_all_waits_and_workers(number: signal.Signals, tmp_path: Path) -> None:
    """What any worker holds is answered at once, and then all of them end, with status 0."""
    store = f"sqlite:///{tmp_path}/reality.db"
    with serving_workers("reality", "alone", workers=WORKERS, store=store) as (port, process):
        met = await meet(port, WORKERS)
        await hold(port, met)
        begun = asyncio.get_running_loop().time()
        process.send_signal(number)
        answers = [await connection.answer() for connection in met.values()]
        answered_s = asyncio.get_running_loop().time() - begun
        await leave(met)
        status = await asyncio.to_thread(process.wait, 20)
        await until_gone([*met])

    assert [(200, "1")] * WORKERS == [
        (answer.status, answer.headers["retry-after"]) for answer in answers
    ]
    assert answered_s < AT_ONCE_S
    assert 0 == status


async def test_a_worker_that_died_is_replaced(tmp_path: Path) -> None:
    """I1: the others serve on, and a new one soon serves beside them."""
    store = f"sqlite:///{tmp_path}/reality.db"
    with serving_workers("reality", "alone", workers=WORKERS, store=store) as (port, _):
        met = await meet(port, WORKERS)
        await leave(met)
        killed, *others = met
        os.kill(killed, signal.SIGKILL)
        await until_gone([killed])
        again = await meet(port, WORKERS)
        await leave(again)

    assert killed not in again
    assert set(others) < set(again)


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed leaves no worker behind that would go on serving."""
    store = f"sqlite:///{tmp_path}/reality.db"
    with serving_workers("reality", "alone", workers=WORKERS, store=store) as (port, process):
        met = await meet(port, WORKERS)
        await leave(met)
        process.kill()
        await until_gone([*met])


def test_workers_that_cannot_start_end_the_server() -> None:
    """Workers that die one after the other are an error, not a loop."""
    program = (
        "import os; from reality.http.serving import serve_in_workers\n"
        f"serve_in_workers(lambda: os._exit(3), workers=2, host='127.0.0.1', port={free_port()})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=40, check=False
    )

    assert 1 == ended.returncode
    assert "ended again as soon as it was started" in ended.stderr


async def hold(port: int, met: dict[int, raw.Connection]) -> None:
    """Have each worker hold a sync."""
    for connection in met.values():
        answer = await connection.post("/reality/sync", ASKED)
        request = following(ASKED, answer.json()) | {"wait": LONG_WAIT_MS}
        data = json.dumps(request).encode()
        await connection.send(raw.request("POST", "/reality/sync", data))
    await until_all_hold(port, len(met))


async def wake_all(port: int, met: dict[int, raw.Connection]) -> None:
    """Hold a sync in each worker, invalidate at one of them, and compare what all are told."""
    await hold(port, met)
    told = await raw.post(port, "/reality/invalidate", {"keys": ["users", "posts"]}, **BEARER)
    answers = await asyncio.gather(*(connection.answer() for connection in met.values()))

    versions = told.json()["versions"]
    for answer in answers:
        changed = answer.json()["changed"]
        assert versions == {key: node["version"] for key, node in changed.items()}
        assert not answer.json().get("reset")


async def until_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    async with asyncio.timeout(PATIENCE_S):
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for somebody to ask how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
