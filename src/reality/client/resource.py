"""One key of a client: its data, its fetches and its subscribers.

The decisions are `core.freshness`'s; this is where they meet the event loop. A key has at most one
fetch under way, so a late reply can never overwrite a newer one.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from reality.client.fetching import Fetch, hash_of, is_same, is_same_error
from reality.client.state import KeyState, Meta
from reality.core.backoff import full_jitter
from reality.core.freshness import (
    Action,
    Event,
    Freshness,
    Status,
    classify,
    status,
    transition,
)
from reality.core.messages import ChangedNode

_logger = logging.getLogger("reality.client")

FIRST_LOAD_S = 0.15
RETRY_MAX_S = 30.0

Callback = Callable[[KeyState[Any]], object]


class Subscription:
    """A subscriber's place at a key; calling it, or leaving its `with` block, gives it up."""

    def __init__(self, unsubscribe: Callable[[], None]) -> None:
        self._unsubscribe = unsubscribe

    def __call__(self) -> None:
        """Unsubscribe. Again is harmless."""
        self._unsubscribe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unsubscribe()


class Resource:
    """One key, from its first subscriber to its last."""

    def __init__(
        self,
        key: str,
        fetch: Fetch | None,
        fallback: Any,
        *,
        slots: asyncio.Semaphore,
        retry_base_s: float,
    ) -> None:
        self.fetch = fetch
        self.version = 0  # as last reported; what `known` says of this key
        self._freshness = Freshness.NEW
        self._slots = slots
        self._retry_base_s = retry_base_s
        self._has_data = False
        self._held_hash: str | None = None
        self._fetch_error: BaseException | None = None
        self._sync_error: BaseException | None = None
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._callbacks: dict[object, Callback] = {}
        self._callback_tasks: set[asyncio.Future[Any]] = set()
        self.state: KeyState[Any] = KeyState(key, data=fallback)
        loop = asyncio.get_running_loop()
        self._clock: asyncio.TimerHandle = loop.call_later(FIRST_LOAD_S, self.load)

    # ---- subscribers ---------------------------------------------------------------------------

    def add(self, callback: Callback | None) -> object:
        """Add a subscriber; the token removes it."""
        token = object()
        self._callbacks[token] = callback or _ignore
        if callback is not None and self.state.status != "loading":
            # Who comes later is told where the key stands, like those who saw it happen.
            asyncio.get_running_loop().call_soon(self._call_if_there, token)
        return token

    def remove(self, token: object) -> bool:
        """Remove a subscriber; whether none is left."""
        self._callbacks.pop(token, None)
        return not self._callbacks

    def close(self) -> None:
        """Give up whatever is under way."""
        self._clock.cancel()
        if self._task is not None:
            self._task.cancel()

    # ---- what happens to a key -----------------------------------------------------------------

    def load(self) -> None:
        """The first sync was answered, or it has taken too long to wait for it."""
        if self.fetch is not None or self.state.last_sync_at is not None:
            self._on(Event.FIRST_LOAD)

    def report(
        self, node: ChangedNode, *, at_s: float, reset: bool, spread_s: float, is_provable: bool
    ) -> bool:
        """Take in what an answer says of this key; whether that was new."""
        event = classify(
            known=self.version,
            version=node.version,
            announced_hash=node.hash,
            # Without a cursor no server could have said `reset`: the hash may be an old one.
            held_hash=self._hash_held() if node.hash and is_provable else "",
            reset=reset,
        )
        self.version = node.version
        if event is None:
            return False
        meta = Meta(self.state.key, node.version, node.hash, at_s, node.deleted)
        # Only refetches are spread: who has nothing to show yet does not wait.
        self._on(event, delay_s=spread_s * random.random() if self._has_data else 0.0, meta=meta)
        return True

    def synced(self, at_s: float, error: BaseException | None = None) -> None:
        """A server answered for this key, or (with `error`) none did."""
        self._sync_error = error
        if error is None:
            self._tell(last_sync_at=at_s)
        else:
            self._tell()

    def refetch(self, version: int | None = None) -> None:
        """Mark as stale and fetch again, without having been told by a sync.

        `version` is the key's version where it is known from elsewhere: a report of the same
        version is then no news, because the fetch begins after it.
        """
        if version is not None:
            self.version = version
        self._on(Event.REPORTED)

    # ---- inside --------------------------------------------------------------------------------

    def _on(self, event: Event, *, delay_s: float = 0.0, **changes: Any) -> None:
        self._freshness, action = transition(self._freshness, event)
        if self.fetch is None and action is Action.FETCH:
            # To know of the change is all that these subscribers want: they have it with `meta`.
            self._freshness, _ = transition(self._freshness, Event.STARTED)
            self._freshness, action = transition(self._freshness, Event.SUCCEEDED)
        elif action in (Action.FETCH, Action.DELIVER_AND_FETCH):
            self._fetch_after(delay_s)
        elif action is Action.RETRY:
            self._failures += 1
            delay_s = full_jitter(
                self._failures - 1,
                base=self._retry_base_s,
                cap=RETRY_MAX_S,
                random=random.random(),
            )
            self._fetch_after(delay_s)
        self._tell(**changes)

    def _fetch_after(self, delay_s: float) -> None:
        self._clock.cancel()
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(delay_s, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._fetch_once())

    async def _fetch_once(self) -> None:
        assert self.fetch is not None, "a key without a fetcher never gets here"
        async with self._slots:
            self._on(Event.STARTED)
            try:
                data = await self.fetch(self.state.key, self.state.meta or Meta(self.state.key))
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self._failed(error)  # something that the fetcher waited for was cancelled
                return
            except Exception as error:  # noqa: BLE001  # the application's, and told to it
                self._failed(error)
                return
        self._failures, self._fetch_error = 0, None
        if self._has_data and is_same(self.state.data, data):
            data = self.state.data
        else:
            self._held_hash = None
        self._has_data = True
        self._on(Event.SUCCEEDED, data=data)

    def _failed(self, error: BaseException) -> None:
        self._fetch_error = error
        self._on(Event.FAILED)

    def _hash_held(self) -> str:
        if not self._has_data or self._freshness is not Freshness.FRESH:
            return ""  # no data, or older than what was reported: nothing to compare with
        if self._held_hash is None:
            self._held_hash = hash_of(self.state.data)
        return self._held_hash

    def _tell(self, **changes: Any) -> None:
        """Make the new snapshot, and hand it out if it says anything new."""
        error = self._fetch_error or self._sync_error
        now: Status = status(self._freshness, has_data=self._has_data, has_error=error is not None)
        before = self.state
        state = KeyState(
            before.key,
            data=changes.get("data", before.data),
            meta=changes.get("meta", before.meta),
            status=now,
            error=error,
            last_sync_at=changes.get("last_sync_at", before.last_sync_at),
        )
        self.state = state
        is_new = (
            state.data is not before.data
            or state.meta != before.meta
            or state.status != before.status
            or not is_same_error(state.error, before.error)
        )
        if is_new:
            for callback in list(self._callbacks.values()):
                self._call(callback, state)

    def _call_if_there(self, token: object) -> None:
        callback = self._callbacks.get(token)
        if callback is not None:
            self._call(callback, self.state)

    def _call(self, callback: Callback, state: KeyState[Any]) -> None:
        try:
            result = callback(state)
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._callback_tasks.add(task)
                task.add_done_callback(self._called)
        except Exception:
            _logger.exception(
                "a subscriber of %r failed; the others are told all the same", state.key
            )

    def _called(self, task: asyncio.Future[Any]) -> None:
        self._callback_tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error(
                "an async subscriber of %r failed", self.state.key, exc_info=task.exception()
            )


def _ignore(state: KeyState[Any]) -> None:
    """The callback of a subscriber that only wants the key kept fresh."""
