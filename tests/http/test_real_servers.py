"""The same behaviour under every ASGI server, as real processes, alone and mounted."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from tests.http import raw
from tests.http.apps import ORIGIN
from tests.http.calling import BEARER, Answer, following, message
from tests.http.raw import Connection
from tests.http.served import Live
from tests.server.asking import LONG_WAIT_MS

TWO_MEGABYTES = 2 * 1024 * 1024


@pytest.fixture
def port(running: Live) -> int:
    return running.port


def wire(known: dict[str, Any]) -> bytes:
    """A request's body."""
    return json.dumps(known).encode()


async def first(connection: Connection, base_path: str, *keys: str) -> dict[str, Any]:
    """The request that follows the first sync of some keys, to be held."""
    answer = await connection.post(f"{base_path}/sync", message(*keys))
    assert 200 == answer.status
    return following(message(*keys), answer.json()) | {"wait": LONG_WAIT_MS}


# ---- where, and what -----------------------------------------------------------------------------


async def test_every_place_answers(running: Live) -> None:
    """Wherever Reality is mounted, each of its routes answers there, and nothing else does."""
    async with await Connection.open(running.port) as connection:
        for base_path in running.base_paths:
            for path in ("/ready", "/health", "/versions", "/client.js", "/"):
                assert 200 == (await connection.call("GET", base_path + path)).status
            assert 404 == (await connection.call("GET", f"{base_path}/nowhere")).status
            told = await connection.post(f"{base_path}/invalidate", {"keys": ["a"]}, **BEARER)
            synced = await connection.post(f"{base_path}/sync", message("a"))
            assert told.json()["versions"]["a"] == synced.json()["changed"]["a"]["version"]
        assert 404 == (await connection.call("GET", "/elsewhere/sync")).status


async def test_head(port: int) -> None:
    """HEAD has no body, on the wire too: the next answer on the connection is whole."""
    async with await Connection.open(port) as connection:
        for path in ("health", "ready", "versions", "nowhere", "client.js"):
            head = await connection.call("HEAD", f"/reality/{path}")
            full = await connection.call("GET", f"/reality/{path}")
            assert full.status == head.status
            assert full.headers["content-type"] == head.headers["content-type"]
            assert full.body


async def test_versions_in_pages(port: int) -> None:
    """`GET /versions` is paged, and names the run that its positions belong to."""
    start = (await raw.call(port, "GET", "/reality/versions?since=0&limit=1000")).json()["since"]
    keys = [f"paged:{number}" for number in range(7)]
    await raw.post(port, "/reality/invalidate", {"keys": keys}, **BEARER)

    listed, since, more = [], start, True
    while more:
        query = f"since={since}&limit=3"
        page = (await raw.call(port, "GET", f"/reality/versions?{query}")).json()
        since, more = page["since"], page["more"]
        listed += [node["key"] for node in page["changed"]]
    other = (
        await raw.call(port, "GET", f"/reality/versions?since={since}&serverId=alpha~00")
    ).json()

    assert keys == listed
    assert "reset" not in page
    assert other["reset"]
    assert page["origin"] == other["origin"]


# ---- holding -------------------------------------------------------------------------------------


async def test_held_syncs_are_woken(running: Live) -> None:
    """A held sync is answered by an invalidation, again and again on the same connection."""
    for base_path in running.base_paths:
        async with await Connection.open(running.port) as connection:
            request = await first(connection, base_path, "posts:1", "unrelated")
            for _ in range(3):
                await connection.send(raw.request("POST", f"{base_path}/sync", wire(request)))
                await raw.until_waiters(running.port, 1, base_path)
                body = {"keys": ["posts:*"]}
                await raw.post(running.port, f"{base_path}/invalidate", body, **BEARER)
                answer = await connection.answer()
                assert ["posts:1"] == list(answer.json()["changed"])
                assert "reset" not in answer.json()
                request = following(request, answer.json())


async def test_a_wait_ends_by_itself(port: int) -> None:
    """A key that nobody touches is answered after the wait, not before."""
    loop = asyncio.get_running_loop()
    async with await Connection.open(port) as connection:
        request = await first(connection, "/reality", "quiet") | {"wait": 300}
        begun = loop.time()
        answer = await connection.post("/reality/sync", request)

    assert loop.time() - begun >= 0.299
    assert {} == answer.json()["changed"]


