"""What the routes say of a store that fails, and what they keep to themselves."""

from __future__ import annotations

import asyncio

import pytest

from reality import RealityServer
from reality.errors import StorageUnavailable
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage
from tests.http.calling import BEARER, TOKEN, Caller, message
from tests.server.asking import PATIENCE_S

SECRET = "db.internal"


async def test_a_failing_store_is_told_without_its_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While it fails all that needs it is 503; its name and the driver's words are in the log."""
    faulty = FaultyStorage(DictStorage())
    server = RealityServer("alpha", storage=faulty, token=TOKEN)
    call = Caller(server.asgi())
    faulty.failing = StorageUnavailable(f"{SECRET} cannot be reached")
    try:
        ready = await call("GET", "/reality/ready")
        health = await call("GET", "/reality/health")
        sync = await call.post("/reality/sync", message("a"))
        told = await call.post("/reality/invalidate", {"keys": ["a"]}, headers=BEARER)

        assert (503, "not_ready") == ready.problem()[:2]
        assert 503 == health.status
        assert not health.json()["storage"]["healthy"]
        for answer in (sync, told):
            assert (503, "storage_unavailable") == answer.problem()[:2]
        assert all(SECRET.encode() not in each.body for each in (ready, health, sync, told))
        assert SECRET in caplog.text

        faulty.failing = None
        async with asyncio.timeout(PATIENCE_S):
            while 200 != (await call("GET", "/reality/ready")).status:
                await asyncio.sleep(0)
        assert 200 == (await call.post("/reality/sync", message("a"))).status
    finally:
        await server.stop()


async def test_the_first_look_at_a_mounted_server_opens_its_store() -> None:
    """Where nobody has started a server, asking whether it is ready does."""
    server = RealityServer("alpha", storage=DictStorage())
    try:
        assert 200 == (await Caller(server.asgi())("GET", "/reality/ready")).status
        assert server.stats().origin
    finally:
        await server.stop()
