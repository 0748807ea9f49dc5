"""What a server does with its accelerator: it sends hints and takes those of others.

All of it is done in a thread with an event loop of its own, so that a channel that hangs delays
nobody. Of many touches only the last is told (the greatest sequence of each origin), so nothing
piles up. Whatever fails is dropped: the channel is made anew, and after each time that it was made
the server looks by itself for what it may have missed (invariant I5).
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from reality.accelerators.base import Accelerator, Channel, Hint, decode_hint, encode_hint
from reality.core.backoff import ceiling
from reality.errors import AcceleratorUnavailable
from reality.server.loop_thread import LoopThread
from reality.server.owed import Owed
from reality.storage.process import renew_after_fork

_logger = logging.getLogger("reality.server")

_CONNECT_S = 5.0
_PUBLISH_S = 1.0
_CLOSE_S = 1.0
_RETRY_BASE_S = 0.1
_RETRY_MAX_S = 5.0
# A server hears its own signs of life; a channel on which it does not is cut off without knowing.
_HEARTBEAT_S = 10.0
_SILENCE_S = 20.0
_COMPLAINT_S = 60.0
_CANCEL_AGAIN_S = 0.1


class Target(Protocol):
    """Who looks when there is a hint. Called in the accelerator's thread; must be quick."""

    def hinted(self, hint: Hint) -> None:
        """Another server says that it has touched something. It may be wrong, or not be one."""
        ...

    def recheck(self) -> None:
        """The channel has just been made: hints may have been missed until now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorStats:
    """What an accelerator has done.

    Attributes:
        kind: what it is, in one word.
        name: what it is called in logs.
        is_connected: whether the channel stands, as far as is known.
        sent: hints that were published.
        received: hints of other servers.
        dropped: hints that could not be published.
        reconnects: how often the channel was made anew.
        ignored: messages on the channel that were no hints.
    """

    kind: str
    name: str
    is_connected: bool
    sent: int
    received: int
    dropped: int
    reconnects: int
    ignored: int


# A child of a fork holds on to what it inherited: to let go of it would end its parent's channel.
_inherited: list[object] = []


class Acceleration:
    """The accelerator of one server. Safe to share by threads.

    Args:
        accelerator: how to connect.
        target: who looks when there is a hint.
        run: the server's run, `server_id~nonce`, as it is now; called often, from several threads.
    """

    def __init__(self, accelerator: Accelerator, target: Target, *, run: Callable[[], str]) -> None:
        self._accelerator = accelerator
        self._target = target
        self._run = run
        self._channel: Channel | None = None
        self._work: asyncio.Task[None] | None = None
        self._after_fork()
        renew_after_fork(self, Acceleration._after_fork)
        self._thread = LoopThread("reality-accelerator")

    def _after_fork(self) -> None:
        """In a child: the parent's channel is left alone, and what it owed is its own business."""
        if self._work is not None:
            _inherited.append((self._work, self._channel))
        self._lock = threading.Lock()
        self._is_started = False
        self._owed = Owed()
        self._news = self._told = asyncio.Event()
        self._work = self._channel = None
        self._sent = self._received = self._dropped = self._connects = self._ignored = 0
        self._failures = 0
        self._complained_at = float("-inf")

    def start(self) -> None:
        """Connect, in the background, and take hints from then on; does not wait, nor fail."""
        with self._lock:
            if self._is_started:
                return
            try:
                self._thread.spawn(self._begin())
            except RuntimeError as error:  # no more threads
                self._complain(error)
                return
            self._is_started = True
        _started.add(self)

    def touched(self, origin: str, sequence: int) -> None:
        """Tell the others soon how far an origin has come. Neither waits nor raises."""
        is_first = self._owed.add(origin, sequence)
        if not self._is_started:
            self.start()
        elif is_first:
            self._thread.soon(self._rouse)

    async def stop(self) -> None:
        """Tell what is owed, if that is quickly done, and disconnect. `start` begins again."""
        if self._is_started:
            await self._thread.call(self._end())
            with self._lock:
                self._is_started = False
                self._thread.stop()

    def farewell(self) -> None:
        """The process ends without having stopped the server: tell what is owed, for a moment."""
        if self._is_started and self._owed.is_pending:
            with suppress(TimeoutError):
                self._thread.block_on(self._tell_all(), timeout_s=_PUBLISH_S)

    def stats(self) -> AcceleratorStats:
        """What was done, and whether the channel stands."""
        return AcceleratorStats(
            kind=self._accelerator.kind,
            name=self._accelerator.name,
            is_connected=self._channel is not None,
            sent=self._sent,
            received=self._received,
            dropped=self._dropped + self._owed.dropped,
            reconnects=max(0, self._connects - 1),
            ignored=self._ignored,
        )

    # ---- inside, in the accelerator's thread ---------------------------------------------------

    async def _begin(self) -> None:
        self._news, self._told = asyncio.Event(), asyncio.Event()
        self._turn = asyncio.Lock()
        self._work = asyncio.create_task(self._keep_connected())

    async def _end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PUBLISH_S):
                await self._tell_all()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.wait({work})

    async def _tell_all(self) -> None:
        """Return once nothing is owed any more, or it cannot be told."""
        while self._owed.is_pending and (self._channel is not None or self._failures == 0):
            self._told.clear()
            await self._told.wait()

    def _rouse(self) -> None:
        self._news.set()

    async def _keep_connected(self) -> None:
        while self._work is not None:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    channel = await self._accelerator.connect()
                await self._use(channel)
            except Exception as error:  # noqa: BLE001  # a third party's may raise anything
                self._complain(error)
            self._failures += 1
            self._told.set()
            longest = ceiling(self._failures - 1, base=_RETRY_BASE_S, cap=_RETRY_MAX_S)
            await asyncio.sleep(longest * (1 + random.random()) / 2)

    async def _use(self, channel: Channel) -> None:
        """Send and take hints, until the channel ends, which raises."""
        self._channel = channel
        self._connects += 1
        self._heard_at = time.monotonic()
        work = (self._receive, self._publish, self._show_life)
        tasks = {asyncio.create_task(each(channel)) for each in work}
        try:
            if self._work is None:
                return  # stopped, but the driver has lost the cancellation
            self._target.recheck()
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()
        finally:
            self._channel = None
            await _cancelled(tasks)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await channel.close()

    async def _receive(self, channel: Channel) -> None:
        while True:
            hint = decode_hint(await channel.receive())
            if hint is None:
                self._ignored += 1
            elif hint.run == self._run():
                self._heard_at = time.monotonic()
                if self._failures:
                    self._failures = 0
                    _logger.info("%s works again", self._accelerator.name)
            elif hint.origin:
                self._received += 1
                self._target.hinted(hint)

    async def _publish(self, channel: Channel) -> None:
        while True:
            self._news.clear()
            while (owed := self._owed.take()) is not None:
                try:
                    await self._send(channel, *owed)
                except BaseException:
                    self._dropped += 1
                    raise
                self._sent += 1
            self._told.set()
            await self._news.wait()

    async def _show_life(self, channel: Channel) -> None:
        await self._send(channel)
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            silence_s = time.monotonic() - self._heard_at
            if silence_s >= _SILENCE_S:
                raise AcceleratorUnavailable(
                    f"{self._accelerator.name} has brought nothing back for {silence_s:.0f} s"
                )
            # Hints that were sent meanwhile have come back as well.
            if silence_s >= _HEARTBEAT_S / 2:
                await self._send(channel)

    async def _send(self, channel: Channel, origin: str = "", sequence: int = 0) -> None:
        run = self._run()
        server_id = run.partition("~")[0]
        hint = Hint(server_id=server_id, run=run, origin=origin, sequence=sequence)
        async with self._turn, asyncio.timeout(_PUBLISH_S):
            await channel.publish(encode_hint(hint))

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAINT_S:
            self._complained_at = now
            words = str(error) or f"{self._accelerator.name} does not answer"
            _logger.warning("working without hints for now: %s", words)


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel tasks, until they have ended."""
    pending = tasks
    while pending:
        for task in pending:
            task.cancel()
        # Some drivers lose a cancellation that comes while they send.
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # of several that failed, one is enough


_started: WeakSet[Acceleration] = WeakSet()


@atexit.register
def _tell_all() -> None:
    for acceleration in list(_started):
        acceleration.farewell()
