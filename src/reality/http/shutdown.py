"""Held syncs end when the process is told to stop.

Servers tell held requests nothing on SIGTERM: uvicorn and granian wait for them to finish, up to
their graceful time-out. So the application puts itself before the handler that the server has
installed, ends every wait, and hands the signal on.

Signals belong to the process, and so does what this module keeps: one handler in front of the
host's, and which servers it tells, without keeping any of them alive.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from weakref import WeakKeyDictionary

from reality.server.server import RealityServer

_logger = logging.getLogger("reality.http")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_serving: WeakKeyDictionary[RealityServer, asyncio.AbstractEventLoop] = WeakKeyDictionary()


def end_waits_on_signal(server: RealityServer) -> None:
    """When a stop signal comes, end the server's waits in the running loop, then go on as before.

    A signal that nobody handles is left alone: it ends the process, and with it every wait. Python
    allows handlers in the main thread only; elsewhere this does nothing, and the host should call
    `server.end_waits()` itself.
    """
    if threading.current_thread() is not threading.main_thread():
        _logger.debug("not in the main thread: call server.end_waits() when the host shuts down")
        return
    _serving[server] = asyncio.get_running_loop()
    for number in _SIGNALS:
        present = signal.getsignal(number)
        if callable(present) and not isinstance(present, _InFront):
            signal.signal(number, _InFront(present))


class _InFront:
    """A signal handler in front of another."""

    def __init__(self, behind: Callable[[int, FrameType | None], object]) -> None:
        self._behind = behind

    def __call__(self, number: int, frame: FrameType | None) -> None:
        for server, loop in list(_serving.items()):
            # Not called here: the signal may have interrupted the very code that holds the lock.
            if not loop.is_closed():
                loop.call_soon_threadsafe(server.end_waits)
        self._behind(number, frame)
