"""What the tests of the client share: a fetcher that counts, a recorder, and patience."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from reality import AsyncRealityClient, RealityServer
from reality.client import KeyState
from reality.http.types import ASGIApplication, Message, Receive, Scope, Send


class Source:
    """An application's own API: a value per call, counted, that may be slow or fail."""

    def __init__(self, value: Any = "first") -> None:
        self.value = value
        self.calls = 0
        self.failures_to_come = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Any:
        """Read the value now, and return it once the gate is open."""
        self.calls += 1
        value = self.value
        if self.failures_to_come:
            self.failures_to_come -= 1
            raise ConnectionError("the API is down")
        await self.gate.wait()
        return value

    async def fetch(self, key: str, meta: Any) -> Any:
        """The same as a method, which `inspect` sees as a coroutine function."""
        return await self()


class Recorder:
    """An ASGI application in front of another, which keeps every sync it sees."""

    def __init__(self, app: ASGIApplication) -> None:
        self.app = app
        self.syncs: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry point."""

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.request" and message.get("body"):
                self.syncs.append(json.loads(message["body"]))
            return message

        await self.app(scope, listen, send)


async def until(condition: Callable[[], Any], *, timeout_s: float = 10) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


def states(into: list[KeyState[Any]]) -> Callable[[KeyState[Any]], None]:
    """A callback that collects states."""
    return into.append


async def settled(client: AsyncRealityClient, server: RealityServer, key: str = "posts") -> None:
    """Return once the key's data is there, nothing is under way, and the client is being held."""

    def is_settled() -> bool:
        state = client.get_state(key)
        return state is not None and state.status == "idle" and server.stats().waiters == 1

    await until(is_settled)
