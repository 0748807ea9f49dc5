"""Path and method to what the server does, and errors to answers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources
from urllib.parse import parse_qsl

from msgspec import UNSET

from reality import __version__
from reality.core.codec import (
    check_count,
    decode_invalidate_request,
    decode_sync_request,
    decode_update_request,
    encode,
)
from reality.core.keys import ancestors
from reality.core.limits import VERSION_MAX
from reality.core.messages import (
    AcceleratorHealth,
    HealthResponse,
    InvalidateResponse,
    MeshHealth,
    RedisHealth,
    StorageHealth,
)
from reality.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
)
from reality.http.cors import preflight
from reality.http.mesh import from_peer
from reality.http.problems import RETRY_AFTER_S, problem, refusal
from reality.http.types import JSON, Request, Response
from reality.server.access import check_credential
from reality.server.server import RealityServer

_logger = logging.getLogger("reality.http")

# The client for browsers, built from clients/js: one file, and chunks that are loaded when needed.
_SCRIPTS = "reality.http.browser"
_CLIENT = "client.js"

_DIGITS_MAX = len(str(VERSION_MAX))


async def respond(server: RealityServer, request: Request) -> Response:
    """The answer to a request, whatever happens."""
    try:
        methods = ROUTES.get(request.path) or _chunk(request.path)
        if methods is None:
            raise NotFound(
                f"there is nothing at {request.path!a}; the routes are " + ", ".join(sorted(ROUTES))
            )
        handler = methods.get(request.method)
        if handler is not None:
            return await handler(server, request)
        allowed = ", ".join((*methods, "OPTIONS"))
        if request.method == "OPTIONS":
            return preflight(allowed, request, server.cors)
        error = MethodNotAllowed(f"{request.path} does not take {request.method}; use {allowed}")
        answer = problem(error)
        answer.headers.append((b"allow", allowed.encode()))
        return answer
    except Exception as error:  # noqa: BLE001  # each is answered, and logged where it should be
        return refusal(error, request)


# ---- clients ask ---------------------------------------------------------------------------------


async def sync(server: RealityServer, request: Request) -> Response:
    """`POST /sync`."""
    message = decode_sync_request(_json(request))
    hidden: set[str] = set()
    if server.authorizer is not None:
        # What is refused anyway is refused before the authorizer sees it.
        check_count(len(message.known), server.limits, member="known")
        for key in message.known:
            ancestors(key)
        seen = await server.authorizer.may_read(_headers(request), message.known.keys())
        hidden = message.known.keys() - set(seen)
    response = await server.sync(message, hidden=hidden, disconnected=request.disconnected)
    answer = Response(encode(response))
    if not server.may_hold:
        # Shutting down: whoever asks again should do so of the next process, not at once.
        answer.headers.append((b"retry-after", RETRY_AFTER_S))
    return answer


async def versions(server: RealityServer, request: Request) -> Response:
    """`GET /versions?since=N&serverId=&limit=`."""
    query = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
    since = _whole_number(query, "since", default=0, least=0)
    limit = _whole_number(query, "limit", default=server.limits.page_nodes_max, least=1)
    page = await server.list_changed_since(
        since, server_id=query.get("serverId") or None, limit=limit
    )
    if server.authorizer is not None:
        names = {node.key for node in page.changed}
        seen = set(await server.authorizer.may_read(_headers(request), names))
        page.changed[:] = [node for node in page.changed if node.key in seen]
    return Response(encode(page))


async def health(server: RealityServer, request: Request) -> Response:
    """`GET /health` and `GET /`."""
    await server.probe()
    stats = server.stats()
    is_healthy = server.is_ready
    mesh, hints = stats.mesh, stats.accelerator
    body = HealthResponse(
        status="healthy" if is_healthy else "unhealthy",
        server_id=server.server_id,
        version=__version__,
        uptime=int(stats.uptime_s * 1000),
        mesh=MeshHealth(
            peer_count=0 if mesh is None else mesh.peers,
            healthy_peers=0 if mesh is None else mesh.healthy,
        ),
        storage=StorageHealth(healthy=stats.is_storage_healthy, max_version=stats.version_max),
        accelerator=UNSET
        if hints is None
        else AcceleratorHealth(name=hints.kind, connected=hints.is_connected),
        redis=UNSET
        if hints is None or hints.kind != "redis"
        else RedisHealth(connected=hints.is_connected),
    )
    return Response(encode(body), status=200 if is_healthy else 503)


async def ready(server: RealityServer, request: Request) -> Response:
    """`GET /ready`."""
    await server.probe()
    server.check_ready()
    return Response(b'{"ready":true}')


async def client_script(server: RealityServer, request: Request) -> Response:
    """`GET /client.js`, and the chunks that it loads when it needs them."""
    name = request.path.removeprefix("/")
    script, etag = _script(name)
    held = request.headers.get(b"if-none-match", b"").split(b",")
    if etag in (each.strip().removeprefix(b"W/") for each in held):
        answer = Response(b"", status=304)
    else:
        answer = Response(script)
    answer.content_type = b"text/javascript; charset=utf-8"
    # A chunk's name has a hash of what is in it: under that name it never changes.
    answer.cache_control = (
        b"no-cache" if name == _CLIENT else b"public, max-age=31536000, immutable"
    )
    answer.headers.append((b"etag", etag))
    return answer


# ---- the application tells -----------------------------------------------------------------------


async def invalidate(server: RealityServer, request: Request) -> Response:
    """`POST /invalidate`."""
    check_credential(server.token, request.header(b"authorization"))
    message = decode_invalidate_request(_json(request))
    versions = await server.invalidate_many(message.keys)
    return Response(encode(InvalidateResponse(invalidated=message.keys, versions=versions)))


async def update(server: RealityServer, request: Request) -> Response:
    """`POST /update`."""
    check_credential(server.token, request.header(b"authorization"))
    message = decode_update_request(_json(request))
    return Response(encode(await server.update_node(message.key, message.hash)))


Handler = Callable[[RealityServer, Request], Awaitable[Response]]

ROUTES: dict[str, dict[str, Handler]] = {
    "/": {"GET": health, "HEAD": health},
    "/client.js": {"GET": client_script, "HEAD": client_script},
    "/health": {"GET": health, "HEAD": health},
    "/invalidate": {"POST": invalidate},
    "/mesh/exchange": {"POST": from_peer},
    "/mesh/peers": {"POST": from_peer},
    "/mesh/remove": {"POST": from_peer},
    "/ready": {"GET": ready, "HEAD": ready},
    "/sync": {"POST": sync},
    "/update": {"POST": update},
    "/versions": {"GET": versions, "HEAD": versions},
}


# ---- inside --------------------------------------------------------------------------------------


def _json(request: Request) -> bytes:
    """The body, unless it is declared to be something else than JSON."""
    declared = request.headers.get(b"content-type", JSON)
    if declared == JSON:
        return request.body
    media_type = declared.partition(b";")[0].strip().lower()
    if media_type != JSON and not media_type.endswith(b"+json"):
        raise UnsupportedMediaType(
            f"the body is declared as {media_type.decode('latin-1')!a}; send JSON with the "
            "header `Content-Type: application/json`"
        )
    return request.body


def _headers(request: Request) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()
    }


def _whole_number(query: dict[str, str], name: str, *, default: int, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    if not is_number or not least <= int(text) <= VERSION_MAX:
        raise InvalidRequest(
            f"the parameter `{name}` must be a whole number from {least} to {VERSION_MAX}, "
            f"got {text[:64]!a}"
        )
    return int(text)


@cache
def _chunks() -> frozenset[str]:
    names = (each.name for each in resources.files(_SCRIPTS).iterdir())
    return frozenset(f"/{name}" for name in names if name.endswith(".js") and name != _CLIENT)


def _chunk(path: str) -> dict[str, Handler] | None:
    """The route of a chunk of the browser's client, if there is one of this name."""
    return {"GET": client_script, "HEAD": client_script} if path in _chunks() else None


@cache
def _script(name: str) -> tuple[bytes, bytes]:
    script = resources.files(_SCRIPTS).joinpath(name).read_bytes()
    return script, b'"%s"' % hashlib.sha256(script).hexdigest()[:16].encode()
