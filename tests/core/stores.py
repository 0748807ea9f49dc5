"""A store in a dictionary, and the graph of a server that follows it."""

from __future__ import annotations

from reality.core.changelog import Appended, Head, Listing, Logged, Opening
from reality.core.cursor import Position
from reality.core.delta import Delta, Mark, Touched
from reality.core.graph import Graph
from reality.core.store_graph import StoreGraph

ORIGIN = "store@one"
NAMES = [f"k:{number:02}" for number in range(30)]


def tag(sequence: int) -> int:
    return sequence * 7


def at(sequence: int) -> Position:
    return Position(sequence, tag(sequence) if sequence else 0)


class Store:
    """What a store has, and a graph of it that has read everything."""

    def __init__(self, register: int = 0) -> None:
        self.nodes: dict[str, Touched] = {}
        self.touches = 0
        self.register = register
        self.sequence = 0
        self.graph = StoreGraph(Opening(self.head, ()))

    @property
    def head(self) -> Head:
        return Head("store", "one", at(self.sequence), self.register, self.touches)

    def touch(self, *names: str, follow: bool = True) -> None:
        """One batch, which the graph follows at once or later."""
        before = at(self.sequence)
        self.sequence += 1
        touched = []
        for name in names:
            count = self.nodes[name].touches + 1 if name in self.nodes else 1
            self.nodes[name] = Touched(name, self.sequence, count, "", 1_000, False)
            touched.append(self.nodes[name])
        self.touches += len(names)
        logged = Logged(at(self.sequence), tuple(touched))
        if follow:
            assert self.graph.extend(Appended(self.head, before, (logged,))) is not None

    def read(self, *names: str) -> None:
        """Have the graph know all of these names."""
        lacking = self.graph.lacks(names)
        found = {name: self.nodes[name] for name in lacking if name in self.nodes}
        assert self.graph.learn(lacking, found)

    def listing(self, after: int, limit: int = 10_000) -> Listing:
        """As stores list: of a batch all, or none."""
        entries = sorted(self.nodes.values(), key=lambda each: (each.sequence, each.name))
        later = [each for each in entries if each.sequence > after]
        if len(later) <= limit:
            return Listing(tuple(later), more=False)
        last = later[limit].sequence
        cut = [each for each in later if each.sequence < last]
        if not cut:
            cut = [each for each in later if each.sequence == later[0].sequence]
        return Listing(tuple(cut), more=len(cut) < len(later))

    def page(
        self, since: Position, begins: Mark, *, bytes_max: int, limit: int = 10_000
    ) -> Delta | None:
        after = begins.sequence - 1 if begins.name else begins.sequence
        held = self.graph.own_position
        return self.graph.own_page(
            self.listing(after, limit), held, since, begins, bytes_max=bytes_max
        )


def pull(receiver: Graph, store: Store, *, bytes_max: int = 100_000, limit: int = 10_000) -> int:
    """Bring a graph up to the store, page by page; how many pages that took."""
    since = receiver.digest.get(ORIGIN, Position(0))
    begins, pages = Mark(since.sequence), 0
    while True:
        page = store.page(since, begins, bytes_max=bytes_max, limit=limit)
        assert page is not None
        pages += 1
        receiver.merge(page)
        if page.last:
            return pages
        begins = page.ends
