"""Path and method to what the server does, and errors to answers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from importlib import resources
from urllib.parse import parse_qsl

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
    HealthResponse,
    InvalidateResponse,
    MeshHealth,
    Problem,
    StorageHealth,
)
from reality.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ProtocolError,
    RealityError,
    RemoteError,
    ServerUnavailable,
    StorageError,
    Unauthorized,
    UnsupportedMediaType,
)
from reality.http.cors import preflight
from reality.http.types import JSON, Request, Response
from reality.server.access import check_credential
from reality.server.server import RealityServer

_logger = logging.getLogger("reality.http")

_ERROR_STATUSES = frozenset(each.value for each in HTTPStatus if each >= 400)
# What an authorizer that is itself a client may fail with: not this server's to pass on.
_OF_OTHERS = (ProtocolError, RemoteError, ServerUnavailable)
_PROBLEM = b"application/problem+json"
_RETRY_AFTER_S = b"1"
_STORE_FAILED = "the server's store failed, its log says how: ask again, or ask another server"
_DIGITS_MAX = len(str(VERSION_MAX))


async def respond(server: RealityServer, request: Request) -> Response:
    """The answer to a request, whatever happens."""
    try:
        methods = ROUTES.get(request.path)
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
    except Exception as error:
        if isinstance(error, StorageError):
            # Its text names hosts and files, which is for the log. The server has said it there
            # when it began; not once more for each of those that ask.
            _logger.debug("%s %s: %s", request.method, request.path, error)
            return problem(StorageError(_STORE_FAILED, code=error.code))
        if isinstance(error, RealityError) and not isinstance(error, _OF_OTHERS):
            return problem(error)
        # The text of an unforeseen error may hold anything: it is for the log only.
        _logger.exception("%s %s failed", request.method, request.path)
        return problem(RealityError("the server failed to answer; its log says why"))


def problem(error: RealityError) -> Response:
    """An error as an answer after RFC 9457."""
    # An authorizer's own error may have any status.
    status = error.status if error.status in _ERROR_STATUSES else 500
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        error=error.message,
    )
    answer = Response(encode(body), status=status, content_type=_PROBLEM)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer.headers.append((b"retry-after", _RETRY_AFTER_S))
    if isinstance(error, Unauthorized):
        answer.headers.append((b"www-authenticate", b'Bearer realm="reality"'))
    return answer


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
        answer.headers.append((b"retry-after", _RETRY_AFTER_S))
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
    body = HealthResponse(
        status="healthy" if is_healthy else "unhealthy",
        server_id=server.server_id,
        version=__version__,
        uptime=int(stats.uptime_s * 1000),
        mesh=MeshHealth(peer_count=0, healthy_peers=0),
        storage=StorageHealth(healthy=stats.is_storage_healthy, max_version=stats.version_max),
    )
    return Response(encode(body), status=200 if is_healthy else 503)


async def ready(server: RealityServer, request: Request) -> Response:
    """`GET /ready`."""
    await server.probe()
    server.check_ready()
    return Response(b'{"ready":true}')


async def client_script(server: RealityServer, request: Request) -> Response:
    """`GET /client.js`."""
    script, etag = _client_script()
    held = request.headers.get(b"if-none-match", b"").split(b",")
    if etag in (each.strip().removeprefix(b"W/") for each in held):
        answer = Response(b"", status=304)
    else:
        answer = Response(script)
    answer.content_type, answer.cache_control = b"text/javascript; charset=utf-8", b"no-cache"
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
def _client_script() -> tuple[bytes, bytes]:
    script = resources.files("reality.http").joinpath("client.js").read_bytes()
    return script, b'"%s"' % hashlib.sha256(script).hexdigest()[:16].encode()
