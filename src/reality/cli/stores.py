"""Commands that work on a store without a server: show, new lineage, invalidate, schema."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from reality.core.changelog import Head, Opening
from reality.errors import StorageBusy, StorageError, StorageSchemaMissing, StorageUnavailable
from reality.server.server import RealityServer
from reality.storage.base import Storage
from reality.storage.memory import wall_clock_ms
from reality.storage.opening import open_storage

MEMORY_URL = "memory://"
# A store that takes longer to answer is taken for one that cannot be reached yet.
_CHECK_TIMEOUT_S = 5.0
_INTERRUPTED = 130

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run one of the commands below; Ctrl-C ends the process at once.

    A call that a locked database holds up cannot be cancelled. Stores bear that their process ends
    at any moment: what has been committed counts, the rest is undone.
    """
    before = signal.signal(signal.SIGINT, _end)
    try:
        return asyncio.run(work)
    finally:
        signal.signal(signal.SIGINT, before)


def _end(_signal: int, _frame: object) -> NoReturn:
    os._exit(_INTERRUPTED)


async def check(url: str) -> str | None:
    """Whether servers can work on a store: None, or why it cannot be reached yet.

    Raises:
        StorageError: it refuses, for a reason that waiting will not remove.
    """
    storage = open_storage(url)
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await storage.open()
            return None
    except TimeoutError:
        return f"{storage.name} does not answer"
    except (StorageUnavailable, StorageBusy) as error:
        return str(error)
    finally:
        await _close(storage)


async def opening(url: str) -> tuple[str, Opening]:
    """What a store is called, and where it stands."""
    async with _opened(url) as (storage, found):
        return storage.name, found


async def rotate(url: str, expected: str) -> Head:
    """Give the store a new lineage, above every version that the one of before can have had.

    Raises:
        StorageError: it failed, or another has rotated it meanwhile.
    """
    async with _opened(url) as (storage, found):
        if found.head.origin != expected:
            raise StorageError(
                f"{storage.name} has got another lineage meanwhile, {found.head.origin}: nothing "
                "was done here"
            )
        head = found.head
        register = max(wall_clock_ms(), head.register + head.touches)
        return await storage.rotate(head.origin, register=register)


async def invalidate(url: str, names: list[str]) -> dict[str, int]:
    """Touch keys and patterns straight in the store; servers notice. The keys' new versions."""
    async with _opened(url):
        pass
    server = RealityServer(storage=_existing(url))
    try:
        return await server.invalidate(names)
    finally:
        await server.stop()


def members(found: Opening) -> dict[str, Any]:
    """Where a store stands, as the members of a JSON object."""
    head = found.head
    return {
        "origin": head.origin,
        "position": head.position.sequence,
        "tag": head.position.tag,
        "register": head.register,
        "touches": head.touches,
        "logged": len(found.recent),
    }


def lines(name: str, found: Opening) -> list[str]:
    """Where a store stands, for people."""
    head = found.head
    return [
        name,
        f"origin    {head.origin}",
        f"position  {head.position.sequence} (tag {head.position.tag})",
        f"register  {head.register}",
        f"touches   {head.touches} in all",
        f"log       the last {len(found.recent)} batches",
        "schema    of this release",  # any other is refused by `open`
    ]


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[Storage, Opening]]:
    storage = _existing(url)
    try:
        yield storage, await _open(storage, url)
    finally:
        await _close(storage)


async def _open(storage: Storage, url: str) -> Opening:
    """What the store's `open` tells; nothing is made where there is no store."""
    try:
        if url.startswith(("redis:", "rediss:", "unix:", "valkey:", "valkeys:")):
            await _check_redis(storage, url)
        return await storage.open()
    except StorageSchemaMissing as error:
        raise StorageSchemaMissing(
            f"there is no store here, a server makes it (`reality serve --store ...`): {error}"
        ) from error


async def _check_redis(storage: Storage, url: str) -> None:
    """A store in Redis is made by whatever asks for it: look before asking."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from reality.storage.redis import RedisStorage
    from reality.storage.redis_errors import explained

    assert isinstance(storage, RedisStorage)
    client = Redis.from_url("redis" + url.removeprefix("valkey") if "valkey" in url[:6] else url)
    try:
        is_there = await client.exists(f"{{{storage.prefix}}}:store")
    except (RedisError, OSError) as error:
        raise explained(error, name=storage.name, prefix=storage.prefix) from error
    finally:
        await client.aclose()
    if not is_there:
        raise StorageSchemaMissing(f"{storage.name} has no keys")


def _existing(url: str) -> Storage:
    """The store; a typing error must not make an empty file and call it a success."""
    if url == MEMORY_URL:
        raise ValueError(
            "memory:// lives and dies with its server, no other process gets at it: name a store "
            "with --store, such as sqlite:////path/reality.db"
        )
    storage = open_storage(url, create=False)
    path = getattr(storage, "path", None)
    if isinstance(path, Path) and not path.exists():
        raise ValueError(f"there is no file {path}: a server makes it, `reality serve --store …`")
    return storage


async def _close(storage: Storage) -> None:
    """Close, or leave it to the end of the process if the store hangs."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await storage.close()
    except TimeoutError:
        return
