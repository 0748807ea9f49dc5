"""`mesh.transport` with peers: kept connections, clocks that differ, refusals."""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest

from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import RemoteError, ServerUnavailable
from reality.mesh.signing import Signer
from reality.mesh.transport import HttpMeshTransport
from tests.mesh.answering import (
    ENOUGH_S,
    ROUTE,
    SECRET,
    Peer,
    Request,
    answering,
    failure,
    http,
    listening,
    problem,
    received,
    reset,
    signed,
)
from tests.support.processes import free_port


@pytest.fixture(params=["own connections", "a client"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[HttpMeshTransport]:
    """A transport with connections of its own, and one that uses a client of its caller."""
    async with httpx2.AsyncClient() as client:
        is_own = request.param == "own connections"
        transport = HttpMeshTransport(SECRET, http=None if is_own else client)
        yield transport
        await transport.aclose()


# ---- peers ---------------------------------------------------------------------------------------


async def test_servers_with_the_same_secret_talk(transport: HttpMeshTransport) -> None:
    """A message and its answer, of the greatest size as well, go over one kept connection."""
    peer = Peer()
    async with listening(peer) as url:
        for body in (b"{}", b"x" * MESH_MESSAGE_BYTES_MAX, b""):
            assert await transport.post(url, ROUTE, body, timeout_s=ENOUGH_S) == body

    assert peer.connections == 1
    assert {each.path for each in peer.requests} == {"/reality/mesh/exchange"}
    assert {each.headers["accept-encoding"] for each in peer.requests} == {"identity"}
    assert len({each.headers["reality-nonce"] for each in peer.requests}) == 3


async def test_a_path_in_the_url_is_the_base_path(transport: HttpMeshTransport) -> None:
    """What a proxy or another base path puts in front of the route is not signed."""
    peer = Peer()
    async with listening(peer) as url:
        assert await transport.post(f"{url}/deep/live/", ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    assert peer.requests[0].path == "/deep/live/mesh/exchange"


async def test_a_refusal_is_the_peers(transport: HttpMeshTransport) -> None:
    """What a peer refuses is an error with its status, code and words, on one line."""
    error = await failure(
        transport, answering(lambda _: http(422, problem(422, "too_many_keys", "too\nmany" * 1000)))
    )

    assert isinstance(error, RemoteError)
    assert (error.status, error.code) == (422, "too_many_keys")
    assert "too many" in str(error)


async def test_who_has_another_secret_is_refused(transport: HttpMeshTransport) -> None:
    """I7: servers with different secrets do not talk, and each says why."""
    stranger = HttpMeshTransport("another-secret-of-the-mesh")
    async with listening(Peer()) as url:
        with pytest.raises(RemoteError, match="another secret") as caught:
            await stranger.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)
    await stranger.aclose()

    assert (caught.value.status, caught.value.code) == (401, "mesh_unauthorized")


# ---- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_ms", [47_000, -47_000])
async def test_servers_whose_clocks_differ_talk(
    transport: HttpMeshTransport, caplog: pytest.LogCaptureFixture, ahead_ms: int
) -> None:
    """After one refusal the peer's clock is known; people are told once, with the difference."""
    peer = Peer(ahead_ms=ahead_ms)
    async with listening(peer) as url:
        for _ in range(3):
            assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    assert len(peer.requests) == 4
    (record,) = (each for each in caplog.records if each.name == "reality.mesh")
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"the clocks of this server and of {url} differ by 47 s")


async def test_a_clock_that_is_set_meanwhile_is_followed(transport: HttpMeshTransport) -> None:
    """When the difference changes, the next refusal tells it."""
    peer = Peer(ahead_ms=47_000)
    async with listening(peer) as url:
        for ahead_ms in (47_000, 0, -90_000):
            peer.ahead_ms = ahead_ms
            assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    assert len(peer.requests) == 6


async def test_a_peer_that_always_finds_the_clock_wrong_is_not_asked_for_ever(
    transport: HttpMeshTransport,
) -> None:
    """I2: the second refusal is final."""
    count = 0

    def refuse(request: Request) -> bytes:
        nonlocal count
        count += 1
        return signed(request, 401, problem(401, "mesh_clock_skew"), now_ms=5)

    error = await failure(transport, answering(refuse))

    assert isinstance(error, RemoteError)
    assert (error.code, count) == ("mesh_clock_skew", 2)


async def test_only_a_peer_tells_the_time(transport: HttpMeshTransport) -> None:
    """I7: a refusal that is not signed does not move this server's clock."""
    count = 0

    def refuse(_: Request) -> bytes:
        nonlocal count
        count += 1
        headers = Signer("another-secret-of-the-mesh").answer_headers("f" * 32, 401, b"", now_ms=5)
        return http(401, problem(401, "mesh_clock_skew"), **headers)

    error = await failure(transport, answering(refuse))

    assert isinstance(error, RemoteError)
    assert count == 1
    assert transport._differences_ms == {}


# ---- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_kept_connection_that_was_closed_is_no_failure(
    transport: HttpMeshTransport, how: str
) -> None:
    """What the peer closes as the request comes is sent again at once, with another nonce."""

    class Leaving(Peer):
        async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
            if self.connections == 1 and len(self.requests) == 2:
                # As if it had been taken in just before.
                now_ms = time.time_ns() // 1_000_000
                self.verifier.check("POST", ROUTE, request.headers, b"{}", now_ms=now_ms)
                if how == "reset":
                    reset(writer)
                raise ConnectionResetError
            await super().answer(request, writer)

    peer = Leaving()
    async with listening(peer) as url:
        for _ in range(2):
            assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    assert (peer.connections, len(peer.requests)) == (2, 3)


