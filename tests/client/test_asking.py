"""How a client asks: cursors, resets, shards, holds, failover."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from reality import AsyncRealityClient, KeyState, Limits, RealityServer
from reality.client import client as client_module
from reality.errors import Closed, InvalidKey, RemoteError, ServerUnavailable
from tests.client.support import Recorder, Source, settled, until
from tests.support.hosting import hosted
from tests.support.processes import free_port


async def test_the_cursor_of_a_partial_sync_is_not_adopted() -> None:
    """Only an answer to a request for every key held moves the cursor on."""
    server = RealityServer()
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url, AsyncRealityClient(url, live=False) as client:
        client.subscribe("a")
        client.subscribe("b")
        await until(lambda: client.get_state("b").meta)  # type: ignore[union-attr]
        await server.invalidate("a", "b")
        await client.sync_keys(["a"])
        before = await client.sync_all()
        after = await client.sync_all()
        first, partial, full, repeated = recorder.syncs

        assert "cursor" not in first
        assert partial["known"].keys() == {"a"}
        assert partial["cursor"] == full["cursor"] != repeated["cursor"]
        assert before.keys() == {"a", "b"}
        assert after == {}


async def test_a_new_key_is_asked_for_at_once() -> None:
    """I1: a key added during a hold is not left waiting for the hold to end."""
    server, source = RealityServer(), Source()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        client.subscribe("old")
        await until(lambda: server.stats().waiters == 1)
        begun = time.monotonic()
        client.subscribe("new", fetcher=source)
        await until(lambda: source.calls == 1)
        await until(lambda: server.stats().waiters == 1)
        await server.invalidate("old", "new")
        await until(lambda: source.calls == 2)

        assert time.monotonic() - begun < 5


async def test_a_restarted_server_makes_every_key_be_fetched_once() -> None:
    """After a reset all keys are fetched, each once, spread over two seconds at most."""
    port = free_port()
    sources = [Source() for _ in range(5)]
    async with AsyncRealityClient(f"http://127.0.0.1:{port}", max_retries=0) as client:
        first = RealityServer("s1")
        async with hosted(first.asgi(), port=port):
            for number, source in enumerate(sources):
                client.subscribe(f"posts:{number}", fetcher=source)
            await until(lambda: first.stats().waiters == 1)
            await first.stop()
        second = RealityServer("s1")
        async with hosted(second.asgi(), port=port):
            await until(lambda: all(source.calls == 2 for source in sources))
            await until(lambda: second.stats().waiters == 1)

            assert [source.calls for source in sources] == [2] * 5


async def test_an_untouched_key_causes_no_loop() -> None:
    """I2: a client whose keys nobody touches asks once a hold, not more."""
    server = RealityServer()
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url, AsyncRealityClient(url, wait=1.0) as client:
        client.subscribe("posts")
        await until(lambda: len(recorder.syncs) >= 4, timeout_s=20)
        begun = time.monotonic()
        await until(lambda: len(recorder.syncs) >= 6, timeout_s=20)

        assert time.monotonic() - begun > 1.0


async def test_a_server_that_does_not_hold_is_not_asked_in_a_loop() -> None:
    """A held request that comes back at once and empty is followed by a pause."""
    server = RealityServer()
    server.end_waits()

    async def without_retry_after(scope: Any, receive: Any, send: Any) -> None:
        async def strip(message: Any) -> None:
            headers = message.get("headers", [])
            headers[:] = [pair for pair in headers if pair[0] != b"retry-after"]
            await send(message)

        await server.asgi()(scope, receive, strip)

    recorder = Recorder(without_retry_after)
    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts")
        await until(lambda: len(recorder.syncs) == 2)
        await asyncio.sleep(1.0)  # the time that nothing happens in is what is measured

        assert len(recorder.syncs) <= 4


async def test_the_breaker_stops_news_in_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Five answers with news within half a second are followed by a pause, and reported."""
    server = RealityServer()
    recorder = Recorder(server.asgi())

    async def touch(state: KeyState[Any]) -> None:
        await server.invalidate("posts")  # the bug: telling that it changed whenever it changed

    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts", touch)
        await until(lambda: "come faster than" in caplog.text)
        asked = len(recorder.syncs)
        await asyncio.sleep(0.4)  # shorter than the shortest pause: nothing may come

        assert len(recorder.syncs) == asked < 12


async def test_retry_after_is_honoured() -> None:
    """A server that is shutting down is asked again no sooner than it says."""
    server = RealityServer()
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        client.subscribe("posts")
        await until(lambda: server.stats().waiters == 1)
        asked = len(recorder.syncs)
        server.end_waits()
        await until(lambda: server.stats().waiters == 0)
        await asyncio.sleep(0.7)  # less than the second that the answer asks for

        assert len(recorder.syncs) == asked


async def test_another_server_is_asked_when_one_is_down() -> None:
    """A dead server is passed over, and shown as failing."""
    server, source = RealityServer(), Source()
    dead = f"http://127.0.0.1:{free_port()}"
    async with hosted(server.asgi()) as url, AsyncRealityClient([dead, url]) as client:
        client.subscribe("posts", fetcher=source)
        await settled(client, server)
        await server.invalidate("posts")
        await until(lambda: source.calls == 2)

        assert [each.health for each in client.get_server_status()] == ["degraded", "healthy"]


