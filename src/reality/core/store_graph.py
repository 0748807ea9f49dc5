"""The part of a shared store that one server has in memory.

The store's origin is the graph's own, but the store assigns its sequences: the graph follows the
change log. It holds some names only. Of a name that it holds it knows all up to its digest, be it
that nobody ever touched it; a name that it lacks has to be read from the store before anything is
said of it. Dropping names therefore never makes it forget a change.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from reality.core.changelog import Appended, Changes, Head, Listing, Logged, Opening
from reality.core.cursor import Cursor, Position, decode_cursor
from reality.core.delta import Delta, Mark, Touched, cut_page
from reality.core.graph import Graph
from reality.core.history import POSITIONS_TOLD
from reality.core.keys import ancestors, is_pattern
from reality.core.ledger import Ledger
from reality.core.replica import Generation, Replica
from reality.core.tags import Tags


class Verdict(Enum):
    """What a look at the store's change log says of the graph."""

    FITS = "the log goes on from where the graph was"
    REPLACED = "the store has another origin now"
    CONTRADICTED = "the store has lost or changed what the graph has seen of the same origin"
    LOST_TOUCH = "the log no longer goes back to where the graph is"


class Told(NamedTuple):
    """What a server has told of a store, none of which it may take back (I4).

    Attributes:
        origin: of the positions told; "" before the first.
        position: the last one.
        register: what the store said that versions start from.
        version_max: no version told exceeds it, but for what others of a mesh have added.
        floor: what versions told started from, the store's word or that of others.
    """

    origin: str = ""
    position: Position = Position(0)
    register: int = 0
    version_max: int = 0
    floor: int = 0

    def allows(self, opening: Opening) -> bool:
        """Whether a server may go on with what the store holds now.

        If the log still has the last position told, nothing was lost, only the lineage may be
        another, and versions go on from a register that is no smaller. If the log has it not, any
        key may have lost touches: only versions that start above all of the past are above theirs.
        An origin that goes on without that position, because the log has been cut off since, must
        at least have no fewer touches.
        """
        head, recent = opening
        if self.position.sequence == 0 or self.position in recent:
            return head.register >= self.register
        if head.origin == self.origin:
            is_cut_off = not recent or recent[0].sequence > self.position.sequence
            base = max(head.register, self.floor)
            return is_cut_off and base + head.touches >= self.version_max
        return head.register >= self.version_max


def with_ancestors(names: Iterable[str]) -> set[str]:
    """These names, and the patterns above the keys among them.

    Raises:
        InvalidKey, LimitExceeded: a name is malformed.
    """
    return {each for name in names for each in _with_ancestors(name)}


def _with_ancestors(name: str) -> tuple[str, ...]:
    return (name,) if is_pattern(name) else (name, *ancestors(name))


class _HeldOf:
    """The names that something is held of in one origin, where there are several."""

    def __init__(self, origin: str, ledger: Ledger) -> None:
        self._origin = origin
        self._ledger = ledger

    def __contains__(self, name: object) -> bool:
        return self._ledger.entry(str(name), self._origin) is not None


