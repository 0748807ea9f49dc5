"""A client written for the existing TypeScript server works unchanged (DESIGN section 5).

It sends no cursor, never the hint `poll`, a UUID as its id, and takes an answer's versions as they
are: what it is told is what it knows.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.http import raw
from tests.http.calling import BEARER, Answer
from tests.http.raw import Connection
from tests.http.served import live

HINTS = ("interaction", "focus", "idle", "mutation", "mount", "reconnect")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with live("uvicorn, h11, asyncio", "alone") as server:
        yield server.port


@dataclass
class ExistingClient:
    """What that client keeps: versions by key."""

    connection: Connection
    known: dict[str, int]
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self, hint: str) -> dict[str, Any]:
        """What it posts."""
        return {
            "known": self.known,
            "clientId": self.client_id,
            "mode": "native",
            "hint": hint,
            "timestamp": 1_700_000_000_000,
        }

    async def sync(self, hint: str = "interaction", **more: Any) -> dict[str, Any]:
        """Sync, and know what was told."""
        return self.take(await self.connection.post("/reality/sync", self.body(hint) | more))

    def take(self, answer: Answer) -> dict[str, Any]:
        """Read an answer as that client does."""
        assert 200 == answer.status
        members: dict[str, Any] = answer.json()
        assert isinstance(members["serverTime"], int)
        assert isinstance(members["mesh"]["serverVersion"], int)
        assert {} == members["mesh"]["peers"]
        for key, node in members["changed"].items():
            assert isinstance(node["hash"], str)
            self.known[key] = node["version"]
        return members


async def touch(port: int, *keys: str) -> dict[str, int]:
    """Invalidate over HTTP."""
    answer = await raw.post(port, "/reality/invalidate", {"keys": [*keys]}, **BEARER)
    versions: dict[str, int] = answer.json()["versions"]
    return versions


async def test_sync_hold_touch_change(port: int) -> None:
    """First sync, known versions, a held sync, a touch, the change: the sequence of every page."""
    versions = await touch(port, "posts:1")
    async with await Connection.open(port) as connection:
        client = ExistingClient(connection, {"posts:1": 0, "posts:2": 0})

        first = await client.sync("mount")
        assert {"posts:1", "posts:2"} == first["changed"].keys()
        assert versions["posts:1"] == client.known["posts:1"]
        for hint in HINTS:
            assert {} == (await client.sync(hint))["changed"]

        body = json.dumps(client.body("idle") | {"wait": 20_000}).encode()
        await connection.send(raw.request("POST", "/reality/sync", body))
        await raw.until_waiters(port, 1)
        versions = await touch(port, "posts:1")
        told = client.take(await connection.answer())

        assert {"posts:1"} == told["changed"].keys()
        assert versions["posts:1"] == client.known["posts:1"]
        assert {} == (await client.sync())["changed"]


async def test_any_other_version_is_a_change(port: int) -> None:
    """Without a cursor a version that differs is a change, a greater one too, and told once."""
    await touch(port, "a")
    async with await Connection.open(port) as connection:
        for known in (0, 1, 2**52 - 1):
            client = ExistingClient(connection, {"a": known, "never:touched": known})

            first, second = await client.sync(), await client.sync()

            assert {"a", "never:touched"} == first["changed"].keys()
            assert {} == second["changed"]


async def test_a_restart_is_a_change(port: int) -> None:
    """I1: after a restart each key is told once more, so nothing that was missed stays old."""
    known = {"a": 0, "b": 0}
    for _ in range(2):
        with live("uvicorn, h11, asyncio", "alone") as server:
            async with await Connection.open(server.port) as connection:
                client = ExistingClient(connection, known)
                before = dict(known)
                assert {"a", "b"} == (await client.sync("reconnect"))["changed"].keys()
                assert {} == (await client.sync())["changed"]
            assert all(client.known[key] > before[key] for key in before)


async def test_many_pages_at_once(port: int) -> None:
    """I1: fifty such clients that hold at the same time are all told of a touch."""
    connections = [await Connection.open(port) for _ in range(50)]
    clients = [ExistingClient(connection, {"shared": 0}) for connection in connections]
    for client in clients:
        await client.sync("mount")
        body = json.dumps(client.body("idle") | {"wait": 20_000}).encode()
        await client.connection.send(raw.request("POST", "/reality/sync", body))
    await raw.until_waiters(port, 50)
    versions = await touch(port, "shared")
    told = await asyncio.gather(*(client.connection.answer() for client in clients))

    assert [versions["shared"]] * 50 == [
        answer.json()["changed"]["shared"]["version"] for answer in told
    ]
    for connection in connections:
        await connection.close()
