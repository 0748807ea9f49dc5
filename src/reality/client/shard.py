"""Keys that are asked for together: at most one request under way, one cursor, one pace.

The decisions are `core.polling`'s; this is where they meet the event loop. An answer is taken in
without any await, versions, dirty marks and cursor together, so a cancelled or failed request
leaves everything as it was before.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, UnsetType

from reality.client.exchange import Exchange, Exchanged
from reality.client.resource import Resource
from reality.core.backoff import full_jitter
from reality.core.messages import Hint, Mode, SyncRequest
from reality.core.polling import (
    PAUSE_MAX_S,
    RESET_SPREAD_MS,
    Action,
    Event,
    Pacer,
    Polling,
    transition,
)
from reality.errors import RealityError

_logger = logging.getLogger("reality.client")

# No server may put a refetch off for longer than this.
_SPREAD_MS_MAX = 60_000

Live = Literal["auto", "poll", False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a client keeps fresh. Times are seconds."""

    client_id: str
    mode: Mode
    live: Live
    wait_s: float
    interval_s: float
    retry_base_s: float


_CANCEL_AGAIN_S = 0.1


class Shard:
    """A fixed group of a client's keys."""

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self.resources: dict[str, Resource] = {}
        self._exchange = exchange
        self._pace = pace
        self._pacer = Pacer()
        self._cursor: str | None = None
        self._state = Polling.IDLE
        self._hint: Hint = "mount"
        self._task: asyncio.Task[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._is_asking_soon = False
        self._retry_after_s = 0.0

    def add(self, key: str, resource: Resource) -> None:
        """Hold one more key. Keys added in the same turn of the loop are asked for together."""
        self.resources[key] = resource
        if not self._is_asking_soon:
            self._is_asking_soon = True
            asyncio.get_running_loop().call_soon(self._ask_for_added)

    def remove(self, key: str) -> None:
        """Hold a key no more."""
        self.resources.pop(key).close()
        if not self.resources:
            self._cursor = None
            self._on(Event.KEYS_GONE)

    def close(self) -> None:
        """Give up whatever is under way, for good."""
        for resource in self.resources.values():
            resource.close()
        self._on(Event.CLOSED)

    def hint(self, hint: Hint) -> None:
        """Ask at once, instead of what is under way."""
        if self.resources:
            self._hint = hint
            self._on(Event.HINTED)

    async def closed(self) -> None:
        """Return once nothing is under way any more."""
        while self._task is not None and not self._task.done():
            # Up to Python 3.11 a cancellation can get lost that comes just when something ends; the
            # request would be held for as long as the server does.
            await asyncio.wait([self._task], timeout=_CANCEL_AGAIN_S)
            self._task.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def sync(self, keys: Collection[str], hint: Hint) -> Exchanged:
        """Ask for some keys now, beside whatever is under way, and take the answer in."""
        request = self._request(keys, hint, wait_s=0.0)
        exchanged = await self._exchange.sync(request)
        self._take_in(request, exchanged)
        return exchanged

    # ---- inside --------------------------------------------------------------------------------

    def _ask_for_added(self) -> None:
        self._is_asking_soon = False
        if self.resources:
            self._hint = "mount"
            self._on(Event.KEYS_ADDED)

    def _on(self, event: Event, *, pause_s: float = 0.0) -> None:
        self._state, action = transition(self._state, event)
        if action is Action.NONE:
            return
        self._give_up()
        if action is Action.SYNC:
            self._begin(wait_s=0.0)
        elif action is Action.HOLD:
            self._begin(wait_s=self._pace.wait_s)
        elif action is Action.PAUSE:
            self._pause(pause_s)
        elif action is Action.RETRY:
            delay_s = full_jitter(
                self._pacer.failed(),
                base=self._pace.retry_base_s,
                cap=PAUSE_MAX_S,
                random=random.random(),
            )
            self._pause(max(delay_s, self._retry_after_s))

    def _give_up(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _begin(self, *, wait_s: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._ask(wait_s))

    def _pause(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().call_later(seconds, self._on, Event.ELAPSED)

    async def _ask(self, wait_s: float) -> None:
        request = self._request(self.resources, self._hint, wait_s=wait_s)
        self._hint = "idle"
        try:
            exchanged = await self._exchange.sync(request)
        except RealityError as error:
            _logger.info("a sync failed, the next follows after a pause: %s", error)
            self._fail(error)
        except Exception as error:
            # Not foreseen, but the keys must not go stale in silence.
            _logger.exception("a sync failed unexpectedly, the next follows after a pause")
            self._fail(error)
        else:
            news, reset = self._take_in(request, exchanged)
            self._go_on(exchanged, wait_s=wait_s, news=news, reset=reset)

    def _fail(self, error: Exception) -> None:
        for resource in list(self.resources.values()):
            resource.synced(time.time(), error)
        self._retry_after_s = getattr(error, "retry_after_s", None) or 0.0
        self._on(Event.FAILED)

    def _request(self, keys: Collection[str], hint: Hint, *, wait_s: float) -> SyncRequest:
        held = self.resources
        known = {key: held[key].version if key in held else 0 for key in keys}
        cursor: str | UnsetType = UNSET if self._cursor is None else self._cursor
        if self._cursor is None and any(known.values()):
            cursor = ""  # versions without a cursor prove nothing: ask for a `reset`
        return SyncRequest(
            known=known,
            client_id=self._pace.client_id,
            mode=self._pace.mode,
            hint=hint,
            timestamp=time.time_ns() // 1_000_000,
            wait=int(wait_s * 1000),
            cursor=cursor,
        )

    def _take_in(self, request: SyncRequest, exchanged: Exchanged) -> tuple[bool, bool]:
        """Whether the answer told anything new, and whether it was a reset."""
        response = exchanged.response
        spread_ms = max(
            min(response.spread_ms, _SPREAD_MS_MAX), RESET_SPREAD_MS if response.reset else 0
        )
        at_s = response.server_time / 1000
        news = False
        for key in request.known:
            resource = self.resources.get(key)
            if resource is None:
                continue
            node = response.changed.get(key)
            if node is not None:
                news |= resource.report(
                    node,
                    at_s=at_s,
                    reset=response.reset,
                    spread_s=spread_ms / 1000,
                    is_provable=request.cursor not in (UNSET, ""),
                )
            resource.synced(time.time())
            resource.load()
        if self.resources.keys() <= request.known.keys():
            self._cursor = None if response.cursor is UNSET else response.cursor
        return news, response.reset

    def _go_on(self, exchanged: Exchanged, *, wait_s: float, news: bool, reset: bool) -> None:
        pace = self._pace
        trips = self._pacer.trips
        pause_s = self._pacer.answered(
            now_s=time.monotonic(),
            took_s=exchanged.took_s,
            wait_s=wait_s,
            news=news,
            reset=reset,
            random=random.random(),
        )
        if self._pacer.trips > trips == 0:
            _logger.warning(
                "answers with news come faster than one in 100 ms: asking about once a second from "
                "now on, until they are fewer (or is a key invalidated whenever it is fetched?)"
            )
        pause_s = max(pause_s, exchanged.retry_after_s)
        if pace.live is False and not pause_s:
            self._on(Event.RESTED)
        elif pace.live == "poll":
            self._on(Event.DEFERRED, pause_s=max(pause_s, pace.interval_s))
        elif pause_s:
            self._on(Event.DEFERRED, pause_s=pause_s)
        else:
            self._on(Event.ANSWERED)
