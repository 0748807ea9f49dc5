"""Forks while another thread holds the server's lock; says what the child and the parent found."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any

from reality import MemoryStorage, RealityServer, SyncRequest

PARENT = os.getpid()
in_the_lock, go_on = threading.Event(), threading.Event()


def clock_ms() -> int:
    """The time; the parent's thread `slow` stops here, inside the lock, until it may go on."""
    if os.getpid() == PARENT and threading.current_thread().name == "slow":
        in_the_lock.set()
        go_on.wait()
    return time.time_ns() // 1_000_000


server = RealityServer("alpha", storage=MemoryStorage(clock_ms=clock_ms))


def request(known: int, cursor: str = "", *, wait: int = 0) -> SyncRequest:
    """A sync of the key `a`."""
    members: dict[str, Any] = {"cursor": cursor} if cursor else {}
    return SyncRequest(
        known={"a": known}, client_id="c", mode="native", hint="poll", wait=wait, **members
    )


async def held_and_woken(version: int) -> dict[str, Any]:
    """A sync held by the child's own loop, woken through the blocking server in a thread."""
    cursor = (await server.sync(request(version))).cursor
    held = asyncio.create_task(server.sync(request(version, str(cursor), wait=20_000)))
    while not server.stats().waiters:
        await asyncio.sleep(0)
    await asyncio.to_thread(server.blocking.invalidate, "a")
    response = await held
    return {"changed": list(response.changed), "reset": response.reset}


def child(version: int, cursor: str) -> dict[str, Any]:
    """What a client of the parent, and one of the child, are told by the child."""
    waiters = server.stats().waiters
    moved = server.blocking.sync(request(version, cursor))
    again = server.blocking.sync(request(moved.changed["a"].version, str(moved.cursor)))
    touched = server.blocking.invalidate("a")["a"]
    return {
        "origin": server.stats().origin,
        "waiters": waiters,
        "reset": moved.reset,
        "reset_again": again.reset,
        "changed_again": list(again.changed),
        "version_told": moved.changed["a"].version,
        "version_touched": touched,
        "held": asyncio.run(held_and_woken(touched)),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def main() -> None:
    """Fork with the lock taken and a sync held, and print both sides as JSON."""
    version = server.blocking.invalidate("a")["a"]
    cursor = str(server.blocking.sync(request(version)).cursor)
    waiting = threading.Thread(
        target=server.blocking.sync, args=(request(version, cursor, wait=20_000),), daemon=True
    )
    waiting.start()
    while not server.stats().waiters:
        pass
    # Not through the blocking server, whose loop would stand still with it.
    slow = threading.Thread(target=lambda: asyncio.run(touch("slow")), name="slow")
    slow.start()
    in_the_lock.wait()

    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(child(version, cursor)).encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = json.loads(pipe.read() or b"null")
    _, status = os.wait()
    go_on.set()
    slow.join()
    parent = {
        "origin": server.stats().origin,
        "waiters": server.stats().waiters,
        "version_touched": server.blocking.invalidate("a")["a"],
    }
    waiting.join()
    print(json.dumps({"child": told, "parent": parent, "version": version, "status": status}))


async def touch(name: str) -> None:
    """One touch, in a loop of its own."""
    await server.invalidate(name)


if __name__ == "__main__":
    main()
