"""Forks again and again; many threads of each child use the server for the first time at once.

Two of them are slow: they stop at every line of the server's code while the others come in at
random moments, so that a step that is not one falls apart.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from msgspec.structs import replace

from reality import RealityServer, SyncRequest

CHILDREN = 12
THREADS = 6
SLOW = 2
LINE_S = 0.002
# About as long as the slow ones take to their first use of anything that threads share.
LATE_S_MAX = 0.06
# A child that takes longer hangs: it is ended, and so seen.
CHILD_S = 10

server = RealityServer("alpha")
before = server.blocking.invalidate("a")["a"]


def hand_over(frame: FrameType, event: str, _: Any) -> Any:
    """A trace function that stops at every line of the server's code."""
    if "/reality/server/" not in frame.f_code.co_filename:
        return None
    if event == "line":
        time.sleep(LINE_S)
    return hand_over


async def hold() -> int:
    """How many keys a held sync is told of, once it is woken."""
    first = SyncRequest(known={"held": 0}, client_id="c", mode="native", hint="poll")
    known = (await server.sync(first)).changed["held"].version
    return len((await server.sync(replace(first, known={"held": known}, wait=20_000))).changed)


def child() -> int:
    """0 if every thread's touch counted and every held sync was woken."""
    signal.alarm(CHILD_S)
    go = threading.Barrier(THREADS)
    versions: list[int] = []
    told: list[int] = []

    def work(number: int) -> None:
        go.wait()
        if number < SLOW:
            sys.settrace(hand_over)
        else:
            time.sleep(random.random() * LATE_S_MAX)
        if number % 2:
            versions.append(server.blocking.invalidate("a")["a"])
        else:
            told.append(asyncio.run(hold()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while len(versions) < THREADS // 2 or server.stats().waiters < THREADS // 2:
        time.sleep(0.001)
    server.blocking.invalidate("held")
    for thread in threads:
        thread.join()
    is_whole = len(set(versions)) == THREADS // 2 and min(versions) > before
    return 0 if is_whole and told == [1] * (THREADS // 2) else 1


def main() -> None:
    """End with status 0 if all children did, and say which did not."""
    for number in range(1, CHILDREN + 1):
        process_id = os.fork()
        if process_id == 0:
            status = 2
            try:
                status = child()
            finally:
                os._exit(status)
        wait_status = os.waitpid(process_id, 0)[1]
        if wait_status:
            sys.exit(f"child number {number} ended with wait status {wait_status}")


if __name__ == "__main__":
    main()
