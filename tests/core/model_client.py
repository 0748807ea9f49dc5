"""A client small enough to be read at a glance: it hops, fetches late, fails, persists.

Each rule that keeps it from losing a change is a method of its own, so that tests can switch one
off and watch a change being lost.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reality.core.graph import Answer, Node
from tests.core.world import KEYS, Server, World, hash_of


@dataclass
class Data:
    """What a client holds of one key: the application's data, and when its fetch began."""

    value: str
    began_at: int


@dataclass
class Held:
    """All that a client remembers; persisted as one or not at all."""

    cursor: str | None = None
    known: dict[str, int] = field(default_factory=dict)
    data: dict[str, Data] = field(default_factory=dict)
    # Keys whose data must be fetched, by the time of the last report that said so.
    dirty: dict[str, int] = field(default_factory=dict)
    # Keys whose refetch was skipped because the announced hash is that of the data held.
    skipped: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Asked:
    """An answer on its way: what was asked for, and whether it was asked with a cursor."""

    keys: tuple[str, ...]
    answer: Answer
    continuous: bool


class Client:
    """One client of `world`.

    Args:
        world: where the application's data is.
        keys: the keys it holds.
        uses_cursor: whether it speaks the cursor protocol or, like older clients, only versions.
    """

    def __init__(
        self, world: World, keys: Iterable[str] = KEYS, *, uses_cursor: bool = True
    ) -> None:
        self.world = world
        self.keys = tuple(keys)
        self.uses_cursor = uses_cursor
        self.held = Held(dirty=dict.fromkeys(self.keys, 0))
        self.fetching: dict[str, Data] = {}
        self.told_hash: dict[str, str] = {}
        self.coming: list[Asked] = []
        self._saved: Held | None = None

    def some_keys(self, which: Iterable[int]) -> list[str]:
        """Those of the keys held that stand at these places, each once."""
        return list(dict.fromkeys(self.keys[each % len(self.keys)] for each in which))

    # ---- asking --------------------------------------------------------------------------------

    def sync(self, server: Server, keys: Iterable[str] | None = None) -> Answer:
        """Ask one server about some keys, by default all, and take the answer in."""
        asked = self.ask(server, keys)
        self.take_in(asked)
        return asked.answer

    def ask(self, server: Server, keys: Iterable[str] | None = None) -> Asked:
        """Ask one server; the answer is made now and may be taken in later, or never."""
        asked = self.keys if keys is None else tuple(keys)
        known = {key: self.held.known.get(key, 0) for key in asked}
        cursor = self.cursor_to_send(known)
        self.world.tick()
        return Asked(asked, server.graph.answer(known, cursor), continuous=cursor is not None)

    def cursor_to_send(self, known: Mapping[str, int]) -> str | None:
        """The cursor of a request: the one held, and an empty one if there is none.

        An empty cursor is answered with a reset. Versions without a cursor would be taken for those
        of an older client, and may be those of a server that has lost touches since. Only a client
        that was told nothing yet asks without.
        """
        if not self.uses_cursor:
            return None
        return self.held.cursor or ("" if any(known.values()) else None)

    def take_in(self, asked: Asked) -> None:
        """Hear what an answer reports, and adopt its cursor if that is due."""
        self.world.tick()
        for key, node in asked.answer.changed.items():
            self.hear(key, node, reset=asked.answer.reset, continuous=asked.continuous)
        if self.uses_cursor and self.adopts(asked.keys):
            self.held.cursor = asked.answer.cursor

    def adopts(self, asked: tuple[str, ...]) -> bool:
        """Whether the cursor of an answer counts: only if all keys held were asked for."""
        return set(asked) >= set(self.keys)

    def hear(self, key: str, node: Node, *, reset: bool, continuous: bool) -> None:
        """A server reports that a key changed; `continuous` if it was asked with a cursor."""
        is_known = node.version == self.held.known.get(key)
        if is_known and not reset:
            return  # a refetch has begun since, or the key is dirty still
        self.held.known[key] = node.version
        if self.skips(key, node, reset=reset or not continuous):
            self.held.skipped.add(key)
        else:
            self.held.dirty[key] = self.world.time
        self.told_hash[key] = node.hash

    def skips(self, key: str, node: Node, *, reset: bool) -> bool:
        """Whether the announced hash shows that the data held is the data of now.

        Without a cursor a server that has lost touches cannot say so: that counts as a reset.
        """
        if reset or key in self.held.dirty or key in self.fetching:
            return False
        return node.hash != "" and node.hash == self.held_hash(key)

    def held_hash(self, key: str) -> str:
        """The hash that an announced one is compared with: of the data held."""
        return hash_of(self.held.data[key].value) if key in self.held.data else ""

    # ---- fetching ------------------------------------------------------------------------------

    def begin_fetch(self, key: str) -> None:
        """Ask the application for the data; it is read now and arrives later."""
        self.fetching[key] = Data(self.world.data[key], self.world.tick())

    def finish_fetch(self, key: str) -> None:
        """The data arrives. Only a fetch begun after the last report makes the key clean."""
        fetched = self.fetching.pop(key)
        self.held.data[key] = fetched
        self.held.skipped.discard(key)
        if fetched.began_at > self.held.dirty.get(key, -1):
            self.held.dirty.pop(key, None)

    def end_fetches(self, *, arrive: bool) -> None:
        """All data under way arrives, or none: then the keys stay as dirty as they were."""
        for key in list(self.fetching):
            if arrive:
                self.finish_fetch(key)
        self.fetching.clear()

    def fetch_dirty(self) -> None:
        """Fetch everything that needs it, at once."""
        for key in list(self.held.dirty):
            self.begin_fetch(key)
            self.finish_fetch(key)

    # ---- starting with a page that a server rendered -------------------------------------------

    def open_page(self, server: Server, *, meanwhile: Callable[[], None]) -> None:
        """Begin with data and position as a page carries them; something happens in between."""
        self.take_position(server)
        self.read_data()
        meanwhile()

    def take_position(self, server: Server) -> None:
        """What the page says of how much it has accounted for."""
        self.held.cursor = server.graph.cursor
        self.held.known = {key: server.graph.version(key) for key in self.keys}

    def read_data(self) -> None:
        """The data of the page."""
        self.fetch_dirty()

    # ---- persisting ----------------------------------------------------------------------------

    def persist(self) -> None:
        """Write down all that is held, as one."""
        self._saved = copy.deepcopy(self.held)

    def restart(self) -> None:
        """The client's process dies and comes back with what was written down."""
        self.held = copy.deepcopy(self._saved) or Held(dirty=dict.fromkeys(self.keys, 0))
        self.fetching.clear()
        self.coming.clear()
        self.told_hash.clear()

    # ---- judging -------------------------------------------------------------------------------

    def stale_keys(self) -> list[str]:
        """Keys that the client believes to be fresh and that are not: each is a lost change."""
        return [key for key in self.keys if key not in self.held.dirty and self._is_stale(key)]

    def _is_stale(self, key: str) -> bool:
        held = self.held.data[key]
        if held.began_at >= self.world.touched_at[key]:
            return False
        return held.value != self.world.data[key] or key not in self.held.skipped
