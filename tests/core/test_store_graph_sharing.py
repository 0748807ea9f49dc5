"""A store's graph among servers: pages of what the store has, and its history."""

from __future__ import annotations

import random

import pytest

from reality.core.changelog import Listing, Opening
from reality.core.cursor import Position
from reality.core.delta import Mark
from reality.core.graph import Graph
from reality.core.store_graph import StoreGraph
from tests.core.stores import NAMES, ORIGIN, Store, at, pull


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
