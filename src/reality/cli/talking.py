"""Commands that ask a server once and print what it said."""

from __future__ import annotations

from typing import Any

from reality.client import AsyncRealityClient, Meta
from reality.client.transport import HttpTransport
from reality.core.codec import decode_answer
from reality.core.messages import HealthResponse
from reality.core.urls import base_url

_TIMEOUT_S = 10.0
_UNHEALTHY = 503


async def invalidate(url: str, token: str | None, names: list[str]) -> dict[str, int]:
    """Tell a server that these keys and patterns changed; the keys' new versions."""
    async with AsyncRealityClient(url, token=token, max_retries=0) as client:
        return await client.invalidate(names, remote=True)


async def get(url: str, key: str) -> Meta:
    """A key's metadata; version 0 if the server keeps none."""
    async with AsyncRealityClient(url, max_retries=0) as client:
        changed = await client.sync_keys([key])
        return changed.get(key, Meta(key))


async def health(url: str) -> HealthResponse:
    """How a server is, healthy or not."""
    async with HttpTransport(None, timeout_s=_TIMEOUT_S) as transport:
        reply = await transport.get(base_url(url) + "/health", accept=(200, _UNHEALTHY))
        return decode_answer(HealthResponse, reply.body)


def health_lines(answer: HealthResponse) -> list[str]:
    """The answer for people."""
    return [
        f"{answer.server_id} is {answer.status}",
        f"version  {answer.version}",
        f"uptime   {answer.uptime / 1000:.0f} s",
        f"mesh     {answer.mesh.healthy_peers} of {answer.mesh.peer_count} peers healthy",
        f"storage  {'healthy' if answer.storage.healthy else 'unhealthy'}",
    ]


def meta_members(meta: Meta) -> dict[str, Any]:
    """A key's metadata as the members of a JSON object."""
    return {
        "key": meta.key,
        "version": meta.version,
        "hash": meta.hash,
        "deleted": meta.deleted,
    }
