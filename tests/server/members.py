"""A server of a mesh over real HTTP, whoever calls it, and whoever it calls."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from reality import Mesh, RealityServer
from reality.mesh.messages import encode
from reality.mesh.signing import Signer
from tests.mesh.exchanging import exchange
from tests.server.asking import PATIENCE_S, Asker
from tests.server.meshed import SECRET, SOON_S
from tests.support.hosting import hosted

ROUTE = "/mesh/exchange"
GREETING = encode(exchange())


class Member(NamedTuple):
    """A server of a mesh, where it is served, and a client of HTTP."""

    server: RealityServer
    url: str
    http: httpx2.AsyncClient

    @property
    def refused(self) -> int:
        stats = self.server.stats().mesh
        assert stats is not None
        return stats.refused

    async def post(
        self, body: bytes, headers: dict[str, str] | None = None, *, route: str = ROUTE
    ) -> httpx2.Response:
        """The answer to a message; signed, unless headers are given."""
        if headers is None:
            headers = signature(body, route=route)
        return await self.http.post(f"{self.url}/reality{route}", content=body, headers=headers)

    async def serves(self) -> None:
        """Make sure that clients are answered as ever."""
        asker = Asker(self.server, "k", client_id=secrets.token_hex(8))
        request = {"known": {"k": 0}, "clientId": "c", "mode": "native", "hint": "idle"}
        answer = await self.http.post(f"{self.url}/reality/sync", json=request)
        assert answer.status_code == 200
        assert list((await asker.ask()).changed) == ["k"]


@asynccontextmanager
async def member(*peers: str, timeout_s: float = 0.5, **arguments: Any) -> AsyncIterator[Member]:
    """A server in a mesh with these peers."""
    mesh = Mesh(list(peers), secret=SECRET, interval=SOON_S, timeout=timeout_s)
    server = RealityServer("a", mesh=mesh, **arguments)
    async with hosted(server.asgi()) as url, httpx2.AsyncClient(timeout=PATIENCE_S) as http:
        yield Member(server, url, http)


def signature(body: bytes, *, route: str = ROUTE, secret: str = SECRET) -> dict[str, str]:
    now_ms = time.time_ns() // 1_000_000
    return Signer(secret).headers("POST", route, body, now_ms=now_ms, nonce=secrets.token_hex(16))
