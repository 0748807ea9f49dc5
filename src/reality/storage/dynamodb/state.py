"""The state that an append starts from, and what becomes of it. Pure but for random tags."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from reality.core.changelog import Batch, Logged
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.storage.base import draw_tag
from reality.storage.dynamodb.items import Group, Identity, encode_batches, newest_of

# A batch costs whoever reads the tail at least as much as so many names.
_BATCH_WEIGHT_MIN = 16


class State:
    """What is kept of some names as of one log item, and the tail of the log up to there.

    Attributes:
        identity: the store item, read before all else.
        newest: the last item of the log; None before the first.
        nodes: of the names asked for.
        tail: the batches behind `identity.applied_to`, in order.
        weight: how much it costs to read the tail, in names.
    """

    def __init__(
        self, identity: Identity, applied: Group | None, nodes: Mapping[str, Touched]
    ) -> None:
        self.identity = identity
        self.newest = applied
        self.nodes = dict(nodes)
        self.tail: list[Logged] = []
        self.weight = 0

    @property
    def position(self) -> Position:
        """Of its last batch."""
        return Position(0) if self.newest is None else self.newest.positions[-1]

    def add(self, group: Group, batches: Iterable[Logged], names: Iterable[str]) -> None:
        """Go on to the next item of the log, which holds these batches."""
        batches = tuple(batches)
        self.newest = group
        self.tail += batches
        self.weight += sum(max(len(each.touched), _BATCH_WEIGHT_MIN) for each in batches)
        newest = newest_of(batches)
        self.nodes.update((name, newest[name]) for name in names if name in newest)

    def next(self, batches: Sequence[Batch]) -> tuple[Group, tuple[Logged, ...]]:
        """The item that would follow if these were appended now, and what they do."""
        first = self.position.sequence + 1
        touches = 0 if self.newest is None else self.newest.touches
        nodes = dict(self.nodes)
        logged = []
        for sequence, batch in enumerate(batches, first):
            touched = []
            for name in batch.names:
                before = nodes[name].touches if name in nodes else 0
                now = max(before + 1, batch.touches_min)
                touches += now - before
                nodes[name] = Touched(
                    name, sequence, now, batch.hash, batch.updated_at, batch.deleted
                )
                touched.append(nodes[name])
            logged.append(Logged(Position(sequence, draw_tag()), tuple(touched)))
        tags = tuple(each.position.tag for each in logged)
        data = encode_batches(logged)
        return Group(first, secrets.token_hex(8), tags, touches, 0, data), tuple(logged)
