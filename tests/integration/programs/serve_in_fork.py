"""Serves one port, forks a child that serves another, and asks both whether they are ready."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from reality import RealityServer
from tests.http import raw
from tests.support.hosting import hosted
from tests.support.processes import free_port


async def child(port: int, ready: int) -> None:
    """Serve until told to stop; say so when it has begun."""
    server = RealityServer("child")
    await server.start()
    async with hosted(server.asgi(), port=port):
        os.write(ready, b"!")
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()


async def parent() -> None:
    """Serve, and fork while a connection is open."""
    server = RealityServer("parent")
    await server.start()
    port = free_port()
    async with hosted(server.asgi()) as url:
        own_port = int(url.rpartition(":")[2])
        async with await raw.Connection.open(own_port) as connection:
            mine = (await connection.call("GET", "/reality/ready")).status
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                # The parent's loop is not the child's.
                asyncio._set_running_loop(None)
                asyncio.run(child(port, writing))
                os._exit(0)
            await asyncio.to_thread(os.read, reading, 1)
            theirs = (await raw.call(port, "GET", "/reality/ready")).status
            print(mine, theirs, flush=True)
            os.kill(pid, signal.SIGTERM)
            await asyncio.to_thread(os.waitpid, pid, 0)


if __name__ == "__main__":
    asyncio.run(parent())
