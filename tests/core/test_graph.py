"""What a graph knows, and what of it is news."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Cursor, Position, decode_cursor, encode_cursor
from reality.core.delta import Delta
from reality.core.graph import Graph, Merged, Node
from reality.errors import TooManyOrigins
from tests.core.graph_script import perform
from tests.core.vectors import each
from tests.core.world import KEYS, PATTERNS, is_covered

_ORIGINS = ("s~1", "t~1", "u~1", "d@1")
_REGISTERS = {"s~1": 1000, "t~1": 1500, "u~1": 900, "d@1": 0}
_names = st.lists(st.sampled_from(KEYS + PATTERNS), min_size=1, max_size=3, unique=True)
_hashes = st.sampled_from(["", "h1", "h2"])
# Who touches what, with which hash, and whether it is a deletion.
_touches = st.lists(
    st.tuples(st.sampled_from(_ORIGINS), _names, _hashes, st.booleans()), max_size=12
)
_cursors = st.none() | st.dictionaries(st.sampled_from([*_ORIGINS, "x~1"]), st.integers(0, 6))


@each("graph.json", "scripts")
def test_scripts(case: dict[str, Any]) -> None:
    """I1, I2, I4, I8: each step of a script gives what the vector says."""
    perform(case)


# ---- answers ---------------------------------------------------------------------------------------


@given(
    _touches,
    _cursors,
    st.dictionaries(st.sampled_from(KEYS), st.integers(-3, 8), min_size=1),
    st.sets(st.sampled_from(KEYS)),
)
def test_answers_follow_the_three_rules(
    touches: list[Any], seen: dict[str, int] | None, known: dict[str, int], hidden: set[str]
) -> None:
    """I1: an answer is what DESIGN's three rules say, computed anew from the batches alone."""
    graph, batches = _made_by(touches), _sequenced(touches)
    base = max(_REGISTERS.values()) + 3
    known = {key: base + more for key, more in known.items()}
    text = None if seen is None else encode_cursor(_cursor(seen))
    answer = graph.answer(known, text, hidden=hidden)

    reset = seen is not None and not set(_ORIGINS) <= seen.keys()
    expected = set()
    for key, known_version in known.items():
        own = [
            (origin, sequence, name)
            for origin, sequence, names in batches
            for name in names
            if is_covered(key, name) and not (key in hidden and name == key)
        ]
        version = base + len(own)
        if (
            reset
            or known_version < version
            or (seen is None and known_version != version)
            or (seen is not None and any(sequence > seen[origin] for origin, sequence, _ in own))
        ):
            expected.add(key)
            assert answer.changed[key].version == version
    assert answer.changed.keys() == expected
    assert answer.reset is reset
    told = decode_cursor(answer.cursor)
    assert told is not None
    for origin in {*_ORIGINS, *(seen or {})}:
        held = graph.digest[origin].sequence if origin in _ORIGINS else 0
        assert told.positions[origin].sequence == max(held, (seen or {}).get(origin, 0))


@given(_touches, _cursors)
def test_an_answer_taken_in_leaves_nothing_to_tell(
    touches: list[Any], seen: dict[str, int] | None
) -> None:
    """I2: asking again with what the last answer gave is told nothing, with a cursor or without."""
    graph = _made_by(touches)
    text = None if seen is None else encode_cursor(_cursor(seen))
    answer = graph.answer(dict.fromkeys(KEYS, 0), text)
    known = {key: graph.version(key) for key in KEYS}
    assert {key: node.version for key, node in answer.changed.items()}.items() <= known.items()
    assert graph.answer(known, answer.cursor) == ({}, answer.cursor, False)
    assert not graph.answer(known, None).changed


