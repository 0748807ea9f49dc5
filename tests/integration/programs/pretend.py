"""Calls an application as if this process served port 8000; ends when its input does."""

from __future__ import annotations

import asyncio
import sys

import httpx2

from reality import RealityServer


async def ready() -> int:
    """The status of `/ready`."""
    transport = httpx2.ASGITransport(app=RealityServer("alpha").asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return (await client.get("/reality/ready")).status_code


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        print(runner.run(ready()), flush=True)
        sys.stdin.read()
