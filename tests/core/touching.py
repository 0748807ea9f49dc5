"""Graphs made from lists of touches: what the tests of `Graph` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from reality.core.cursor import Cursor, Position
from reality.core.graph import Graph
from tests.core.world import KEYS, PATTERNS

ORIGINS = ("s~1", "t~1", "u~1", "d@1")
REGISTERS = {"s~1": 1000, "t~1": 1500, "u~1": 900, "d@1": 0}
_names = st.lists(st.sampled_from(KEYS + PATTERNS), min_size=1, max_size=3, unique=True)
_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)
_hashes = st.sampled_from(["", "h1", "h2"])
# Who touches what, with which hash, and whether it is a deletion; with patterns and without.
touch_lists = st.lists(
    st.tuples(st.sampled_from(ORIGINS), _names, _hashes, st.booleans()), max_size=12
) | st.lists(st.tuples(st.sampled_from(ORIGINS), _keys, _hashes, st.booleans()), max_size=12)


def made_by(touches: Iterable[Any]) -> Graph:
    """A graph `s~1` that has heard of all these touches, each from its own origin."""
    graph, *others = played_apart(touches)
    for other in others:
        pull(graph, other, 1000)
    return graph


def played_apart(touches: Iterable[Any]) -> list[Graph]:
    graphs = {origin: Graph(origin, register=REGISTERS[origin]) for origin in ORIGINS}
    play(graphs, touches)
    return list(graphs.values())


def play(graphs: dict[str, Graph], touches: Iterable[Any], start_ms: int = 0) -> None:
    for now_ms, (origin, names, hash, deleted) in enumerate(touches, start_ms):
        graphs[origin].touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


def carry_on(graph: Graph, first: list[Any], rest: list[Any]) -> None:
    """Let a graph made by `first` hear of the touches that follow."""
    for other in played_apart([*first, *rest])[1:]:
        pull(graph, other, 1000)
    for now_ms, (origin, names, hash, deleted) in enumerate(rest, len(first)):
        if origin == graph.own_origin:
            graph.touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


def pull(receiver: Graph, sender: Graph, page_max: int) -> None:
    for origin, position in sender.digest.items():
        held = receiver.digest.get(origin, Position(0))
        if held <= position:
            for page in sender.delta(origin, since=held.sequence, page_max=page_max):
                receiver.merge(page)


def sequenced(touches: Iterable[Any]) -> list[tuple[str, int, list[str]]]:
    last = dict.fromkeys(ORIGINS, 0)
    batches = []
    for origin, names, _, _ in touches:
        last[origin] += 1
        batches.append((origin, last[origin], names))
    return batches


def cursor_at(seen: dict[str, int]) -> Cursor:
    return Cursor({origin: Position(sequence) for origin, sequence in seen.items()})


def nodes_of(graph: Graph) -> list[Any]:
    return [(graph.node(key), graph.version(key)) for key in (*KEYS, "none")]