async def test_an_asker_that_leaves_is_noticed(running: Live) -> None:
    """A client that disconnects in mid-wait is no longer held, whichever way it goes."""
    for base_path in running.base_paths:
        for is_abrupt in (False, True):
            connection = await Connection.open(running.port)
            request = await first(connection, base_path, "a")
            await connection.send(raw.request("POST", f"{base_path}/sync", wire(request)))
            await raw.until_waiters(running.port, 1, base_path)
            await connection.close(is_abrupt=is_abrupt)
            await raw.until_waiters(running.port, 0, base_path)


async def test_an_asker_that_leaves_in_mid_body(port: int) -> None:
    """A client that disconnects before its body is whole does no harm, and nothing is done."""
    before = (await raw.call(port, "GET", "/reality/versions?since=0")).json()["maxVersion"]
    body = wire({"keys": ["half"]})
    for data in (
        raw.request("POST", "/reality/invalidate", body, BEARER)[:-5],
        raw.request("POST", "/reality/sync", b"", {"content-length": "500"}),
        raw.chunked("POST", "/reality/sync", body)[:-6],
    ):
        for is_abrupt in (False, True):
            connection = await Connection.open(port)
            await connection.send(data)
            await connection.close(is_abrupt=is_abrupt)

    assert 200 == (await raw.post(port, "/reality/sync", message("a"))).status
    after = (await raw.call(port, "GET", "/reality/versions?since=0")).json()["maxVersion"]
    assert before == after


# ---- bad input -----------------------------------------------------------------------------------

SYNC = "/reality/sync"
GOOD = wire(message("a"))
BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (raw.request("POST", SYNC, b""), 400, "malformed_json"),
    "no length": (raw.request("POST", SYNC), 400, "malformed_json"),
    "malformed": (raw.request("POST", SYNC, b'{"known":'), 400, "malformed_json"),
    "not UTF-8": (raw.request("POST", SYNC, b'{"known":{"\xff":0}}'), 400, "malformed_json"),
    "brackets": (
        raw.request("POST", SYNC, b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        400,
        "malformed_json",
    ),
    "version": (
        raw.request("POST", SYNC, wire(message(known={"a": 1.5}))),
        400,
        "invalid_request",
    ),
    "control character": (raw.request("POST", SYNC, wire(message("a\n"))), 400, "invalid_key"),
    "pattern": (raw.request("POST", SYNC, wire(message("a:*"))), 400, "invalid_key"),
    "513 bytes": (raw.request("POST", SYNC, wire(message("é" * 257))), 422, "key_too_long"),
    "nine levels": (
        raw.request("POST", SYNC, wire(message("a:b:c:d:e:f:g:h:i"))),
        422,
        "key_too_deep",
    ),
    "10,001 keys": (
        raw.request("POST", SYNC, wire(message(*map(str, range(10_001))))),
        422,
        "too_many_keys",
    ),
    "media type": (
        raw.request("POST", SYNC, GOOD, {"content-type": "text/plain"}),
        415,
        "unsupported_media_type",
    ),
    "no token": (
        raw.request("POST", "/reality/invalidate", wire({"keys": ["a"]})),
        401,
        "unauthorized",
    ),
    "wrong token": (
        raw.request("POST", "/reality/update", b"{}", {"authorization": "Bearer wrong"}),
        401,
        "unauthorized",
    ),
    "unknown method": (raw.request("DELETE", SYNC), 405, "method_not_allowed"),
    "other method": (raw.request("GET", SYNC), 405, "method_not_allowed"),
    "unknown path": (raw.request("GET", "/reality/nowhere%ff"), 404, "not_found"),
    "parameter": (raw.request("GET", "/reality/versions?since=-1"), 400, "invalid_request"),
}


@pytest.mark.parametrize(("data", "status", "code"), BAD.values(), ids=BAD)
async def test_bad_input(port: int, data: bytes, status: int, code: str) -> None:
    """Bad input has its status and code, may not be stored, and the connection goes on."""
    async with await Connection.open(port) as connection:
        await connection.send(data)
        answer = await connection.answer()
        assert (status, code) == answer.problem()[:2]
        assert ("allow" in answer.headers) == (status == 405)
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert 200 == (await connection.post(SYNC, message("a"))).status


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
async def test_a_2_megabyte_body(port: int, is_chunked: bool) -> None:
    """I6: a body of 2 MB is a 413, with its length told or not, and the server lives on."""
    body = b" " * TWO_MEGABYTES
    chunks = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]
    data = raw.chunked("POST", SYNC, *chunks) if is_chunked else raw.request("POST", SYNC, body)
    async with await Connection.open(port) as connection:
        sending = asyncio.create_task(connection.send(data))
        answer = await connection.answer()
        await sending

    assert (413, "body_too_large") == answer.problem()[:2]
    assert 200 == (await raw.post(port, SYNC, message("a"))).status


