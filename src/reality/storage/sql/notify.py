"""Hints by PostgreSQL's NOTIFY: a store tells others that it has appended, and hears of theirs.

NOTIFY takes a lock of the whole server when its transaction commits. So it is never a part of an
append, but a statement of its own after it, at most one in 50 ms, without a payload; nobody waits
for it, and where it fails it is dropped. One connection of the store's own, outside every pool,
sends these statements and listens.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress

from reality.errors import StorageError, StorageUnavailable
from reality.storage.process import renew_after_fork
from reality.storage.sql.failures import driver_words, storage_error
from reality.storage.sql.statements import Statements

_logger = logging.getLogger("reality.storage")

_PAUSE_S = 0.05
# A connection that heard nothing for so long may be cut off without knowing: it is tried.
_SILENCE_S = 30.0
_ANSWER_S = 5.0
# How long `close` waits for the last NOTIFY, and for a connection that is being made.
_CLOSE_S = 1.0
# PostgreSQL cuts off what is longer.
_CHANNEL_CHARS_MAX = 63


class Line(ABC):
    """A connection that listens. Subclasses say how a driver does it.

    Attributes:
        news: set when another connection has sent a NOTIFY, and when this one has failed.
        failure: why it has ended, if it has.
    """

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.failure: BaseException | None = None
        self._turn = asyncio.Lock()

    async def execute(self, sql: str) -> None:
        """Run one statement by itself; if that fails, or is cancelled, the line has ended."""
        try:
            async with asyncio.timeout(_ANSWER_S), self._turn:
                await self._execute(sql)
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """End the line, without waiting, and tell whoever waits for news."""
        if self.failure is None:
            self.failure = error
            self.news.set()
            with suppress(RuntimeError):  # the loop of the line has ended before it
                self._end()

    @abstractmethod
    async def _execute(self, sql: str) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...


# Connects, and listens on a channel.
OpenLine = Callable[[str], Awaitable[Line]]

# A child of a fork holds on to what it inherited: to let go of it would end its parent's line.
_inherited: list[object] = []


class Hints:
    """The hints that one store sends and takes. Lives in the event loop of the store.

    Args:
        open_line: how to connect; not called before it is needed.
        statements: the store's, whose table name is the channel's.
        name: what errors and logs call the store.
    """

    def __init__(self, open_line: OpenLine, statements: Statements, name: str) -> None:
        self._open_line = open_line
        self._statements = statements
        self._name = name
        # Unquoted names of tables are folded by PostgreSQL, those of channels in quotes are not.
        self._channel = statements.table_name.lower()[-_CHANNEL_CHARS_MAX:]
        self._opening: asyncio.Task[Line] | None = None
        self._told_of: Line | None = None
        self._sending: asyncio.Task[None] | None = None
        self._is_owed = False
        renew_after_fork(self, Hints._after_fork)

    def send(self) -> None:
        """Tell others soon that something was appended. Neither waits nor raises."""
        self._is_owed = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def hinted(self) -> None:
        """See `Hinting.hinted`."""
        line = await self._line()
        if line is not self._told_of:
            # From now on nothing is missed.
            self._told_of = line
            return
        try:
            async with asyncio.timeout(_SILENCE_S):
                await line.news.wait()
        except TimeoutError:
            await self._execute(line, "SELECT 1")
        line.news.clear()
        if line.failure is not None:
            raise self._mapped(line.failure) from line.failure

    async def close(self) -> None:
        """Send what is owed, if that is quickly done, and disconnect. Never raises."""
        await _finish(self._sending)
        opening, self._opening = self._opening, None
        await _finish(opening)
        line = _result(opening)
        if line is not None:
            line.fail(StorageUnavailable(f"{self._name} was closed: open it again"))

    async def _send(self) -> None:
        while self._is_owed:
            self._is_owed = False
            try:
                await self._execute(await self._line(), f'NOTIFY "{self._channel}"')
            except StorageError as error:
                _logger.debug("a hint was not sent: %s", error)
            await asyncio.sleep(_PAUSE_S)

    async def _line(self) -> Line:
        """The line that stands, or a new one; whoever needs one meanwhile gets the same."""
        opening = self._opening
        line = _result(opening)
        if line is not None and line.failure is None:
            return line
        if opening is None or opening.done():
            opening = self._opening = asyncio.create_task(self._open())
        # Whoever gives up waiting does not keep the others from getting it.
        await asyncio.wait([opening])
        line = _result(opening)
        if line is None:
            failure = None if opening.cancelled() else opening.exception()
            raise self._mapped(failure or ConnectionError("closed meanwhile")) from failure
        return line

    async def _open(self) -> Line:
        return await self._open_line(self._channel)

    async def _execute(self, line: Line, sql: str) -> None:
        try:
            await line.execute(sql)
        except Exception as error:
            raise self._mapped(error) from error

    def _mapped(self, error: BaseException) -> StorageError:
        mapped = storage_error(error, name=self._name, statements=self._statements)
        return mapped or StorageUnavailable(
            f"{self._name} gives no hints ({driver_words(error)}): it works without, no restart is "
            "needed"
        )

    def _after_fork(self) -> None:
        """In a child: the parent's connection and tasks are left alone."""
        _inherited.append((self._opening, self._told_of, self._sending))
        self._opening = self._told_of = self._sending = None
        self._is_owed = False


def _result(opening: asyncio.Task[Line] | None) -> Line | None:
    if opening is None or not opening.done() or opening.cancelled() or opening.exception():
        return None
    return opening.result()


async def _finish(task: asyncio.Task[Line] | asyncio.Task[None] | None) -> None:
    """Wait for a task, for a while; then cancel it."""
    if task is None or task.done():
        return
    await asyncio.wait([task], timeout=_CLOSE_S)
    if task.cancel():
        await asyncio.wait([task], timeout=_CLOSE_S)
