"""A store's graph among servers: pages of what the store has, and what others have told."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from reality.core.changelog import Appended, Batch, Changes, Head, Listing, Logged, Opening
from reality.core.cursor import Cursor, Position, decode_cursor, encode_cursor
from reality.core.delta import Delta, Mark, Touched
from reality.core.graph import Graph
from reality.core.replica import Generation
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


def foreign(*names: str) -> Graph:
    """A memory server that has touched these names."""
    graph = Graph("m~1", register=5_000)
    graph.touch(names or ["f"], now_ms=1)
    return graph


def told(graph: StoreGraph, other: Graph) -> None:
    for origin in other.digest:
        for page in other.delta(origin, since=graph.digest.get(origin, Position(0)).sequence):
            graph.merge(page)


def dropped(graph: StoreGraph, names: Iterable[str] = NAMES) -> list[str]:
    return [name for name in names if graph.lacks([name])]


# ---- pages of the own origin ---------------------------------------------------------------------


def test_a_page_of_the_store_is_what_the_store_has() -> None:
    """What others are told of the own origin is in the store's order, with its tags."""
    store = Store()
    store.touch("a", "b")
    store.touch("b")
    page = store.page(Position(0), Mark(0), bytes_max=1_000)

    assert page is not None
    assert [(each.name, each.sequence, each.touches) for each in page.touched] == [
        ("a", 1, 1),
        ("b", 2, 2),
    ]
    assert (page.origin, page.upto, page.last) == (ORIGIN, at(2), True)
    assert page.past == (at(1), at(2))


def test_an_empty_store_is_told_of() -> None:
    """Others know that there is a store before anything was written to it."""
    page = Store().page(Position(0), Mark(0), bytes_max=1_000)

    assert page is not None
    assert (page.upto, page.last, page.touched) == (Position(0), True, ())


def test_a_graph_that_is_behind_its_store_tells_nothing_of_the_end() -> None:
    """A listing may have batches that the graph has yet to follow: then there is no last page."""
    store = Store()
    store.touch("a")
    store.touch("b", follow=False)

    assert store.page(Position(0), Mark(0), bytes_max=1_000) is None


def test_what_the_graph_knew_before_the_listing_is_in_it() -> None:
    """The page goes up to where the graph was, even if the last batches were overtaken since."""
    store = Store()
    for _ in range(5):
        store.touch("a")
    held = store.graph.own_position
    listing = Listing((), more=False)  # nothing after 5
    page = store.graph.own_page(listing, held, at(5), Mark(5), bytes_max=1_000)

    assert page is not None
    assert (page.upto, page.last) == (at(5), True)


@pytest.mark.parametrize("seed", range(10))
def test_a_store_is_told_whole_while_it_is_written(seed: int) -> None:
    """I1, I8: in small pages, of short listings, while it goes on, a store arrives whole."""
    draw = random.Random(seed)
    store, receiver = Store(), Graph("m~1", register=0)
    store.touch(*NAMES)
    since, begins = Position(0), Mark(0)
    for turn in range(1_000):
        if turn < 50 and draw.random() < 0.5:
            store.touch(*draw.sample(NAMES, draw.randint(1, 10)))
        page = store.page(
            since, begins, bytes_max=draw.randint(100, 600), limit=draw.choice([1, 5, 100])
        )
        assert page is not None
        receiver.merge(page)
        if page.last and turn >= 50:
            break
        begins = page.ends
        if page.last:
            since = receiver.digest[ORIGIN]
            begins = Mark(since.sequence)

    assert receiver.digest[ORIGIN] == at(store.sequence)
    for name in NAMES:
        assert receiver.version(name) - receiver.version("none") == store.nodes[name].touches


def test_a_store_is_followed_from_where_it_was_heard_of() -> None:
    """A delta of a store fits only where the receiver holds the very position that it begins at."""
    store, receiver = Store(), Graph("m~1", register=0)
    store.touch("a")
    store.touch("b")
    pull(receiver, store)
    store.touch("a", "c")
    pull(receiver, store)
    assert receiver.digest[ORIGIN] == at(3)
    wrong = store.page(Position(2, 1), Mark(2), bytes_max=1_000)
    assert wrong is not None
    store.touch("d")
    other = store.page(Position(3, 1), Mark(3), bytes_max=1_000)
    assert other is not None

    assert not receiver.merge(other).applied
    assert receiver.digest[ORIGIN] == at(3)


def test_a_store_knows_its_own_history() -> None:
    """Positions that the log has are known; others contradict it, or are too old to tell."""
    store = Store()
    for _ in range(5):
        store.touch("a")
    graph = store.graph

    assert graph.knows(ORIGIN, at(3)) is True
    assert graph.knows(ORIGIN, Position(0)) is True
    assert graph.knows(ORIGIN, Position(3, 1)) is False
    assert graph.knows(ORIGIN, at(6)) is False
    old = StoreGraph(Opening(store.head, (at(4), at(5))))
    assert old.knows(ORIGIN, Position(2, 1)) is None


# ---- what others have told -----------------------------------------------------------------------


