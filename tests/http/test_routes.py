"""Every route: what it answers, to which methods, with which headers."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from reality import Limits, RealityServer
from tests.http.calling import BEARER, Caller, following, held, message

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"]
ROUTES = {
    "/": {"GET", "HEAD"},
    "/health": {"GET", "HEAD"},
    "/ready": {"GET", "HEAD"},
    "/client.js": {"GET", "HEAD"},
    "/versions": {"GET", "HEAD"},
    "/sync": {"POST"},
    "/invalidate": {"POST"},
    "/update": {"POST"},
}


# ---- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", METHODS)
async def test_methods(call: Caller, path: str, method: str) -> None:
    """A route takes its methods; any other is a 405 that lists them in `Allow`."""
    body = json.dumps(message("a") | {"keys": ["a"], "key": "a", "hash": "h"}).encode()
    answer = await call(method, f"/reality{path}", body, headers=BEARER)

    if method in ROUTES[path]:
        assert 200 == answer.status
    else:
        assert 405 == answer.status
        assert ROUTES[path] | {"OPTIONS"} == set(answer.headers["allow"].split(", "))
        if method != "HEAD":
            assert "method_not_allowed" == answer.problem()[1]


@pytest.mark.parametrize("path", ROUTES)
async def test_options(call: Caller, path: str) -> None:
    """OPTIONS tells the methods of a route, to anybody."""
    answer = await call("OPTIONS", f"/reality{path}")

    assert (204, b"") == (answer.status, answer.body)
    assert ROUTES[path] | {"OPTIONS"} == set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/reality/nowhere",
        "/reality/sync/",
        "/reality//sync",
        "/reality/SYNC",
        "/reality/sync/more",
        "/realitysync",
        "/reality/../sync",
        "/reality/mesh/",
        "/elsewhere",
        "/reality/é",
        "/reality/\x00",
        "/reality/" + "x" * 5_000,
    ],
)
async def test_unknown_paths(call: Caller, path: str) -> None:
    """Any other path is a 404 that names the routes, whatever the method."""
    for method in ("GET", "POST", "OPTIONS"):
        status, code, text = (await call(method, path)).problem()
        assert (404, "not_found") == (status, code)
        assert "/sync" in text
    assert (404, b"") == ((answer := await call("HEAD", path)).status, answer.body)


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/client.js", "/versions", "/nowhere"])
async def test_head_is_get_without_a_body(call: Caller, path: str) -> None:
    """HEAD has the headers of GET, the length included, and no body."""
    full = await call("GET", f"/reality{path}")
    head = await call("HEAD", f"/reality{path}")

    assert full.status == head.status
    assert b"" == head.body
    assert full.headers.keys() == head.headers.keys()
    assert full.headers["content-type"] == head.headers["content-type"]
    if path not in {"/", "/health", "/versions"}:  # which tell the time
        assert full.headers == head.headers


# ---- sync ----------------------------------------------------------------------------------------


async def test_the_shape_of_a_sync(server: RealityServer, call: Caller) -> None:
    """An answer to a sync has the promised members, and optional ones only where they say."""
    await server.update_node("posts", "h1")
    await server.delete_node("gone")
    answer = await call.post("/reality/sync", message("posts", "gone", "never"))
    members = answer.json()

    assert "application/json" == answer.headers["content-type"]
    assert {"changed", "mesh", "serverTime", "cursor"} == members.keys()
    assert {"peers": {}, "serverVersion": server.stats().position} == members["mesh"]
    assert abs(members["serverTime"] - 1000 * time.time()) < 60_000
    nodes = members["changed"]
    assert {"version", "hash"} == nodes["posts"].keys() == nodes["never"].keys()
    assert ("h1", "", "") == tuple(nodes[key]["hash"] for key in ("posts", "gone", "never"))
    assert nodes["gone"]["deleted"] is True
    assert nodes["posts"]["version"] == nodes["never"]["version"] + 1


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/reality/sync", b"{}", {}),
        ("/reality/sync", b"", {}),
        ("/reality/sync", b"{}", {"content-type": "text/plain"}),
        ("/reality/sync", b"x" * 2_000_000, {}),
        ("/reality/sync", b"{}", {"content-length": "many"}),
        ("/reality/sync", json.dumps(message("a")).encode(), {}),
        ("/reality/sync", json.dumps(message("a\n")).encode(), {}),
        ("/reality/sync", json.dumps(message(*map(str, range(10_001)))).encode(), {}),
    ],
)
async def test_no_answer_to_a_sync_may_be_stored(
    call: Caller, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """Every answer to `POST /sync`, errors included, carries `Cache-Control: no-store`."""
    assert "no-store" == (await call("POST", path, body, headers=headers)).headers["cache-control"]


async def test_a_held_sync_is_woken(server: RealityServer, call: Caller) -> None:
    """A sync with `wait` is answered when its key is touched."""
    async with held(server, call, "a:b") as task:
        await server.invalidate("a:*")

        assert ["a:b"] == list((await task).json()["changed"])
    assert 0 == server.stats().waiters


async def test_an_asker_that_leaves_is_let_go(server: RealityServer, call: Caller) -> None:
    """A sync is not held for an asker that has gone."""
    leaving = asyncio.Event()
    async with held(server, call, "a", leaving=leaving) as task:
        leaving.set()
        await task
        assert 0 == server.stats().waiters


async def test_a_crowd_is_told_to_spread() -> None:
    """`spreadMs` travels to those that one touch woke together."""
    server = RealityServer("alpha", limits=Limits(refetches_per_s=1))
    call = Caller(server.asgi())
    async with held(server, call, "a") as first, held(server, call, "a") as second:
        await server.invalidate("a")
        answers = [(await task).json() for task in (first, second)]

    assert [2_000, 2_000] == [answer["spreadMs"] for answer in answers]


async def test_too_many_held_syncs() -> None:
    """I6: 503 for the server's limit, 429 for the client's, both with `Retry-After`."""
    for limits, status, code in [
        (Limits(waiters_max=1), 503, "too_many_waiters"),
        (Limits(waiters_per_client_max=1), 429, "too_many_waiters_of_client"),
    ]:
        server = RealityServer("alpha", limits=limits)
        call = Caller(server.asgi())
        request = following(message("a"), (await call.post("/reality/sync", message("a"))).json())
        async with held(server, call, "a"):
            answer = await call.post("/reality/sync", request | {"wait": 20_000})
            assert (status, code) == answer.problem()[:2]
            assert "1" == answer.headers["retry-after"]
            assert 200 == (await call.post("/reality/sync", request)).status


async def test_a_shutdown_asks_for_patience(server: RealityServer, call: Caller) -> None:
    """Once a shutdown has begun, answers carry `Retry-After`, and nothing is held or ready."""
    request = following(message("a"), (await call.post("/reality/sync", message("a"))).json())
    async with held(server, call, "a") as task:
        server.end_waits()
        woken = await task
    after = await call.post("/reality/sync", request | {"wait": 20_000})

    for answer in (woken, after):
        assert (200, {}) == (answer.status, answer.json()["changed"])
        assert "1" == answer.headers["retry-after"]
    assert (503, "not_ready") == (await call("GET", "/reality/ready")).problem()[:2]
    health = await call("GET", "/reality/health")
    assert (503, "unhealthy") == (health.status, health.json()["status"])
    await server.stop()
    assert (503, "not_ready") == (await call.post("/reality/sync", request)).problem()[:2]


# ---- writing -------------------------------------------------------------------------------------


async def test_invalidate(server: RealityServer, call: Caller) -> None:
    """`POST /invalidate` touches keys and patterns in one batch and tells the keys' versions."""
    answer = await call.post(
        "/reality/invalidate",
        {"keys": ["a", "b:*", "a"], "source": "tests", "timestamp": 5, "more": 1},
        headers=BEARER,
    )

    node = await server.get_node("a")
    assert node is not None
    assert {"invalidated": ["a", "b:*", "a"], "versions": {"a": node.version}} == answer.json()
    assert 1 == server.stats().invalidations


async def test_update(server: RealityServer, call: Caller) -> None:
    """`POST /update` records a hash and tells the node."""
    answer = await call.post("/reality/update", {"key": "a", "hash": "h"}, headers=BEARER)

    node = await server.get_node("a")
    assert node is not None
    assert {"key": "a", "version": node.version, "hash": "h", "updatedAt": node.updated_at} == (
        answer.json()
    )
