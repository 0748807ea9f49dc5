"""A process of the crowd at one store: a writer that invalidates, or a server whose clients wait.

    python -m tests.storage.crowd write URL COUNT SEED
    python -m tests.storage.crowd read URL

A writer prints each key once it is recorded; `?key` if nobody knows whether it is. A reader prints
`ready`, then is told on its standard input which versions there are in the end, and prints how its
client fared once it holds just these.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from typing import Any

from msgspec import UNSET

from reality import RealityServer
from reality.errors import RealityError
from reality.server.store_state import StoreState
from reality.storage.opening import open_storage

KEYS = tuple(f"board:{number}" for number in range(50))
CONCURRENCY = 16
WAIT_MS = 1_000
PATIENCE_S = 60.0


async def write(url: str, count: int, seed: int) -> None:
    """Invalidate so many keys, several at a time; a refused one again until it is taken."""
    draw = random.Random(seed)
    server = RealityServer(storage=url)
    left = iter([draw.choice(KEYS) for _ in range(count)])

    async def work() -> None:
        for key in left:
            while True:
                try:
                    await server.invalidate(key)
                except RealityError:
                    print(f"?{key}", flush=True)
                else:
                    print(key, flush=True)
                    break
                await asyncio.sleep(0.05)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    await server.stop()


class Client:
    """Syncs all keys, held, over and over; counts what it is told."""

    def __init__(self, server: RealityServer) -> None:
        self.server = server
        self.known = dict.fromkeys(KEYS, 0)
        self.cursor: Any = UNSET
        self.resets = self.failures = self.fallen = 0

    async def sync(self) -> None:
        """One sync, and what it tells."""
        request = {"known": self.known, "clientId": "c", "mode": "native", "hint": "poll"}
        request |= {"wait": WAIT_MS} | ({} if self.cursor is UNSET else {"cursor": self.cursor})
        try:
            response = await self.server.sync(request)
        except RealityError:
            self.failures += 1
            await asyncio.sleep(0.05)
            return
        self.cursor = response.cursor
        self.resets += response.reset
        for key, node in response.changed.items():
            self.fallen += node.version < self.known[key]
            self.known[key] = node.version


async def watch_log(url: str) -> int:
    """Follow the change log as it grows: no sequence before a smaller one, no touch left out."""
    storage = open_storage(url)
    at = (await storage.open()).head.position.sequence
    touches: dict[str, int] = {}
    seen = 0
    try:
        while True:
            try:
                changes = await storage.changes(at, limit=500)
            except RealityError:
                await asyncio.sleep(0.05)
                continue
            for logged in changes.batches:
                if logged.position.sequence <= at:
                    continue
                assert logged.position.sequence == at + 1, "a gap in the log"
                at += 1
                for touched in logged.touched:
                    before = touches.get(touched.name, touched.touches - 1)
                    assert touched.touches == before + 1, "a touch was counted twice, or not at all"
                    touches[touched.name] = touched.touches
                    seen += 1
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return seen
    finally:
        await storage.close()


async def read(url: str) -> None:
    """Serve one client until it knows what there is to know."""
    server = RealityServer(storage=url)
    client = Client(server)
    await client.sync()
    log = asyncio.create_task(watch_log(url))
    print("ready", flush=True)
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    while not told.done():
        await client.sync()
    expected = json.loads(told.result())
    async with asyncio.timeout(PATIENCE_S):
        while client.known != expected:
            await client.sync()
    log.cancel()
    logged = await log
    assert isinstance(server._state, StoreState)
    origin = server.stats().origin
    await server.stop()
    outcome = {
        "resets": client.resets,
        "failures": client.failures,
        "fallen": client.fallen,
        "logged": logged,
        "origin": origin,
    }
    print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    logging.disable()  # what fails here fails on purpose
    if sys.argv[1] == "write":
        asyncio.run(write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        asyncio.run(read(sys.argv[2]))
