"""The port of a store that processes and hosts share: seven verbs, and what each of them promises.

Every sentence of the docstrings below is a test of `reality.testing.StorageContract`, which a new
store passes by subclassing it. A store keeps, for one durable origin,

- the *nodes*: for each name the last batch that touched it and how many have,
- the *change log*: the last 10,000 batches, each with its tag,
- its identity: store id and lineage, and the register that versions start from.

It knows nothing of versions, clients or cursors. `BlockingStorage` has the same verbs for drivers
that block; `reality.storage.threads.ThreadedStorage` makes it a `Storage`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from reality.core.changelog import TAG_MAX, Appended, Batch, Changes, Head, Listing, Opening
from reality.core.delta import Touched

# Names of one statement, script or request, so that none of them grows without bound.
CHUNK_NAMES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What kind of store this is; tests and the server ask for abilities, never for classes.

    Attributes:
        is_shared: several processes may use it at once.
        is_durable: it outlives the process, its positions carry tags, and it can be rotated.
    """

    is_shared: bool = True
    is_durable: bool = True


SHARED_AND_DURABLE = Capabilities()


class Storage(Protocol):
    """A shared store. Its verbs may be called concurrently, from one event loop.

    Any verb but `close` raises a `StorageError` that names the store and says what to do, and works
    again, without further ado, once the cause is gone. Before `open` and after `close` the others
    may raise `StorageUnavailable`. A verb that raised `StorageUnavailable` may
    have done its work all the same; after any other `StorageError` it has done nothing.

    Attributes:
        name: what errors and logs call it; without credentials.
        capabilities: what it can do.
        feed_interval_s: how often a server looks for batches of other processes, in seconds.
    """

    @property
    def name(self) -> str:
        """What errors and logs call the store; without credentials."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""
        ...

    @property
    def feed_interval_s(self) -> float:
        """How often a server looks for batches of other processes, in seconds."""
        ...

    async def open(self) -> Opening:
        """Connect, make what is missing, and tell where the store stands.

        The first `open` of all draws store id and lineage; concurrent ones agree on them. May be
        called again at any time, and in a child after a fork, which then makes connections of its
        own and leaves its parent's alone. `recent` ends with the head's position, is empty before
        the first batch, and holds at most the last 10,000.

        Raises:
            StorageSchemaMismatch: the store was made by a newer release.
        """
        ...

    async def append(self, batches: Sequence[Batch]) -> Appended:
        """Give each batch the next sequence and a tag of its own, and record it.

        All of them are recorded, or none. Once this returns they survive a crash of this process
        and, as far as the store is set up for it, of the store. No reader ever sees a sequence
        before a smaller one, or a part of a batch. Concurrent appends, of any process, get
        different sequences without gaps. For each name `touches` grows as `Batch.touches_min`
        says, `sequence`, `hash`, `updated_at` and `deleted` become the batch's. Tags are random,
        from 1 to 2**32 - 1. The log keeps the last 10,000 batches at least.
        """
        ...

    async def changes(self, after: int, *, limit: int) -> Changes:
        """The log from the batch `after` (included) on, and the head, read from one state.

        It tells at least everything whose append had returned before it was called.
        `batches` begins with sequence `after` itself (its `touched` may be left empty), so that
        the asker can compare tags; after 0, which is no batch, with sequence 1. It goes on without
        gaps up to the head, or for about `limit` batches; never less than the next one, if there is
        one. It is empty if its first sequence is no longer in the log, or not yet.
        """
        ...

    async def read(self, names: Collection[str]) -> dict[str, Touched]:
        """What is kept of these names; names never touched are left out.

        It tells at least everything whose append had returned before it was called.
        """
        ...

    async def scan(self, after: int, *, limit: int) -> Listing:
        """Names last touched after the sequence `after`, in sequence order.

        About `limit` of them; a batch is never split over two answers. Going on from the last
        sequence of each answer, a walk meets every name, those that are touched meanwhile at their
        old place or their new.
        """
        ...

    async def rotate(self, expected: str, *, register: int) -> Head:
        """If the store's origin still is `expected`, give it a new lineage.

        Then its register becomes the greater of its own and `register`; nodes, log and sequence
        stay.
        Otherwise nothing happens. Of several rotations of one origin only the first does anything.
        Returns where the store then stands.
        """
        ...

    async def close(self) -> None:
        """Let go of what `open` made.

        What the application brought (a client, an engine) stays open. May be called twice, and
        never raises. `open` opens the store again.
        """
        ...


@runtime_checkable
class Hinting(Protocol):
    """A store that can tell early that another process may have appended.

    Hints only make things faster: the feed looks at least every `feed_interval_s`, hint or not.
    """

    async def hinted(self) -> None:
        """Wait until another process may have appended, or until that may have been missed.

        Returns for no reason now and then, at the latest when its connection is made anew. Any
        `StorageError` is answered by going on without hints for a while.
        """
        ...


class BlockingStorage(Protocol):
    """The verbs of `Storage` for drivers that block.

    They are called from two threads: `open`, `append` and `rotate` in one, `changes`, `read` and
    `scan` in the other, `close` in both, perhaps at once. So connections are made per thread, or
    shared safely.
    """

    @property
    def name(self) -> str:
        """What errors and logs call the store; without credentials."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do."""
        ...

    @property
    def feed_interval_s(self) -> float:
        """How often a server looks for batches of other processes, in seconds."""
        ...

    def open(self) -> Opening:
        """See `Storage.open`."""
        ...

    def append(self, batches: Sequence[Batch]) -> Appended:
        """See `Storage.append`."""
        ...

    def changes(self, after: int, *, limit: int) -> Changes:
        """See `Storage.changes`."""
        ...

    def read(self, names: Collection[str]) -> dict[str, Touched]:
        """See `Storage.read`."""
        ...

    def scan(self, after: int, *, limit: int) -> Listing:
        """See `Storage.scan`."""
        ...

    def rotate(self, expected: str, *, register: int) -> Head:
        """See `Storage.rotate`."""
        ...

    def close(self) -> None:
        """See `Storage.close`."""
        ...


def draw_store_id() -> str:
    """What names a new store: 48 random bits, in hexadecimal."""
    return secrets.token_hex(6)


def draw_lineage() -> str:
    """What names a new lineage: 48 random bits, in hexadecimal."""
    return secrets.token_hex(6)


def draw_tag() -> int:
    """The tag of a new sequence: never 0, which stands for "no tag"."""
    return 1 + secrets.randbelow(TAG_MAX)
