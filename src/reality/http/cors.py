"""Pages of other origins: the preflight, and the headers of every answer, errors included.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from reality.http.types import Request, Response
from reality.server.access import Cors

_PREFLIGHT_AGE_S = b"7200"  # as long as Chromium keeps one


def headers(cors: Cors | None, origin: str | None) -> list[tuple[bytes, bytes]]:
    """The headers that let a page of `origin` read the answer; none where it may not."""
    if cors is None:
        return []
    # Caches must not give one origin's answer to another, not even a refusal.
    found = [] if "*" in cors.origins else [(b"vary", b"origin")]
    if origin is not None and cors.allows(origin):
        allowed = "*" if "*" in cors.origins else origin
        found.append((b"access-control-allow-origin", allowed.encode("latin-1")))
        found.append((b"access-control-expose-headers", b"retry-after"))
        if cors.credentials:
            found.append((b"access-control-allow-credentials", b"true"))
    return found


def preflight(methods: str, request: Request, cors: Cors | None) -> Response:
    """The answer to `OPTIONS`: which methods the route has, and which a foreign page may use."""
    answer = Response(b"", status=204)
    answer.headers.append((b"allow", methods.encode()))
    origin = request.header(b"origin")
    if cors is not None and origin is not None and cors.allows(origin):
        answer.headers += [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", b"content-type, authorization"),
            (b"access-control-max-age", _PREFLIGHT_AGE_S),
        ]
    return answer
