"""Hints through Redis: the contract, and how it is told where to connect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
import redis
import redis.asyncio as redis_asyncio

from reality import RedisAccelerator
from reality.accelerators.base import Accelerator
from reality.errors import AcceleratorUnavailable
from tests.accelerators.contract import AcceleratorContract
from tests.accelerators.observing import eventually, watching
from tests.server.asking import PATIENCE_S
from tests.support.redis_server import RedisServer

_numbers = count()


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    return redis_server


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    redis_server.start()
    return redis_server.url


@pytest.fixture
def channel_name() -> str:
    return f"reality:test-{next(_numbers)}"


@pytest.fixture
def new(url: str, channel_name: str) -> Callable[[], Accelerator]:
    return lambda: RedisAccelerator(url, channel_name)


class TestRedis(AcceleratorContract):
    pass


async def test_a_client_stays_the_applications(url: str, channel_name: str) -> None:
    """A client only tells how to connect: it is not closed, and closing it closes nothing here."""
    async with redis_asyncio.Redis.from_url(url, decode_responses=True) as client:
        channel = await RedisAccelerator(client, channel_name).connect()
        await client.publish(channel_name, "1")
        assert b"1" == await asyncio.wait_for(channel.receive(), PATIENCE_S)
        await channel.close()
        assert await client.ping()
        channel = await RedisAccelerator(client, channel_name).connect()
    await channel.publish(b"2")
    assert b"2" == await asyncio.wait_for(channel.receive(), PATIENCE_S)
    await channel.close()


async def test_a_blocking_client_will_do(redis_server: RedisServer, channel_name: str) -> None:
    """Address and password are taken from a `redis.Redis` too, over a socket file as well."""
    redis_server.start()
    for url in (redis_server.url, redis_server.unix_url):
        with redis.Redis.from_url(url) as client:
            channel = await RedisAccelerator(client, channel_name).connect()
            client.publish(channel_name, b"1")
            assert b"1" == await asyncio.wait_for(channel.receive(), PATIENCE_S)
            await channel.close()


async def test_a_connection_that_redis_ends(
    redis_server: RedisServer, new: Callable[[], Accelerator]
) -> None:
    """I5: a driver that would subscribe again by itself must not hide what was missed."""
    async with watching(new(), new()) as (one, other):
        redis_server.execute("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: one.rechecks == other.rechecks == 2)
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: other.told == [("store@a", 1)])


async def test_a_flush_changes_nothing(
    redis_server: RedisServer, new: Callable[[], Accelerator]
) -> None:
    """Nothing is kept there: after FLUSHALL hints arrive as before."""
    async with watching(new(), new()) as (one, other):
        redis_server.execute("FLUSHALL")
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: other.told == [("store@a", 1)])

        assert 0 == one.acceleration.stats().reconnects


async def test_a_wrong_password_is_told_without_it(redis_server: RedisServer) -> None:
    """A refusal names the channel and the address, never the password."""
    redis_server.start()
    accelerator = RedisAccelerator(f"redis://nobody:secret@127.0.0.1:{redis_server.port}")

    with pytest.raises(AcceleratorUnavailable, match="credentials") as refused:
        await accelerator.connect()
    assert "secret" not in str(refused.value) + accelerator.name


async def test_a_user_without_any_other_right(redis_server: RedisServer) -> None:
    """What docs/accelerators.md says that a user needs is enough, and what it says is needed is."""
    redis_server.start()
    rights = ("+publish", "+subscribe", "&reality:updates")
    redis_server.execute("ACL", "SETUSER", "hinter", "reset", "on", ">pass", *rights)
    accelerator = RedisAccelerator(f"redis://hinter:pass@127.0.0.1:{redis_server.port}")
    async with watching(accelerator, accelerator) as (one, other):
        one.acceleration.touched("store@a", 1)
        await eventually(lambda: other.told == [("store@a", 1)])
    redis_server.execute("ACL", "SETUSER", "hinter", "-subscribe")
    with pytest.raises(AcceleratorUnavailable):
        await accelerator.connect()
    redis_server.execute("ACL", "DELUSER", "hinter")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("http://h:1", "must be redis://"),
        ("redis://u:secret@x@h", "ambiguous"),
        ("redis://u:secret/x@h", "ambiguous"),
        ("redis://u:p@h:secret", "ambiguous"),
        (object(), "a URL, a redis.Redis or a redis.asyncio.Redis, got object"),
    ],
)
def test_what_cannot_be_is_refused(given: str, message: str) -> None:
    """A malformed URL or client is a ValueError that shows no password."""
    with pytest.raises(ValueError, match=message) as refused:
        RedisAccelerator(given)

    assert "secret" not in str(refused.value)
