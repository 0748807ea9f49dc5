"""What servers of one mesh tell each other: pages of any size, histories, generations (I8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reality.core.cursor import Cursor, Position, encode_cursor
from reality.core.delta import Mark, Touched
from reality.core.history import POSITIONS_KEPT, POSITIONS_TOLD, History
from reality.core.ledger import Ledger
from reality.core.limits import GONE_MAX
from reality.core.replica import Generation, Merged, Replica
from reality.errors import TooManyOrigins
from tests.core.replicas import KEYS, delta, graph_of, walk
from tests.core.touching import ORIGINS, nodes_of, played_apart, touch_lists

# ---- which deltas fit ----------------------------------------------------------------------------


def test_an_overlap_fits_for_volatile_origins_only() -> None:
    """A run has one history, so what overlaps is the same; a store may have another."""
    graph = graph_of()
    graph.merge(delta("b~1", "k", "m"))
    graph.merge(delta("s@1", "k", "m", upto=Position(2, 9)))
    later = (Touched("m", 2, 1, "", 0, False), Touched("n", 3, 1, "", 0, False))

    page = {"since": 1, "after": 1, "upto": Position(3), "touched": later}
    assert graph.merge(delta("b~1", **page)).applied
    page["upto"] = Position(3, 8)
    assert not graph.merge(delta("s@1", **page)).applied
    assert graph.digest == {"a~1": (0, 0), "b~1": (3, 0), "s@1": (2, 9)}


def test_a_delta_of_a_store_begins_at_the_tag_that_is_held() -> None:
    """I1: after another history of the same length nothing is taken in but all from the start."""
    graph = graph_of()
    graph.merge(delta("s@1", "k", "m", upto=Position(2, 9)))
    later = (Touched("n", 3, 1, "", 0, False),)
    page = {"since": 2, "after": 2, "upto": Position(3, 7), "touched": later}

    assert not graph.merge(delta("s@1", since_tag=8, **page)).applied
    assert graph.merge(delta("s@1", since_tag=9, **page)).applied
    whole = delta("s@1", "k", "m", "n", "p", upto=Position(4, 5))
    assert graph.merge(whole).applied
    assert graph.digest["s@1"] == Position(4, 5)


def test_a_delta_that_leaves_a_gap_does_not_fit() -> None:
    """I1: what begins after the position held would hide what is in between."""
    graph = graph_of()
    graph.merge(delta("b~1", "k"))
    page = {"since": 2, "after": 2, "upto": Position(3)}

    assert not graph.merge(delta("b~1", touched=(), **page)).applied
    assert graph.digest["b~1"] == Position(1)


def test_what_is_older_is_not_taken() -> None:
    """A delta that ends before what is held does nothing, and is no progress."""
    graph = graph_of()
    graph.merge(delta("b~1", "k", "m", "n"))

    assert not graph.merge(delta("b~1", "k", "m")).applied
    assert graph.digest["b~1"] == Position(3)


def test_an_origin_without_touches_is_known_by_its_delta() -> None:
    """That there is an origin is news, even if it has done nothing; the own one is not taken."""
    graph = graph_of()

    assert graph.merge(delta("b~1")) == Merged(applied=True, touched=(), new_origin=True)
    assert graph.merge(delta("b~1")).new_origin is False
    assert not graph.merge(delta("a~1", "k")).applied


@settings(max_examples=40)
@given(touch_lists, st.randoms(use_true_random=False), st.integers(1, 400))
def test_random_pages_of_random_peers_converge(touches: list[Any], draw: Any, size: int) -> None:
    """I8: pages of any size from any server, in any order and more than once, end alike."""
    graphs = played_apart(touches)
    for _ in range(30):
        receiver, sender = draw.sample(graphs, 2)
        origin = draw.choice(list(sender.digest))
        held = receiver.digest.get(origin, Position(0))
        progress = receiver.progress(origin)
        since, begins = held, Mark(held.sequence)
        if progress is not None and progress.sender == sender.own_origin and draw.random() < 0.9:
            since, begins = Position(progress.since, progress.since_tag), progress.ends
        receiver.merge(
            sender.page(origin, since, begins, names_max=draw.randint(1, 5), bytes_max=size)
        )
    for receiver in graphs * 2:
        for sender in graphs:
            receiver.take_over(sender)
    for graph in graphs[1:]:
        assert graph.digest == graphs[0].digest
        assert nodes_of(graph) == nodes_of(graphs[0])
    assert {*graphs[0].digest} == {*ORIGINS}


# ---- histories -----------------------------------------------------------------------------------


def test_a_history_is_known_by_what_was_had_of_it() -> None:
    """Positions had, and the past told with them, are known; others cannot be told."""
    graph = graph_of()
    past = tuple(Position(sequence, sequence + 100) for sequence in range(1, 6))
    graph.merge(delta("s@1", "k", upto=Position(6, 106), past=past))

    assert graph.knows("s@1", Position(6, 106)) is True
    assert graph.knows("s@1", Position(3, 103)) is True
    assert graph.knows("s@1", Position(3, 7)) is False
    assert graph.knows("s@1", Position(9, 9)) is None
    assert graph.knows("s@1", Position(0)) is True
    assert graph.knows("other@1", Position(3, 7)) is None
    assert graph.knows("b~1", Position(99)) is True


def test_the_past_is_told_with_the_last_page() -> None:
    """Whoever has a store's origin from others can tell histories apart as well, a while back."""
    graph, other = graph_of(), graph_of("b~1")
    graph.merge(delta("s@1", *KEYS[:3], upto=Position(3, 9), past=(Position(1, 7), Position(2, 8))))
    for page in walk(graph, "s@1", bytes_max=60):
        other.merge(page)
        assert bool(page.past) == page.last

    assert other.knows("s@1", Position(1, 7)) is True
    assert other.knows("s@1", Position(2, 1)) is False


