from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import redis

from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageUnavailable,
)
from reality.storage import redis as redis_module
from reality.storage.base import Hinting
from reality.storage.redis import RedisStorage
from reality.testing.model import batch
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer, opened

pytestmark = pytest.mark.slow

PARTS = ("store", "nodes", "order", "log", "tags")


@pytest.fixture
async def storage(redis_server: RedisServer, redis_prefix: str) -> AsyncIterator[RedisStorage]:
    async with opened(redis_server.url, redis_prefix) as storage:
        yield storage


# ---- failures ------------------------------------------------------------------------------------


async def test_wrong_credentials_are_denied(private_redis: RedisServer) -> None:
    """Wrong, unknown and missing passwords are denied, and never told."""
    private_redis.execute("CONFIG", "SET", "requirepass", "right")
    place = f"127.0.0.1:{private_redis.port}"
    for credentials in ("", ":wrong@", "nobody:wrong@"):
        storage = RedisStorage(f"redis://{credentials}{place}")
        for use in (storage.open(), storage.hinted()):
            with pytest.raises(StorageDenied) as caught:
                await use
            assert "wrong" not in f"{caught.value} {storage.name}"
            assert place in str(caught.value)
        await storage.close()
    async with opened(f"redis://:right@{place}", "reality") as storage:
        assert "right" not in storage.name


async def test_a_revoked_permission_is_denied_and_can_be_given_back(
    private_redis: RedisServer,
) -> None:
    """The permissions that the error names are enough; without them nothing is done."""
    url = f"redis://bob:pw@127.0.0.1:{private_redis.port}"
    private_redis.execute("ACL", "SETUSER", "bob", "on", ">pw")
    powerless = RedisStorage(url, prefix="p")
    with pytest.raises(StorageDenied) as caught:
        await powerless.open()
    await powerless.close()
    needed = str(caught.value).partition("its user needs ")[2].split()
    private_redis.execute("ACL", "SETUSER", "bob", *needed)
    async with opened(url, "p") as storage:
        before = (await storage.append([batch("a")])).head
        await storage.hinted()

        private_redis.execute("ACL", "SETUSER", "bob", "-@write")
        with pytest.raises(StorageDenied):
            await storage.append([batch("a")])
        assert {"a"} == (await storage.read(["a"])).keys()

        private_redis.execute("ACL", "SETUSER", "bob", "+@write", "-publish")
        assert before.position == (await storage.append([batch("a")])).after


async def test_a_write_stopped_half_way_is_no_store(private_redis: RedisServer) -> None:
    """I1: a user who may do some of the writes only cannot leave half a batch behind."""
    async with opened(private_redis.url, "p") as storage:
        before = (await storage.append([batch("a")])).head
        for command in ("zadd", "setrange"):
            private_redis.execute(
                "ACL", "SETUSER", "bob", "reset", "on", ">pw", "~*", "+@all", f"-{command}"
            )
            async with opened(f"redis://bob:pw@127.0.0.1:{private_redis.port}", "p") as other:
                with pytest.raises(StorageDenied):
                    await other.append([batch("b"), batch("a", "b")])
            after = (await storage.changes(1, limit=5)).head
            assert before.origin != after.origin
            before = (await storage.append([batch("a")])).head


async def test_a_full_server_is_full_until_it_has_room(private_redis: RedisServer) -> None:
    """At `maxmemory` nothing is recorded, reading goes on, and with room writing does."""
    async with opened(private_redis.url, "p") as storage:
        before = (await storage.append([batch("a")])).head
        private_redis.execute("CONFIG", "SET", "maxmemory", "1mb")

        with pytest.raises(StorageFull, match="maxmemory"):
            await storage.append([batch("a", "b")])
        assert before == (await storage.open()).head
        assert {"a"} == (await storage.read(["a", "b"])).keys()

        private_redis.execute("CONFIG", "SET", "maxmemory", "0")
        assert before.position == (await storage.append([batch("a", "b")])).after


async def test_a_server_that_cannot_save_is_full() -> None:
    """Once Redis failed to save, it refuses writes: nothing is recorded until it can."""
    with RedisServer(settings={"save": "3600 1000000"}) as server:
        async with opened(server.url, "p") as storage:
            before = (await storage.append([batch("a")])).head
            server.data.chmod(0o555)
            server.execute("BGSAVE")
            while "ok" == server.execute("INFO", "persistence")["rdb_last_bgsave_status"]:
                await asyncio.sleep(0.01)

            with pytest.raises(StorageFull, match="MISCONF"):
                await storage.append([batch("a")])

            server.data.chmod(0o777)
            server.execute("SAVE")
            assert before.position == (await storage.append([batch("a")])).after


