"""Servers with several worker processes: how they are started, and how each worker is met."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.http.raw import Connection
from tests.integration.worker_apps import STORE_VARIABLE
from tests.server.asking import PATIENCE_S
from tests.support.processes import free_port, serving

ROOT = Path(__file__).parents[2]

_GUNICORN = "-m gunicorn -k uvicorn.workers.UvicornWorker -b 127.0.0.1:{port} -w {workers}"
SERVERS: Mapping[str, str] = {
    "uvicorn": "-m uvicorn --port {port} --workers {workers}",
    "gunicorn": _GUNICORN,
    "gunicorn --preload": _GUNICORN + " --preload",
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} -w {workers}",
    "granian": "-m granian --interface asgi --port {port} --workers {workers}",
}


def command(kind: str, form: str, *, port: int, workers: int) -> list[str]:
    """What starts a server of a kind (see `SERVERS`) with a form of `worker_apps`."""
    arguments = SERVERS[kind].format(port=port, workers=workers).split()
    return [sys.executable, *arguments, f"tests.integration.worker_apps:{form}"]


def own_command(port: int, workers: int) -> list[str]:
    """What starts `serve_in_workers` with the form `alone`."""
    return [sys.executable, "-m", "tests.integration.worker_apps", str(port), str(workers)]


def environment(store: str | None = None, **more: str) -> dict[str, str]:
    """The variables that the applications look at."""
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return {"PYTHONPATH": path, STORE_VARIABLE: store or "memory://", **more}


@contextmanager
def serving_workers(
    kind: str, form: str, *, workers: int, store: str | None = None, **variables: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port and the process of a server, or `reality`'s own, until the block ends."""
    port = free_port()
    own = own_command(port, workers)
    with serving(
        own if kind == "reality" else command(kind, form, port=port, workers=workers),
        ready_url=f"http://127.0.0.1:{port}/reality/ready",
        environment=environment(store, **variables),
    ) as process:
        yield port, process


async def meet(port: int, workers: int) -> dict[int, Connection]:
    """A connection to each worker, by process id."""
    met: dict[int, Connection] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(met) < workers:
                try:
                    connection = await Connection.open(port)
                except OSError:  # the queue of a worker that was killed
                    continue
                try:
                    pid, _ = (await connection.call("GET", "/test/worker")).json()
                except (OSError, EOFError):
                    pid = 0
                if pid == 0 or pid in met:
                    await connection.close()
                else:
                    met[pid] = connection
    except BaseException:
        await leave(met)
        raise
    return met


async def leave(met: Mapping[int, Connection]) -> None:
    """Close the connections."""
    for connection in met.values():
        await connection.close()


async def until_all_hold(port: int, workers: int) -> None:
    """Wait until each worker holds a sync."""
    holding: set[int] = set()
    async with asyncio.timeout(PATIENCE_S):
        while len(holding) < workers:
            async with await Connection.open(port) as connection:
                pid, waiters = (await connection.call("GET", "/test/worker")).json()
                if waiters:
                    holding.add(pid)
