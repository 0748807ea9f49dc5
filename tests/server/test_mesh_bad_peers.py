"""Peers whose answers are garbage, endless, late or forged: nobody else is harmed (I6)."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from reality import Mesh, RealityServer
from reality.core.limits import MESH_MESSAGE_BYTES_MAX
from reality.mesh.messages import encode
from reality.mesh.signing import Signer
from tests.mesh import answering
from tests.mesh.exchanging import exchange, page
from tests.server.asking import PATIENCE_S, Asker
from tests.server.members import GREETING, member
from tests.server.meshed import SECRET, eventually


async def _flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def _trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


def _says(body: bytes) -> answering.Handler:
    """A peer that signs, with the secret of this mesh, whatever it says."""

    def answer(request: answering.Request) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        nonce = request.headers["reality-nonce"]
        signed = Signer(SECRET).answer_headers(nonce, 200, body, now_ms=now_ms)
        return answering.http(200, body, **signed)

    return answering.answering(answer)


def _unsigned(body: bytes) -> answering.Handler:
    return answering.answering(lambda _: answering.http(200, body))


@pytest.mark.parametrize(
    ("handler", "is_refused"),
    [
        (_flood, True),
        (_stall, False),
        (_trickle, False),
        (answering.answering(lambda _: b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), True),
        (answering.answering(lambda _: answering.http(200, b"<html>")), True),
        (answering.answering(lambda _: answering.http(302, b"", location="http://x/")), True),
        (_unsigned(GREETING), True),
        (_says(b"\xff"), True),
        (_says(b"[" * 60_000), True),
        (_says(b" " * (MESH_MESSAGE_BYTES_MAX + 1)), True),
        (_says(encode(exchange("b", generation=(99_999, "b")))), True),
        (_says(encode(exchange(pages=[page(begins=(2, ""), ends=(1, ""))]))), True),
    ],
    ids=[
        "flood",
        "stall",
        "trickle",
        "ssh",
        "html",
        "redirect",
        "unsigned",
        "garbage",
        "deep",
        "too long",
        "generation",
        "page",
    ],
)
async def test_a_peer_gone_wrong_harms_nobody(
    handler: answering.Handler, is_refused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """I6: whatever a peer answers, the server starts, serves, counts it, and says it once."""
    with caplog.at_level(logging.WARNING, "reality.mesh"):
        timeout_s = 20 if is_refused else 0.2
        async with answering.listening(handler) as url, member(url, timeout_s=timeout_s) as a:
            assert a.server.is_ready
            await a.serves()
            await eventually(lambda: a.server.stats().mesh.failures >= 3)  # type: ignore[union-attr]
            assert a.refused >= 3 if is_refused else a.refused == 0
            await a.serves()
            assert a.server.mesh is not None
            async with asyncio.timeout(PATIENCE_S):
                # A failure does not count while this server itself is late.
                while [each.health for each in await a.server.mesh.peers()] != ["unhealthy"]:
                    await asyncio.sleep(0.01)

    said = [each.getMessage() for each in caplog.records if f"{url}/" in each.getMessage()]
    assert len(said) == 1
    assert ("cannot be used" in said[0]) is is_refused
    assert SECRET not in caplog.text


async def test_a_good_peer_is_heard_beside_bad_ones() -> None:
    """I6: what one peer floods, stalls or forges does not delay what another pushes."""
    async with (
        answering.listening(_flood) as flood,
        answering.listening(_stall) as stall,
        answering.listening(_unsigned(GREETING)) as forger,
        member(flood, stall, forger) as a,
    ):
        mesh = Mesh([a.url], secret=SECRET)
        good = RealityServer("good", mesh=mesh)
        await good.start()
        asker = await Asker(a.server, "k").caught_up()
        for _ in range(5):
            await good.invalidate("k")
            async with asyncio.timeout(PATIENCE_S):
                while "k" not in (await asker.ask(wait=1_000)).changed:
                    pass
        await good.stop()
