"""What type checkers make of the public names. Checked by mypy (`make check`), never run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, assert_type

import reality
from reality import (
    AsyncRealityClient,
    Authorizer,
    Cors,
    KeyState,
    Limits,
    MemoryStorage,
    Meta,
    Node,
    RealityError,
    RealityServer,
    ServerStatus,
    Stats,
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


def a_failure(error: RealityError) -> None:
    """What every error tells."""
    assert_type(error.code, str)
    assert_type(error.status, int)
    assert_type(error.retryable, bool)
