"""Bodies: their limit, their chunks, their media type, and askers that go before they are whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from reality import Limits, RealityServer
from reality.http.types import Message
from tests.http.calling import BEARER, Caller, chunks_to_messages, message, read

BODY = json.dumps(message("posts")).encode()
TWO_MEGABYTES = 2 * 1024 * 1024


def scope(**members: Any) -> dict[str, Any]:
    """A POST /reality/sync as an ASGI server announces it."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/reality/sync",
        "root_path": "",
        "query_string": b"",
        "headers": [],
    } | members


@pytest.mark.parametrize("path", ["sync", "invalidate", "update", "nowhere"])
async def test_a_large_body_is_refused_unread(server: RealityServer, path: str) -> None:
    """I6: a body that is declared too large is a 413 before a byte of it is taken."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(event: Message) -> None:
        sent.append(event)

    for declared in (b"2097152", b"1048577", b"9" * 30):
        sent.clear()
        headers = [(b"content-length", declared), (b"authorization", b"Bearer wrong")]
        await server.asgi()(scope(path=f"/reality/{path}", headers=headers), receive, send)
        status, code, text = read(sent, "POST").problem()
        assert (413, "body_too_large") == (status, code)
        assert "1048576" in text.replace(",", "")


async def test_a_large_body_in_chunks_is_refused(server: RealityServer) -> None:
    """I6: a body of unknown length is a 413 as soon as it is too large; the rest is not taken."""
    sent: list[Message] = []
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def send(event: Message) -> None:
        sent.append(event)

    await asyncio.wait_for(server.asgi()(scope(), receive, send), timeout=10)

    assert (413, "body_too_large") == read(sent, "POST").problem()[:2]
    assert taken <= 17


async def test_the_limit_itself_is_fine() -> None:
    """I6: a body of exactly `body_bytes_max` bytes is read, one byte more is not."""
    call = Caller(RealityServer("alpha", limits=Limits(body_bytes_max=len(BODY))).asgi())

    for chunks in ([BODY], [BODY[:10], BODY[10:]], [BODY, b""]):
        assert 200 == (await call("POST", "/reality/sync", chunks)).status
    assert 200 == (await call("POST", "/reality/sync", BODY)).status
    for longer in ([BODY + b" "], [BODY, b" "], [b" ", BODY]):
        assert 413 == (await call("POST", "/reality/sync", longer)).status
    assert 413 == (await call("POST", "/reality/sync", BODY + b" ")).status


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_body_in_chunks(call: Caller, size: int) -> None:
    """A body may come in any number of chunks, empty ones among them."""
    chunks = [BODY[start : start + size] for start in range(0, len(BODY), size)]

    answer = await call("POST", "/reality/sync", [b"", *chunks, b"", b""])

    assert ["posts"] == list(answer.json()["changed"])


async def test_events_without_a_body_member(server: RealityServer) -> None:
    """An event may leave `body` and `more_body` out, in any place (the ASGI specification)."""
    empty: Message = {"type": "http.request"}
    empty_and_more: Message = {"type": "http.request", "more_body": True}
    whole: dict[str, Any] = {"type": "http.request", "body": BODY}
    for events in (
        [empty],
        [whole],
        [empty_and_more, whole],
        [whole | {"more_body": True}, empty_and_more, empty],
    ):
        waiting = [*events]
        sent: list[Message] = []

        async def receive(waiting: list[Message] = waiting) -> Message:
            return waiting.pop(0)

        async def send(event: Message, sent: list[Message] = sent) -> None:
            sent.append(event)

        await server.asgi()(scope(), receive, send)
        assert (200 if any("body" in event for event in events) else 400) == read(sent, "").status


@pytest.mark.parametrize("declared", [b"", b"-1", b"1.5", b"ten", b"0x10", b"\xb2"])
async def test_a_nonsense_length_is_refused(server: RealityServer, declared: bytes) -> None:
    """A `Content-Length` that is no number is a 400 that names the header."""
    sent: list[Message] = []

    async def receive() -> Message:
        return chunks_to_messages([BODY])[0]

    async def send(event: Message) -> None:
        sent.append(event)

    headers = [(b"content-length", declared)]
    await server.asgi()(scope(headers=headers), receive, send)

    status, code, text = read(sent, "POST").problem()
    assert (400, "invalid_request") == (status, code)
    assert "Content-Length" in text


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
        "application/vnd.reality+json",
    ],
)
async def test_json_media_types(call: Caller, media_type: str | None) -> None:
    """JSON is taken under each of its names, and under none."""
    headers = {} if media_type is None else {"content-type": media_type}

    assert 200 == (await call("POST", "/reality/sync", BODY, headers=headers)).status


@pytest.mark.parametrize("path", ["sync", "invalidate", "update"])
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "",
        "json",
        "application/jsonx",
        "application/xml; application/json",
        "text/\xe9",
    ],
)
async def test_other_media_types(call: Caller, path: str, media_type: str) -> None:
    """A body declared as something else is a 415 that says what to send: no form can write."""
    answer = await call(
        "POST", f"/reality/{path}", BODY, headers=BEARER | {"content-type": media_type}
    )

    status, code, text = answer.problem()
    assert (415, "unsupported_media_type") == (status, code)
    assert "application/json" in text


@pytest.mark.parametrize("chunks", [[], [BODY[:5]], [b"", BODY]])
async def test_an_asker_that_leaves_before_the_end(
    server: RealityServer, chunks: list[bytes]
) -> None:
    """An asker that goes before its body is whole is no failure, and nothing is done for it."""
    events: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    events.append({"type": "http.disconnect"})
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(event: Message) -> None:
        sent.append(event)

    await server.asgi()(scope(), receive, send)

    assert not sent or 400 == read(sent, "POST").status
    assert 0 == server.stats().syncs


async def test_a_body_of_a_get_is_read_and_ignored(call: Caller) -> None:
    """A body where none is expected does no harm."""
    assert 200 == (await call("GET", "/reality/health", b"hello")).status
    assert 413 == (await call("GET", "/reality/health", [b"x" * TWO_MEGABYTES])).status
