"""Servers of a mesh, each in a process of its own: started, connected to, asked what they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.crowd import Connection
from bench.member import FIGURES_PATH, url_of
from bench.processes import ENVIRONMENT, PYTHON
from bench.report import CannotMeasure
from tests.support.processes import free_port, serving

# One that knows much, or has much to learn, takes its time.
_START_S = 300.0


@dataclass
class Member:
    """A server that runs."""

    port: int
    process_id: int


async def connected(member: Member) -> Connection:
    """A connection to a server."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", member.port)
    return connection


async def figures(member: Member) -> Any:
    """What a server has done."""
    connection = await connected(member)
    found = json.loads(await connection.ask("GET", FIGURES_PATH))
    connection.close()
    return found


@asynccontextmanager
async def meshed(size: int) -> AsyncIterator[list[Member]]:
    """So many servers that know each other; with 0, one by itself."""
    ports = [free_port() for _ in range(max(1, size))]
    with ExitStack() as stack:
        members = [
            await asyncio.to_thread(
                started,
                stack,
                f"s{number}",
                port,
                [each for each in ports if size and each != port],
            )
            for number, port in enumerate(ports)
        ]
        yield members


def started(
    stack: ExitStack, name: str, port: int, peers: Sequence[int], filling: Sequence[str] = ()
) -> Member:
    """A server, once it is ready.

    Raises:
        CannotMeasure: it did not start.
    """
    command = [*PYTHON, "-m", "bench.member", name, str(port), ",".join(map(str, peers)), *filling]
    try:
        process = stack.enter_context(
            serving(
                command,
                ready_url=url_of(port) + FIGURES_PATH,
                environment=ENVIRONMENT,
                timeout_s=_START_S,
            )
        )
    except (OSError, RuntimeError) as error:
        raise CannotMeasure("\n".join([str(error), *getattr(error, "__notes__", [])])) from error
    return Member(port, process.pid)
