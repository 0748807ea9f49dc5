"""The applications that real servers serve in tests: Reality alone, and mounted in Starlette."""

from __future__ import annotations

import json
import sys

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from reality import RealityServer
from reality.http.serving import serve
from reality.http.types import ASGIApplication, Receive, Scope, Send
from tests.http.calling import TOKEN

ORIGIN = "https://app.example"


class ObservedServer(RealityServer):
    """A server whose application also tells, at `/test/waiters`, how many syncs it holds."""

    def asgi(self) -> ASGIApplication:
        """The application, observed."""
        application = super().asgi()

        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not scope["path"].endswith("/test/waiters"):
                await application(scope, receive, send)
                return
            body = json.dumps(self.stats().waiters).encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return observed


class PassThrough(BaseHTTPMiddleware):
    """The middleware that most applications have, which reads the connection in its own way."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Do nothing."""
        return await call_next(request)


server = ObservedServer("alpha", token=TOKEN, cors=[ORIGIN])

alone = server.asgi()

mounted = Starlette(
    routes=[
        Mount("/reality", app=server.asgi()),
        Mount("/deep/er", routes=[Mount("/still", app=server.asgi())]),
        Mount("/within", app=server.asgi(), middleware=[Middleware(PassThrough)]),
        Mount("/api", app=server.asgi()),
    ]
)

# Where Reality's routes are in each.
BASE_PATHS = {
    "alone": ["/reality"],
    "mounted": ["/reality", "/api", "/api/reality", "/deep/er/still", "/within"],
}

if __name__ == "__main__":
    form, port = sys.argv[1], int(sys.argv[2])
    if form == "alone":
        server.run(port=port)
    else:
        serve(mounted, host="127.0.0.1", port=port)
