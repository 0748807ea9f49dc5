"""Errors as answers, after RFC 9457."""

from __future__ import annotations

import logging
from http import HTTPStatus

from reality.core.codec import encode
from reality.core.messages import Problem
from reality.errors import (
    ProtocolError,
    RealityError,
    RemoteError,
    ServerUnavailable,
    StorageError,
    Unauthorized,
)
from reality.http.types import Request, Response

_logger = logging.getLogger("reality.http")

_ERROR_STATUSES = frozenset(each.value for each in HTTPStatus if each >= 400)
# What an authorizer that is itself a client may fail with: not this server's to pass on.
_OF_OTHERS = (ProtocolError, RemoteError, ServerUnavailable)
_PROBLEM = b"application/problem+json"
RETRY_AFTER_S = b"1"
_STORE_FAILED = "the server's store failed, its log says how: ask again, or ask another server"


def refusal(error: Exception, request: Request) -> Response:
    """The answer to a request that failed, whatever it failed with."""
    if isinstance(error, StorageError):
        # Its text names hosts and files, which is for the log. The server has said it there when it
        # began; not once more for each of those that ask.
        _logger.debug("%s %s: %s", request.method, request.path, error)
        return problem(StorageError(_STORE_FAILED, code=error.code))
    if isinstance(error, RealityError) and not isinstance(error, _OF_OTHERS):
        return problem(error)
    # The text of an unforeseen error may hold anything: it is for the log only.
    _logger.error("%s %s failed", request.method, request.path, exc_info=error)
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
        answer.headers.append((b"retry-after", RETRY_AFTER_S))
    if isinstance(error, Unauthorized):
        answer.headers.append((b"www-authenticate", b'Bearer realm="reality"'))
    return answer
