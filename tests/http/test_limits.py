"""Every limit of `Limits` has its error, or its effect, when it is exceeded (I6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any

import pytest

from reality import Limits, RealityServer
from reality.server.store_state import StoreState
from reality.testing.dictionary import DictStorage
from reality.testing.faults import SlowStorage
from tests.http.calling import BEARER, TOKEN, Caller, following, held, message
from tests.server.asking import until

Proof = Callable[[RealityServer, Caller], Awaitable[None]]


async def sync(call: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """The members of a good answer."""
    answer = await call.post("/reality/sync", request)
    assert 200 == answer.status
    members: dict[str, Any] = answer.json()
    return members


async def body_bytes_max(_: RealityServer, call: Caller) -> None:
    answer = await call.post("/reality/sync", message("a"))
    assert (413, "body_too_large") == answer.problem()[:2]


async def keys_max(_: RealityServer, call: Caller) -> None:
    for path, body in (("sync", message("a", "b")), ("invalidate", {"keys": ["a", "b"]})):
        answer = await call.post(f"/reality/{path}", body, headers=BEARER)
        assert (422, "too_many_keys") == answer.problem()[:2]


async def wait_ms_max(_: RealityServer, call: Caller) -> None:
    request = following(message("a"), await sync(call, message("a"))) | {"wait": 2**50}
    assert {} == (await asyncio.wait_for(sync(call, request), timeout=10))["changed"]


async def waiters_max(server: RealityServer, call: Caller) -> None:
    request = following(message("b"), await sync(call, message("b"))) | {"wait": 5_000}
    async with held(server, call, "a"):
        answer = await call.post("/reality/sync", request | {"clientId": "another"})
    assert (503, "too_many_waiters") == answer.problem()[:2]


async def waiters_per_client_max(server: RealityServer, call: Caller) -> None:
    request = following(message("b"), await sync(call, message("b"))) | {"wait": 5_000}
    async with held(server, call, "a"):
        answer = await call.post("/reality/sync", request)
    assert (429, "too_many_waiters_of_client") == answer.problem()[:2]


async def waited_names_max(_: RealityServer, call: Caller) -> None:
    request = following(message("a"), await sync(call, message("a"))) | {"wait": 5_000}
    answer = await call.post("/reality/sync", request)
    assert (503, "too_many_waiters") == answer.problem()[:2]


async def nodes_max(server: RealityServer, call: Caller) -> None:
    origin = server.stats().origin
    request = following(message("a"), await sync(call, message("a")))
    await server.invalidate("b", "c")
    assert origin != server.stats().origin
    assert (await sync(call, request))["reset"]


async def queued_names_max(server: RealityServer, _: Caller) -> None:
    slow = SlowStorage(DictStorage())
    shared = RealityServer("beta", storage=slow, token=TOKEN, limits=server.limits)
    call = Caller(shared.asgi())
    state = shared._state
    assert isinstance(state, StoreState)
    try:
        await shared.start()
        slow.hold("append")
        calls = [asyncio.create_task(shared.invalidate("under way"))]
        await until(lambda: slow.held == 1)
        calls.append(asyncio.create_task(shared.invalidate("waits")))
        await until(lambda: state._work is not None and len(state._work[1]._queue) == 1)
        answer = await call.post("/reality/invalidate", {"keys": ["a"]}, headers=BEARER)
        assert (503, "storage_busy") == answer.problem()[:2]
        await state._thread.call(slow.release())
        await asyncio.gather(*calls)
    finally:
        await shared.stop()


async def page_nodes_max(server: RealityServer, call: Caller) -> None:
    await server.invalidate("a", "b")
    page = (await call("GET", "/reality/versions", query="limit=9")).json()
    assert (1, True) == (len(page["changed"]), page["more"])


async def refetches_per_s(server: RealityServer, call: Caller) -> None:
    async with held(server, call, "a") as first, held(server, call, "a") as second:
        await server.invalidate("a")
        assert 2_000 == (await first).json()["spreadMs"] == (await second).json()["spreadMs"]


PROOFS: tuple[Proof, ...] = (
    body_bytes_max,
    keys_max,
    wait_ms_max,
    waiters_max,
    waiters_per_client_max,
    waited_names_max,
    nodes_max,
    queued_names_max,
    page_nodes_max,
    refetches_per_s,
)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
async def test_a_limit_of_one_is_felt(proof: Proof) -> None:
    """I6: with a limit of 1, the second of its kind is a clear error or the documented effect."""
    server = RealityServer("alpha", token=TOKEN, limits=Limits(**{proof.__name__: 1}))

    await proof(server, Caller(server.asgi()))


def test_every_limit_has_its_proof() -> None:
    """I6: a limit that is added needs a test that exceeds it."""
    assert {field.name for field in fields(Limits)} == {proof.__name__ for proof in PROOFS}