class StoreGraph(Graph):
    """What a server knows of its store. Not thread-safe; its owner serialises calls."""

    def __init__(self, opening: Opening) -> None:
        head, recent = opening
        super().__init__(head.origin, register=head.register, first_position=0, is_ordered=False)
        self._head = head
        self._tags = Tags(recent)
        # Sequences up to here may have been dropped: what was read before may lack them.
        self._dropped_upto = 0
        # Names that lack nothing: they and the patterns above them are held.
        self._whole: set[str] = set()
        self._admit(head.origin, head.position)

    @property
    def position(self) -> int:
        """The sequence of the store that the graph has followed it to."""
        return self._digest[self.own_origin].sequence

    @property
    def version_max(self) -> int:
        """A number that no key's version exceeds, as far as the graph has heard; never falls."""
        return self._base + self._head.touches + self._ledger.foreign_touches

    @property
    def told(self) -> Told:
        """What a server with this graph may have told."""
        head, floor = self._head, self._register
        return Told(self.own_origin, self.own_position, head.register, floor + head.touches, floor)

    # ---- following the store -------------------------------------------------------------------

    def judge(self, changes: Changes, held: Position) -> Verdict:
        """What changes say that were asked for when the graph was at `held`."""
        head, batches = changes
        if head.origin != self.own_origin:
            return Verdict.REPLACED
        if head.position.sequence < held.sequence:
            return Verdict.CONTRADICTED
        if not batches:
            return Verdict.FITS if head.position.sequence == 0 else Verdict.LOST_TOUCH
        if batches[0].position.sequence != max(held.sequence, 1):
            return Verdict.LOST_TOUCH
        here = self.position
        seen = [each.position for each in batches if each.position.sequence <= here]
        return Verdict.FITS if all(map(self._tags.knows, seen)) else Verdict.CONTRADICTED

    def follow(self, changes: Changes) -> list[str]:
        """Take in what fits; the names that were touched."""
        return self._extend(changes.head, changes.batches)

    def extend(self, appended: Appended) -> list[str] | None:
        """Take in an append of this server's own; None if other batches come in between."""
        if appended.head.origin != self.own_origin or appended.after != self.own_position:
            return None
        return self._extend(appended.head, appended.batches)

    def _extend(self, head: Head, batches: Iterable[Logged]) -> list[str]:
        names: list[str] = []
        put, origin, here = self._ledger.put, self.own_origin, self.own_position
        for position, touched in ((each.position, each.touched) for each in batches):
            if position.sequence > here.sequence:
                for each in touched:
                    put(origin, each)
                    names.append(each.name)
                self._tags.append(position)
                here = position
        if head.position >= self._head.position:
            self._head = head
        if here != self.own_position:
            self._admit(origin, here)
        return names

    # ---- for other servers ---------------------------------------------------------------------

    def knows(self, origin: str, position: Position) -> bool | None:
        """See `Replica`. A graph that has just looked knows that its store has nothing later."""
        if origin != self.own_origin or position.sequence == 0:
            return super().knows(origin, position)
        if position.sequence > self.position:
            return False
        at = self._tags.at(position.sequence)
        return None if at is None else at == position

    def own_page(
        self, listing: Listing, held: Position, since: Position, begins: Mark, *, bytes_max: int
    ) -> Delta | None:
        """A page of the own origin, which the store has in order and the graph has not.

        Args:
            listing: what the store has after `begins`.
            held: where the graph was before the store was asked for it.
            since: where the delta begins.
            begins: where the page begins.
            bytes_max: see `cut_page`.

        Returns:
            The page; None if the graph has yet to follow the store that far.
        """
        names_max = len(listing.touched) + 1
        touched, ends = cut_page(listing.touched, begins, names_max=names_max, bytes_max=bytes_max)
        if ends is None and listing.more:
            ends = Mark(touched[-1].sequence) if touched else begins
        page = self._delta(self.own_origin, since, begins, touched, ends)
        if ends is not None:
            return page
        # All up to the last batch listed, and up to where the graph was before, is in the listing.
        upto = max(held.sequence, touched[-1].sequence if touched else 0)
        at = Position(0) if upto == 0 else held if upto == held.sequence else self._tags.at(upto)
        if at is None:
            return None
        past = self._tags.upto(upto, POSITIONS_TOLD)
        return msgspec.structs.replace(page, upto=at, past=past)

    def take_over(self, other: Replica) -> None:
        """Know what a graph of the same store knew of others, and start versions as it did."""
        super().take_over(other)
        self.generation = other.generation
        self._cursor = None

    def forget_others(self, generation: Generation) -> None:
        """Begin another generation: know only the store's own, and who was removed."""
        register, gone = self.version_max, self.gone
        for origin in [each for each in self._digest if each != self.own_origin]:
            self._ledger.forget(origin)
            del self._digest[origin]
        self._histories.clear()
        self._assemblies.clear()
        self.generation = generation
        for origin in gone:
            self._digest[origin] = Position(0)
        self._register = max(register, self._register)
        self._admit(self.own_origin, self.own_position)

    # ---- names in memory -----------------------------------------------------------------------

    def lacks(self, names: Collection[str]) -> set[str]:
        """Those of these names, and of the patterns above them, that have to be read first.

        Raises:
            InvalidKey, LimitExceeded: a name is malformed.
        """
        if self._whole.issuperset(names):
            return set()
        held: Container[str] = self._ledger.first_entries
        if len(self._digest) > 1:
            held = _HeldOf(self.own_origin, self._ledger)
        lacking = {each for name in names for each in _with_ancestors(name) if each not in held}
        if not lacking:
            self._whole.update(names)
        return lacking

    def is_behind(self, cursor: str | None) -> bool:
        """Whether a client has seen later sequences of the store than this graph."""
        if cursor is None or cursor == self._cursor:
            return False
        seen = decode_cursor(cursor)
        own = None if seen is None else seen.positions.get(self.own_origin)
        return own is not None and own.sequence > self.position

    def may_have_missed(self, since: Position) -> bool:
        """Whether a touch after `since` may have been dropped again, so that a read is too old."""
        return self._dropped_upto > since.sequence

    def learn(self, names: Iterable[str], found: Mapping[str, Touched]) -> bool:
        """Take in what the store keeps of names, unless the graph has yet to follow it that far.

        Args:
            names: what was asked for; what is not in `found` was never touched.
            found: the store's answer.
        """
        newest = max((each.sequence for each in found.values()), default=0)
        if newest > self.position:
            return False  # a graph knows nothing that its position does not account for
        for name in names:
            touched = found.get(name)
            if touched is None:
                self._ledger.put_untouched(self.own_origin, name)
            else:
                self._ledger.put(self.own_origin, touched)
        return True

    def drop_to(self, nodes_max: int) -> None:
        """Hold at most so many names: those go first that were longest ago touched or read."""
        if len(self) > nodes_max:
            # A sixteenth more than needed, so that it is not done at every touch.
            count = len(self) - nodes_max + nodes_max // 16
            self._whole.clear()
            self._dropped_upto = max(self._dropped_upto, self._ledger.drop_oldest(count))

    # ---- inside --------------------------------------------------------------------------------

    def _checked(self, seen: Cursor | None) -> tuple[Cursor, bool]:
        is_present = seen is not None and seen.generation >= self.generation.number
        if seen is not None and is_present and len(self._digest) == 1:
            own = seen.positions.get(self.own_origin)
            if own is not None and self._tags.knows(own):
                return seen, False  # by far the most common
        return super()._checked(seen)

    def _contradicts(self, origin: str, seen: Cursor) -> bool:
        if origin != self.own_origin:
            return super()._contradicts(origin, seen)
        # Also a position that is too old to tell: the client fetches once and is right.
        return origin in seen.positions and not self._tags.knows(seen.positions[origin])