@given(_touches, st.sampled_from([None, "", "1;0", "1;0;s~1=0;t~1=0;u~1=0;d@1=0"]))
def test_a_hidden_key_looks_like_one_nobody_touched(
    touches: list[Any], cursor: str | None
) -> None:
    """I7: a forbidden key and a key nobody ever touched are answered alike."""
    graph = _made_by(touches)
    for key in KEYS:
        stranger = key + "-stranger"
        for known in (0, graph.version(stranger), graph.version(key)):
            told = graph.answer({key: known, stranger: known}, cursor, hidden={key})
            nodes = {msgspec.structs.replace(node, key="") for node in told.changed.values()}
            assert len(nodes) <= 1
            assert len(told.changed) in (0, 2)


def test_a_key_shown_again_is_news() -> None:
    """I1: what was touched while a key was hidden is told once it is hidden no more."""
    graph = Graph("s~1", register=1000)
    hidden = graph.answer({"k": 0}, None, hidden={"k"})
    graph.touch(["k"], now_ms=1)
    still = graph.answer({"k": hidden.changed["k"].version}, hidden.cursor, hidden={"k"})
    assert not still.changed
    assert graph.answer({"k": hidden.changed["k"].version}, still.cursor).changed


@pytest.mark.parametrize("cursor", ["1;0;" + "x" * 20_000, "1;0;s~1=0" + ";" * 9, "\ud800", "1;0\x00"])
def test_a_garbage_cursor_is_a_reset(cursor: str) -> None:
    """I1, I6: a cursor that cannot be read is a reset, never an error and never "no cursor"."""
    graph = Graph("s~1", register=1000)
    answer = graph.answer({"k": graph.version("k")}, cursor)
    assert answer.reset
    assert answer.changed == {"k": Node("k", 1001, "", 0)}
    assert answer.cursor == "1;0;s~1=0"


def test_own_copies_are_given_away() -> None:
    """Changing a digest that was asked for changes nothing in the graph."""
    graph = Graph("s~1", register=1000)
    digest = graph.digest
    assert isinstance(digest, dict)
    digest.clear()
    assert graph.digest == {"s~1": Position(0)}


# ---- merging ---------------------------------------------------------------------------------------


@given(_touches, st.randoms(use_true_random=False), st.integers(1, 3))
def test_servers_end_alike_whatever_the_order(
    touches: list[Any], random: Any, page_max: int
) -> None:
    """I8: exchanges in any order, with repeats and detours, end in identical nodes everywhere."""
    graphs = _played_apart(touches)
    pairs = [(one, other) for one in graphs for other in graphs if one is not other] * 3
    random.shuffle(pairs)
    for receiver, sender in pairs:
        _pull(receiver, sender, page_max)
    # One more round, so that everybody has heard from everybody after all was said.
    for receiver in graphs * 2:
        for sender in graphs:
            if receiver is not sender:
                _pull(receiver, sender, page_max)
    first = graphs[0]
    for graph in graphs[1:]:
        assert graph.digest == first.digest
        assert _nodes(graph) == _nodes(first)
        assert graph.version_max == first.version_max
    before = _nodes(first), first.digest, first.position
    for graph in graphs[1:]:
        _pull(first, graph, page_max)
    assert (_nodes(first), first.digest, first.position) == before


@given(_touches, st.integers(0, 4), st.permutations(_ORIGINS))
def test_merging_origins_in_any_order_is_the_same(
    touches: list[Any], page_max: int, order: list[str]
) -> None:
    """I8: merging is per origin, commutative and idempotent; the size of pages does not matter."""
    whole = _made_by(touches)
    merged = Graph("z~1", register=0)
    for origin in order * 2:
        for page in whole.delta(origin, since=merged.digest.get(origin, Position(0)).sequence):
            merged.merge(page)
    paged = Graph("z~1", register=0)
    for origin in _ORIGINS:
        for page in whole.delta(origin, since=0, page_max=page_max + 1):
            paged.merge(page)
    assert _nodes(merged) == _nodes(paged)
    assert merged.digest == paged.digest


