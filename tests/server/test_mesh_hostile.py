"""What strangers, and members gone wrong, send over real HTTP: refused, counted, said once."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from reality.mesh.messages import decode_exchange, encode
from reality.mesh.signing import Signer
from tests.mesh.exchanging import exchange, page
from tests.server.asking import PATIENCE_S, Asker
from tests.server.members import GREETING, ROUTE, member, signature
from tests.server.meshed import SECRET


def broken(body: bytes, change: Callable[[dict[str, str]], object]) -> dict[str, str]:
    headers = signature(body)
    change(headers)
    return headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signature(GREETING, secret="another-secret-of-nobody"),
        signature(GREETING + b" "),
        signature(GREETING, route="/mesh/remove"),
        broken(GREETING, lambda each: each.pop("Reality-Nonce")),
        broken(GREETING, lambda each: each.update({"Reality-Signature": "v1="})),
        broken(GREETING, lambda each: each.update({"Reality-Timestamp": "0"})),
        {"authorization": "Bearer the-token-of-the-tests"},
    ],
)
async def test_who_has_not_the_secret_is_refused(headers: dict[str, str]) -> None:
    """I7: unsigned, signed with another secret, for another body or route: 401, and counted."""
    async with member(token="the-token-of-the-tests") as a:
        for number in range(1, 4):
            answer = await a.post(GREETING, headers)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert a.refused == number
        await a.serves()
        assert a.server.stats().mesh.asked == 0  # type: ignore[union-attr]


async def test_a_message_counts_once() -> None:
    """I7: a message that is sent again is refused, though it is signed."""
    async with member() as a:
        headers = signature(GREETING)
        assert (await a.post(GREETING, headers)).status_code == 200
        again = await a.post(GREETING, headers)

        assert again.status_code == 401
        assert again.json()["code"] == "mesh_replayed"
        assert a.refused == 1
        await a.serves()


async def test_a_message_from_another_time_is_refused() -> None:
    """I7: a message that was signed a minute ago is not taken, and the signer is told the time."""
    async with member() as a:
        for minutes in (-1, 1):
            now_ms = time.time_ns() // 1_000_000 + minutes * 60_000
            nonce = secrets.token_hex(16)
            headers = Signer(SECRET).headers("POST", ROUTE, GREETING, now_ms=now_ms, nonce=nonce)
            answer = await a.post(GREETING, headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "mesh_clock_skew")
            told_ms = Signer(SECRET).check_answer(nonce, 401, dict(answer.headers), answer.content)
            assert abs(told_ms - time.time_ns() // 1_000_000) < 30_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"serverId":"b"}',
        encode(exchange(pages=[page(since=(2**50, 0))])),
        encode(exchange("b", run="c~1")),
        json.dumps({"kind": "exchange", "digest": {"x" * 50_000: [0, 0]}}).encode(),
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_garbage_of_a_member_is_refused(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """I6: a signed message that is none is 400, counted, and said once a minute."""
    with caplog.at_level(logging.WARNING, "reality.mesh"):
        async with member() as a:
            for number in range(1, 6):
                answer = await a.post(body)
                assert (answer.status_code, a.refused) == (400, number)
            await a.serves()

    assert len([each for each in caplog.records if "was refused" in each.getMessage()]) == 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "members",
    [
        {"register": 2**51 + 1},
        {"digest": {"b~1": (2**50 + 1, 0)}},
        {"generation": (10**8 + 1, "b")},
        {"generation": (99_999, "b")},
        {"pages": [page(touched=[["k", 1, 2**40 + 1, "", 0, False]])]},
        {"pages": [page(ends=(2**50 + 1, ""))]},
        {"digest": {f"b~{number}": (0, 0) for number in range(65)}},
    ],
    ids=lambda members: next(iter(members)),
)
async def test_what_is_out_of_bounds_is_refused(members: dict[str, Any]) -> None:
    """I6: sequences, registers, touches, generations beyond bounds leave all as it was."""
    async with member() as a:
        await a.serves()
        before = a.server.stats()
        answer = await a.post(encode(exchange(**members)))
        after = a.server.stats()

        assert (answer.status_code, a.refused) == (400, 1)
        assert (after.origin, after.version_max) == (before.origin, before.version_max)
        await a.serves()


async def test_a_digest_from_the_future_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """I2: who claims to know more of this server's run than it does is refused; nobody is reset."""
    async with member() as a:
        asker = await Asker(a.server, "k").caught_up()
        own = a.server.stats().origin
        for _ in range(5):
            answer = await a.post(encode(exchange(digest={own: (10**9, 0)})))
            assert answer.status_code == 400
            assert "claims to have seen of this server what it never did" in answer.text
        assert (a.refused, a.server.stats().origin) == (5, own)
        assert 1 == caplog.text.count("a message was refused")
        assert not (await asker.ask()).reset
        await a.serves()


