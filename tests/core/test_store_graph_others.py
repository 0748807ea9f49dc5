"""A store's graph among servers: what others have told, until a generation ends it."""

from __future__ import annotations

from collections.abc import Iterable

from reality.core.changelog import Changes, Logged, Opening
from reality.core.cursor import Cursor, Position, decode_cursor, encode_cursor
from reality.core.graph import Graph
from reality.core.replica import Generation
from reality.core.store_graph import StoreGraph
from tests.core.stores import NAMES, ORIGIN, Store, at


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
    return [name for name in names if name in graph.lacks([name])]


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
    """I4: begun anew, a store's graph knows its nodes, who was removed, and no less version."""
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
    """A name that others have touched, too, is an ordinary one once those are forgotten."""
    store = Store()
    for name in NAMES[:20]:
        store.touch(name)
    told(store.graph, foreign(*NAMES[:10]))
    for name in NAMES[20:]:
        store.touch(name)
    store.graph.forget_others(Generation(1, "s"))
    store.graph.drop_to(5)

    assert 3 <= len(store.graph) <= 5
    listed = [name for _, name in store.graph._ledger.applied_after(-1)]
    assert sorted(set(listed)) == sorted(listed)
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
