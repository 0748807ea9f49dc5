"""One signed exchange with one peer over HTTP, and every way it can fail, as this package's errors.

Nothing that a peer, or something in between, answers can do more than fail the exchange: the answer
is read up to its greatest size and not unpacked, what is not signed is not believed, and the time
is limited for the whole exchange.

It goes over connections of its own, or through an httpx2 client that belongs to the caller.
"""

from __future__ import annotations

import asyncio
import logging
import secrets as random_secrets
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

from reality.core.codec import decode_problem
from reality.core.urls import base_url, shown_url
from reality.errors import (
    MissingDependency,
    ProtocolError,
    RealityError,
    RemoteError,
    ServerUnavailable,
)
from reality.mesh.connections import ClosedMeanwhile, Connections, Reply, check_size
from reality.mesh.signing import Signer

try:
    import httpx2
except ImportError as error:
    raise MissingDependency("httpx2", extra="mesh", needed_for="the mesh") from error

_logger = logging.getLogger("reality.mesh")

# A peer that restarted has closed the few connections that were kept to it, each of which may fail
# once.
_TRIES_MAX = 4
# Peers whose clocks differ; beyond it the oldest is asked in vain once more.
_DIFFERENCES_MAX = 256
_DETAIL_CHARS_MAX = 300
# What a proxy says whose server is away.
_GATEWAY_FAILURES = (502, 503, 504)


class _Answer(NamedTuple):
    """An answer, and when its signer says it was made; None where it is not signed."""

    status: int
    body: bytes
    signed_at_ms: int | None


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class HttpMeshTransport:
    """Exchanges with peers over HTTP."""

    def __init__(
        self,
        secrets: str | Sequence[str],
        *,
        http: httpx2.AsyncClient | None = None,
        clock_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        """A transport without connections.

        Args:
            secrets: of the mesh, one or several; the first signs.
            http: used instead of own connections, and not closed here.
            clock_ms: milliseconds since the epoch.

        Raises:
            ValueError: there are no good secrets.
        """
        self._signer = Signer(secrets)
        self._own = Connections()
        self._way = self._own if http is None else _Client(http)
        self._clock_ms = clock_ms
        # By URL, what is to be added to this server's time to get its.
        self._differences_ms: dict[str, int] = {}

    async def post(self, url: str, route: str, body: bytes, *, timeout_s: float) -> bytes:
        """Send a message to a peer and return its answer, which is signed as well.

        It may reach the peer twice: if a kept connection breaks, it is sent once more.

        Args:
            url: the peer's base URL; without a path, `/reality` is meant.
            route: below it, such as `/mesh/exchange`.
            body: the message.
            timeout_s: for all of it, from connecting to the answer's last byte, in seconds.

        Raises:
            ServerUnavailable: the peer cannot be reached, or did not answer in time.
            RemoteError: it refuses; its status and code are the peer's, if it is the peer that
                answers: a refusal need not be signed.
            ProtocolError: what came is not a signed answer of a peer, or too large.
        """
        try:
            target = base_url(url) + route
        except ValueError as error:
            raise ServerUnavailable(f"there is no peer to ask: {error}") from error
        request = f"POST {shown_url(target)}"
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._asked(url, route, body)
        except TimeoutError as error:
            raise ServerUnavailable(f"{request} was not answered within {timeout_s:g} s") from error
        except Exception as error:
            raise _explained(error, request) from error
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer, request)
        return answer.body

    async def aclose(self) -> None:
        """Close the connections, if they were opened here."""
        await self._own.aclose()

    async def _asked(self, url: str, route: str, body: bytes) -> _Answer:
        """The answer; that of a second request if the first told how the clocks differ."""
        answer = await self._sent(url, route, body)
        if answer.signed_at_ms is None or answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        problem = decode_problem(answer.body)
        if problem is None or problem.code != "mesh_clock_skew":
            return answer
        self._learn(url, answer.signed_at_ms - self._clock_ms())
        return await self._sent(url, route, body)

    def _learn(self, url: str, difference_ms: int) -> None:
        if url not in self._differences_ms:
            _logger.warning(
                "the clocks of this server and of %s differ by %.0f s: they work together, but set "
                "both clocks",
                shown_url(url),
                abs(difference_ms) / 1000,
            )
            if len(self._differences_ms) >= _DIFFERENCES_MAX:
                del self._differences_ms[next(iter(self._differences_ms))]
        self._differences_ms[url] = difference_ms

    async def _sent(self, url: str, route: str, body: bytes) -> _Answer:
        """The answer to one request, whatever its status."""
        for _ in range(_TRIES_MAX - 1):
            try:
                return await self._sent_once(url, route, body)
            except ClosedMeanwhile:
                continue
        return await self._sent_once(url, route, body)

    async def _sent_once(self, url: str, route: str, body: bytes) -> _Answer:
        nonce = random_secrets.token_hex(16)
        now_ms = max(0, self._clock_ms() + self._differences_ms.get(url, 0))
        headers = self._signer.headers("POST", route, body, now_ms=now_ms, nonce=nonce)
        headers |= {"content-type": "application/json", "accept-encoding": "identity"}
        reply = await self._way.post(base_url(url) + route, headers, body)
        # Nothing that was packed small is unpacked.
        coding = reply.headers.get("content-encoding", "identity")
        if coding.lower() != "identity":
            raise ProtocolError(f"the answer is packed ({coding[:32]!a}), which was not asked for")
        try:
            signed_at_ms = self._signer.check_answer(nonce, reply.status, reply.headers, reply.body)
        except ProtocolError:
            if reply.status == HTTPStatus.OK:
                raise
            signed_at_ms = None
        return _Answer(reply.status, reply.body, signed_at_ms)


