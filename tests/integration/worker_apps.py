"""What several workers serve in tests: one server, on the store that the environment names."""

from __future__ import annotations

import json
import os
import sys

from starlette.applications import Starlette
from starlette.routing import Mount

from reality import RealityServer
from reality.http.serving import serve_in_workers
from reality.http.types import ASGIApplication, Receive, Scope, Send
from tests.http.calling import TOKEN

STORE_VARIABLE = "REALITY_TEST_STORE"
USED_VARIABLE = "REALITY_TEST_USED"

server = RealityServer(storage=os.environ.get(STORE_VARIABLE), token=TOKEN)
second = RealityServer("second", storage=os.environ.get(STORE_VARIABLE), base_path="/second")

if os.environ.get(USED_VARIABLE):
    # At import, which under `gunicorn --preload` is before the fork.
    server.blocking.invalidate("posts")

_application = server.asgi()


async def alone(scope: Scope, receive: Receive, send: Send) -> None:
    """Reality alone; `/test/worker` tells the process and how many syncs it holds."""
    if scope["type"] != "http" or scope["path"] != "/test/worker":
        await _application(scope, receive, send)
        return
    body = json.dumps([os.getpid(), server.stats().waiters]).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# A mounted application is told nothing of the server's start.
mounted = Starlette(
    routes=[Mount("/reality", app=server.asgi()), Mount("/second", app=second.asgi())]
)


def load() -> ASGIApplication:
    """What the workers of `serve_in_workers` serve."""
    return alone


if __name__ == "__main__":
    serve_in_workers(load, host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]))
