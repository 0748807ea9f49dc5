"""Servers that clients were not given, but heard of: how clients come to them, and when not."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any, Self

import pytest

from reality import AsyncRealityClient, RealityServer
from reality.errors import RemoteError, ServerUnavailable
from tests.client.advertising import TOKEN, Advertising
from tests.client.support import Recorder, Source, settled, until
from tests.support.hosting import hosted
from tests.support.processes import free_port, serving

Process = Popen[bytes]


# ---- processes that are killed -------------------------------------------------------------------


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[dict[str, Process]]:
    """Three servers on one store, by URL, each of which names the two others."""
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    store = f"sqlite:///{tmp_path}/reality.db"
    with ExitStack() as stack:
        found = {}
        for number, url in enumerate(urls):
            others = [other for other in urls if other != url]
            found[url] = stack.enter_context(
                serving(
                    [
                        sys.executable,
                        "-m",
                        "tests.client.advertising",
                        f"s{number}",
                        url.rpartition(":")[2],
                        store,
                        *others,
                    ],
                    ready_url=f"{url}/reality/ready",
                )
            )
        yield found


def invalidate(url: str, key: str) -> None:
    """Touch a key at one server."""
    request = urllib.request.Request(
        f"{url}/reality/invalidate",
        json.dumps({"keys": [key]}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def held_by(urls: Iterable[str]) -> str:
    """The server that holds a sync; "" if none does."""
    for url in urls:
        with urllib.request.urlopen(f"{url}/reality/test/waiters", timeout=10) as answer:
            if json.load(answer):
                return url
    return ""


async def moved_to(urls: Iterable[str]) -> str:
    """Wait until one of the servers holds a sync; which one."""
    found = ""
    while not found:
        found = await asyncio.to_thread(held_by, urls)
    return found


async def test_a_client_of_one_server_outlives_it(processes: dict[str, Process]) -> None:
    """I1: servers are killed one after the other, and a client goes on at those it has heard of.

    No change is lost that was made while it moved; and as all are on one store, its cursor counts
    everywhere: the key that nobody touched is not fetched again.
    """
    first, *_ = processes
    touched, untouched = Source(0), Source("same")
    # With such a delay between retries, only a server that is asked at once is in time.
    async with AsyncRealityClient(first, retry_base_delay=30) as client:
        client.subscribe("touched", fetcher=touched)
        client.subscribe("untouched", fetcher=untouched)
        current = await moved_to(processes)
        assert current == first
        for number in (1, 2):
            processes.pop(current).kill()
            touched.value = number
            await asyncio.to_thread(invalidate, list(processes)[-1], "touched")
            await until(lambda: client.get_state("touched").data == touched.value)  # type: ignore[union-attr]
            current = await moved_to(processes)
        known = client.get_server_status()

        assert untouched.calls == 1
        assert [each.is_configured for each in known] == [True, False, False]
        assert sorted(each.failures for each in known) == [0, 1, 1]


# ---- servers in this process ---------------------------------------------------------------------


class Mesh:
    """Servers that keep their own nodes, served over HTTP, and that name each other."""

    def __init__(self, count: int, *, token: str | None = None) -> None:
        self.servers = [RealityServer(f"s{number}", token=token) for number in range(count)]
        self.fronts = [Advertising(server.asgi()) for server in self.servers]
        self.urls = [f"http://127.0.0.1:{free_port()}" for _ in self.servers]
        self._stacks = [AsyncExitStack() for _ in self.servers]

    async def __aenter__(self) -> Self:
        for number, front in enumerate(self.fronts):
            front.peers = {url: "healthy" for url in self.urls if url != self.urls[number]}
            await self.start(number)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for stack in self._stacks:
            await stack.aclose()

    async def start(self, number: int) -> None:
        """Serve one."""
        port = int(self.urls[number].rpartition(":")[2])
        await self._stacks[number].enter_async_context(hosted(self.fronts[number], port=port))

    async def die(self, number: int) -> None:
        """Serve one no more."""
        await self._stacks[number].aclose()

    async def invalidate(self, *names: str) -> None:
        """Touch keys at every server: what an exchange between them would do."""
        for server in self.servers:
            await server.invalidate(*names)


async def test_moving_costs_the_reset_that_the_cursor_demands() -> None:
    """I1: a server whose origin the cursor lacks answers with one reset, and all goes on."""
    source = Source(0)
    async with Mesh(3) as mesh, AsyncRealityClient(mesh.urls[0], retry_base_delay=30) as client:
        client.subscribe("posts", fetcher=source)
        await settled(client, mesh.servers[0])
        source.value = 1
        await asyncio.gather(mesh.die(0), mesh.invalidate("posts"))
        await until(lambda: client.get_state("posts").data == 1)  # type: ignore[union-attr]
        await until(lambda: sum(server.stats().waiters for server in mesh.servers[1:]) == 1)
        source.value = 2
        await mesh.invalidate("posts")
        await until(lambda: client.get_state("posts").data == 2)  # type: ignore[union-attr]

        assert sorted(front.resets for front in mesh.fronts) == [0, 0, 1]


async def test_of_dead_servers_only_the_own_one_is_tried() -> None:
    """A client whose server dies goes to one called healthy, not through those called dead."""
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(20)]
    async with Mesh(2) as mesh:
        front = mesh.fronts[0]
        front.peers = {**dict.fromkeys(dead, "unhealthy"), **front.peers}
        async with AsyncRealityClient(mesh.urls[0], max_retries=1) as client:
            client.subscribe("posts")
            await until(lambda: mesh.servers[0].stats().waiters == 1)
            await mesh.die(0)
            await until(lambda: mesh.servers[1].stats().waiters == 1)
            failing = [each.url for each in client.get_server_status() if each.failures]

            assert failing == [f"{mesh.urls[0]}/reality"]


async def test_a_server_that_starts_again_is_left_for_another_at_once() -> None:
    """A 503 `not_ready` sends the client on without the pause that it asks for."""
    async with Mesh(2) as mesh:
        async with AsyncRealityClient(mesh.urls[0], live=False, retry_base_delay=30) as client:
            client.subscribe("posts")
            await until(lambda: client.get_state("posts").meta)  # type: ignore[union-attr]
            await mesh.servers[0].stop()
            begun_s = time.monotonic()
            await client.sync_all()

            assert time.monotonic() - begun_s < 1.0
            assert mesh.fronts[0].statuses[-1] == 503
            assert mesh.fronts[1].statuses == [200]


async def test_a_pause_that_a_server_asks_for_is_kept_whoever_is_asked_between() -> None:
    """A server that answered 503 with `Retry-After` is not asked again once another has failed."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"retry-after", b"60")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    recorder, dead = Recorder(refuse), f"http://127.0.0.1:{free_port()}"
    async with (
        hosted(recorder) as url,
        AsyncRealityClient([url, dead], live=False, retry_base_delay=0.01) as client,
    ):
        with pytest.raises(ServerUnavailable) as failure:
            await client.sync_keys(["posts"])

        assert failure.value.retry_after_s == 60
        assert len(recorder.syncs) == 1


