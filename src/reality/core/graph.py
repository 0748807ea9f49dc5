"""What of what a server knows is news to a client.

    version(key) = base + touches of the key and of the patterns above it, over all origins

`base` is what makes versions of a restarted server greater than those of its last run: the register
(boot times and what a renewal raises, max-merged) plus the number of volatile origins known. It is
0 where only durable origins are known that never lost anything, and never falls (I4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from reality.core.cursor import Cursor, advance, decode_cursor, encode_cursor
from reality.core.keys import ancestors, is_pattern
from reality.core.ledger import Entry
from reality.core.replica import Generation, Replica


class Node(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """The metadata of one key.

    Attributes:
        key: its name.
        version: a whole number below 2**52 that grows with every touch.
        hash: hash of the data, "" if unknown.
        updated_at: when it was last touched, in milliseconds since the epoch; for display only.
        deleted: whether the last touch was a deletion.
    """

    key: str
    version: int
    hash: str
    updated_at: int
    deleted: bool = False


class Answer(NamedTuple):
    """What a sync is told.

    Attributes:
        changed: the news, by key.
        cursor: what the client has accounted for once it has taken `changed` in.
        reset: whether continuity could not be proven, so that every asked key is in `changed`.
    """

    changed: dict[str, Node]
    cursor: str
    reset: bool


class Graph(Replica):
    """The state of one server. Not thread-safe; its owner serialises calls."""

    def renewed(
        self, own_origin: str, *, now_ms: int, generation: Generation | None = None
    ) -> Graph:
        """An empty graph under a new origin whose versions are all above those of this one.

        In another generation it still knows who was removed: those may not come back.
        """
        register = max(now_ms, self.version_max)
        graph = Graph(
            own_origin,
            register=register,
            origins_max=self._origins_max,
            first_position=max(register, self.position + 1),
            generation=generation or self.generation,
        )
        for origin in self.gone:
            graph.remove(origin.removesuffix("!gone"))
        return graph

    def forked(self, own_origin: str, *, now_ms: int) -> Graph:
        """A graph that knows what this one knows, under an origin of its own.

        Where there is no room for one more origin, it is a renewed graph instead.
        """
        if len(self._digest) >= self._origins_max:
            return self.renewed(own_origin, now_ms=now_ms)
        register = max(now_ms, self._register)
        copy = Graph(
            own_origin,
            register=register,
            origins_max=self._origins_max,
            # Above all of this one's, which mean nothing there.
            first_position=max(register, self.position + 1),
            generation=self.generation,
        )
        copy.take_over(self)
        return copy

    # ---- for clients ---------------------------------------------------------------------------

    def version(self, key: str) -> int:
        """The version of a key, touched or not."""
        entries = self._ledger.entries((key, *ancestors(key)))
        return self._base + sum(entry.touches for entry in entries)

    def node(self, key: str) -> Node | None:
        """The metadata of a key; None if neither it nor a pattern above it was ever touched."""
        entries = self._ledger.entries((key, *ancestors(key)))
        return self._node(key, entries) if entries else None

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        """What is news to a client that last heard of these versions, at this cursor.

        Args:
            known: the version last reported to the client, by key.
            cursor: what it has accounted for; None for a client that has no cursors.
            hidden: keys to be answered as if nobody had ever touched them.

        Raises:
            InvalidKey, LimitExceeded: a key is malformed.
        """
        seen: Cursor | None = None
        reset = False
        if cursor is not None and cursor != self.cursor:
            seen, reset = self._checked(decode_cursor(cursor))
        asked: Iterable[str] = known
        if not (reset or hidden or self._ledger.has_patterns):
            # By far the most common: nothing is new about keys that are known here. Weeded out
            # first, because what remains costs five times as much a key.
            asked = self._worth_a_look(known, seen)
        changed = {}
        for key in asked:
            names = (key, *ancestors(key))  # refuses malformed keys
            entries = self._ledger.entries(names[1:] if key in hidden else names)
            if reset or self._is_news(entries, known[key], seen, has_cursor=cursor is not None):
                changed[key] = self._node(key, entries)
        if seen is None:
            return Answer(changed, self.cursor, reset)
        return Answer(changed, self._advanced(seen), reset)

    def listing(self, since: int, *, limit: int) -> tuple[list[tuple[int, Node]], bool]:
        """What was touched after the local apply position `since`, oldest first, with positions.

        Patterns are listed under their own name. The second value tells whether there are more.
        """
        found: list[tuple[int, Node]] = []
        for position, name in self._ledger.applied_after(since):
            if len(found) == limit:
                return found, True
            found.append((position, self.listed(name)))
        return found, False

    def listed(self, name: str) -> Node:
        """The metadata of a key or pattern as lists show it; a pattern's is what it was told."""
        names = (name,) if is_pattern(name) else (name, *ancestors(name))
        return self._node(name, self._ledger.entries(names))

    # ---- inside --------------------------------------------------------------------------------

    def _checked(self, seen: Cursor | None) -> tuple[Cursor, bool]:
        """What of a cursor can be relied on, and whether that is too little to go on from."""
        if seen is None:
            return Cursor({}), True
        if seen.generation < self.generation.number:
            # Of what was forgotten since then nobody knows any more how much the client has seen.
            unknown = {at: each for at, each in seen.positions.items() if at not in self._digest}
            return Cursor(unknown, self.generation.number), True
        contradicted = [each for each in self._digest if self._contradicts(each, seen)]
        if contradicted:
            held = {each: at for each, at in seen.positions.items() if each not in contradicted}
            return seen._replace(positions=held), True
        return seen, not self._digest.keys() <= seen.positions.keys()

    def _contradicts(self, origin: str, seen: Cursor) -> bool:
        """Whether a cursor is of another history of an origin: same sequence, another tag."""
        own, other = self._digest[origin], seen.positions.get(origin)
        return other is not None and own.sequence == other.sequence and own.tag != other.tag

    def _advanced(self, seen: Cursor) -> str:
        """The cursor of an answer; mostly the digest, whose text is at hand."""
        generation = self.generation.number
        advanced = advance(seen, self._digest, generation=generation)
        is_digest = advanced == Cursor(self._digest, generation)
        return self.cursor if is_digest else encode_cursor(advanced)

    def _worth_a_look(self, known: Mapping[str, int], seen: Cursor | None) -> list[str]:
        """The keys that are left once those are weeded out that nothing is new about.

        Only for a graph without patterns: there, what was done to a key is all that concerns it.
        """
        entry_of, base = self._ledger.first_entries.get, self._base
        held = self._digest if seen is None else seen.positions
        left = []
        for key, version in known.items():
            entry = entry_of(key)
            if (
                entry is None
                or entry.sibling is not None  # touched by several origins: takes a closer look
                or base + entry.touches != version
                or entry.sequence > held[entry.origin].sequence
            ):
                left.append(key)
        return left

    def _is_news(
        self, entries: Iterable[Entry], known: int, seen: Cursor | None, *, has_cursor: bool
    ) -> bool:
        """Whether a client that was last told of version `known` has not accounted for all this.

        Args:
            entries: what was done to a key and to the patterns above it.
            known: the version last reported to the client.
            seen: what its cursor holds; None if it has none, or the present one.
            has_cursor: whether it has one.
        """
        version = self._base
        for entry in entries:
            if seen is not None and entry.sequence > seen.positions[entry.origin].sequence:
                return True
            version += entry.touches
        return known < version if has_cursor else known != version

    def _node(self, name: str, entries: list[Entry]) -> Node:
        """The metadata of a name, from what was done to it and to the patterns above it.

        Its last batch decides within an origin. Over several origins, whose order nobody knows, a
        hash counts only if all agree; the clock breaks the tie of what is merely shown.
        """
        version = self._base + sum([entry.touches for entry in entries])
        if len(entries) == 1:
            (only,) = entries
            return Node(name, version, only.hash, only.updated_at, only.deleted)
        last: dict[str, Entry] = {}
        for entry in entries:
            if entry.origin not in last or last[entry.origin].sequence < entry.sequence:
                last[entry.origin] = entry
        if not last:
            return Node(name, version, "", 0)
        newest = max(last.values(), key=lambda entry: (entry.updated_at, entry.origin))
        hashes = {entry.hash for entry in last.values()}
        hash = newest.hash if len(hashes) == 1 else ""
        return Node(name, version, hash, newest.updated_at, newest.deleted)