async def test_no_server_at_all_is_an_error_that_heals() -> None:
    """While no server answers the state says so and the data is there; then it goes on."""
    port, source, seen = free_port(), Source(), list[KeyState[Any]]()
    url = f"http://127.0.0.1:{port}"
    async with AsyncRealityClient(url, max_retries=0, retry_base_delay=0.01) as client:
        client.subscribe("posts", seen.append, fetcher=source)
        await until(lambda: seen and isinstance(seen[-1].error, ServerUnavailable))
        await until(lambda: source.calls == 1)
        server = RealityServer()
        async with hosted(server.asgi(), port=port):
            client.online()
            await until(lambda: seen[-1].status == "idle")
            await settled(client, server)


async def test_an_answer_that_is_none_is_a_failure() -> None:
    """A proxy's page is not taken for an answer, and the error says what to check."""

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b"<h1>Bad Gateway</h1>"})

    async with hosted(proxy) as url, AsyncRealityClient(url, max_retries=1) as client:
        with pytest.raises(ServerUnavailable, match="not by a Reality server"):
            await client.sync_keys(["posts"])


async def test_many_keys_are_split_over_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shard asks for its own keys with its own cursor, and no key is forgotten."""
    monkeypatch.setattr(client_module, "_SHARD_KEYS_MAX", 2)
    server, sources = RealityServer(), [Source() for _ in range(5)]
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url, AsyncRealityClient(url) as client:
        for number, source in enumerate(sources):
            client.subscribe(f"posts:{number}", fetcher=source)
        await until(lambda: server.stats().waiters == 3)
        await server.invalidate("posts:*")
        await until(lambda: all(source.calls == 2 for source in sources))

        assert {len(sync["known"]) for sync in recorder.syncs} == {1, 2}


async def test_a_client_that_only_polls() -> None:
    """With live="poll" no request is held, and changes arrive within the interval."""
    server, source = RealityServer(), Source()
    recorder = Recorder(server.asgi())
    async with hosted(recorder) as url:
        async with AsyncRealityClient(url, live="poll", interval=0.05) as client:
            client.subscribe("posts", fetcher=source)
            await until(lambda: source.calls == 1)
            await server.invalidate("posts")
            await until(lambda: source.calls == 2)

    assert not any("wait" in sync for sync in recorder.syncs)


async def test_leaving_the_last_key_ends_the_hold() -> None:
    """A client that holds no key asks for nothing."""
    server = RealityServer()
    async with hosted(server.asgi()) as url, AsyncRealityClient(url) as client:
        subscription = client.subscribe("posts")
        await until(lambda: server.stats().waiters == 1)
        subscription()
        await until(lambda: server.stats().waiters == 0)


async def test_closing_ends_everything() -> None:
    """After `aclose` no task is left, no sync is held, and subscribing is refused."""
    server, source = RealityServer(), Source()
    async with hosted(server.asgi()) as url:
        before = asyncio.all_tasks()
        client = AsyncRealityClient(url)
        client.subscribe("posts", fetcher=source)
        await until(lambda: server.stats().waiters == 1)
        await client.aclose()
        await until(lambda: server.stats().waiters == 0)
        await until(
            lambda: (
                not {each for each in asyncio.all_tasks() - before if "uvicorn" not in repr(each)}
            )
        )

        with pytest.raises(Closed):
            client.subscribe("posts")


async def test_remote_invalidation_needs_the_token_and_fetches_once() -> None:
    """`invalidate(remote=True)` tells the server; the client's own data is fetched once for it."""
    server, source = RealityServer(token="a-long-token"), Source()
    async with hosted(server.asgi()) as url:
        async with AsyncRealityClient(url, token="a-long-token") as client:
            client.subscribe("posts", fetcher=source)
            await settled(client, server)
            source.value = "second"
            versions = await client.invalidate("posts", "chat:*", remote=True)
            await until(lambda: client.get_state("posts").data == "second")  # type: ignore[union-attr]
            await settled(client, server)

            assert versions.keys() == {"posts"}
            assert source.calls == 2
        async with AsyncRealityClient(url) as stranger:
            with pytest.raises(RemoteError) as refusal:
                await stranger.invalidate("posts", remote=True)

            assert (refusal.value.status, refusal.value.code) == (401, "unauthorized")


async def test_a_refusal_for_too_many_waiters_is_waited_out() -> None:
    """A server that holds no more syncs does not make the client give up."""
    server, source = RealityServer(limits=Limits(waiters_max=1)), Source()
    async with hosted(server.asgi()) as url:
        async with AsyncRealityClient(url) as first, AsyncRealityClient(url) as second:
            first.subscribe("posts")
            await until(lambda: server.stats().waiters == 1)
            second.subscribe("posts", fetcher=source)
            await until(lambda: source.calls == 1)
            await first.aclose()
            await until(lambda: server.stats().waiters == 1)
            await server.invalidate("posts")
            await until(lambda: source.calls == 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"servers": "localhost:3456"}, "not the URL of a server"),
        ({"servers": []}, "at least one server"),
        ({"servers": "http://x", "wait": 0}, "wait must be greater than 0"),
        ({"servers": "http://x", "live": "always"}, "live must be"),
        ({"servers": "http://x", "client_id": ""}, "client_id must have"),
        ({"servers": "http://x", "max_retries": -1}, "must not be negative"),
    ],
)
async def test_wrong_arguments_are_refused(arguments: dict[str, Any], text: str) -> None:
    """A client that cannot work is not made; the error says why."""
    with pytest.raises(ValueError, match=text):
        AsyncRealityClient(**arguments)


async def test_a_malformed_key_is_refused_before_it_is_sent() -> None:
    """Subscribing to a pattern or an empty key raises at once."""
    async with AsyncRealityClient("http://localhost:1") as client:
        with pytest.raises(InvalidKey, match="pattern"):
            client.subscribe("posts:*")
        with pytest.raises(InvalidKey, match="empty"):
            await client.sync_keys([""])
