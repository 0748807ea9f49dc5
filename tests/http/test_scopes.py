"""What the application does with ASGI's other scopes, and where it finds its routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from reality import RealityServer
from reality.errors import NotReady
from reality.http.types import Message
from tests.http.calling import Caller, message
from tests.server.asking import Asker, answered, holding


async def run(server: RealityServer, scope: dict[str, Any], events: Iterable[str]) -> list[Message]:
    """What the application sends when it is sent these events."""
    waiting = [{"type": event} for event in events]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(event: Message) -> None:
        sent.append(event)

    await server.asgi()(scope, receive, send)
    assert [] == waiting
    return sent


async def test_lifespan() -> None:
    """The lifespan starts the server and, at its end, stops it; both are confirmed."""
    server = RealityServer("alpha")
    await server.stop()
    sent = await run(server, {"type": "lifespan"}, ["lifespan.startup", "lifespan.shutdown"])

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [
        event["type"] for event in sent
    ]
    with pytest.raises(NotReady):
        await server.sync(Asker(server, "a").request())


async def test_a_second_lifespan() -> None:
    """An application that is started again, as tests do, answers again."""
    server = RealityServer("alpha")
    for _ in range(2):
        await run(server, {"type": "lifespan"}, ["lifespan.startup", "lifespan.shutdown"])
    assert not server.is_ready
    await server.start()
    assert server.is_ready


async def test_the_end_of_the_lifespan_answers_what_is_held() -> None:
    """Held syncs end with the lifespan."""
    server = RealityServer("alpha")
    async with holding(Asker(server, "a")) as (held,):
        await run(server, {"type": "lifespan"}, ["lifespan.startup", "lifespan.shutdown"])

        assert {} == (await answered(held)).changed


async def test_websockets_are_refused() -> None:
    """A WebSocket is refused before it is accepted."""
    scope = {"type": "websocket", "path": "/reality/sync", "headers": [], "root_path": ""}

    (sent,) = await run(RealityServer("alpha"), scope, [])

    assert ("websocket.close", 1008) == (sent["type"], sent["code"])


async def test_unknown_scopes_are_errors() -> None:
    """A scope of an unknown type raises, as ASGI asks for, and is named."""
    with pytest.raises(RuntimeError, match="telepathy"):
        await run(RealityServer("alpha"), {"type": "telepathy"}, [])


@pytest.mark.parametrize(
    ("base_path", "root_path", "path"),
    [
        ("/reality", "", "/reality/sync"),  # alone
        ("/reality", "/reality", "/reality/sync"),  # mounted at its own base path
        ("/reality", "/reality", "/sync"),  # the same, where the framework cuts the path
        ("/reality", "/api", "/api/reality/sync"),  # mounted elsewhere, below its base path
        ("/reality", "/api", "/api/sync"),  # mounted elsewhere, as if that were its base path
        ("/reality", "/api", "/sync"),
        ("/reality", "/a/b", "/a/b/reality/sync"),
        ("/reality", "/proxy/reality", "/proxy/reality/sync"),
        ("/reality", "/proxy/reality", "/proxy/reality/reality/sync"),
        ("/reality", "/proxy", "/reality/sync"),  # a proxy that cuts the prefix it announces
        ("/reality", "", "/sync"),
        ("", "", "/sync"),
        ("", "/api", "/api/sync"),
        ("", "/api", "/sync"),
        ("/deep/er", "", "/deep/er/sync"),
        ("/deep/er", "/api", "/api/deep/er/sync"),
        ("/reality", "/sync", "/sync/sync"),
        ("/sync", "", "/sync/sync"),
    ],
)
async def test_where_the_routes_are(base_path: str, root_path: str, path: str) -> None:
    """The routes are found mounted anywhere and alone, below the base path and without it."""
    call = Caller(RealityServer("alpha", base_path=base_path).asgi(), root_path=root_path)

    assert 200 == (await call.post(path, message("a"))).status


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("/api", "/apisync"),
        ("/api", "/other/sync"),
        ("", "/realitysync"),
        ("/reality", "/realitysync"),
        ("/api", "/reality/api/sync"),
        ("/api", "/api/api/sync"),
        ("", "/reality/reality/sync"),
    ],
)
async def test_where_the_routes_are_not(root_path: str, path: str) -> None:
    """A prefix counts as a whole level only, and once."""
    call = Caller(RealityServer("alpha").asgi(), root_path=root_path)

    assert 404 == (await call.post(path, message("a"))).status


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("", ""), ("/api", "/api"), ("/api", "/api/"), ("", "/reality"), ("/reality", "")],
)
async def test_the_root_is_health(root_path: str, path: str) -> None:
    """The mount point itself answers, with and without a slash."""
    call = Caller(RealityServer("alpha").asgi(), root_path=root_path)

    assert "healthy" == (await call("GET", path)).json()["status"]
