"""Names in the order of their last touch: append, and walk from a position, both cheaply.

An append-only log whose overtaken entries are skipped when read and dropped when they outnumber the
live ones, so that it never holds more than about twice the live names.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator

_COMPACT_FROM = 64


class RecencyLog:
    """Positions and names, oldest first. Positions never decrease from one append to the next."""

    __slots__ = ("_is_live", "_live", "_names", "_positions")

    def __init__(self, is_live: Callable[[str, int], bool]) -> None:
        """`is_live(name, position)` tells whether `position` is still the name's last one."""
        self._is_live = is_live
        self._positions = array("q")
        self._names: list[str] = []
        self._live = 0

    def __len__(self) -> int:
        """How many names the log holds, each counted once."""
        return self._live

    def append(self, name: str, position: int, *, is_new: bool) -> None:
        """Record that `name` was last touched at `position`; `is_new` if it was not in the log."""
        self._positions.append(position)
        self._names.append(name)
        self._live += is_new
        if len(self._names) > 2 * self._live + _COMPACT_FROM:
            self._compact()

    def discard(self) -> None:
        """One of the names is live no more: its positions will be skipped, and dropped in time."""
        self._live -= 1

    def after(self, position: int) -> Iterator[tuple[int, str]]:
        """The `(position, name)` pairs last touched after `position`, oldest first.

        The log must not be appended to while the iterator is in use.
        """
        for found, name in self.all_after(position):
            if self._is_live(name, found):
                yield found, name

    def all_after(self, position: int) -> Iterator[tuple[int, str]]:
        """As `after`, with those that were overtaken: for callers who can tell by themselves."""
        for index in range(bisect_right(self._positions, position), len(self._names)):
            yield self._positions[index], self._names[index]

    def _compact(self) -> None:
        live = list(self.after(-1))
        self._positions = array("q", (position for position, _ in live))
        self._names = [name for _, name in live]