def test_names_of_others_are_not_dropped() -> None:
    """I1: what only others have touched is nowhere else; what the store has is read again."""
    store = Store()
    store.touch(*NAMES)
    told(store.graph, foreign(*NAMES[:10]))
    store.read(*NAMES)
    store.graph.drop_to(1)

    assert dropped(store.graph) == NAMES[10:]


def test_what_others_touched_is_lacking_of_the_store() -> None:
    """A name that others have told of has yet to be read from the store."""
    store = Store()
    store.touch("a")
    fresh = StoreGraph(Opening(store.head, (at(1),)))
    told(fresh, foreign("a"))

    assert fresh.lacks(["a"]) == {"a", "*"}


def test_a_new_generation_forgets_others_but_not_the_store() -> None:
    """I4: begun anew, the store's graph knows its own nodes, who was removed, and no less version."""
    store = Store()
    store.touch("a", "b")
    told(store.graph, foreign("a", "c"))
    store.graph.remove("dead")
    store.read("a", "b", "c")
    before = {name: store.graph.version(name) for name in "abc"}
    cursor = store.graph.cursor
    store.graph.forget_others(Generation(1, "s"))

    assert store.graph.digest == {ORIGIN: at(1), "dead!gone": Position(0)}
    assert store.graph.generation == (1, "s")
    assert all(store.graph.version(name) > before[name] for name in "abc")
    assert not store.graph.lacks(["a", "b"])
    answer = store.graph.answer(dict.fromkeys("ab", 10**15), cursor)
    assert answer.reset
    again = store.graph.answer(
        {name: node.version for name, node in answer.changed.items()}, answer.cursor
    )
    assert (again.changed, again.reset) == ({}, False)


def test_names_that_both_have_touched_are_dropped_once() -> None:
    """A name that was touched by the store and by others is an ordinary one once those are forgotten."""
    store = Store()
    for name in NAMES:
        store.touch(name)
    store.read(*NAMES)
    told(store.graph, foreign(*NAMES[:20]))
    store.graph.forget_others(Generation(1, "s"))
    positions = [name for _, name in store.graph._ledger.applied_after(-1)]
    assert sorted(set(positions)) == sorted(positions)
    store.graph.drop_to(10)

    assert 5 <= len(store.graph) <= 10
    store.read(*NAMES)
    assert all(store.graph.node(name) for name in NAMES)


def test_a_graph_that_was_read_anew_knows_what_others_told() -> None:
    """I1: a server that reloads its store keeps what its peers told, and versions stay."""
    store = Store()
    store.touch("a")
    told(store.graph, foreign("a", "f"))
    store.read("a", "f")
    fresh = StoreGraph(Opening(store.head, (at(1),)))
    fresh.take_over(store.graph)

    assert fresh.digest == store.graph.digest
    assert fresh.register == store.graph.register
    assert ORIGIN not in {each for each in fresh.digest if each != fresh.own_origin}
    assert fresh.lacks(["a"])
    lacking = fresh.lacks(["a", "f"])
    assert fresh.learn(lacking, {"a": store.nodes["a"]})
    assert fresh.version("a") == store.graph.version("a")
    assert fresh.version("f") == store.graph.version("f")


def test_what_was_told_is_what_others_raised() -> None:
    """I4: a store may go on only if no version falls, whoever has raised it."""
    store = Store(register=100)
    store.touch("a")
    assert store.graph.told.floor == 100
    told(store.graph, foreign("a"))
    seen = store.graph.told

    assert (seen.register, seen.floor) == (100, 5_000)
    assert seen.version_max >= 5_000
    assert seen.allows(Opening(store.head, (at(1),)))
    lower = store.head._replace(lineage="two", position=Position(0), register=100)
    assert not seen.allows(Opening(lower, ()))
    higher = lower._replace(register=seen.version_max)
    assert seen.allows(Opening(higher, ()))


def test_a_cursor_of_a_lower_generation_is_a_reset_once() -> None:
    """I1, I2: cursors from before a generation are answered with everything, once."""
    store = Store()
    store.touch("a")
    store.read("a")
    old = store.graph.cursor
    store.graph.forget_others(Generation(2, "s"))
    first = store.graph.answer({"a": 0}, old)
    assert first.reset
    seen = decode_cursor(first.cursor)
    assert seen is not None
    assert seen.generation == 2
    assert not store.graph.answer({"a": first.changed["a"].version}, first.cursor).reset
    ahead = encode_cursor(Cursor({ORIGIN: at(1)}, 3))
    assert not store.graph.answer({"a": first.changed["a"].version}, ahead).reset


def test_followed_batches_wake_whatever_others_told() -> None:
    """A touch of the store on a name that others touched is news on top of theirs."""
    store = Store()
    told(store.graph, foreign("a"))
    store.read("a")
    version, cursor = store.graph.version("a"), store.graph.cursor
    store.touch("a", follow=False)
    changes = Changes(store.head, (Logged(at(1), (store.nodes["a"],)),))
    assert store.graph.follow(changes) == ["a"]
    answer = store.graph.answer({"a": version}, cursor)

    assert answer.changed["a"].version == version + 1
    assert not answer.reset
    assert Batch(("a",), 1).names == ("a",)