@given(_touches, st.integers(0, 6), st.integers(1, 3))
def test_a_delta_in_two_steps_is_the_whole(touches: list[Any], at: int, page_max: int) -> None:
    """I8: what is known first up to here and then from here on is what is known at once."""
    first, rest = touches[:at], touches[at:]
    sender, receiver = _made_by(first), Graph("z~1", register=0)
    _pull(receiver, sender, page_max)
    _continue(sender, first, rest)
    _pull(receiver, sender, page_max)
    at_once = Graph("z~1", register=0)
    _pull(at_once, sender, 1000)
    assert _nodes(receiver) == _nodes(at_once)
    assert receiver.digest == at_once.digest


def test_a_merge_says_what_it_did() -> None:
    """A merge tells which names may have grown and whether the origin is new: whom to wake."""
    sender, receiver = Graph("s~1", register=1000), Graph("t~1", register=1000)
    sender.touch(["a", "b:*"], now_ms=1)
    (page,) = sender.delta("s~1", since=0)
    assert receiver.merge(page) == Merged(True, frozenset({"a", "b:*"}), True)
    assert receiver.merge(page) == Merged(applied=False)
    sender.touch(["c"], now_ms=2)
    (page,) = sender.delta("s~1", since=1)
    assert receiver.merge(page) == Merged(True, frozenset({"c"}), False)
    assert sender.merge(page) == Merged(applied=False)


def test_a_server_that_is_behind_takes_nothing_back() -> None:
    """I1, I2, I4: a delta from a server that knows less of an origin does not lower the digest."""
    source = Graph("s~1", register=1000)
    ahead, behind = Graph("t~1", register=1000), Graph("u~1", register=1000)
    source.touch(["a"], now_ms=1)
    _pull(behind, source, 100)
    source.touch(["b"], now_ms=2)
    _pull(ahead, source, 100)
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
        _pull(graph, other, 100)
    assert len(graph.digest) == 64
    with pytest.raises(TooManyOrigins, match=r"64 origins and cannot take in s~64"):
        _pull(graph, others[63], 100)
    assert "s~64" not in graph.digest
    others[0].touch(["a"], now_ms=1)
    _pull(graph, others[0], 100)
    assert graph.digest["s~1"] == Position(1)


def test_pages_of_refused_origins_are_not_kept() -> None:
    """I6: first pages of ever new origins, never completed, do not pile up."""
    graph = Graph("s~0", register=1000)
    for number in range(1000):
        graph.merge(_first_page(f"x~{number}"))
    assert len(graph._assemblies) <= 64


# ---- lives of an origin ----------------------------------------------------------------------------


@given(_touches, st.integers(0, 3000))
def test_versions_rise_when_a_server_is_renewed_or_forked(touches: list[Any], now_ms: int) -> None:
    """I4: after a renewal or a fork, whatever the clock says, every version is greater."""
    graph = _made_by(touches)
    before = {key: graph.version(key) for key in (*KEYS, "none")}
    forked = graph.forked("s~2", now_ms=now_ms)
    again = forked.forked("s~3", now_ms=0)
    renewed = graph.renewed("s~2", now_ms=now_ms)
    for key, version in before.items():
        assert forked.version(key) > version
        assert again.version(key) > forked.version(key)
        assert renewed.version(key) > graph.version_max >= version


@given(_touches)
def test_a_fork_knows_what_its_parent_knew(touches: list[Any]) -> None:
    """I1: a forked graph has all nodes of its parent, and shares nothing with it from then on."""
    parent = _made_by(touches)
    child = parent.forked("s~2", now_ms=0)
    assert child.digest == {**parent.digest, "s~2": Position(0)}
    assert len(child) == len(parent)
    for key in KEYS:
        one, other = parent.node(key), child.node(key)
        assert (one is None) is (other is None)
        if one is not None and other is not None:
            assert msgspec.structs.replace(other, version=one.version) == one
    before = _nodes(parent)
    child.touch(["a", "*"], now_ms=9)
    assert _nodes(parent) == before
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


