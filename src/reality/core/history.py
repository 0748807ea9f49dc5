"""Which positions of a foreign store's origin are known to belong to one history.

The tags of sequences tell the history of a store from that of its restored backup or its clone. The
store keeps them all; a server that has the origin from others keeps those it has come by.
"""

from __future__ import annotations

from collections.abc import Iterable

from reality.core.cursor import Position

POSITIONS_KEPT = 256
# How many of them travel with a delta.
POSITIONS_TOLD = 64


class History:
    """Positions of one durable origin, the newest `POSITIONS_KEPT`."""

    __slots__ = ("_tags",)

    def __init__(self) -> None:
        self._tags: dict[int, int] = {}

    def remember(self, positions: Iterable[Position]) -> None:
        """These belong to the same history as those that are known."""
        for sequence, tag in positions:
            if sequence:
                self._tags[sequence] = tag
        for sequence in sorted(self._tags)[:-POSITIONS_KEPT]:
            del self._tags[sequence]

    def knows(self, position: Position) -> bool | None:
        """Whether a position is of this history; None if nobody here can tell."""
        if position.sequence == 0:
            return True
        tag = self._tags.get(position.sequence)
        return None if tag is None else tag == position.tag

    def told(self) -> tuple[Position, ...]:
        """The newest positions, for others."""
        newest = sorted(self._tags)[-POSITIONS_TOLD:]
        return tuple(Position(sequence, self._tags[sequence]) for sequence in newest)
