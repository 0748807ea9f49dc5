"""What is news to whom, and what is listed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position, decode_cursor, encode_cursor
from reality.core.graph import Graph, Node
from tests.core.graph_script import perform
from tests.core.touching import (
    ORIGINS,
    REGISTERS,
    cursor_at,
    made_by,
    sequenced,
    touch_lists,
)
from tests.core.vectors import each
from tests.core.world import KEYS, is_covered

_cursors = st.none() | st.dictionaries(st.sampled_from([*ORIGINS, "x~1"]), st.integers(0, 6))


@each("graph.json", "scripts")
def test_scripts(case: dict[str, Any]) -> None:
    """I1, I2, I4, I8: each step of a script gives what the vector says."""
    perform(case)


# ---- answers -----------------------------------------------------------------------------------


@given(
    touch_lists,
    _cursors,
    st.dictionaries(st.sampled_from(KEYS), st.integers(-3, 8), min_size=1),
    st.sets(st.sampled_from(KEYS)),
)
def test_answers_follow_the_three_rules(
    touches: list[Any], seen: dict[str, int] | None, known: dict[str, int], hidden: set[str]
) -> None:
    """I1: an answer is what DESIGN's three rules say, computed anew from the batches alone."""
    graph, batches = made_by(touches), sequenced(touches)
    base = max(REGISTERS.values()) + 3
    known = {key: base + more for key, more in known.items()}
    text = None if seen is None else encode_cursor(cursor_at(seen))
    answer = graph.answer(known, text, hidden=hidden)

    reset = seen is not None and not set(ORIGINS) <= seen.keys()
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
    for origin in {*ORIGINS, *(seen or {})}:
        held = graph.digest[origin].sequence if origin in ORIGINS else 0
        assert told.positions[origin].sequence == max(held, (seen or {}).get(origin, 0))


@given(touch_lists, _cursors)
def test_an_answer_taken_in_leaves_nothing_to_tell(
    touches: list[Any], seen: dict[str, int] | None
) -> None:
    """I2: asking again with what the last answer gave is told nothing, with a cursor or without."""
    graph = made_by(touches)
    text = None if seen is None else encode_cursor(cursor_at(seen))
    answer = graph.answer(dict.fromkeys(KEYS, 0), text)
    known = {key: graph.version(key) for key in KEYS}
    assert {key: node.version for key, node in answer.changed.items()}.items() <= known.items()
    assert graph.answer(known, answer.cursor) == ({}, answer.cursor, False)
    assert not graph.answer(known, None).changed


@given(touch_lists, st.sampled_from([None, "", "1;0", "1;0;s~1=0;t~1=0;u~1=0;d@1=0"]))
def test_a_hidden_key_looks_like_one_nobody_touched(touches: list[Any], cursor: str | None) -> None:
    """I7: a forbidden key and a key nobody ever touched are answered alike."""
    graph = made_by(touches)
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


@pytest.mark.parametrize(
    "cursor", ["1;0;" + "x" * 20_000, "1;0;s~1=0" + ";" * 9, "\ud800", "1;0\x00"]
)
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


# ---- listing -----------------------------------------------------------------------------------


@given(touch_lists, touch_lists, st.integers(1, 3))
def test_a_listing_in_pages_misses_nothing(touches: list[Any], more: list[Any], limit: int) -> None:
    """I1: pages walked while names are touched again hold, in all, every name at its last place."""
    graph = made_by(touches)
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
