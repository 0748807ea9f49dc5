"""The ASGI applications that the bench serves.

    application   Reality, with a credential; its store is what STORE_VARIABLE says
    echo          answers a request with its body: what the Python server itself costs

`python -m bench.apps PORT` serves the echo just as `reality serve` serves Reality.
"""

from __future__ import annotations

import os
import sys

from bench.processes import TOKEN
from reality import RealityServer
from reality.http.types import Message, Receive, Scope, Send

WAITERS_PATH = "/waiters"

STORE_VARIABLE = "REALITY_BENCH_STORE"

_server = RealityServer("bench", storage=os.environ.get(STORE_VARIABLE), token=TOKEN)
application = _server.asgi()


async def observed(scope: Scope, receive: Receive, send: Send) -> None:
    """Reality, and at `/waiters` how many syncs it holds."""
    if scope.get("path") == WAITERS_PATH:
        await answer(send, b"%d" % _server.stats().waiters)
    else:
        await application(scope, receive, send)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The least that an application can do with a POST."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await answer(send, (await receive())["body"])


async def answer(send: Send, body: bytes) -> None:
    """Send a body of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    kind = ""
    while kind != "lifespan.shutdown":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})


if __name__ == "__main__":
    from reality.http.serving import serve

    serve(echo, host="127.0.0.1", port=int(sys.argv[1]))
