"""Fork with an acceleration at work: `fork.py URL`. Prints what the parent saw, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from reality.accelerators.base import Hint
from reality.accelerators.opening import accelerator_from_url
from reality.server.acceleration import Acceleration


class Target:
    def __init__(self) -> None:
        self.hints: list[tuple[str, int]] = []
        self.rechecks = 0

    def hinted(self, hint: Hint) -> None:
        self.hints.append((hint.origin, hint.sequence))

    def recheck(self) -> None:
        self.rechecks += 1


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def in_child() -> NoReturn:
    """Use what was inherited: connect, hear the parent, be heard, disconnect."""
    target.hints.clear()
    before = target.rechecks
    acceleration.start()
    until(lambda: target.rechecks > before)
    os.write(ready, b".")
    until(lambda: target.hints == [("parent", 1)])
    acceleration.touched("child", 2)
    asyncio.run(acceleration.stop())
    os._exit(0 if acceleration.stats().sent == 1 else 1)


target = Target()
acceleration = Acceleration(
    accelerator_from_url(sys.argv[1]), target, run=lambda: f"server~{os.getpid()}"
)
acceleration.start()
until(lambda: target.rechecks == 1)
is_ready, ready = os.pipe()
child = os.fork()
if child == 0:
    try:
        in_child()
    finally:
        os._exit(2)
os.close(ready)
os.read(is_ready, 1)
acceleration.touched("parent", 1)
until(lambda: target.hints)
_, status = os.waitpid(child, 0)
acceleration.touched("parent", 3)
until(lambda: acceleration.stats().sent == 2)
print(
    json.dumps(
        {
            "status": os.waitstatus_to_exitcode(status),
            "parent": target.hints,
            "reconnects": acceleration.stats().reconnects,
        }
    )
)
asyncio.run(acceleration.stop())
