"""A process that has had many applications, as a test suite has, and is then interrupted."""

from __future__ import annotations

import asyncio
import signal

from reality import RealityServer
from reality.http.types import Message

APPLICATIONS = 1_500


async def ask_each() -> None:
    """One request for each application."""

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/reality/ready", "headers": []}
    for _ in range(APPLICATIONS):
        await RealityServer("alpha").asgi()(scope, receive, send)


if __name__ == "__main__":
    # Whoever runs this may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.new_event_loop().run_until_complete(ask_each())
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("KeyboardInterrupt")
