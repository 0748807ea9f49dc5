"""Ask the servers, one after the other, until one answers: failover and retries.

What the answers to syncs say of other servers goes to the pool, so a client that was given one URL
goes on at another server of the same mesh when its own dies.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from reality.client.transport import HttpTransport
from reality.core.backoff import full_jitter
from reality.core.codec import decode_answer, encode
from reality.core.messages import InvalidateRequest, InvalidateResponse, SyncRequest, SyncResponse
from reality.core.servers import DISCOVERED_MAX, ServerPool, ServerStatus
from reality.core.urls import base_url
from reality.errors import RealityError, ServerUnavailable

Answer = TypeVar("Answer")

_DELAY_MAX_S = 30.0


class Exchanged(NamedTuple):
    """A sync's answer, how long it took, and the pause that the server asks for, in seconds."""

    response: SyncResponse
    took_s: float
    retry_after_s: float


class _Asked(NamedTuple, Generic[Answer]):
    """An answer, the server that gave it, and the pause that it asks for, in seconds."""

    answer: Answer
    url: str
    retry_after_s: float


class Exchange:
    """All requests of one client go through here.

    With `discover`, syncs go to servers too that the configured ones have named. Nothing else does:
    a credential does not follow hearsay.
    """

    def __init__(
        self,
        servers: Iterable[str],
        transport: HttpTransport,
        *,
        token: str | None,
        max_retries: int,
        retry_base_s: float,
        discover: bool,
    ) -> None:
        self._pool = ServerPool(
            (base_url(each) for each in servers),
            discovered_max=DISCOVERED_MAX if discover else 0,
            random=random.random(),
        )
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
        asked = await self._ask("/sync", encode(request), SyncResponse, wait_s=request.wait / 1000)
        now_s = time.monotonic()
        self._pool.learn(asked.answer.mesh.peers, now_s, told_by=asked.url)
        return Exchanged(asked.answer, now_s - begun_s, asked.retry_after_s)

    async def invalidate(self, names: list[str]) -> dict[str, int]:
        """Say that keys changed; raises as `sync`. A retry may touch them twice: harmless."""
        body = encode(InvalidateRequest(keys=names))
        asked = await self._ask(
            "/invalidate", body, InvalidateResponse, token=self._token, configured_only=True
        )
        return asked.answer.versions

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
        configured_only: bool = False,
    ) -> _Asked[Answer]:
        last: RealityError | None = None
        pauses_s: dict[str, float] = {}
        for attempt in range(self._max_retries + 1):
            url = self._pool.pick(time.monotonic(), configured_only=configured_only)
            begun_s = time.monotonic()
            try:
                reply = await self._transport.post(url + path, body, wait_s=wait_s, token=token)
                answer = decode_answer(kind, reply.body)
            except RealityError as error:
                # What a server refuses that was only heard of may be no server, or of others.
                if not error.retryable and self._pool.is_configured(url):
                    raise
                last = error
                pauses_s[url] = getattr(error, "retry_after_s", None) or 0.0
                self._pool.failed(url, time.monotonic())
            else:
                now_s = time.monotonic()
                latency_s = None if wait_s else now_s - begun_s
                self._pool.answered(url, now_s, latency_s=latency_s)
                return _Asked(answer, url, reply.retry_after_s)
            following = self._pool.pick(time.monotonic(), configured_only=configured_only)
            if attempt < self._max_retries and following in pauses_s:
                # A server not asked yet is asked at once, one that failed only when it may be.
                if pauses_s[following] > self._retry_base_s:
                    break
                await asyncio.sleep(self._delay_s(attempt))
        unavailable = ServerUnavailable(f"no server answered: {last}")
        unavailable.retry_after_s = pauses_s.get(following, 0.0)
        raise unavailable from last

    def _delay_s(self, attempt: int) -> float:
        return full_jitter(
            attempt, base=self._retry_base_s, cap=_DELAY_MAX_S, random=random.random()
        )
