"""What one server knows of all origins, and how it takes in what others know.

For each name (key or pattern) and origin it keeps the last batch that touched it and how many
batches did. Merging is per origin, idempotent, commutative and associative, so servers that
exchange deltas end up alike (I8). Nothing here waits, reads a clock or draws a number. What of it
is news to a client is in `graph`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reality.core.cursor import (
    Cursor,
    Position,
    encode_cursor,
    gone_origin,
    is_durable,
    is_gone,
)
from reality.core.delta import Assembly, Delta, Mark, Touched, cut_page
from reality.core.history import History
from reality.core.ledger import Ledger
from reality.core.limits import GONE_MAX, ORIGINS_MAX
from reality.errors import TooManyOrigins


class Generation(NamedTuple):
    """What servers that exchange state have in common; the greater one wins.

    A new one is opened when there is no room for another origin, or when two histories of one store
    have met. Whoever hears of a greater one forgets what it knows of others and begins anew, above
    all versions told before.

    Attributes:
        number: 0 at first.
        opened_by: the server that opened it, so that no two are the same.
    """

    number: int = 0
    opened_by: str = ""

    def next(self, opened_by: str) -> Generation:
        """The one after it."""
        return Generation(self.number + 1, opened_by)


FIRST_GENERATION = Generation()


class Merged(NamedTuple):
    """What a merge did.

    Attributes:
        applied: whether the delta fitted; if not, ask for one from the digest on.
        touched: the names whose version may have grown because of it.
        new_origin: whether the origin was unknown before: every waiter is concerned.
    """

    applied: bool
    touched: tuple[str, ...] = ()
    new_origin: bool = False


class Replica:
    """One server's copy of what all servers know. Not thread-safe; its owner serialises calls."""

    def __init__(
        self,
        own_origin: str,
        *,
        register: int,
        origins_max: int = ORIGINS_MAX,
        first_position: int | None = None,
        is_ordered: bool = True,
        generation: Generation = FIRST_GENERATION,
    ) -> None:
        """A graph that knows nothing but its own, empty origin.

        Args:
            own_origin: the origin that local touches belong to.
            register: at least the boot time in milliseconds for a volatile origin, 0 for a durable.
            origins_max: how many origins it may know; cursors have no room for more than 64.
            first_position: where local apply positions start; by default at the register, so that
                those of an earlier run are told from this run's.
            is_ordered: whether the own origin's entries are put in the order of their sequences;
                those of a store are not, it has deltas of them itself.
            generation: which generation of the mesh it belongs to.
        """
        self.own_origin = own_origin
        self.unordered_origin = "" if is_ordered else own_origin
        self.generation = generation
        self.first_position = register if first_position is None else first_position
        self._origins_max = origins_max
        self._register = register
        self._ledger = Ledger(
            first_position=self.first_position, unordered=None if is_ordered else own_origin
        )
        self._assemblies: dict[str, Assembly] = {}
        self._histories: dict[str, History] = {}  # of the durable origins of others
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
    def own_position(self) -> Position:
        """How far the own origin has come; where it is a store's, how far it was followed."""
        return self._digest[self.own_origin]

    def held(self, origin: str) -> Position | None:
        """How far an origin is known; None if it is not."""
        return self._digest.get(origin)

    def holds(self, origin: str) -> bool:
        """Whether anything is known of an origin, be it only that there is one."""
        return origin in self._digest

    @property
    def cursor(self) -> str:
        """The digest as a cursor: what a client has accounted for that has just fetched all."""
        if self._cursor is None:
            self._cursor = encode_cursor(Cursor(self._digest, self.generation.number))
        return self._cursor

    @property
    def register(self) -> int:
        """What versions start from, but for the number of volatile origins."""
        return self._register

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

        A delta fits if it begins no later than what is held ends; one of a durable origin must
        begin exactly there, with the same tag, or at the very beginning.

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
        held = self._digest.get(page.origin, Position(0))
        if delta is None or not _fits(delta, held, is_new=is_new):
            return Merged(applied=False)
        self._assemblies.pop(page.origin, None)
        for touched in delta.touched:
            self._ledger.put(delta.origin, touched)
        self._register = max(self._register, delta.register)
        if is_durable(delta.origin):
            history = self._histories.setdefault(delta.origin, History())
            history.remember((*delta.past, delta.upto))
        self._admit(delta.origin, max(held, delta.upto))
        return Merged(True, tuple(each.name for each in delta.touched), is_new)

    def remove(self, server_id: str) -> bool:
        """Know that a server is gone for good; whether that is news: every waiter is concerned.

        Raises:
            TooManyOrigins: there is no room for it.
        """
        origin = gone_origin(server_id)
        if origin in self._digest:
            return False
        if len(self._digest) >= self._origins_max:
            raise TooManyOrigins(
                f"this server already knows {self._origins_max} origins: {server_id} can be "
                "removed once a new generation is open"
            )
        self._admit(origin, Position(0))
        return True

    def raise_register(self, register: int) -> bool:
        """Start versions from no less than this; whether that is more than before."""
        if register <= self._register:
            return False
        self._register = register
        self._admit(self.own_origin, self._digest[self.own_origin])
        return True

    def take_over(self, other: Replica) -> None:
        """Know all that another graph knows, but for this one's own origin."""
        for origin in other.digest:
            if origin not in (self.own_origin, other.unordered_origin):
                for page in other.delta(origin, since=0):
                    self.merge(page)
        self.raise_register(other.register)

    # ---- for other servers ---------------------------------------------------------------------

    def progress(self, origin: str) -> Delta | None:
        """The last page had of a delta that is not whole yet."""
        assembly = self._assemblies.get(origin)
        return None if assembly is None else assembly.progress

    def pages_names(self, origin: str) -> int:
        """How many names the pages have that were had of a delta that is not whole yet."""
        assembly = self._assemblies.get(origin)
        return 0 if assembly is None else assembly.names

    def durable_names(self) -> int:
        """How many names are kept of others' stores: what a new generation would bring back."""
        return sum(
            self._ledger.names_of(origin)
            for origin in self._digest
            if is_durable(origin) and origin != self.own_origin
        )

    def drop_pages(self, origin: str) -> None:
        """Forget the pages had of a delta that is not whole yet."""
        self._assemblies.pop(origin, None)

    @property
    def gone(self) -> list[str]:
        """The origins that stand for removed servers, the newest `GONE_MAX` of them."""
        return [each for each in self._digest if is_gone(each)][-GONE_MAX:]

    def knows(self, origin: str, position: Position) -> bool | None:
        """Whether a position belongs to the history of an origin; None if that cannot be told.

        It can where nothing ever is another: in volatile origins, and at the very beginning.
        """
        if not is_durable(origin) or position.sequence == 0:
            return True
        if position == self._digest.get(origin):
            return True
        history = self._histories.get(origin)
        return None if history is None else history.knows(position)

    def delta(self, origin: str, *, since: int, page_max: int = 1_000) -> Iterator[Delta]:
        """Everything known of an origin after sequence `since`, page by page.

        Each page is read when it is asked for, so the graph may be written to in between.
        """
        begins, last = Mark(since), False
        while not last:
            page = self.page(origin, Position(since), begins, names_max=page_max)
            begins, last = page.ends, page.last
            yield page

    def page(
        self,
        origin: str,
        since: Position,
        begins: Mark,
        *,
        names_max: int,
        bytes_max: int | None = None,
    ) -> Delta:
        """One page of a delta; see `cut_page` for the bounds."""
        after = begins.sequence - 1 if begins.name else begins.sequence
        touched, ends = cut_page(
            self._ledger.touched_after(origin, after),
            begins,
            names_max=names_max,
            bytes_max=bytes_max,
        )
        return self._delta(origin, since, begins, touched, ends)

    # ---- inside --------------------------------------------------------------------------------

    def _delta(
        self, origin: str, since: Position, begins: Mark, touched: list[Touched], ends: Mark | None
    ) -> Delta:
        """A page; without `ends` it is the last."""
        history = self._histories.get(origin)
        return Delta(
            origin=origin,
            sender=self.own_origin,
            position=self.position,
            register=self._register,
            since=since.sequence,
            since_tag=since.tag,
            after=begins.sequence,
            after_name=begins.name,
            upto=self._digest[origin] if ends is None else Position(ends.sequence),
            upto_name="" if ends is None else ends.name,
            last=ends is None,
            touched=tuple(touched),
            past=() if history is None or ends is not None else history.told(),
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


def _fits(delta: Delta, held: Position, *, is_new: bool) -> bool:
    """Whether a delta and what is held of its origin are together all up to the greater of both."""
    is_behind = delta.upto < held or (delta.upto == held and delta.since != held.sequence)
    if is_behind and not is_new:
        return False
    if is_durable(delta.origin) and delta.since:
        return held == (delta.since, delta.since_tag)
    return delta.since <= held.sequence
