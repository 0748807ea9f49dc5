"""What type checkers make of the public names. Checked by mypy (`make check`), never run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, assert_type

from sqlalchemy import create_engine

import reality
from reality import (
    AsyncRealityClient,
    Authorizer,
    Cors,
    DynamoDBStorage,
    KeyState,
    Limits,
    MemoryStorage,
    Meta,
    Node,
    RealityError,
    RealityServer,
    RedisStorage,
    ServerStatus,
    SQLAlchemyStorage,
    SQLiteStorage,
    SQLStorage,
    Stats,
    Storage,
    StorageError,
    Subscription,
    SyncRequest,
    SyncResponse,
    create_hash,
)

assert_type(reality.__version__, str)
assert_type(create_hash({"title": "Hello"}), str)


class Members:
    """An authorizer needs no base class."""

    async def may_read(self, headers: Mapping[str, str], keys: Collection[str]) -> Collection[str]:
        """Members see everything."""
        return keys if "cookie" in headers else ()


async def a_server() -> None:
    """Every verb of the server."""
    authorizer: Authorizer = Members()
    server = RealityServer(
        "one",
        storage=MemoryStorage(),
        token="a-long-token",
        authorizer=authorizer,
        cors=Cors(["https://example.com"], credentials=True),
        limits=Limits(keys_max=10),
    )
    RealityServer(cors=["https://example.com"])

    assert_type(await server.invalidate("posts", "chat:*"), dict[str, int])
    assert_type(await server.invalidate(["posts", "chat:*"]), dict[str, int])
    assert_type(await server.invalidate_many({"posts"}), dict[str, int])
    assert_type(await server.update_node("posts", create_hash([])), Node)
    assert_type(await server.delete_node("posts"), Node)
    assert_type(await server.get_node("posts"), Node | None)
    assert_type(server.stats(), Stats)
    assert_type(server.is_ready, bool)

    request = SyncRequest(known={"posts": 0}, client_id="c", mode="native", hint="mount")
    assert_type(await server.sync(request), SyncResponse)
    assert_type(await server.sync({"known": {}}), SyncResponse)
    SyncRequest(known={}, client_id="c", mode="native", hint="boredom")  # type: ignore[arg-type]


def a_blocking_server(server: RealityServer) -> None:
    """The blocking verbs give what the others give when awaited."""
    assert_type(server.blocking.invalidate("posts", ["chat:*"]), dict[str, int])
    assert_type(server.blocking.update_node("posts", "1f"), Node)
    assert_type(server.blocking.get_node("posts"), Node | None)
    assert_type(server.blocking.sync({"known": {}}), SyncResponse)


async def a_client() -> None:
    """Subscribing, watching and asking."""

    async def all_posts() -> list[str]:
        return []

    def one_post(key: str, meta: Meta) -> str:
        return f"{key}@{meta.version}"

    def show(state: KeyState[Any]) -> None:
        assert_type(state.is_loading, bool)
        assert_type(state.meta, Meta | None)

    async with AsyncRealityClient("http://localhost:3456") as client:
        assert_type(client, AsyncRealityClient)
        with client.subscribe("posts", show, fetcher=all_posts) as subscription:
            assert_type(subscription, Subscription)
        assert_type(subscription(), None)
        async for state in client.watch("post:1", fetcher=one_post):
            assert_type(state, KeyState[Any])
        assert_type(await client.sync_keys(["posts"]), dict[str, Meta])
        assert_type(await client.sync_all(), dict[str, Meta])
        assert_type(await client.invalidate("posts", remote=True), dict[str, int])
        assert_type(client.get_server_status(), list[ServerStatus])
        AsyncRealityClient("http://localhost:3456", live="always")  # type: ignore[arg-type]


def a_server_on_a_store(own: Storage) -> None:
    """A store, one of one's own, or a URL."""
    assert_type(RealityServer(storage=own), RealityServer)
    RealityServer(storage="sqlite:///reality.db")
    RealityServer(storage=SQLiteStorage("reality.db", busy_timeout_s=1.0))
    RealityServer(storage=SQLStorage(url="postgresql://localhost/app", table_name="reality"))
    RealityServer(storage=SQLAlchemyStorage(create_engine("sqlite:///reality.db")))
    RealityServer(storage=RedisStorage("redis://localhost", prefix="reality"))
    RealityServer(storage=DynamoDBStorage(table_name="reality", region_name="eu-west-1"))
    RealityServer(storage=7)  # type: ignore[arg-type]


def a_failing_store(error: StorageError) -> None:
    """Every failure of a store may pass."""
    assert_type(error.retryable, bool)


def a_failure(error: RealityError) -> None:
    """What every error tells."""
    assert_type(error.code, str)
    assert_type(error.status, int)
    assert_type(error.retryable, bool)
