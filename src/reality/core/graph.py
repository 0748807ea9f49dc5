"""What one server knows of all keys, and what of it is news to a client.

For each name (key or pattern) and origin the graph keeps the last batch that touched it and how
many batches did. Merging is per origin, idempotent, commutative and associative, so servers that
exchange deltas end up alike (I8). Nothing here waits, reads a clock or draws a number.

    version(key) = base + touches of the key and of the patterns above it, over all origins

`base` is what makes versions of a restarted server greater than those of its last run: the register
(boot times and what a renewal raises, max-merged) plus the number of volatile origins known. It is
0 where only durable origins are known that never lost anything, and never falls (I4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from reality.core.cursor import Cursor, Position, advance, decode_cursor, encode_cursor, is_durable
from reality.core.delta import Assembly, Delta, Touched
from reality.core.keys import ancestors, is_pattern
from reality.core.ledger import Entry, Ledger
from reality.core.limits import ORIGINS_MAX
from reality.errors import TooManyOrigins


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


class Merged(NamedTuple):
    """What a merge did.

    Attributes:
        applied: whether the delta fitted; if not, ask for one from the digest on.
        touched: the names whose version may have grown because of it.
        new_origin: whether the origin was unknown before: every waiter is concerned.
    """

    applied: bool
    touched: frozenset[str] = frozenset()
    new_origin: bool = False


class Graph:
    """The state of one server. Not thread-safe; its owner serialises calls."""

    def __init__(
        self,
        own_origin: str,
        *,
        register: int,
        origins_max: int = ORIGINS_MAX,
        first_position: int | None = None,
        is_ordered: bool = True,
    ) -> None:
        """A graph that knows nothing but its own, empty origin.

        Args:
            own_origin: the origin that local touches belong to.
            register: at least the boot time in milliseconds for a volatile origin, 0 for a durable.
            origins_max: how many origins it may know; cursors have no room for more than 64.
            first_position: where local apply positions start; by default at the register, so that
                those of an earlier run are told from this run's.
            is_ordered: whether the own origin's entries are put in the order of their sequences.
        """
        self.own_origin = own_origin
        self.first_position = register if first_position is None else first_position
        self._origins_max = origins_max
        self._register = register
        self._ledger = Ledger(
            first_position=self.first_position, unordered=None if is_ordered else own_origin
        )
        self._assemblies: dict[str, Assembly] = {}
        self._digest: dict[str, Position] = {}
        self._cursor: str | None = None  # the digest as text, made when asked for
        self._admit(own_origin, Position(0))

    def __len__(self) -> int:
        """How many keys and patterns are kept."""
        return len(self._ledger)

    @property
    def digest(self) -> Mapping[str, Position]:
        """The greatest contiguous position held of each known origin. A copy."""
        return dict(self._digest)

    @property
    def cursor(self) -> str:
        """The digest as a cursor: what a client has accounted for that has just fetched all."""
        if self._cursor is None:
            self._cursor = encode_cursor(Cursor(self._digest))
        return self._cursor

    @property
    def position(self) -> int:
        """The local apply position: grows by one with every name applied here."""
        return self._ledger.position

    @property
    def touches(self) -> int:
        """The touches of all names and origins together."""
        return self._ledger.touches

    @property
    def version_max(self) -> int:
        """A number that no key's version exceeds, and that never falls."""
        return self._base + self._ledger.touches

    # ---- writing -------------------------------------------------------------------------------

    def touch(
        self,
        names: Iterable[str],
        *,
        now_ms: int,
        hash: str = "",
        deleted: bool = False,
        touches_min: int = 1,
    ) -> int:
        """Record one batch of the own origin and return its sequence.

        Names must be well-formed. `hash` and `deleted` hold for every name of the batch. An equal
        hash does not suppress the touch. Each name's touches become at least `touches_min`.
        """
        own = self.own_origin
        sequence = self._digest[own].sequence + 1
        for name in dict.fromkeys(names):
            entry = self._ledger.entry(name, own)
            touches = max(touches_min, 1 if entry is None else entry.touches + 1)
            self._ledger.put(own, Touched(name, sequence, touches, hash, now_ms, deleted))
        self._digest[own] = Position(sequence)
        self._cursor = None
        return sequence

    def merge(self, page: Delta) -> Merged:
        """Take in a page of another server's knowledge of one origin.

        Raises:
            TooManyOrigins: the origin is new and there is no room for it.
        """
        if page.origin == self.own_origin:
            return Merged(applied=False)
        is_new = page.origin not in self._digest
        if is_new and len(self._digest) >= self._origins_max:
            raise TooManyOrigins(
                f"this server already knows {self._origins_max} origins and cannot take in "
                f"{page.origin}: remove servers that are gone for good"
            )
        delta = self._assembly(page.origin).add(page)
        held = 0 if is_new else self._digest[page.origin].sequence
        if delta is None or delta.since != held or delta.upto.sequence < held:
            return Merged(applied=False)
        del self._assemblies[page.origin]
        for touched in delta.touched:
            self._ledger.put(delta.origin, touched)
        self._register = max(self._register, delta.register)
        self._admit(delta.origin, delta.upto)
        return Merged(True, frozenset(each.name for each in delta.touched), is_new)

    def renewed(self, own_origin: str, *, now_ms: int) -> Graph:
        """An empty graph under a new origin whose versions are all above those of this one."""
        register = max(now_ms, self.version_max)
        return Graph(
            own_origin,
            register=register,
            origins_max=self._origins_max,
            first_position=max(register, self.position + 1),
        )

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
        )
        for origin in self._digest:
            for page in self.delta(origin, since=0):
                copy.merge(page)
        return copy

    # ---- reading -------------------------------------------------------------------------------

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

    def delta(self, origin: str, *, since: int, page_max: int = 1_000) -> Iterator[Delta]:
        """Everything known of an origin after sequence `since`, page by page.

        Each page is read when it is asked for, so the graph may be written to in between.
        """
        after, last = since, False
        while not last:
            page = self._page(origin, since, after, page_max)
            after, last = page.upto.sequence, page.last
            yield page

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
        advanced = advance(seen, self._digest)
        return self.cursor if advanced == Cursor(self._digest) else encode_cursor(advanced)

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

    def _page(self, origin: str, since: int, after: int, page_max: int) -> Delta:
        touched: list[Touched] = []
        upto, last = self._digest[origin], True
        for each in self._ledger.touched_after(origin, after):
            if len(touched) >= page_max and touched[-1].sequence != each.sequence:
                upto, last = Position(touched[-1].sequence), False
                break
            touched.append(each)
        return Delta(
            origin=origin,
            sender=self.own_origin,
            position=self.position,
            register=self._register,
            since=since,
            after=after,
            upto=upto,
            last=last,
            touched=tuple(touched),
        )

    def _assembly(self, origin: str) -> Assembly:
        """The pages received of an origin. Of too many, the oldest are dropped, to be sent anew."""
        if origin not in self._assemblies:
            if len(self._assemblies) >= self._origins_max:
                del self._assemblies[next(iter(self._assemblies))]
            self._assemblies[origin] = Assembly()
        return self._assemblies[origin]

    def _admit(self, origin: str, position: Position) -> None:
        """Know an origin up to a position, and what follows from it."""
        self._digest[origin] = position
        volatile = sum(not is_durable(each) for each in self._digest)
        self._base = self._register + volatile
        self._cursor = None
