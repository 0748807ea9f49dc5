"""What a shared store and the servers on it tell each other: batches, positions, and the head.

A store keeps one durable origin. Each batch gets the next sequence and a random 32-bit tag, and
stays in the store's *change log* until 10,000 newer ones have come. Whoever holds a position can
tell by its tag whether the store still has the history that the position was read from, or another:
a restored backup, a failover that lost writes, a cloned file.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from reality.core.cursor import Position
from reality.core.delta import Touched

LOG_SEQUENCES_KEPT = 10_000
TAG_MAX = 2**32 - 1


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Names to be touched together, under one sequence.

    Attributes:
        names: well-formed keys and patterns, each once, at least one.
        updated_at: when, in milliseconds since the epoch; for display only.
        hash: hash of the data, "" if unknown; the same for every name.
        deleted: whether the data was deleted.
        touches_min: each name's number of touches grows by one, and to this if that is more. 1
            except for imports.
    """

    names: tuple[str, ...]
    updated_at: int
    hash: str = ""
    deleted: bool = False
    touches_min: int = 1


class Logged(msgspec.Struct, frozen=True, gc=False):
    """One batch in the change log.

    Attributes:
        position: its sequence and tag.
        touched: what each of its names had become by it. A name that a later batch of the same
            answer touches again may be left out.
    """

    position: Position
    touched: tuple[Touched, ...]


class Head(NamedTuple):
    """Where a store stands.

    Attributes:
        store_id: names the store; drawn when it is made.
        lineage: names this run of sequences; drawn anew when the store is found to have lost some.
        position: the last sequence and its tag; (0, 0) before the first batch.
        register: what versions start from; 0 in a store's first lineage.
        touches: of all names together, or more: no version exceeds `register + touches`.
    """

    store_id: str
    lineage: str
    position: Position
    register: int
    touches: int

    @property
    def origin(self) -> str:
        """The id of the origin that the store's batches belong to."""
        return f"{self.store_id}@{self.lineage}"


class Opening(NamedTuple):
    """What a server starts from.

    Attributes:
        head: where the store stands.
        recent: the positions in the change log, oldest first, without gaps, up to the head's.
    """

    head: Head
    recent: tuple[Position, ...]


class Appended(NamedTuple):
    """What an append did.

    Attributes:
        head: where the store stands after it.
        after: where it stood before.
        batches: what was appended, in order: the sequences that follow `after`.
    """

    head: Head
    after: Position
    batches: tuple[Logged, ...]


class Changes(NamedTuple):
    """A piece of the change log.

    Attributes:
        head: where the store stood when this was read.
        batches: in sequence order, without gaps.
    """

    head: Head
    batches: tuple[Logged, ...]


class Listing(NamedTuple):
    """Names in the order of their last touch.

    Attributes:
        touched: in sequence order; of a batch all, or none.
        more: whether there are more after the last of them.
    """

    touched: tuple[Touched, ...]
    more: bool