async def test_a_busy_server_is_busy(private_redis: RedisServer) -> None:
    """While somebody's script keeps it busy, verbs say so; afterwards they work."""
    private_redis.execute("CONFIG", "SET", "busy-reply-threshold", "10")
    async with opened(private_redis.url, "p") as storage:
        endless = asyncio.to_thread(private_redis.execute, "EVAL", "while true do end", 0)
        task = asyncio.create_task(endless)
        with suppress(StorageBusy):
            while not task.done():
                await storage.read(["a"])
        with pytest.raises(StorageBusy):
            await storage.append([batch("a")])
        private_redis.execute("SCRIPT", "KILL")
        with pytest.raises(redis.ResponseError, match="killed"):
            await task
        await storage.append([batch("a")])


async def test_a_replica_is_denied(private_redis: RedisServer) -> None:
    """A replica cannot be written to; the error names the cure."""
    async with opened(private_redis.url, "p") as storage:
        await storage.append([batch("a")])
        private_redis.execute("REPLICAOF", "127.0.0.1", free_port())

        with pytest.raises(StorageDenied, match="primary"):
            await storage.append([batch("a")])
        assert {"a"} == (await storage.read(["a"])).keys()


@pytest.mark.parametrize("part", PARTS)
async def test_keys_of_another_use_are_left_alone(
    redis_server: RedisServer, redis_prefix: str, part: str
) -> None:
    """A key of another type makes every verb refuse, and stays as it is."""
    key = f"{{{redis_prefix}}}:{part}"
    redis_server.execute("LPUSH", key, "theirs")
    storage = RedisStorage(redis_server.url, prefix=redis_prefix)
    for use in (storage.open(), storage.append([batch("a")]), storage.changes(0, limit=1)):
        with pytest.raises(StorageSchemaMismatch, match="prefix of its own"):
            await use
    assert [b"theirs"] == redis_server.execute("LRANGE", key, 0, -1)
    assert [key.encode()] == redis_server.execute("KEYS", f"{{{redis_prefix}}}*")
    await storage.close()


@pytest.mark.parametrize("fields", [("schema", "2"), ("anything", "theirs")])
async def test_a_newer_schema_is_refused_and_left_alone(
    redis_server: RedisServer, redis_prefix: str, fields: tuple[str, str]
) -> None:
    """What a newer release made, or another program, is neither used nor dropped."""
    redis_server.execute("HSET", f"{{{redis_prefix}}}:store", *fields)
    storage = RedisStorage(redis_server.url, prefix=redis_prefix)
    for use in (storage.open(), storage.append([batch("a")]), storage.read(["a"])):
        with pytest.raises(StorageSchemaMismatch, match="newer release"):
            await use
    field, value = (text.encode() for text in fields)
    assert {field: value} == redis_server.execute("HGETALL", f"{{{redis_prefix}}}:store")
    await storage.close()


async def test_a_server_that_does_not_answer_is_unavailable(redis_prefix: str) -> None:
    """Nothing hangs: an answer that does not come is waited for some seconds only."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    storage = RedisStorage(f"redis://127.0.0.1:{port}?socket_timeout=0.1", prefix=redis_prefix)

    with pytest.raises(StorageUnavailable):
        await storage.append([batch("a")])

    await storage.close()
    silent.close()
    await silent.wait_closed()
    assert 5 == RedisStorage("redis://")._options["socket_timeout"]


async def test_an_append_is_never_repeated(redis_server: RedisServer, redis_prefix: str) -> None:
    """An append whose answer got lost was done once; it is not tried again."""
    calls = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what is sent; break once an append has been answered."""
        nonlocal calls
        to_redis, from_redis = [], await asyncio.open_connection("127.0.0.1", redis_server.port)
        back, forth = from_redis
        while data := await reader.read(65_536):
            to_redis.append(data)
            forth.write(data)
            answer = await back.read(65_536)
            if b"twice?" in data:
                calls += 1
                break
            writer.write(answer)
        forth.close()
        writer.close()

    between = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = between.sockets[0].getsockname()[1]
    async with opened(f"redis://127.0.0.1:{port}", redis_prefix) as storage:
        await storage.append([batch("a")])

        with pytest.raises(StorageUnavailable):
            await storage.append([batch("twice?")])

        assert 1 == calls
        # Reading tries once more: it does not matter that the connection was lost.
        assert 2 == (await storage.open()).head.position.sequence
    between.close()
    await between.wait_closed()