def test_a_history_is_bounded() -> None:
    """I6: 256 positions are kept of each origin, and 64 told: the newest."""
    history = History()
    for sequence in range(1_000):
        history.remember([Position(sequence, sequence + 1)])

    assert history.knows(Position(999 - POSITIONS_KEPT + 1, 1_000 - POSITIONS_KEPT + 1)) is True
    assert history.knows(Position(999 - POSITIONS_KEPT, 1)) is None
    assert len(history.told()) == POSITIONS_TOLD
    assert history.told()[-1] == Position(999, 1_000)


# ---- generations, removals, registers ------------------------------------------------------------


def test_a_lower_generation_is_a_reset_and_positions_are_the_digests() -> None:
    """I1: of origins known here nobody can tell how much the client has seen: all is news."""
    graph = graph_of(generation=Generation(2, "s"))
    graph.merge(delta("b~1", "k"))
    seen = {"a~1": Position(0), "b~1": Position(5), "x~1": Position(7)}
    answer = graph.answer({"k": 10**15}, encode_cursor(Cursor(seen, 1)))

    assert answer.reset
    assert list(answer.changed) == ["k"]
    assert answer.cursor == encode_cursor(
        Cursor({"x~1": Position(7), "a~1": Position(0), "b~1": Position(1)}, 2)
    )
    again = graph.answer({"k": answer.changed["k"].version}, answer.cursor)
    assert (again.changed, again.reset) == ({}, False)


def test_a_higher_generation_is_no_reset() -> None:
    """I2: a client that has been to a server further on is not sent back and forth."""
    graph = graph_of()
    seen = encode_cursor(Cursor(graph.digest, 7))
    answer = graph.answer({"k": graph.version("k")}, seen)

    assert not answer.reset
    assert answer.cursor == seen


def test_the_greater_generation_wins() -> None:
    """Of two that were opened at the same time the greater name wins, for everybody."""
    assert Generation(1, "b") > Generation(1, "a") > Generation(0, "z")
    assert Generation(4, "x").next("y") == (5, "y")


def test_a_renewed_graph_knows_who_was_removed() -> None:
    """I1: removed servers are known in the next generation, the newest 24 of them."""
    graph = graph_of(register=100)
    for number in range(GONE_MAX + 5):
        assert graph.remove(f"s{number:02}")
    renewed = graph.renewed("a~2", now_ms=1, generation=Generation(1, "a"))

    assert renewed.gone == graph.gone == [f"s{number:02}!gone" for number in range(5, GONE_MAX + 5)]
    assert renewed.generation == (1, "a")
    assert renewed.version("k") > graph.version("k")


def test_a_removal_is_news_once() -> None:
    """I2: a removal is an origin that all clients lack, once; it needs room like any other."""
    graph = graph_of(origins_max=2)
    cursor = graph.cursor

    assert graph.remove("dead")
    assert not graph.remove("dead")
    assert graph.answer({"k": 10**15}, cursor).reset
    with pytest.raises(TooManyOrigins):
        graph.remove("other")


def test_a_register_is_only_raised() -> None:
    """I4: versions start from the greatest register known, and a raise changes them all alike."""
    graph = graph_of(register=100)
    graph.touch(["k"], now_ms=1)
    before = graph.version("k"), graph.version("none")

    assert not graph.raise_register(100)
    assert not graph.raise_register(7)
    assert graph.raise_register(150)
    assert (graph.version("k"), graph.version("none")) == (before[0] + 50, before[1] + 50)
    assert graph.version_max >= graph.version("k")


def test_taking_over_leaves_out_what_is_not_in_order() -> None:
    """What a graph has of its store in no order is not taken over; the store has it."""
    other: Replica = Replica("s@1", register=70, is_ordered=False)
    other.merge(delta("b~1", "k"))
    graph = graph_of()
    graph.take_over(other)

    assert graph.digest.keys() == {"a~1", "b~1"}
    assert graph.register == 70


# ---- the ledger ----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(KEYS[:4])), min_size=1, max_size=30),
    st.sampled_from("xyz"),
)
def test_forgetting_an_origin_is_as_if_it_had_never_been(
    puts: list[tuple[str, str]], gone: str
) -> None:
    """What others did stays as it was, and each name is listed once."""
    ledger, other = Ledger(first_position=0), Ledger(first_position=0)
    for sequence, (origin, name) in enumerate(puts, 1):
        entry = ledger.entry(name, origin)
        touches = 1 if entry is None else entry.touches + 1
        touched = Touched(name, sequence, touches, "", 0, False)
        ledger.put(origin, touched)
        if origin != gone:
            other.put(origin, touched)
    ledger.forget(gone)

    assert len(ledger) == len(other)
    assert (ledger.touches, ledger.foreign_touches) == (other.touches, other.foreign_touches)
    assert list(ledger.touched_after(gone, -1)) == []
    for origin in "xyz":
        assert list(ledger.touched_after(origin, 0)) == list(other.touched_after(origin, 0))
    listed = [name for _, name in ledger.applied_after(-1)]
    assert sorted(listed) == sorted({name for origin, name in puts if origin != gone})
    for sequence, name in enumerate(listed, 100):
        ledger.put("x", Touched(name, sequence, 99, "", 0, False))
    assert [name for _, name in ledger.applied_after(-1)] == listed