class _Client:
    """The caller's client, used as `Connections` is."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """See `Connections.post`."""
        is_kept, has_begun = True, False

        async def trace(event: str, _info: object) -> None:
            nonlocal is_kept
            is_kept &= not event.startswith("connection.connect_")

        try:
            async with self._http.stream(
                "POST",
                url,
                headers=headers,
                content=body,
                timeout=None,  # the caller's is for all of it
                follow_redirects=False,
                extensions={"trace": trace},
            ) as response:
                has_begun = True
                answer = bytearray()
                async for chunk in response.aiter_raw():
                    answer += chunk
                    check_size(len(answer))
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            if is_kept and not has_begun:
                raise ClosedMeanwhile from error
            raise
        return Reply(response.status_code, response.headers, bytes(answer))


def _explained(error: Exception, request: str) -> RealityError:
    """What the failure of an exchange is to the mesh."""
    text = _one_line(str(error)) or type(error).__name__
    if isinstance(error, ProtocolError):
        return ProtocolError(f"{request}: {text}")
    # Closed without a word is how a server, or a proxy before it, goes away.
    if isinstance(error, httpx2.RemoteProtocolError) and "disconnected" not in text:
        return ProtocolError(f"{request} was answered with broken HTTP: {text}")
    return ServerUnavailable(f"{request} failed: {text}")


def _refusal(answer: _Answer, request: str) -> RealityError:
    """What a status other than 200 is to the mesh."""
    problem = decode_problem(answer.body)
    if problem is not None and answer.status >= HTTPStatus.BAD_REQUEST:
        return RemoteError(
            f"{request} was refused ({answer.status}): {_one_line(problem.detail)}",
            status=answer.status,
            code=problem.code,
        )
    if answer.status in _GATEWAY_FAILURES:
        return ServerUnavailable(
            f"{request} was answered with status {answer.status} by what stands in front of the "
            "server, which cannot reach it"
        )
    return ProtocolError(
        f"{request} was answered with status {answer.status}, but not by a server of the mesh: "
        "check the URL, to which there may be no redirects, and what stands in front of it"
    )


def _one_line(text: str) -> str:
    """A stranger's text, for an error: short, and without control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:_DETAIL_CHARS_MAX])
