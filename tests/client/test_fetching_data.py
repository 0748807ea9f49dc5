"""When a client fetches, against a real server over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reality import AsyncRealityClient, KeyState, Meta, RealityServer, create_hash
from tests.client.support import Recorder, Source, settled, until
from tests.support.hosting import hosted


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_first_load_fetches_exactly_once(is_known: bool) -> None:
    """A subscriber gets its data by one fetch, whether or not the server has heard of the key."""
    server, source = RealityServer(), Source()
    if is_known:
        await server.invalidate("posts")
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", fetcher=source):
            await settled(client, server)
            state = client.get_state("posts")

            assert state is not None
            assert (state.data, source.calls) == ("first", 1)


async def test_a_slow_first_answer_is_not_waited_for() -> None:
    """After 150 ms the data is fetched; the answer then makes it be fetched again (I1)."""
    server, source = RealityServer(), Source()
    answers = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answers.wait()
        await server.asgi()(scope, receive, send)

    async with hosted(slow) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", fetcher=source):
            await until(lambda: source.calls == 1)
            answers.set()
            await until(lambda: source.calls == 2)


async def test_a_touch_is_followed_by_a_fetch() -> None:
    """An invalidation on the server brings the new data to the subscriber."""
    server, source, seen = RealityServer(), Source(), list[KeyState[Any]]()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", seen.append, fetcher=source):
            await settled(client, server)
            source.value = "second"
            versions = await server.invalidate("posts")
            await until(lambda: seen[-1].data == "second")

            assert seen[-1].meta is not None
            assert seen[-1].meta.version == versions["posts"]
            assert source.calls == 2


async def test_a_pattern_reaches_the_keys_below_it() -> None:
    """An invalidated pattern refetches a key that was never touched by name."""
    server, source = RealityServer(), Source()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("chat:room:7", fetcher=source):
            await settled(client, server, "chat:room:7")
            await server.invalidate("chat:*")
            await until(lambda: source.calls == 2)


async def test_a_touch_during_a_fetch_is_not_lost() -> None:
    """I1: a fetch that was overtaken is followed by another, and the last data wins."""
    server, source = RealityServer(), Source()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", fetcher=source.fetch):
            await settled(client, server)
            source.gate.clear()
            source.value = "second"
            await server.invalidate("posts")
            await until(lambda: source.calls == 2)
            source.value = "third"
            version = (await server.invalidate("posts"))["posts"]
            await until(lambda: client.get_state("posts").meta.version == version)  # type: ignore[union-attr]
            assert source.calls == 2
            source.gate.set()
            await until(lambda: client.get_state("posts").data == "third")  # type: ignore[union-attr]

            assert source.calls == 3


async def test_a_failed_fetch_is_repeated() -> None:
    """A failure is shown, the key stays dirty, and a later success clears it."""
    server, source, seen = RealityServer(), Source(), list[KeyState[Any]]()
    source.failures_to_come = 2
    async with hosted(server.asgi()) as url:
        async with AsyncRealityClient(url, retry_base_delay=0.01) as client:
            with client.subscribe("posts", seen.append, fetcher=source):
                await until(lambda: seen and seen[-1].status == "idle")

            assert any(isinstance(state.error, ConnectionError) for state in seen)
            assert (seen[-1].data, seen[-1].error, source.calls) == ("first", None, 3)


async def test_equal_data_stays_the_same_object() -> None:
    """Data equal to what is held is dropped, so that nobody need render again."""
    server, source = RealityServer(), Source([{"id": 1}])
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", fetcher=source):
            await settled(client, server)
            held = client.get_state("posts").data  # type: ignore[union-attr]
            source.value = [{"id": 1}]
            await server.invalidate("posts")
            await until(lambda: source.calls == 2 and client.get_state("posts").status == "idle")  # type: ignore[union-attr]

            assert client.get_state("posts").data is held  # type: ignore[union-attr]


async def test_a_hash_of_the_data_held_saves_the_fetch() -> None:
    """A touch that announces the hash of the data held is no reason to fetch; another one is."""
    server, source = RealityServer(), Source({"title": "A"})
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts", fetcher=source):
            await settled(client, server)
            node = await server.update_node("posts", create_hash({"title": "A"}))
            await until(lambda: client.get_state("posts").meta.version == node.version)  # type: ignore[union-attr]
            assert source.calls == 1

            source.value = {"title": "B"}
            await settled(client, server)
            await server.update_node("posts", create_hash({"title": "B"}))
            await until(lambda: client.get_state("posts").data == {"title": "B"})  # type: ignore[union-attr]

            assert source.calls == 2


async def test_a_deletion_is_told_and_fetched_like_any_touch() -> None:
    """A deleted key is refetched, and its metadata says that it was deleted."""
    server, source = RealityServer(), Source()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        with client.subscribe("posts:1", fetcher=source):
            await settled(client, server, "posts:1")
            source.value = None
            await server.delete_node("posts:1")
            await until(lambda: source.calls == 2)
            state = client.get_state("posts:1")

            assert state is not None
            assert state.meta is not None
            assert state.meta.deleted


async def test_fetchers_take_what_they_ask_for() -> None:
    """A fetcher is called with nothing, the key, or the key and its metadata; plain or async."""
    server, calls = RealityServer(), dict[str, tuple[Any, ...]]()

    def nothing() -> None:
        calls["nothing"] = ()

    async def only_key(key: str) -> None:
        calls["key"] = (key,)

    async def both(key: str, meta: Meta) -> None:
        calls["both"] = (key, meta.version > 0)

    def optional(key: str, limit: int = 5) -> None:
        calls["optional"] = (key, limit)

    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("nothing", fetcher=nothing)
        client.subscribe("key", fetcher=only_key)
        client.subscribe("both", fetcher=both)
        await until(lambda: len(calls) == 3)

        assert calls == {"nothing": (), "key": ("key",), "both": ("both", True)}
        with pytest.raises(TypeError, match="at most"):
            client.subscribe("three", fetcher=lambda a, b, c: None)


async def test_two_subscribers_of_a_key_share_its_fetches() -> None:
    """A key is fetched once for all its subscribers, and kept until the last one leaves."""
    server, source, seen = RealityServer(), Source(), list[KeyState[Any]]()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        first = client.subscribe("posts", fetcher=source)
        second = client.subscribe("posts", seen.append)
        await settled(client, server)
        first()
        first()
        source.value = "second"
        await server.invalidate("posts")
        await until(lambda: seen and seen[-1].data == "second")
        second()

        assert source.calls == 2
        assert client.get_state("posts") is None


async def test_a_failing_subscriber_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception in one callback, plain or async, is logged; the others are called."""
    server, seen = RealityServer(), list[KeyState[Any]]()

    def broken(state: KeyState[Any]) -> None:
        raise RuntimeError("a bug in the application")

    async def broken_async(state: KeyState[Any]) -> None:
        raise RuntimeError("another bug")

    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", broken)
        client.subscribe("posts", broken_async)
        client.subscribe("posts", seen.append)
        await until(lambda: seen and server.stats().waiters == 1)
        await until(lambda: "another bug" in caplog.text)

    assert "a bug in the application" in caplog.text


async def test_watch_yields_what_is_complete() -> None:
    """`watch` yields the first data, then each change, and unsubscribes when it is left."""
    server, source = RealityServer(), Source()
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        seen = []
        async for state in client.watch("posts", fetcher=source):
            seen.append(state.data)
            if len(seen) == 2:
                break
            source.value = "second"
            await settled(client, server)
            await server.invalidate("posts")
        await until(lambda: server.stats().waiters == 0)

    assert seen == ["first", "second"]


async def test_a_key_without_a_fetcher_is_only_watched() -> None:
    """Without a fetcher each change of the metadata is told once."""
    server, seen = RealityServer(), list[KeyState[Any]]()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", seen.append)
        await settled(client, server)
        await server.invalidate("posts")
        await until(lambda: len(seen) == 2)

        assert [state.status for state in seen] == ["idle", "idle"]
        assert seen[0].meta is not None
        assert seen[1].meta is not None
        assert seen[1].meta.version == seen[0].meta.version + 1