async def test_a_client_that_is_not_to_discover_stays_with_its_servers() -> None:
    """With `discover=False` no server is asked, or shown, that the client was not given."""
    async with Mesh(2) as mesh:
        async with AsyncRealityClient(
            mesh.urls[0], discover=False, live=False, max_retries=1, retry_base_delay=0.01
        ) as client:
            await client.sync_keys(["posts"])
            await mesh.die(0)
            with pytest.raises(ServerUnavailable):
                await client.sync_keys(["posts"])

            assert [each.is_configured for each in client.get_server_status()] == [True]
            assert mesh.fronts[1].statuses == []


async def test_a_token_goes_to_configured_servers_only() -> None:
    """I7: `invalidate(remote=True)` does not follow hearsay, even when no other server is left."""
    async with Mesh(2, token=TOKEN) as mesh:
        async with AsyncRealityClient(
            mesh.urls[0], token=TOKEN, live=False, max_retries=2, retry_base_delay=0.01
        ) as client:
            await client.sync_keys(["posts"])
            await client.invalidate("posts", remote=True)
            await mesh.die(0)
            await client.sync_keys(["posts"])
            with pytest.raises(ServerUnavailable):
                await client.invalidate("posts", remote=True)

            assert mesh.fronts[1].statuses == [200]
            assert [len(front.tokens) for front in mesh.fronts] == [1, 0]


async def test_what_was_only_heard_of_and_is_no_server_does_not_hold_a_client_up() -> None:
    """A refusal for good of a discovered URL is its failure; of a configured one, the caller's."""

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"<h1>Not Found</h1>"})

    async with Mesh(2) as mesh, hosted(elsewhere) as wrong:
        mesh.fronts[0].peers = {wrong: "healthy", mesh.urls[1]: "degraded"}
        async with AsyncRealityClient(mesh.urls[0], live=False, retry_base_delay=30) as client:
            await client.sync_keys(["posts"])
            await mesh.die(0)
            await client.sync_keys(["posts"])

            assert mesh.fronts[1].statuses == [200]
            assert [each.failures for each in client.get_server_status()] == [1, 1, 0]
        async with AsyncRealityClient(wrong, live=False) as client:
            with pytest.raises(RemoteError, match="not by a Reality server"):
                await client.sync_keys(["posts"])


async def test_a_mesh_that_is_gone_for_a_while_is_found_again_wherever_it_comes_back() -> None:
    """I1: a client asks the discovered servers too, until one of them is back."""
    source = Source(0)
    async with Mesh(3) as mesh:
        async with AsyncRealityClient(mesh.urls[0], max_retries=0, retry_base_delay=0.01) as client:
            client.subscribe("posts", fetcher=source)
            await settled(client, mesh.servers[0])
            await asyncio.gather(*(mesh.die(number) for number in range(3)))
            await until(lambda: all(each.failures for each in client.get_server_status()))
            await mesh.invalidate("posts")
            source.value = 1
            await mesh.start(2)
            await until(lambda: client.get_state("posts").data == 1)  # type: ignore[union-attr]
            await settled(client, mesh.servers[2])
