"""What `GET` tells: the list of versions, health, readiness, and the browser's client."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from reality import RealityServer, __version__
from tests.http.calling import Caller


async def test_versions(server: RealityServer, call: Caller) -> None:
    """`GET /versions` lists what was touched after a position, page by page, oldest first."""
    await server.invalidate("a", "b:*")
    await server.update_node("c", "h")
    first = (await call("GET", "/reality/versions", query="limit=2")).json()
    query = f"since={first['since']}&serverId={first['origin']}"
    second = (await call("GET", "/reality/versions", query=query)).json()
    stats = server.stats()

    assert ["a", "b:*"] == [node["key"] for node in first["changed"]]
    assert ["c"] == [node["key"] for node in second["changed"]]
    assert {"key", "version", "hash", "updatedAt"} == second["changed"][0].keys()
    assert (True, False) == (first["more"], second["more"])
    assert stats.position == second["since"] == second["maxVersion"]
    assert ("alpha", stats.origin) == (second["serverId"], second["origin"])
    assert "reset" not in first | second
    for server_id in ("beta", "alpha~00000000"):
        other = f"since={first['since']}&serverId={server_id}"
        page = (await call("GET", "/reality/versions", query=other)).json()
        assert (True, 3) == (page["reset"], len(page["changed"]))
    same = await call("GET", "/reality/versions", query=f"since={second['since']}&serverId=alpha")
    assert [] == same.json()["changed"]


@pytest.mark.parametrize("name", ["since", "limit"])
@pytest.mark.parametrize(
    "value",
    [
        "-1",
        "1.5",
        "x",
        "",
        "%20",
        "1e3",
        "+1",
        "٣",
        "²",
        "0x1",
        "9" * 16,
        "4503599627370496",
        "9" * 400,
        "true",
        "1%00",
    ],
)
async def test_wrong_parameters(call: Caller, name: str, value: str) -> None:
    """A parameter that is no whole number below 2**52 is a 400 that names it."""
    status, code, text = (
        await call("GET", "/reality/versions", query=f"{name}={quote(value, safe='%')}")
    ).problem()

    assert (400, "invalid_request") == (status, code)
    assert f"`{name}`" in text
    assert len(text) < 500


async def test_the_limit_of_a_page(call: Caller) -> None:
    """A page of no nodes is refused; one of more than the server gives is cut to that."""
    assert 400 == (await call("GET", "/reality/versions", query="limit=0")).status
    assert 200 == (await call("GET", "/reality/versions", query="limit=1000000")).status


async def test_odd_queries(call: Caller) -> None:
    """Other parameters, repeated ones and broken escapes are no crash."""
    for query in ("more=1", "since=0&since=0", "%", "&&&", "=", "serverId=%ff%fe", "serverId="):
        assert 200 == (await call("GET", "/reality/versions", query=query)).status


@pytest.mark.parametrize("path", ["/reality/health", "/reality/", "/reality"])
async def test_health(server: RealityServer, call: Caller, path: str) -> None:
    """`GET /health` and `GET /` tell how the server is."""
    await server.invalidate("a")
    members = (await call("GET", path)).json()

    assert members.pop("uptime") >= 0
    assert {
        "status": "healthy",
        "serverId": "alpha",
        "version": __version__,
        "mesh": {"peerCount": 0, "healthyPeers": 0},
        "storage": {"healthy": True, "maxVersion": server.stats().version_max},
    } == members


async def test_ready(server: RealityServer, call: Caller) -> None:
    """`GET /ready` is 200 while syncs are answered, and 503 from a stop to the next start."""
    assert 200 == (await call("GET", "/reality/ready")).status
    await server.stop()
    assert (503, "not_ready") == (await call("GET", "/reality/ready")).problem()[:2]
    await server.start()
    assert 200 == (await call("GET", "/reality/ready")).status


async def test_the_chunks_of_the_client_script(call: Caller) -> None:
    """What `client.js` loads later is served under names that a browser may keep for good."""
    script = (await call("GET", "/reality/client.js")).body.decode()
    names = set(re.findall(r"\./(client-[\w-]+\.js)", script))
    answers = [await call("GET", f"/reality/{name}") for name in names]

    assert len(names) >= 4
    assert {200} == {answer.status for answer in answers}
    assert {"text/javascript; charset=utf-8"} == {each.headers["content-type"] for each in answers}
    assert all("immutable" in answer.headers["cache-control"] for answer in answers)
    for name in ("client-nothing-00000000.js", "__init__.py", "../routes.py"):
        assert 404 == (await call("GET", f"/reality/{name}")).status


async def test_the_client_script(call: Caller) -> None:
    """`GET /client.js` is JavaScript that a browser may keep if it asks whether it changed."""
    answer = await call("GET", "/reality/client.js")
    again = await call(
        "GET", "/reality/client.js", headers={"if-none-match": answer.headers["etag"]}
    )
    changed = await call("GET", "/reality/client.js", headers={"if-none-match": '"other"'})

    assert answer.headers["content-type"].startswith("text/javascript")
    assert "no-cache" == answer.headers["cache-control"]
    assert answer.body
    assert (304, b"") == (again.status, again.body)
    assert answer.headers["etag"] == again.headers["etag"]
    assert answer.body == changed.body
