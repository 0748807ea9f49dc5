"""A signal comes while the server is locked by the very thread that handles the signal."""

from __future__ import annotations

import asyncio
import signal
import time

from reality import MemoryStorage, RealityServer

signals = False


def clock_ms() -> int:
    """The time. Called inside the lock, where a signal may come between any two instructions."""
    if signals:
        signal.raise_signal(signal.SIGUSR1)
    return time.time_ns() // 1_000_000


server = RealityServer("alpha", storage=MemoryStorage(clock_ms=clock_ms))


async def main() -> None:
    """A host that ends the waits in its own handler."""
    global signals  # noqa: PLW0603 - the clock has no arguments
    await server.invalidate("a")
    signal.signal(signal.SIGUSR1, lambda *_: server.end_waits())
    signals = True
    await server.invalidate("a")
    print("holds" if server.may_hold else "holds none")


if __name__ == "__main__":
    asyncio.run(main())
