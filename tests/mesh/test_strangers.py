"""`mesh.transport` where no peer answers: garbage, stalls, floods, forgeries (I6, I7)."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest

from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.errors import ProtocolError, ServerUnavailable
from reality.mesh.transport import HttpMeshTransport
from tests.mesh.answering import (
    ENOUGH_S,
    ROUTE,
    SECRET,
    SOON_S,
    Handler,
    Peer,
    Request,
    answering,
    failure,
    http,
    listening,
    problem,
    signed,
)


@pytest.fixture
async def transport() -> AsyncIterator[HttpMeshTransport]:
    """A transport with connections of its own."""
    transport = HttpMeshTransport(SECRET)
    yield transport
    await transport.aclose()


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def _never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _repeat(writer: asyncio.StreamWriter, first: bytes, again: bytes) -> None:
    writer.write(first)
    while True:
        writer.write(again)
        await writer.drain()
        await asyncio.sleep(0.01)


async def _trickle_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _repeat(writer, b"HTTP/1.1 200 OK\r\nx: ", b"y")


async def _trickle_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _repeat(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n", b"y")


async def _keep_asking_for_patience(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await _repeat(writer, b"", b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize(
    "handler", [_stall, _never_read, _trickle_head, _trickle_body, _keep_asking_for_patience]
)
async def test_the_time_is_for_the_whole_exchange(
    transport: HttpMeshTransport, handler: Handler
) -> None:
    """I6: whoever takes long, or answers a byte at a time, is unavailable after the timeout."""
    error = await failure(transport, handler, timeout_s=SOON_S)

    assert isinstance(error, ServerUnavailable)
    assert "not answered within 0.2 s" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\0" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        http(200, b"{}"),
        http(200, b"<html>Welcome to nginx</html>"),
        http(204, b""),
        http(404, b"<html>Not found</html>"),
        http(500, b"\xff\xfe"),
        http(200, problem(404, "not_found")),
        http(301, b"", location="http://127.0.0.1:1/"),
        http(307, problem(307, "moved"), location="http://127.0.0.1:1/"),
    ],
    ids=lambda answer: answer[:40].decode("latin-1"),
)
async def test_what_is_no_answer_of_a_peer(transport: HttpMeshTransport, answer: bytes) -> None:
    """I7: garbage, a cut or unsigned answer, a web page and a redirect are not a peer's answer."""
    assert isinstance(await failure(transport, answering(lambda _: answer)), ProtocolError)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_its_server_is_unavailable(
    transport: HttpMeshTransport, status: int
) -> None:
    """The page of a proxy that cannot reach the peer says that the peer is away."""
    error = await failure(transport, answering(lambda _: http(status, b"<html>")))

    assert isinstance(error, ServerUnavailable)


@pytest.mark.parametrize("is_clients_own", [True, False])
async def test_redirects_are_not_followed(is_clients_own: bool) -> None:
    """I7: a message goes nowhere but to the peer, whatever the passed client would do."""
    elsewhere = Peer()
    async with (
        listening(elsewhere) as target,
        listening(answering(lambda _: http(307, b"", location=target))) as url,
        httpx2.AsyncClient(follow_redirects=True) as client,
    ):
        transport = HttpMeshTransport(SECRET, http=client if is_clients_own else None)
        with pytest.raises(ProtocolError, match="redirects"):
            await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)
        await transport.aclose()

    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "head", [b"transfer-encoding: chunked", b"content-length: 10000000000", b"connection: close"]
)
async def test_an_endless_answer_is_not_read(transport: HttpMeshTransport, head: bytes) -> None:
    """I6: of an answer of 10 GB no more is read than an answer may be long, and none kept."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        part = b"x" * 65_536
        while sent < 10_000_000_000:
            writer.write(b"10000\r\n" + part + b"\r\n" if b"chunked" in head else part)
            await writer.drain()
            sent += len(part)

    error = await failure(transport, flood)

    assert isinstance(error, ProtocolError)
    assert "larger than 65536 bytes" in str(error)
    assert sent < 20_000_000  # what the sockets' buffers took


async def test_a_packed_answer_is_not_unpacked(transport: HttpMeshTransport) -> None:
    """I6: a few kilobytes that would become 50 MB are refused as they came, signed or not."""
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < MESH_MESSAGE_BYTES_MAX
    error = await failure(
        transport, answering(lambda request: signed(request, 200, bomb, content_encoding="gzip"))
    )

    assert isinstance(error, ProtocolError)
    assert "packed ('gzip')" in str(error)


async def test_a_forged_answer_is_refused(transport: HttpMeshTransport) -> None:
    """I7: an answer that was changed, or was given to another request, is refused."""
    kept: list[bytes] = []

    def change(request: Request) -> bytes:
        return signed(request, 200, b'{"a":1}').replace(b'{"a":1}', b'{"a":2}')

    def repeat(request: Request) -> bytes:
        kept.append(signed(request, 200, b"{}"))
        return kept[0]

    assert "signature is wrong" in str(await failure(transport, answering(change)))
    async with listening(answering(repeat)) as url:
        assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"
        with pytest.raises(ProtocolError, match="signature is wrong"):
            await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)


async def test_cookies_are_not_kept(transport: HttpMeshTransport) -> None:
    """I6: what an answer tells to remember is not remembered."""
    seen = list[Request]()

    def answer(request: Request) -> bytes:
        seen.append(request)
        return signed(request, 200, b"{}", set_cookie=f"c{len(seen)}={'x' * 1000}")

    async with listening(answering(answer)) as url:
        for _ in range(2):
            await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S)

    assert all("cookie" not in each.headers for each in seen)


async def test_a_stalling_peer_does_not_keep_others_waiting(transport: HttpMeshTransport) -> None:
    """While hundreds of exchanges with one peer stall, another is asked at once."""
    async with listening(_stall) as stalled, listening(Peer()) as url:
        waiting = [
            asyncio.ensure_future(transport.post(stalled, ROUTE, b"{}", timeout_s=60))
            for _ in range(150)
        ]
        await asyncio.sleep(0)
        assert await transport.post(url, ROUTE, b"{}", timeout_s=ENOUGH_S) == b"{}"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