async def test_eviction_is_warned_of_once(
    private_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that may evict keys is reported once, with what to set; nothing fails of it."""
    private_redis.execute("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING, "reality.storage"):
        async with opened(private_redis.url, "p") as storage:
            await asyncio.gather(storage.open(), storage.open())
    [record] = caplog.records
    assert "noeviction" in record.getMessage()
    assert storage.name in record.getMessage()


# ---- hints ---------------------------------------------------------------------------------------


async def test_another_process_is_heard(redis_server: RedisServer, storage: RedisStorage) -> None:
    """I5: `hinted` returns once when it has connected, then after each append of another."""
    assert isinstance(storage, Hinting)
    await asyncio.wait_for(storage.hinted(), 5)
    for _ in range(3):
        waiting = asyncio.create_task(storage.hinted())
        async with opened(redis_server.url, storage.prefix) as other:
            assert not waiting.done()
            await other.append([batch("a"), batch("b")])
        await asyncio.wait_for(waiting, 5)


async def test_many_hints_are_one(redis_server: RedisServer, storage: RedisStorage) -> None:
    """I5: hints that came while nobody waited are told once."""
    await storage.hinted()
    for _ in range(30):
        await storage.append([batch("a")])
    await storage.hinted()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(storage.hinted(), 0.05)


async def test_a_lost_subscription_is_told_and_made_anew(
    redis_server: RedisServer, storage: RedisStorage
) -> None:
    """I5: its loss raises `StorageUnavailable`; connected again, `hinted` returns at once."""
    await storage.hinted()
    waiting = asyncio.create_task(storage.hinted())
    await asyncio.sleep(0)
    redis_server.stop()
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(StorageUnavailable):
        await storage.hinted()

    redis_server.start()

    await asyncio.wait_for(storage.hinted(), 5)
    waiting = asyncio.create_task(storage.hinted())
    await storage.append([batch("a")])
    await asyncio.wait_for(waiting, 5)


async def test_a_killed_connection_is_made_anew(
    redis_server: RedisServer, storage: RedisStorage
) -> None:
    """I5: if only the subscription's connection breaks, the next calls tell, then hear again."""
    await storage.hinted()
    waiting = asyncio.create_task(storage.hinted())
    await asyncio.sleep(0)
    redis_server.execute("CLIENT", "KILL", "TYPE", "pubsub")
    with suppress(StorageError):
        await asyncio.wait_for(waiting, 5)
        pytest.fail("a lost connection was not told")

    await asyncio.wait_for(storage.hinted(), 5)
    waiting = asyncio.create_task(storage.hinted())
    await storage.append([batch("a")])
    await asyncio.wait_for(waiting, 5)


async def test_a_cancelled_wait_keeps_the_subscription(
    redis_server: RedisServer, storage: RedisStorage
) -> None:
    """I5: what is appended between two waits is told by the second; connections do not grow."""
    channel = f"{{{storage.prefix}}}:appended"
    await storage.hinted()
    for _ in range(5):
        waiting = asyncio.create_task(storage.hinted())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await storage.append([batch("a")])
        await asyncio.wait_for(storage.hinted(), 5)

        assert 1 == redis_server.execute("PUBSUB", "NUMSUB", channel)[1]


async def test_closing_ends_a_wait(redis_server: RedisServer, redis_prefix: str) -> None:
    """A wait that `close` overtakes ends, and leaves no connection behind."""
    async with opened(redis_server.url, redis_prefix) as storage:
        await storage.hinted()
        waiting = asyncio.create_task(storage.hinted())
        await asyncio.sleep(0)
        await storage.close()
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(waiting, 5)
    count = redis_server.execute("PUBSUB", "NUMSUB", f"{{{redis_prefix}}}:appended")[1]
    while count:
        count = redis_server.execute("PUBSUB", "NUMSUB", f"{{{redis_prefix}}}:appended")[1]


async def test_a_silent_subscription_is_made_anew(
    redis_server: RedisServer, storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I5: one that heard nothing for long may be cut off unknowingly: `hinted` returns, renews."""
    monkeypatch.setattr(redis_module, "_SILENCE_S", 0.01)
    await asyncio.wait_for(storage.hinted(), 5)
    await asyncio.wait_for(storage.hinted(), 5)

    monkeypatch.undo()
    await asyncio.wait_for(storage.hinted(), 5)
    waiting = asyncio.create_task(storage.hinted())
    await storage.append([batch("a")])
    await asyncio.wait_for(waiting, 5)
    channel = f"{{{storage.prefix}}}:appended"
    assert 1 == redis_server.execute("PUBSUB", "NUMSUB", channel)[1]
