"""Call an ASGI application in this process, as strictly as the specification allows a server to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from reality import RealityServer
from reality.http.types import ASGIApplication, Message, Scope
from tests.server.asking import LONG_WAIT_MS, until

TOKEN = "the-token-of-the-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    def problem(self) -> tuple[int, str, str]:
        """Status, code and text of an error, whose form is checked."""
        assert "application/problem+json" == self.headers["content-type"]
        assert "no-store" == self.headers["cache-control"]
        members = self.json()
        assert self.status == members["status"]
        assert members["title"]
        assert members["detail"] == members["error"]
        assert (self.status in (429, 503)) == ("retry-after" in self.headers)
        return self.status, members["code"], members["detail"]


@dataclass
class Caller:
    """What an HTTP server does for one application."""

    app: ASGIApplication
    root_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        leaving: asyncio.Event | None = None,
    ) -> Answer:
        """The answer to one request.

        Args:
            method: GET, POST …
            path: the whole path, with what the application is mounted at.
            body: its bytes, or the chunks of them as the network brings them.
            query: what follows the question mark.
            headers: beside those of every call.
            leaving: set when the asker goes away.
        """
        sent: list[Message] = []
        chunks = [body] if isinstance(body, bytes) else [*body]
        waiting = chunks_to_messages(chunks)

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            await (leaving or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        given = {**self.headers, **(headers or {})}
        if isinstance(body, bytes) and body:
            given.setdefault("content-length", str(len(body)))
        await self.app(self._scope(method, path, query, given), receive, send)
        return read(sent, method)

    async def post(self, path: str, message: object, **options: Any) -> Answer:
        """The answer to a POST of JSON."""
        return await self("POST", path, json.dumps(message).encode(), **options)

    def _scope(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": self.root_path,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }


def chunks_to_messages(chunks: list[bytes]) -> list[Message]:
    """A body as ASGI's events."""
    last = len(chunks) - 1
    return [
        {"type": "http.request", "body": chunk, "more_body": number < last}
        for number, chunk in enumerate(chunks)
    ]


def read(sent: list[Message], method: str) -> Answer:
    """The answer in ASGI's events, each of which is checked."""
    start, *rest = sent
    assert "http.response.start" == start["type"]
    assert ["http.response.body"] * len(rest) == [message["type"] for message in rest]
    assert [False] == [message.get("more_body", False) for message in rest]
    body = b"".join(message.get("body", b"") for message in rest)
    headers: dict[str, str] = {}
    for name, value in start["headers"]:
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        assert name == name.lower()
        assert name.decode() not in headers, f"{name!r} is sent twice"
        assert b"\n" not in value
        headers[name.decode()] = value.decode("latin-1")
    if start["status"] in (204, 304):
        assert "content-length" not in headers
    elif method != "HEAD":
        assert str(len(body)) == headers["content-length"]
    if method == "HEAD" or start["status"] in (204, 304):
        assert b"" == body
    return Answer(start["status"], headers, body)


def message(*keys: str, **members: Any) -> dict[str, Any]:
    """A sync request that knows these keys at version 0."""
    return {
        "known": dict.fromkeys(keys, 0),
        "clientId": "11111111-1111-4111-8111-111111111111",
        "mode": "native",
        "hint": "interaction",
    } | members


def following(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The request that a client sends after an answer."""
    told = {key: node["version"] for key, node in answer["changed"].items()}
    cursor = {"cursor": answer["cursor"]} if "cursor" in answer else {}
    return request | {"known": request["known"] | told} | cursor


@asynccontextmanager
async def held(
    server: RealityServer, call: Caller, *keys: str, **options: Any
) -> AsyncIterator[asyncio.Task[Answer]]:
    """A sync that is being held over (in-process) HTTP."""
    request = message(*keys)
    answer = await call.post("/reality/sync", request, **options)
    request = following(request, answer.json()) | {"wait": LONG_WAIT_MS}
    waiters = server.stats().waiters
    task = asyncio.create_task(call.post("/reality/sync", request, **options))
    try:
        await until(lambda: server.stats().waiters == waiters + 1)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