async def test_a_chunked_body(port: int) -> None:
    """A body in chunks works, however small they are."""
    async with await Connection.open(port) as connection:
        for size in (1, 7, len(GOOD)):
            chunks = [GOOD[start : start + size] for start in range(0, len(GOOD), size)]
            await connection.send(raw.chunked("POST", SYNC, *chunks))
            assert ["a"] == list((await connection.answer()).json()["changed"])


async def test_a_body_that_comes_slowly(port: int) -> None:
    """A body may come in pieces, with pauses."""
    data = raw.request("POST", SYNC, GOOD)
    async with await Connection.open(port) as connection:
        for part in (data[:20], data[20:-30], data[-30:-1], data[-1:]):
            await connection.send(part)
            await asyncio.sleep(0.02)
        assert 200 == (await connection.answer()).status


async def test_expect_continue(port: int) -> None:
    """A client that asks whether it may send its body, as curl does, is answered."""
    data = raw.request("POST", SYNC, GOOD, {"expect": "100-continue"})
    async with await Connection.open(port) as connection:
        await connection.send(data[: -len(GOOD)])
        await asyncio.sleep(0.02)
        await connection.send(GOOD)
        assert 200 == (await connection.answer()).status


@pytest.mark.parametrize(
    "cursor",
    ["", "garbage", "1;0;beta~00=1", "1;0;" + "x" * 20_000, "\0", "é", "x" * 900_000],
    ids=["empty", "garbage", "foreign", "long", "NUL", "not ASCII", "900 kB"],
)
async def test_unusable_cursors(port: int, cursor: str) -> None:
    """I1: a garbage, foreign or oversized cursor is a `reset`, never an error."""
    answer = await raw.post(port, SYNC, message("a", cursor=cursor, wait=LONG_WAIT_MS))

    assert (200, True, ["a"]) == (
        answer.status,
        answer.json()["reset"],
        list(answer.json()["changed"]),
    )
    assert "no-store" == answer.headers["cache-control"]


# ---- other origins, other protocols --------------------------------------------------------------


async def test_other_origins(running: Live) -> None:
    """Preflights and errors are readable by an allowed page, and by no other."""
    async with await Connection.open(running.port) as connection:
        for base_path in running.base_paths:
            answers: list[tuple[Answer, Answer]] = []
            for method, path, body in (
                ("OPTIONS", "/sync", None),
                ("POST", "/sync", GOOD),
                ("POST", "/sync", b"{"),
                ("GET", "/nowhere", None),
                ("PUT", "/sync", b""),
            ):
                allowed, other = [
                    await connection.call(method, base_path + path, body, origin=origin)
                    for origin in (ORIGIN, "https://evil.example")
                ]
                answers.append((allowed, other))
            assert [204, 200, 400, 404, 405] == [allowed.status for allowed, _ in answers]
            for allowed, other in answers:
                assert ORIGIN == allowed.headers["access-control-allow-origin"]
                assert "access-control-allow-origin" not in other.headers
                assert "origin" == allowed.headers["vary"] == other.headers["vary"]
            assert "POST" in answers[0][0].headers["access-control-allow-methods"]


async def test_websockets_are_refused(port: int) -> None:
    """A WebSocket handshake is refused, and the server lives on."""
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with await Connection.open(port) as connection:
        await connection.send(raw.request("GET", SYNC, headers=headers))
        assert 400 <= (await connection.status()) < 500

    assert 200 == (await raw.post(port, SYNC, message("a"))).status


def test_nothing_but_http(port: int) -> None:
    """Noise on the port is no harm to anybody else."""
    for noise in (b"\0" * 64, b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(noise)

    async def still_there() -> int:
        return (await raw.post(port, SYNC, message("a"))).status

    assert 200 == asyncio.run(still_there())
