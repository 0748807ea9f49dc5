"""How graphs become alike, and the lives of an origin: renewal, forks, the limit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position
from reality.core.delta import Delta
from reality.core.graph import Graph
from reality.core.replica import Merged
from reality.errors import TooManyOrigins
from tests.core.touching import (
    ORIGINS,
    carry_on,
    made_by,
    nodes_of,
    played_apart,
    pull,
    touch_lists,
)
from tests.core.world import KEYS

# ---- merging -----------------------------------------------------------------------------------


@given(touch_lists, st.randoms(use_true_random=False), st.integers(1, 3))
def test_servers_end_alike_whatever_the_order(
    touches: list[Any], random: Any, page_max: int
) -> None:
    """I8: exchanges in any order, with repeats and detours, end in identical nodes everywhere."""
    graphs = played_apart(touches)
    pairs = [(one, other) for one in graphs for other in graphs if one is not other] * 3
    random.shuffle(pairs)
    for receiver, sender in pairs:
        pull(receiver, sender, page_max)
    # One more round, so that everybody has heard from everybody after all was said.
    for receiver in graphs * 2:
        for sender in graphs:
            if receiver is not sender:
                pull(receiver, sender, page_max)
    first = graphs[0]
    for graph in graphs[1:]:
        assert graph.digest == first.digest
        assert nodes_of(graph) == nodes_of(first)
        assert graph.version_max == first.version_max
    before = nodes_of(first), first.digest, first.position
    for graph in graphs[1:]:
        pull(first, graph, page_max)
    assert (nodes_of(first), first.digest, first.position) == before


@given(touch_lists, st.integers(0, 4), st.permutations(ORIGINS))
def test_merging_origins_in_any_order_is_the_same(
    touches: list[Any], page_max: int, order: list[str]
) -> None:
    """I8: merging is per origin, commutative and idempotent; the size of pages does not matter."""
    whole = made_by(touches)
    merged = Graph("z~1", register=0)
    for origin in order * 2:
        for page in whole.delta(origin, since=merged.digest.get(origin, Position(0)).sequence):
            merged.merge(page)
    paged = Graph("z~1", register=0)
    for origin in ORIGINS:
        for page in whole.delta(origin, since=0, page_max=page_max + 1):
            paged.merge(page)
    assert nodes_of(merged) == nodes_of(paged)
    assert merged.digest == paged.digest


@given(touch_lists, st.integers(0, 6), st.integers(1, 3))
def test_a_delta_in_two_steps_is_the_whole(touches: list[Any], at: int, page_max: int) -> None:
    """I8: what is known first up to here and then from here on is what is known at once."""
    first, rest = touches[:at], touches[at:]
    sender, receiver = made_by(first), Graph("z~1", register=0)
    pull(receiver, sender, page_max)
    carry_on(sender, first, rest)
    pull(receiver, sender, page_max)
    at_once = Graph("z~1", register=0)
    pull(at_once, sender, 1000)
    assert nodes_of(receiver) == nodes_of(at_once)
    assert receiver.digest == at_once.digest


def test_a_merge_says_what_it_did() -> None:
    """A merge tells which names may have grown and whether the origin is new: whom to wake."""
    sender, receiver = Graph("s~1", register=1000), Graph("t~1", register=1000)
    sender.touch(["a", "b:*"], now_ms=1)
    (page,) = sender.delta("s~1", since=0)
    assert receiver.merge(page) == Merged(True, ("a", "b:*"), True)
    assert receiver.merge(page) == Merged(applied=False)
    sender.touch(["c"], now_ms=2)
    (page,) = sender.delta("s~1", since=1)
    assert receiver.merge(page) == Merged(True, ("c",), False)
    assert sender.merge(page) == Merged(applied=False)


def test_a_server_that_is_behind_takes_nothing_back() -> None:
    """I1, I2, I4: a delta from a server that knows less of an origin does not lower the digest."""
    source = Graph("s~1", register=1000)
    ahead, behind = Graph("t~1", register=1000), Graph("u~1", register=1000)
    source.touch(["a"], now_ms=1)
    pull(behind, source, 100)
    source.touch(["b"], now_ms=2)
    pull(ahead, source, 100)
    held = ahead.digest["s~1"]
    for page in behind.delta("s~1", since=held.sequence):
        ahead.merge(page)
    assert ahead.digest["s~1"] == held
    new = ahead.answer({"b": 0}, None)
    again = ahead.answer({"b": new.changed["b"].version}, new.cursor)
    assert not again.changed, "the same change would be told for ever"


def test_an_origin_too_many_is_refused() -> None:
    """I6: the 65th origin is an error, and the 64 known ones go on being merged."""
    graph, others = Graph("s~0", register=1000), [Graph(f"s~{n}", register=1) for n in range(1, 65)]
    for other in others[:63]:
        pull(graph, other, 100)
    assert len(graph.digest) == 64
    with pytest.raises(TooManyOrigins, match=r"64 origins and cannot take in s~64"):
        pull(graph, others[63], 100)
    assert "s~64" not in graph.digest
    others[0].touch(["a"], now_ms=1)
    pull(graph, others[0], 100)
    assert graph.digest["s~1"] == Position(1)


def test_pages_of_refused_origins_are_not_kept() -> None:
    """I6: first pages of ever new origins, never completed, do not pile up."""
    graph = Graph("s~0", register=1000)
    for number in range(1000):
        graph.merge(_first_page(f"x~{number}"))
    assert len(graph._assemblies) <= 64


# ---- lives of an origin ------------------------------------------------------------------------


@given(touch_lists, st.integers(0, 3000))
def test_versions_rise_when_a_server_is_renewed_or_forked(touches: list[Any], now_ms: int) -> None:
    """I4: after a renewal or a fork, whatever the clock says, every version is greater."""
    graph = made_by(touches)
    before = {key: graph.version(key) for key in (*KEYS, "none")}
    forked = graph.forked("s~2", now_ms=now_ms)
    again = forked.forked("s~3", now_ms=0)
    renewed = graph.renewed("s~2", now_ms=now_ms)
    for key, version in before.items():
        assert forked.version(key) > version
        assert again.version(key) > forked.version(key)
        assert renewed.version(key) > graph.version_max >= version


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=4))
def test_positions_rise_when_a_server_is_renewed_or_forked(names: int, forks: list[bool]) -> None:
    """I1: no position of the graph before is mistaken for one of the graph after."""
    graph, now_ms = Graph("s~1", register=1000), 0
    for number, is_fork in enumerate(forks):
        graph.touch([f"k{each}" for each in range(names)], now_ms=now_ms)
        before = graph.position
        change = graph.forked if is_fork else graph.renewed
        graph = change(f"s~{number + 2}", now_ms=now_ms)
        assert before < graph.first_position


@given(touch_lists)
def test_a_fork_knows_what_its_parent_knew(touches: list[Any]) -> None:
    """I1: a forked graph has all nodes of its parent, and shares nothing with it from then on."""
    parent = made_by(touches)
    child = parent.forked("s~2", now_ms=0)
    assert child.digest == {**parent.digest, "s~2": Position(0)}
    assert len(child) == len(parent)
    for key in KEYS:
        one, other = parent.node(key), child.node(key)
        assert (one is None) is (other is None)
        if one is not None and other is not None:
            assert msgspec.structs.replace(other, version=one.version) == one
    before = nodes_of(parent)
    child.touch(["a", "*"], now_ms=9)
    assert nodes_of(parent) == before
    assert parent.digest["s~1"] == child.digest["s~1"]


def test_a_fork_without_room_is_a_renewal() -> None:
    """I1, I6: where no origin more can be known, a forked graph starts anew instead."""
    parent = Graph("s~1", register=1000, origins_max=1)
    parent.touch(["a"], now_ms=1)
    child = parent.forked("s~2", now_ms=0)
    assert child.digest == {"s~2": Position(0)}
    assert child.version("a") > parent.version("a")
    assert child.answer({"a": parent.version("a")}, parent.cursor).reset


def test_a_position_of_the_parent_is_not_mistaken_in_a_fork() -> None:
    """I1: what was listed at a position of the parent is listed again by a forked graph."""
    parent = Graph("s~1", register=1000)
    parent.touch(["a"], now_ms=1)
    since = parent.position
    parent.touch(["b"], now_ms=2)
    parent.touch(["a"], now_ms=3)
    child = parent.forked("s~2", now_ms=0)
    listed, _ = child.listing(since, limit=10)
    assert since < child.first_position or {node.key for _, node in listed} == {"a", "b"}


def _first_page(origin: str) -> Delta:
    sender = Graph(origin, register=1)
    sender.touch(["a"], now_ms=1)
    sender.touch(["b"], now_ms=2)
    return next(sender.delta(origin, since=0, page_max=1))
