"""The application: its data, and the writer that tells the servers of each change."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from tests.network.calling import CallFailed, Calling

WRITE_TIMEOUT_S = 1.0
# What was not written while a call took longer than this is left out.
_CATCH_UP_S = 0.2
_FAMILIES = 12
_MEMBERS = 12


class Data:
    """A number for each key, which grows with each change before anybody is told.

    Half of the families of keys are touched by patterns too.

    A change that is lost shows only if none follows on the same key. So each key and each pattern
    changes until a moment of its own and not after: whenever something is lost, it is the last
    change of a few.

    Attributes:
        now: what a fetch brings.
        accepted: what servers have said that they know of.
    """

    def __init__(self, draw: random.Random) -> None:
        members = [(family, member) for family in range(_FAMILIES) for member in range(_MEMBERS)]
        self.now = {f"board:{family}:{member}": 0 for family, member in members}
        self.accepted = dict(self.now)
        names = [*self.now, *(f"board:{family}:*" for family in range(0, _FAMILIES, 2))]
        draw.shuffle(names)
        self._until = {name: (place + 1) / len(names) for place, name in enumerate(names)}

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, always in the same order."""
        return tuple(self.now)

    def names_at(self, share: float) -> list[str]:
        """The keys and patterns that still change after this share of the time."""
        return [name for name, until in self._until.items() if until > share]

    def change(self, name: str) -> dict[str, int]:
        """Change a key, or all keys below a pattern, and say to what."""
        below = name.removesuffix("*")
        changed = [name] if below == name else [key for key in self.now if key.startswith(below)]
        for key in changed:
            self.now[key] += 1
        return {key: self.now[key] for key in changed}

    def accept(self, changed: dict[str, int]) -> None:
        """Note that a server knows of a change."""
        for key, value in changed.items():
            self.accepted[key] = max(self.accepted[key], value)


class Writer:
    """Changes data at random, and tells one server after another until one has accepted it.

    Args:
        data: what it changes.
        calling: its way to the servers.
        servers: the numbers of those that it tells.
        draw: decides what changes and who is told first.

    Attributes:
        accepted: how many changes were.
        refused: how many calls failed.
    """

    def __init__(
        self, data: Data, calling: Calling, servers: Sequence[int], draw: random.Random
    ) -> None:
        self.accepted = self.refused = 0
        self._data = data
        self._calling = calling
        self._servers = servers
        self._draw = draw

    async def write(self, name: str) -> None:
        """Change a key, or all below a pattern, and return once a server knows."""
        changed = self._data.change(name)
        while True:
            server = self._draw.choice(self._servers)
            message = {"keys": [name]}
            try:
                await self._calling.post(
                    server, "/reality/invalidate", message, timeout_s=WRITE_TIMEOUT_S
                )
            except CallFailed:
                self.refused += 1
                await asyncio.sleep(self._draw.uniform(0, 0.1))
            else:
                break
        self._data.accept(changed)
        self.accepted += 1

    async def live(self, per_s: float, duration_s: float) -> None:
        """Write so often on average for so long, less often only if servers do not take it."""
        now = began = time.monotonic()
        due = began + self._draw.expovariate(per_s)
        while due < began + duration_s:
            await asyncio.sleep(max(due - now, 0))
            # Names may run out a moment before the time does.
            if names := self._data.names_at((due - began) / duration_s):
                await self.write(self._draw.choice(names))
            now = time.monotonic()
            due = max(due, now - _CATCH_UP_S) + self._draw.expovariate(per_s)
