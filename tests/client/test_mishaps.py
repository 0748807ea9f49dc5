"""What goes wrong around a client does not stop it: hooks, fetchers, outages, late comers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from msgspec import UNSET

from reality import AsyncRealityClient, KeyState, RealityServer, create_hash
from reality.core.messages import ChangedNode
from reality.core.urls import base_url
from reality.errors import Closed, ServerUnavailable
from tests.client.support import Recorder, Source, settled, until
from tests.support.hosting import hosted
from tests.support.processes import free_port


async def test_a_hook_that_raises_is_a_failed_sync() -> None:
    """I1: an exception of the caller's HTTP client is shown, and the next attempt follows."""
    server, source, requests = RealityServer(), Source(), 0

    async def hook(request: object) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            raise KeyError("a bug in a hook")

    async with (
        hosted(server.asgi()) as url,
        httpx2.AsyncClient(event_hooks={"request": [hook]}) as http,
        AsyncRealityClient(url, http=http, max_retries=0) as client,
    ):
        seen = list[KeyState[Any]]()
        client.subscribe("posts", seen.append, fetcher=source)
        await until(lambda: any(isinstance(state.error, ServerUnavailable) for state in seen))
        await settled(client, server)
        await server.invalidate("posts")
        await until(lambda: source.calls == 2)


async def test_who_comes_late_is_told_where_the_key_stands() -> None:
    """A later callback, or `watch`, of a key that is fresh does not wait for its next change."""
    server, source, seen = RealityServer(), Source(), list[KeyState[Any]]()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", fetcher=source)
        await settled(client, server)
        client.subscribe("posts", seen.append)
        await until(lambda: seen)
        watched = await asyncio.wait_for(anext(client.watch("posts")), 5)

        assert seen[0].data == watched.data == "first"
        assert source.calls == 1


@pytest.mark.parametrize("kind", ["cancelled", "stop iteration"])
async def test_a_fetcher_that_ends_oddly_has_failed(kind: str) -> None:
    """A cancelled wait inside a fetcher, or a stray StopIteration, is a failure like any other."""
    server, calls = RealityServer(), 0

    async def cancelled() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task
        return "data"

    def stopped() -> str:
        nonlocal calls
        calls += 1
        return next(iter(() if calls == 1 else ("data",)))

    fetcher: Any = cancelled if kind == "cancelled" else stopped
    async with hosted(server.asgi()) as url:
        async with AsyncRealityClient(url, max_fetches=1, retry_base_delay=0.01) as client:
            client.subscribe("posts", fetcher=fetcher)
            await until(lambda: client.get_state("posts").data == "data")  # type: ignore[union-attr]


async def test_an_outage_is_told_once() -> None:
    """The same failure, met again and again, is one change of state."""
    seen = list[KeyState[Any]]()
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncRealityClient(url, max_retries=0, retry_base_delay=0.001) as client:
        client.subscribe("posts", seen.append)
        await until(lambda: client.get_server_status()[0].failures > 5)

        assert len([state for state in seen if state.error is not None]) == 1


async def test_a_key_that_nobody_has_answered_for_is_not_fresh() -> None:
    """Without a fetcher too, a key is `loading` until a server has answered."""
    server, answers, seen = RealityServer(), asyncio.Event(), list[KeyState[Any]]()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answers.wait()
        await server.asgi()(scope, receive, send)

    async with hosted(slow) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", seen.append)
        await asyncio.sleep(0.3)  # longer than a fetch would wait for the answer
        assert client.get_state("posts").status == "loading"  # type: ignore[union-attr]
        answers.set()
        await until(lambda: client.get_state("posts").status == "idle")  # type: ignore[union-attr]


async def test_a_refusal_with_retry_after_is_shown_and_waited_out() -> None:
    """A server that asks for a pause is not asked before it is over; the state says why."""
    seen = list[KeyState[Any]]()

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"retry-after", b"60")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    recorder = Recorder(refuse)
    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", seen.append)
        await until(lambda: seen and seen[-1].error is not None)
        await asyncio.sleep(0.5)  # several back-offs would fit in

        assert len(recorder.syncs) == 1


async def test_a_closed_client_says_so() -> None:
    """After `aclose` every verb raises `Closed`, and a waiting `watch` ends with it."""
    server = RealityServer()
    async with hosted(server.asgi()) as url:
        client = AsyncRealityClient(url)
        states = client.watch("posts")
        await anext(states)
        waiting = asyncio.ensure_future(anext(states))
        await asyncio.sleep(0)
        await client.aclose()
        await client.aclose()

        with pytest.raises(Closed):
            await asyncio.wait_for(waiting, 5)
        with pytest.raises(Closed):
            await client.sync_keys(["posts"])
        with pytest.raises(Closed):
            await client.invalidate("posts", remote=True)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:3456", "http://localhost:3456/reality"),
        ("http://localhost:3456/", "http://localhost:3456/reality"),
        ("https://example.com/live/", "https://example.com/live"),
        ("http://[::1]:3456", "http://[::1]:3456/reality"),
    ],
)
def test_where_the_routes_are(url: str, base: str) -> None:
    """A URL without a path means `/reality` below it; one with a path is taken as it is."""
    assert base_url(url) == base


@pytest.mark.parametrize(
    "url",
    ["localhost", "http://h:99999", "http://h:x", "http://[::1", "http://h?x=1", " http://h", ""],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """A URL that cannot be asked is an error at once, which shows it."""
    with pytest.raises(ValueError, match="is not the URL of a server"):
        base_url(url)


async def test_versions_without_a_cursor_ask_for_a_reset() -> None:
    """I1: what was learned by partial syncs alone proves nothing after a restart of the server."""
    async with AsyncRealityClient("http://127.0.0.1:1") as client:
        client.subscribe("posts")
        (shard,) = client._shards
        first = shard._request(["posts"], "mount", wait_s=0)
        shard.resources["posts"].version = 5
        later = shard._request(["posts"], "idle", wait_s=0)

        assert (first.cursor, later.cursor) == (UNSET, "")


@pytest.mark.parametrize("is_provable", [True, False])
async def test_a_hash_counts_only_beside_a_cursor(is_provable: bool) -> None:
    """I1: a server that cannot say `reset` may announce the hash of data that is long gone."""
    server, source = RealityServer(), Source("x")
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", fetcher=source)
        await settled(client, server)
        resource = client._shards[0].resources["posts"]
        node = ChangedNode(version=resource.version + 1, hash=create_hash("x"))
        resource.report(node, at_s=0, reset=False, spread_s=0, is_provable=is_provable)
        await until(lambda: source.calls == (1 if is_provable else 2))