async def test_all_connections_to_a_peer_that_restarts_are_replaced(
    transport: HttpMeshTransport,
) -> None:
    """Idle connections that ended with the peer's process cost no exchange."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    for _ in range(2):
        peer, writers = Peer(), list[asyncio.StreamWriter]()

        async def serve(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            peer: Peer = peer,
            writers: list[asyncio.StreamWriter] = writers,
        ) -> None:
            writers.append(writer)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await peer(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        asked = (transport.post(base, ROUTE, b"{}", timeout_s=ENOUGH_S) for _ in range(3))
        assert await asyncio.gather(*asked) == [b"{}"] * 3
        server.close()
        for writer in writers:
            reset(writer)


async def test_a_new_connection_that_is_closed_is_not_tried_again(
    transport: HttpMeshTransport,
) -> None:
    """Who accepts and leaves without a word, as a proxy without its server does, is away."""
    connections = 0

    async def leave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await received(reader)

    assert isinstance(await failure(transport, leave), ServerUnavailable)
    assert connections == 1


async def test_nobody_there(transport: HttpMeshTransport) -> None:
    """A peer that does not listen, or whose URL is none, is unavailable."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://[::1", "localhost", "http://h..x.."):
        with pytest.raises(ServerUnavailable):
            await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)


async def test_a_name_and_password_are_sent(transport: HttpMeshTransport) -> None:
    """What a proxy in front of the peer asks for may stand in its URL."""
    peer = Peer()
    async with listening(peer) as url:
        asked = url.replace("//", "//me:hunter%202@")
        assert await transport.post(asked, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    headers = peer.requests[0].headers
    assert headers["authorization"] == f"Basic {b64encode(b'me:hunter 2').decode()}"
    assert "@" not in headers["host"]


async def test_connections_that_were_not_used_for_long_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I6: a peer that is no more leaves no connection behind."""
    monkeypatch.setattr("reality.mesh.connections._KEEPALIVE_S", 0.0)
    transport = HttpMeshTransport(SECRET)
    peer = Peer()
    async with listening(peer) as url:
        for _ in range(2):
            assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"

    assert peer.connections == 2
    assert transport._own._idle == {}


async def test_a_clients_owner_closes_it() -> None:
    """A client that was passed in is used as it is, and stays open."""
    async with listening(Peer()) as url, httpx2.AsyncClient(headers={"x-own": "1"}) as client:
        transport = HttpMeshTransport(SECRET, http=client)
        await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)
        await transport.aclose()
        assert not client.is_closed
    with pytest.raises(ServerUnavailable, match="closed"):
        await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)


async def test_errors_do_not_show_credentials(transport: HttpMeshTransport) -> None:
    """A name and password in a peer's URL are sent, and shown nowhere."""
    url = f"http://me:hunter2@127.0.0.1:{free_port()}"
    for each in (url, f"{url}?"):
        with pytest.raises(ServerUnavailable) as caught:
            await transport.post(each, ROUTE, b"{}", timeout_s=ENOUGH_S)
        assert "hunter2" not in str(caught.value)
