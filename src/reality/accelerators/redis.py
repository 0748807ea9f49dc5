"""Hints through the pub/sub of Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from reality.accelerators.base import Channel, place, unavailable
from reality.errors import AcceleratorUnavailable, MissingDependency

try:
    import redis.asyncio as redis_asyncio
    from redis import Redis as BlockingRedis
    from redis import SSLConnection as BlockingSSLConnection
    from redis.asyncio.client import PubSub
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ImportError as error:
    raise MissingDependency("redis", extra="redis", needed_for="RedisAccelerator") from error

_TIMEOUT_S = 5.0
# How long one wait for a message takes; any length would do.
_WAIT_S = 30.0

# What of an application's connections is taken over; the rest is bound to its loop or flavour.
_OPTIONS = frozenset(
    ("host", "port", "path", "db", "username", "password", "credential_provider", "client_name")
)


class RedisAccelerator:
    """Hints by PUBLISH and SUBSCRIBE, on two connections of its own.

    Args:
        client_or_url: `redis://`, `rediss://` or `unix://`, or the application's `redis.Redis` or
            `redis.asyncio.Redis`. A client only tells how to connect: its own connections are
            never used, nor closed.
        channel: servers that should hear each other use the same. Channels are those of the whole
            Redis, whatever the database.

    Attributes:
        name: what errors and logs call it: channel and address.

    Raises:
        ValueError: this is neither such a URL nor such a client.
    """

    kind = "redis"

    def __init__(
        self,
        client_or_url: str | redis_asyncio.Redis | BlockingRedis,
        channel: str = "reality:updates",
    ) -> None:
        if not isinstance(channel, str) or not channel:
            raise ValueError(f"channel must be some text, got {channel!r}")
        self._channel = channel
        self._connection_class, self._options = _connecting(client_or_url)
        port = self._options.get("port", 6379)
        at = self._options.get("path") or f"{self._options.get('host', 'localhost')}:{port}"
        self.name = f"the Redis channel {channel!r} at {at}"

    async def connect(self) -> Channel:
        """See `Accelerator.connect`."""
        pool = redis_asyncio.ConnectionPool(
            connection_class=self._connection_class,
            # A driver that connects anew by itself would hide what was missed meanwhile.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            **self._options,
        )
        channel = _RedisChannel(redis_asyncio.Redis.from_pool(pool), self._channel, self.name)
        try:
            await channel.subscribe()
        except BaseException:
            await channel.close()
            raise
        return channel


class _RedisChannel:
    def __init__(self, client: redis_asyncio.Redis, channel: str, name: str) -> None:
        self._client = client
        self._pubsub: PubSub = client.pubsub()
        self._channel = channel
        self._name = name
        self._has_ended = False

    async def subscribe(self) -> None:
        with self._ending():
            await self._pubsub.subscribe(self._channel)
            if await self._pubsub.get_message(timeout=_TIMEOUT_S) is None:
                raise unavailable(self._name)

    async def publish(self, payload: bytes) -> None:
        with self._ending():
            await self._client.publish(self._channel, payload)

    async def receive(self) -> bytes:
        with self._ending():
            message = None
            while message is None:
                message = await self._pubsub.get_message(timeout=_WAIT_S)
            if message["type"] != "message":
                # Confirmed once more: the driver has connected anew by itself.
                raise unavailable(self._name)
            data: bytes = message["data"]
            return data

    async def close(self) -> None:
        self._has_ended = True
        with suppress(RedisError, OSError):
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        with suppress(RedisError, OSError):
            await self._client.aclose()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """The channel ends with the first failure; the driver would connect anew."""
        if self._has_ended:
            raise unavailable(self._name)
        try:
            yield
        except (RedisError, OSError, AcceleratorUnavailable) as error:
            self._has_ended = True
            if isinstance(error, AcceleratorUnavailable):
                raise
            raise unavailable(self._name, error) from error


def _connecting(
    client_or_url: str | redis_asyncio.Redis | BlockingRedis,
) -> tuple[type[redis_asyncio.connection.AbstractConnection], dict[str, Any]]:
    """How to connect: a connection's class, and its options."""
    pool: Any = getattr(client_or_url, "connection_pool", None)
    if isinstance(client_or_url, str):
        place(client_or_url)
        try:
            pool = redis_asyncio.ConnectionPool.from_url(client_or_url)
        except ValueError:  # whose words may have a part of the password
            raise ValueError(
                "the URL of RedisAccelerator must be redis://user:password@host:6379/0, rediss:// "
                "or unix://, with options as redis-py has them"
            ) from None
    # A client of a cluster has no such pool, one of Sentinel's knows no address by itself.
    if pool is None or hasattr(pool, "sentinel_manager"):
        raise ValueError(
            "RedisAccelerator takes a URL, a redis.Redis or a redis.asyncio.Redis, got "
            f"{type(client_or_url).__name__}: name the server itself"
        )
    given = pool.connection_kwargs
    options = {name: given[name] for name in given if name in _OPTIONS}
    if "path" in options:
        return redis_asyncio.UnixDomainSocketConnection, options
    if issubclass(pool.connection_class, (redis_asyncio.SSLConnection, BlockingSSLConnection)):
        options |= {name: given[name] for name in given if name.startswith("ssl_")}
        return redis_asyncio.SSLConnection, options
    return redis_asyncio.Connection, options
