"""Held syncs: a ticket is taken before the state is read, so no touch falls in between.

`Holding` belongs to a server, which calls it under its lock; a ticket's future belongs to the event
loop of the request that waits, which may be another than the one that touches.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress

from reality.core.limits import Limits
from reality.core.waiters import WaiterIndex
from reality.errors import TooManyWaiters

_logger = logging.getLogger("reality.server")


class Ticket:
    """One held sync. Ends once: by a touch, the clock, the asker's leaving or the shutdown."""

    __slots__ = ("_loop", "client_id", "ended", "names", "spread_ms")

    def __init__(self, client_id: str, names: frozenset[str]) -> None:
        self.client_id = client_id
        self.names = names
        self.spread_ms = 0
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def end(self, running: asyncio.AbstractEventLoop | None) -> None:
        """End the wait; `running` is the event loop of the calling thread, if it has one."""
        if running is self._loop:
            self._finish()
        else:
            # A loop that has been closed since has nobody left who waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish)

    async def wait(
        self, seconds: float, disconnected: Callable[[], Awaitable[object]] | None
    ) -> None:
        """Wait until the ticket ends, at most so long, and no longer than the asker is there."""
        clock = self._loop.call_later(seconds, self._finish)
        leaving = None
        if disconnected is not None:
            leaving = asyncio.ensure_future(disconnected())
            leaving.add_done_callback(self._left)
        try:
            await self.ended
        finally:
            clock.cancel()
            if leaving is not None and not leaving.done():
                leaving.cancel()

    def _left(self, leaving: asyncio.Future[object]) -> None:
        if not leaving.cancelled() and leaving.exception() is not None:
            _logger.debug(
                "a connection failed while its sync was held", exc_info=leaving.exception()
            )
        self._finish()

    def _finish(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Holding:
    """All held syncs of a server. Not thread-safe: called under the server's lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._index: WaiterIndex[Ticket] = WaiterIndex()
        self._tickets: dict[Ticket, None] = {}  # in the order in which they came
        self._per_client: Counter[str] = Counter()
        self._names = 0

    def __len__(self) -> int:
        """How many syncs are held."""
        return len(self._tickets)

    def take(self, client_id: str, names: frozenset[str]) -> Ticket:
        """A ticket that ends when one of these names is touched.

        Raises:
            TooManyWaiters: the server, or this client, has as many as it may; or they wait for
                as many names as they may.
        """
        limits = self._limits
        if len(self._tickets) >= limits.waiters_max:
            raise TooManyWaiters(
                f"the server already holds {limits.waiters_max} syncs: ask again without `wait`, "
                "or later"
            )
        if self._per_client[client_id] >= limits.waiters_per_client_max:
            error = TooManyWaiters(
                f"this client already has {limits.waiters_per_client_max} held syncs: give each "
                "client a `clientId` of its own",
                code="too_many_waiters_of_client",
            )
            error.status = 429
            raise error
        if self._names + len(names) > limits.waited_names_max:
            raise TooManyWaiters(
                f"the server's held syncs already wait for {self._names} keys and patterns, and "
                f"may for {limits.waited_names_max}: ask for fewer keys, or without `wait`"
            )
        ticket = Ticket(client_id, names)
        self._names += len(names)
        self._tickets[ticket] = None
        self._per_client[client_id] += 1
        self._index.add(ticket, names)
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """The sync of this ticket has been answered or has gone."""
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        self._names -= len(ticket.names)
        self._index.discard(ticket, ticket.names)
        self._per_client[ticket.client_id] -= 1
        if not self._per_client[ticket.client_id]:
            del self._per_client[ticket.client_id]

    def wake(self, touched: Iterable[str]) -> int:
        """End the waits that a touch of these names concerns; how many they were."""
        return self._end(self._index.concerned(touched))

    def wake_all(self) -> int:
        """End every wait: the lineage changed, or the server is stopping."""
        return self._end(self._tickets.copy())

    def _end(self, tickets: Collection[Ticket]) -> int:
        running = _running_loop()
        rate = self._limits.refetches_per_s
        spread_ms = len(tickets) * 1000 // rate if len(tickets) > rate else 0
        for ticket in tickets:
            # It waits no more, so a touch that comes before its answer is not for it.
            self.give_back(ticket)
            ticket.spread_ms = spread_ms
            ticket.end(running)
        return len(tickets)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
