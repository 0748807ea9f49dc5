"""A store in Redis or Valkey: one Lua script a verb, all keys under one hash tag.

Lineage, sequence and nodes live and die together. Redis may lose a part of what it was given (an
eviction, an expiry, an operator's DEL), or come back empty. Every script first checks, in constant
time, that all parts are there and fit each other; if not, it drops what is left and begins a new
store, whose origin tells every server. What is where: `redis_scripts/store.lua`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import struct
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from reality.core.changelog import (
    LOG_SEQUENCES_KEPT,
    Appended,
    Batch,
    Changes,
    Head,
    Listing,
    Logged,
    Opening,
)
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.errors import MissingDependency
from reality.storage import redis_scripts
from reality.storage.base import SHARED_AND_DURABLE, draw_lineage, draw_store_id, draw_tag
from reality.storage.opening import check_url, shown
from reality.storage.process import renew_after_fork
from reality.storage.redis_errors import explained, is_lost_connection

try:
    import redis.asyncio as redis_asyncio
    from redis import Redis as BlockingRedis
    from redis import SSLConnection as BlockingSSLConnection
    from redis.asyncio.client import PubSub
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ImportError as error:
    raise MissingDependency("redis", extra="redis", needed_for="RedisStorage") from error

_SCHEMA = 1
_PARTS = ("store", "nodes", "order", "log", "tags")
_TIMEOUT_S = 5.0
_CONNECTIONS_MAX = 8
# Of one answer to `changes`, about.
_CHANGES_BYTES_MAX = 4 * 1024 * 1024
# A subscription that heard nothing for so long may be cut off without knowing: it is made anew.
_SILENCE_S = 30.0
_HINTS_TAKEN_MAX = 100

_log = logging.getLogger("reality.storage")

# What of an application's connections is taken over; the rest is bound to its loop or flavour.
_OPTIONS = frozenset(
    (
        *("host", "port", "path", "db", "username", "password", "credential_provider"),
        *("client_name", "socket_timeout", "socket_connect_timeout"),
        *("socket_keepalive", "socket_keepalive_options", "socket_type"),
    )
)
_TLS_OPTIONS = frozenset(
    name
    for name in inspect.signature(redis_asyncio.SSLConnection).parameters
    if name.startswith("ssl_")
)

_Node = tuple[int, int, str, int, bool]
_Fields = tuple[int, int, str, int, bool, list[str]]
_head = msgspec.msgpack.Decoder(tuple[str, str, int, int, int, int])
_appended = msgspec.msgpack.Decoder(
    tuple[tuple[str, str, int, int, int, int], tuple[int, int], list[list[int]]]
)
_entries = msgspec.msgpack.Decoder(list[tuple[int, list[int], _Fields]])
_nodes = msgspec.msgpack.Decoder(list[_Node | None])
_listed = msgspec.msgpack.Decoder(list[tuple[str, _Node]])
_pack = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class _Session:
    """Connections of one process and event loop, and what was registered on them."""

    client: redis_asyncio.Redis
    loop: asyncio.AbstractEventLoop
    scripts: dict[str, Any]
    subscription: PubSub | None = None


# A child holds on to the connections it inherited. To let go of them would close them, and take
# them out of the selector that it shares with its parent, which then waits for ever.
_inherited: list[_Session] = []


class RedisStorage:
    """Keeps everything in one Redis or Valkey, in five keys: `{reality}:store` and so on.

    Set `maxmemory-policy noeviction`, and `appendonly yes` for it to survive a restart: a Redis
    that comes back empty is a new store, which resets all clients.

    Args:
        client_or_url: `redis://`, `rediss://` or `unix://`, or the application's `redis.Redis` or
            `redis.asyncio.Redis`. A client only tells how to connect: its own connections are
            never used, nor closed.
        prefix: what the keys begin with, in braces; stores with different ones do not meet.

    Attributes:
        name: what errors and logs call it: prefix, address and database.
        prefix: as given.
    """

    capabilities = SHARED_AND_DURABLE
    feed_interval_s = 1.0

    def __init__(
        self,
        client_or_url: str | redis_asyncio.Redis | BlockingRedis,
        *,
        prefix: str = "reality",
    ) -> None:
        if not prefix or set(prefix) & set("{}"):
            raise ValueError(f"prefix must be some text without braces, got {prefix!r}")
        if isinstance(client_or_url, str):
            check_url(client_or_url)
        try:
            self._options, self._connection_class = _connecting(client_or_url)
        except ValueError:
            if not isinstance(client_or_url, str):
                raise
            # Of redis-py, whose words may have a part of the password.
            raise ValueError(
                f"{shown(client_or_url)!r} is no URL of a Redis: write "
                "redis://user:password@host:6379/0, rediss:// or unix://, with options as redis-py "
                "has them"
            ) from None
        self.prefix = prefix
        self._keys = [f"{{{prefix}}}:{part}" for part in _PARTS]
        self._channel = f"{{{prefix}}}:appended"
        place = self._options.get("path") or "{}:{}".format(
            self._options.get("host", "localhost"), self._options.get("port", 6379)
        )
        self.name = f"the Redis store {prefix!r} at {place}, database {self._options.get('db', 0)}"
        self._session: _Session | None = None
        self._warned = False
        renew_after_fork(self, RedisStorage._after_fork)

    async def open(self) -> Opening:
        """See `Storage.open`."""
        packed, ring = await self._call("open", b"", once_more=True)
        await self._check_policy()
        head = _read_head(packed)
        tags = struct.unpack(f">{len(ring) // 4}I", ring)
        sequence = head.position.sequence
        recent = range(sequence - len(tags) + 1, sequence + 1)
        return Opening(
            head, tuple(Position(each, tags[(each - 1) % LOG_SEQUENCES_KEPT]) for each in recent)
        )

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        fields: list[_Fields] = [
            (draw_tag(), b.touches_min, b.hash, b.updated_at, b.deleted, list(b.names))
            for b in batches
        ]
        answer = await self._call("append", b"".join(map(_pack, fields)))
        (store_id, lineage, sequence, tag, register, total), before, touches = _appended.decode(
            answer
        )
        head = Head(store_id, lineage, Position(sequence, tag), register, total)
        first = before[0] + 1
        logged = (_logged(first + at, each, touches[at]) for at, each in enumerate(fields))
        return Appended(head, Position(*before), tuple(logged))

    async def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        packed, *rest = await self._call(
            "changes", _pack((after, limit, _CHANGES_BYTES_MAX)), once_more=True
        )
        if not rest:
            return Changes(_read_head(packed), ())
        tag, entries = rest
        start = (Logged(Position(after, tag), ()),) if after else ()
        logged = (
            _logged(sequence, fields, touches)
            for sequence, touches, fields in _entries.decode(entries)
        )
        return Changes(_read_head(packed), (*start, *logged))

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        names = list(names)
        nodes = _nodes.decode(await self._call("read", _pack(names), once_more=True))
        return {
            name: _touched(name, node)
            for name, node in zip(names, nodes, strict=True)
            if node is not None
        }

    async def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        listed, more = await self._call("scan", _pack((after, limit)), once_more=True)
        touched = (_touched(name, node) for name, node in _listed.decode(listed))
        return Listing(tuple(touched), more=bool(more))

    async def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        return _read_head(await self._call("rotate", _pack((expected, register))))

    async def hinted(self) -> None:
        """See `Hinting.hinted`."""
        session = self._ours()
        if session.subscription is None:
            session.subscription = session.client.pubsub()
        subscription = session.subscription
        try:
            if not subscription.subscribed:
                await subscription.subscribe(self._channel)
            # The first message says that the subscription stands: from now on nothing is missed.
            if await subscription.get_message(timeout=_SILENCE_S) is None:
                await self._unsubscribe(session)
            for _ in range(_HINTS_TAKEN_MAX):
                _end_if_cancelled()
                if session.subscription is None or not await subscription.get_message(timeout=0):
                    return
        except (RedisError, OSError) as error:
            await self._unsubscribe(session)
            if session is not self._session:  # `close` came between, and the driver reconnected
                await session.client.aclose()
            raise explained(error, name=self.name, prefix=self.prefix) from error

    async def close(self) -> None:
        """See `Storage.close`."""
        session, self._session = self._session, None
        if session is None or session.loop is not asyncio.get_running_loop():
            return
        await self._unsubscribe(session)
        with suppress(RedisError, OSError):
            await session.client.aclose()

    async def _call(self, verb: str, arguments: bytes, *, once_more: bool = False) -> Any:
        """Run a script. Only one that may run twice may be asked for once more."""
        script = self._ours().scripts[verb]
        common = (_SCHEMA, LOG_SEQUENCES_KEPT, self._channel, draw_store_id(), draw_lineage())
        try:
            answer = await script(keys=self._keys, args=(_pack(common), arguments))
            _end_if_cancelled()
            return answer
        except (RedisError, OSError) as error:
            if once_more and is_lost_connection(error):
                return await self._call(verb, arguments)
            raise explained(error, name=self.name, prefix=self.prefix) from error

    def _ours(self) -> _Session:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            pool = redis_asyncio.BlockingConnectionPool(
                connection_class=self._connection_class,
                max_connections=_CONNECTIONS_MAX,
                timeout=_TIMEOUT_S,
                # An append whose answer was lost may have been done: it is never repeated here.
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                **self._options,
            )
            client = redis_asyncio.Redis.from_pool(pool)
            scripts = {
                verb: client.register_script(redis_scripts.source(verb))
                for verb in redis_scripts.VERBS
            }
            self._session = _Session(client, loop, scripts)
        return self._session

    @staticmethod
    async def _unsubscribe(session: _Session) -> None:
        subscription, session.subscription = session.subscription, None
        if subscription is not None:
            with suppress(RedisError, OSError):
                await subscription.aclose()  # type: ignore[no-untyped-call]

    def _after_fork(self) -> None:
        if self._session is not None:
            _inherited.append(self._session)
            self._session = None

    async def _check_policy(self) -> None:
        if self._warned:
            return
        with suppress(RedisError, OSError):
            found = await self._ours().client.config_get("maxmemory-policy")
            policy = next(iter(found.values()), "noeviction")
            policy = policy.decode() if isinstance(policy, bytes) else policy
            if policy != "noeviction" and not self._warned:
                self._warned = True
                _log.warning(
                    "%s may evict its keys (maxmemory-policy is %s), which resets all clients: "
                    "set maxmemory-policy noeviction",
                    self.name,
                    policy,
                )


def _connecting(
    client_or_url: str | redis_asyncio.Redis | BlockingRedis,
) -> tuple[dict[str, Any], type[redis_asyncio.connection.AbstractConnection]]:
    """How to connect: a connection's options, and its class."""
    if isinstance(client_or_url, str):
        pool: Any = redis_asyncio.ConnectionPool.from_url(client_or_url)
    else:
        pool = getattr(client_or_url, "connection_pool", None)
        # A client of a cluster has no such pool, one of Sentinel's knows no address by itself.
        if pool is None or hasattr(pool, "sentinel_manager"):
            raise ValueError(
                "RedisStorage takes a URL, a redis.Redis or a redis.asyncio.Redis, "
                f"got {type(client_or_url).__name__}: name the server itself"
            )
    given: Mapping[str, Any] = pool.connection_kwargs
    options = {name: given[name] for name in given.keys() & (_OPTIONS | _TLS_OPTIONS)}
    for timeout in ("socket_timeout", "socket_connect_timeout"):
        options[timeout] = options.get(timeout) or _TIMEOUT_S
    if "path" in options:
        return options, redis_asyncio.UnixDomainSocketConnection
    if issubclass(pool.connection_class, (redis_asyncio.SSLConnection, BlockingSSLConnection)):
        return options, redis_asyncio.SSLConnection
    return {name: options[name] for name in options.keys() - _TLS_OPTIONS}, redis_asyncio.Connection


def _read_head(packed: bytes) -> Head:
    store_id, lineage, sequence, tag, register, touches = _head.decode(packed)
    return Head(store_id, lineage, Position(sequence, tag), register, touches)


def _touched(name: str, node: _Node) -> Touched:
    touches, sequence, hash, updated_at, deleted = node
    return Touched(name, sequence, touches, hash, updated_at, deleted)


def _logged(sequence: int, fields: _Fields, touches: Sequence[int]) -> Logged:
    tag, _, hash, updated_at, deleted, names = fields
    return Logged(
        Position(sequence, tag),
        tuple(
            Touched(name, sequence, count, hash, updated_at, deleted)
            for name, count in zip(names, touches, strict=True)
        ),
    )


def _end_if_cancelled() -> None:
    """Be cancelled now, if that was asked for while the driver sent.

    `asyncio.wait_for`, which the driver sends with, forgets about it up to Python 3.11 if the
    sending has just succeeded; whoever cancelled would wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
