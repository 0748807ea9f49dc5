"""The tags of a store's last sequences: how a position is told from one of another history."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from reality.core.cursor import Position

# At four bytes each. A client that is held 25 s stays within it up to 20,000 batches a second.
TAGS_KEPT = 1 << 19


class Tags:
    """Tags of consecutive sequences, the newest `kept` to twice that."""

    __slots__ = ("_first", "_kept", "_tags")

    def __init__(self, recent: Iterable[Position], *, kept: int = TAGS_KEPT) -> None:
        """`recent` are consecutive positions, oldest first."""
        positions = list(recent)
        self._kept = kept
        self._first = positions[0].sequence if positions else 1
        self._tags = array("I", (each.tag for each in positions))

    def append(self, position: Position) -> None:
        """The position that follows the last one."""
        if not self._tags:
            self._first = position.sequence
        assert position.sequence == self._first + len(self._tags), "positions have no gaps"
        self._tags.append(position.tag)
        if len(self._tags) > 2 * self._kept:
            del self._tags[: self._kept]
            self._first += self._kept

    def knows(self, position: Position) -> bool:
        """Whether this very position is one of them; before the first batch all is the same."""
        if position.sequence == 0:
            return True
        index = position.sequence - self._first
        return 0 <= index < len(self._tags) and self._tags[index] == position.tag

    def at(self, sequence: int) -> Position | None:
        """The position of a sequence, if its tag is one of them."""
        index = sequence - self._first
        known = 0 <= index < len(self._tags)
        return Position(sequence, self._tags[index]) if known else None

    def upto(self, sequence: int, count: int) -> tuple[Position, ...]:
        """The last positions up to a sequence, so many at most, oldest first."""
        found = (self.at(each) for each in range(max(1, sequence - count + 1), sequence + 1))
        return tuple(each for each in found if each is not None)
