"""The board as a web application. Its own API brings the data; Reality tells when to ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import msgspec

from reality.demo.board import Board, Draft
from reality.errors import MissingDependency
from reality.server.server import RealityServer

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route
except ImportError as error:
    raise MissingDependency("starlette", extra="cli", needed_for="the demo") from error

POSTS = "posts"  # the key of what GET /api/posts gives

_BODY_BYTES_MAX = 16 * 1024
_PAGE = {
    "/": ("board.html", "text/html"),
    "/board.css": ("board.css", "text/css"),
    "/board.js": ("board.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[Request], Awaitable[Response]]


def demo_application(database: Path) -> Starlette:
    """The message board, with Reality mounted at `/reality`.

    The server is at `application.state.reality`: whoever serves the application should call its
    `end_waits` when the process is told to stop.

    Args:
        database: the SQLite file of the posts; it is made if it does not exist.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no SQLite database.
    """
    reality = RealityServer()
    api = _Api(Board(database), reality)
    application = Starlette(
        routes=[
            *(Route(path, _page(*source)) for path, source in _PAGE.items()),
            Route("/api/posts", api.latest),
            Route("/api/posts", api.add, methods=["POST"]),
            Route("/api/posts/{post_id:int}", api.delete, methods=["DELETE"]),
            Mount("/reality", app=reality.asgi()),
        ],
        lifespan=_lifespan,
    )
    application.state.reality = reality
    return application


class _Api:
    """The application's own API. SQLite blocks, so it works in threads beside the event loop."""

    def __init__(self, board: Board, reality: RealityServer) -> None:
        self._board = board
        self._reality = reality

    async def latest(self, _: Request) -> Response:
        """`GET /api/posts`."""
        return _json(await run_in_threadpool(self._board.latest))

    async def add(self, request: Request) -> Response:
        """`POST /api/posts`."""
        # No page of another origin can send this type without asking first, which is refused.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _refused(415, "send JSON with the header `Content-Type: application/json`")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_BYTES_MAX:
                return _refused(413, f"the body is larger than {_BODY_BYTES_MAX} bytes")
        try:
            draft = msgspec.json.decode(body, type=Draft).checked()
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return _refused(422, str(error))
        post = await run_in_threadpool(self._board.add, draft)
        # The post is committed: whoever reads because of this finds it.
        await self._reality.invalidate(POSTS)
        return _json(post, status=201)

    async def delete(self, request: Request) -> Response:
        """`DELETE /api/posts/{id}`."""
        post_id: int = request.path_params["post_id"]
        if not await run_in_threadpool(self._board.delete, post_id):
            return _refused(404, f"there is no post {post_id}: somebody has deleted it")
        await self._reality.invalidate(POSTS)
        return Response(status_code=204)


@asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    yield
    reality: RealityServer = application.state.reality
    await reality.stop()


def _page(name: str, media_type: str) -> Handler:
    content = resources.files("reality.demo").joinpath("page", name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, media_type=media_type, headers=_PAGE_HEADERS)

    return page


def _json(data: object, *, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(data),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _refused(status: int, reason: str) -> Response:
    return _json({"error": reason}, status=status)
