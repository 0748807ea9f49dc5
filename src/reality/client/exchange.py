"""Ask the servers, one after the other, until one answers: failover and retries."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from reality.client.transport import HttpTransport, base_url
from reality.core.backoff import full_jitter
from reality.core.codec import decode_answer, encode
from reality.core.messages import InvalidateRequest, InvalidateResponse, SyncRequest, SyncResponse
from reality.core.servers import ServerPool, ServerStatus
from reality.errors import RealityError, ServerUnavailable

Answer = TypeVar("Answer")

_DELAY_MAX_S = 30.0


class Exchanged(NamedTuple):
    """A sync's answer, how long it took, and the pause that the server asks for, in seconds."""

    response: SyncResponse
    took_s: float
    retry_after_s: float


class Exchange:
    """All requests of one client go through here."""

    def __init__(
        self,
        servers: Iterable[str],
        transport: HttpTransport,
        *,
        token: str | None,
        max_retries: int,
        retry_base_s: float,
    ) -> None:
        self._pool = ServerPool(base_url(each) for each in servers)
        self._transport = transport
        self._token = token
        self._max_retries = max_retries
        self._retry_base_s = retry_base_s

    async def sync(self, request: SyncRequest) -> Exchanged:
        """Ask what changed.

        Raises:
            RemoteError: a server refused the request for good.
            ServerUnavailable: no server answered, `max_retries` retries included.
        """
        begun_s = time.monotonic()
        response, retry_after_s = await self._ask(
            "/sync", encode(request), SyncResponse, wait_s=request.wait / 1000
        )
        return Exchanged(response, time.monotonic() - begun_s, retry_after_s)

    async def invalidate(self, names: list[str]) -> dict[str, int]:
        """Say that keys changed; raises as `sync`. A retry may touch them twice: harmless."""
        body = encode(InvalidateRequest(keys=names))
        response, _ = await self._ask("/invalidate", body, InvalidateResponse, token=self._token)
        return response.versions

    def status(self) -> list[ServerStatus]:
        """What is known of each server."""
        return self._pool.status(time.monotonic())

    def forget_failures(self) -> None:
        """The network came back."""
        self._pool.clear()

    async def _ask(
        self,
        path: str,
        body: bytes,
        kind: type[Answer],
        *,
        wait_s: float = 0.0,
        token: str | None = None,
    ) -> tuple[Answer, float]:
        last: RealityError | None = None
        for attempt in range(self._max_retries + 1):
            url = self._pool.pick(time.monotonic())
            begun_s = time.monotonic()
            try:
                reply = await self._transport.post(url + path, body, wait_s=wait_s, token=token)
                answer = decode_answer(kind, reply.body)
            except RealityError as error:
                if not error.retryable:
                    raise
                last = error
                self._pool.failed(url, time.monotonic())
            else:
                now_s = time.monotonic()
                latency_s = None if wait_s else now_s - begun_s
                self._pool.answered(url, now_s, latency_s=latency_s)
                return answer, reply.retry_after_s
            if attempt < self._max_retries and self._pool.pick(time.monotonic()) == url:
                # Another server is asked at once, the same one only when it may be.
                if _asked_for_s(last) > self._retry_base_s:
                    break
                await asyncio.sleep(self._delay_s(attempt))
        unavailable = ServerUnavailable(f"no server answered: {last}")
        unavailable.retry_after_s = _asked_for_s(last)
        raise unavailable from last

    def _delay_s(self, attempt: int) -> float:
        return full_jitter(
            attempt, base=self._retry_base_s, cap=_DELAY_MAX_S, random=random.random()
        )


def _asked_for_s(error: RealityError | None) -> float:
    """The pause that a refusal asks for, in seconds."""
    return getattr(error, "retry_after_s", None) or 0.0