@pytest.mark.parametrize("route", ["/mesh/exchange", "/mesh/remove", "/mesh/peers"])
async def test_other_methods_and_routes_are_refused(route: str) -> None:
    """I7: what operators ask is for those with the secret, too, and not for browsers."""
    async with member() as a:
        url = f"{a.url}/reality{route}"
        assert (await a.http.get(url)).status_code == 405
        assert (await a.http.post(url, json={"serverId": "b"})).status_code == 401
        assert (await a.post(b"{", route=route)).status_code in (200, 400)  # `peers` reads nothing
        assert (await a.post(GREETING, route="/mesh/nothing")).status_code == 404
        await a.serves()


async def test_nobody_removes_a_server_by_asking_itself() -> None:
    """A removal is asked of another server, with an id that can be one."""
    async with member() as a:
        for server_id in ("a", "", "a b", "x" * 65):
            body = json.dumps({"serverId": server_id}).encode()
            assert (await a.post(body, route="/mesh/remove")).status_code == 400
        await a.serves()
        assert not a.server.stats().mesh.is_removed  # type: ignore[union-attr]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_ten_gigabytes_are_not_read(is_chunked: bool) -> None:
    """I6: a body of 10 GB is refused before it is read, or once it is too long."""
    async with member() as a:
        parts = urlsplit(a.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        length = "transfer-encoding: chunked" if is_chunked else "content-length: 10000000000"
        writer.write(f"POST /reality{ROUTE} HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n".encode())
        sent = 0
        chunk = b"x" * 65_536
        answered = asyncio.create_task(reader.readuntil(b"\r\n"))
        async with asyncio.timeout(PATIENCE_S):
            while not answered.done():
                try:
                    writer.write(b"10000\r\n" + chunk + b"\r\n" if is_chunked else chunk)
                    await writer.drain()
                except ConnectionError:
                    break
                sent += len(chunk)
                await asyncio.sleep(0)
            line = await answered
        writer.close()

        assert b"413" in line
        assert sent < 100_000_000
        await a.serves()


async def test_a_body_that_comes_slowly_holds_up_nobody() -> None:
    """I6: hundreds of bodies that do not end leave the server as quick as it is."""
    async with member() as a:
        parts = urlsplit(a.url)
        head = (
            f"POST /reality{ROUTE} HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n{{".encode()
        )
        writers = []
        for _ in range(200):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(head)
            writers.append(writer)
        for _ in range(5):
            await a.serves()
            assert (await a.post(GREETING)).status_code == 200
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_an_answer_reveals_nothing_to_strangers() -> None:
    """I7: a stranger's refusal neither names peers nor secrets, nor says who is there."""
    async with member() as a:
        await a.server.invalidate("private")
        for route in ("/mesh/exchange", "/mesh/peers"):
            answer = await a.post(b"{}", {}, route=route)
            assert answer.status_code == 401
            for text in ("private", SECRET, a.server.stats().origin):
                assert text not in answer.text
        told = decode_exchange((await a.post(GREETING)).content)
        assert told.server_id == "a"
