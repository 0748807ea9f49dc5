"""Servers of one mesh over real HTTP: readiness, secrets that change, what operators ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from reality import Mesh, RealityServer
from reality.errors import NotReady
from reality.mesh.messages import decode_peers, decode_removed
from reality.mesh.transport import HttpMeshTransport
from tests.mesh.answering import listening
from tests.server.asking import Asker, answered, holding
from tests.server.meshed import SECRET, SOON_S, alike, eventually
from tests.support.hosting import hosted
from tests.support.processes import free_port

OTHER_SECRET = "another-secret-of-the-tests"


@asynccontextmanager
async def group(
    count: int, secrets: Sequence[str | list[str]] = ()
) -> AsyncIterator[list[tuple[str, RealityServer]]]:
    """Servers over HTTP that all have each other as peers, started by their lifespan."""
    ports = [free_port() for _ in range(count)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    async with AsyncExitStack() as stack:
        found = []
        for number, (port, url) in enumerate(zip(ports, urls, strict=True)):
            secret = secrets[number] if secrets else SECRET
            mesh = Mesh(urls, secret=secret, advertise=url, interval=SOON_S)
            server = RealityServer(f"s{number}", mesh=mesh)
            await stack.enter_async_context(hosted(server.asgi(), port=port))
            found.append((url, server))
        yield found


async def test_three_servers_over_http() -> None:
    """I1: a touch on one server ends waits on the two others."""
    async with group(3) as members:
        (_, a), (_, b), (_, c) = members
        await alike(a, b, c)
        askers = [Asker(b, "k"), Asker(c, "k")]
        async with holding(askers[0]) as [first], holding(askers[1]) as [second]:
            await a.invalidate("k")
            assert [list((await answered(task)).changed) for task in (first, second)] == [["k"]] * 2


async def test_readiness_and_health_over_http() -> None:
    """`GET /ready` is 503 until the server has joined; `GET /health` counts its peers."""
    async with group(2) as [(url, a), (_, b)], httpx2.AsyncClient() as http:
        await eventually(lambda: a.is_ready and b.is_ready)
        await eventually(lambda: _counts(a) == (1, 1))  # it has found out its own URL
        assert (await http.get(f"{url}/reality/ready")).status_code == 200
        health = (await http.get(f"{url}/reality/health")).json()
        assert health["mesh"] == {"peerCount": 1, "healthyPeers": 1}
        async with listening(_stall) as silent:
            late = RealityServer("late", mesh=Mesh([silent], secret=SECRET, timeout=30))
            starting = asyncio.create_task(late.start())
            async with hosted(_without_lifespan(late)) as late_url:
                answer = await http.get(f"{late_url}/reality/ready")
                assert answer.status_code == 503
                assert "yet to hear what its peers know" in answer.text
            await late.stop()
            with pytest.raises(NotReady, match="was stopped"):
                await starting


async def test_a_secret_is_changed_while_all_serve() -> None:
    """I7: servers that accept both secrets exchange with those that have either, at every step."""
    steps: list[list[str | list[str]]] = [
        [SECRET, SECRET],
        [[SECRET, OTHER_SECRET], SECRET],
        [[SECRET, OTHER_SECRET], [SECRET, OTHER_SECRET]],
        [[OTHER_SECRET, SECRET], [SECRET, OTHER_SECRET]],
        [[OTHER_SECRET, SECRET], [OTHER_SECRET, SECRET]],
        [OTHER_SECRET, [OTHER_SECRET, SECRET]],
        [OTHER_SECRET, OTHER_SECRET],
    ]
    for secrets in steps:
        async with group(2, secrets) as [(_, a), (_, b)]:
            await alike(a, b)
            for one, other in ((a, b), (b, a)):
                async with holding(Asker(other, "k")) as [task]:
                    await one.invalidate("k")
                    assert list((await answered(task)).changed) == ["k"]
            assert a.stats().mesh.refused == 0  # type: ignore[union-attr]
            assert b.stats().mesh.refused == 0  # type: ignore[union-attr]


async def test_servers_with_different_secrets_are_strangers() -> None:
    """I7: a server with another secret neither hears nor is heard, and both count it."""
    async with group(2, [SECRET, OTHER_SECRET]) as [(_, a), (_, b)]:
        await a.invalidate("k")
        for server in (a, b):
            await eventually(lambda: server.stats().mesh.refused >= 3)  # type: ignore[union-attr]  # noqa: B023
            assert server.is_ready
        assert (await b.get_node("k")) is None
        assert len(b.stats().mesh and b._state.graph.digest) == 1  # type: ignore[arg-type, union-attr]


async def test_operators_ask_and_remove_over_http() -> None:
    """The table of peers, and a removal, for whoever has the secret."""
    async with group(2) as [(url, a), (_, b)]:
        await eventually(lambda: _counts(a) == (1, 1))
        await alike(a, b)
        transport = HttpMeshTransport(SECRET)
        peers = decode_peers(await transport.post(url, "/mesh/peers", b"{}", timeout_s=20))
        assert (peers.server_id, [each.server_id for each in peers.peers]) == ("s0", ["s1"])
        body = json.dumps({"serverId": "dead"}).encode()
        removed = decode_removed(await transport.post(url, "/mesh/remove", body, timeout_s=20))
        assert removed.origin == "dead!gone"
        await alike(a, b)
        assert removed.origin in dict(b._state.graph.digest)  # type: ignore[union-attr]
        await transport.aclose()


def _counts(server: RealityServer) -> tuple[int, int]:
    """Peers that a server knows, and how many of them are healthy."""
    mesh = server.stats().mesh
    return (0, 0) if mesh is None else (mesh.peers, mesh.healthy)


async def _stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


def _without_lifespan(server: RealityServer) -> object:
    application = server.asgi()

    async def serve(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            await application(scope, receive, send)  # type: ignore[arg-type]
        else:
            raise RuntimeError("this application knows no lifespan")

    return serve