# ---- listing ---------------------------------------------------------------------------------------


@given(_touches, _touches, st.integers(1, 3))
def test_a_listing_in_pages_misses_nothing(
    touches: list[Any], more: list[Any], limit: int
) -> None:
    """I1: pages walked while names are touched again hold, in all, every name at its last place."""
    graph = _made_by(touches)
    since, listed, more_touches = 0, dict[str, int](), list(more)
    while True:
        page, has_more = graph.listing(since, limit=limit)
        for position, node in page:
            assert position > since
            since, listed[node.key] = position, position
        if more_touches:
            _, names, hash, deleted = more_touches.pop()
            graph.touch(names, now_ms=5, hash=hash, deleted=deleted)
        elif not has_more:
            break
    whole, _ = graph.listing(0, limit=1000)
    last = {node.key: position for position, node in whole}
    assert len(last) == len(whole) == len(graph)
    assert {name: listed[name] for name in last if last[name] <= since} == {
        name: position for name, position in last.items() if position <= since
    }
    assert graph.listing(since, limit=1000)[0] == [each for each in whole if each[0] > since]


def test_listed_nodes_are_those_of_the_keys() -> None:
    """A listed key has the node it would be answered with; a pattern stands for itself."""
    graph = Graph("s~1", register=1000)
    graph.touch(["a:b"], now_ms=1, hash="h")
    graph.touch(["a:*"], now_ms=2)
    listed, more = graph.listing(0, limit=2)
    assert [node for _, node in listed] == [graph.node("a:b"), Node("a:*", 1002, "", 2)]
    assert not more


# ---- making graphs ---------------------------------------------------------------------------------


def _made_by(touches: Iterable[Any]) -> Graph:
    """A graph `s~1` that has heard of all these touches, each from its own origin."""
    graph, *others = _played_apart(touches)
    for other in others:
        _pull(graph, other, 1000)
    return graph


def _played_apart(touches: Iterable[Any]) -> list[Graph]:
    graphs = {origin: Graph(origin, register=_REGISTERS[origin]) for origin in _ORIGINS}
    _play(graphs, touches)
    return list(graphs.values())


def _play(graphs: dict[str, Graph], touches: Iterable[Any], start_ms: int = 0) -> None:
    for now_ms, (origin, names, hash, deleted) in enumerate(touches, start_ms):
        graphs[origin].touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


def _continue(graph: Graph, first: list[Any], rest: list[Any]) -> None:
    """Let a graph made by `first` hear of the touches that follow."""
    for other in _played_apart([*first, *rest])[1:]:
        _pull(graph, other, 1000)
    for now_ms, (origin, names, hash, deleted) in enumerate(rest, len(first)):
        if origin == graph.own_origin:
            graph.touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


def _pull(receiver: Graph, sender: Graph, page_max: int) -> None:
    for origin, position in sender.digest.items():
        held = receiver.digest.get(origin, Position(0))
        if held <= position:
            for page in sender.delta(origin, since=held.sequence, page_max=page_max):
                receiver.merge(page)


def _sequenced(touches: Iterable[Any]) -> list[tuple[str, int, list[str]]]:
    last = dict.fromkeys(_ORIGINS, 0)
    batches = []
    for origin, names, _, _ in touches:
        last[origin] += 1
        batches.append((origin, last[origin], names))
    return batches


def _cursor(seen: dict[str, int]) -> Cursor:
    return Cursor({origin: Position(sequence) for origin, sequence in seen.items()})


def _nodes(graph: Graph) -> list[Any]:
    return [(graph.node(key), graph.version(key)) for key in (*KEYS, "none")]


def _first_page(origin: str) -> Delta:
    sender = Graph(origin, register=1)
    sender.touch(["a"], now_ms=1)
    sender.touch(["b"], now_ms=2)
    return next(sender.delta(origin, since=0, page_max=1))
