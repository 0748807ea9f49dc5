"""The memory store: when its origin is drawn, when it changes, and that its limit holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from reality import Limits, MemoryStorage
from reality.core.cursor import is_server_id
from reality.storage import memory

NOW_MS = 1_700_000_000_000


@pytest.fixture
def nonces() -> Iterator[str]:
    return map("{:016x}".format, itertools.count())


@pytest.fixture
def storage(nonces: Iterator[str]) -> MemoryStorage:
    storage = MemoryStorage(nodes_max=3, clock_ms=lambda: NOW_MS, nonce=nonces.__next__)
    storage.serve_as("alpha", Limits())
    return storage


def test_the_nonce_is_drawn_at_first_use(nonces: Iterator[str], storage: MemoryStorage) -> None:
    """Opening a store draws nothing; its first use draws one nonce, and later uses none."""
    assert "0" * 16 == next(nonces)

    assert "alpha~0000000000000001" == storage.graph.own_origin
    storage.touch(["a"])
    assert "alpha~0000000000000001" == storage.graph.own_origin
    assert "0000000000000002" == next(nonces)


def test_a_batch_touches_each_name_once(storage: MemoryStorage) -> None:
    """One touch is one sequence, whatever it names, with the hash and deletion for all of it."""
    assert not storage.touch(["a", "b", "a"], hash="h", deleted=True)

    graph = storage.graph
    assert 1 == graph.digest[graph.own_origin].sequence
    for key in "ab":
        node = graph.node(key)
        assert node is not None
        assert (graph.version("c") + 1, "h", NOW_MS, True) == (
            node.version,
            node.hash,
            node.updated_at,
            node.deleted,
        )


def test_the_limit_makes_a_new_origin(storage: MemoryStorage) -> None:
    """I6, I4: the store keeps `nodes_max` names; one more and it is empty, its versions above."""
    assert not storage.touch(["a", "b", "c"])
    assert not storage.touch(["a", "b", "c"])
    before = storage.graph
    assert storage.touch(["d"])

    after = storage.graph
    assert (3, 0) == (len(before) - 1, len(after))
    assert "alpha~0000000000000001" == after.own_origin
    assert after.version("never touched") > before.version_max
    assert {after.own_origin} == set(after.digest)


@pytest.mark.parametrize(("own", "of_server", "kept"), [(None, 2, 2), (4, 2, 4), (2, 4, 2)])
def test_its_own_limit_goes_before_the_servers(own: int | None, of_server: int, kept: int) -> None:
    """`nodes_max` of the store, where given, holds instead of the server's."""
    storage = MemoryStorage(nodes_max=own)
    storage.serve_as("alpha", Limits(nodes_max=of_server))

    renewed = [storage.touch([f"k:{number}"]) for number in range(kept + 1)]

    assert [False] * kept + [True] == renewed


@pytest.mark.parametrize("nodes_max", [0, -1])
def test_a_store_keeps_something(nodes_max: int) -> None:
    """A store without room is refused when it is made."""
    with pytest.raises(ValueError, match="nodes_max"):
        MemoryStorage(nodes_max=nodes_max)


def test_a_store_serves_one_server(storage: MemoryStorage) -> None:
    """Opening again under the same id is harmless; under another it is refused, naming both."""
    storage.serve_as("alpha", Limits())

    with pytest.raises(ValueError, match=r"alpha.*beta"):
        storage.serve_as("beta", Limits())


def test_versions_of_the_next_run_are_greater(nonces: Iterator[str]) -> None:
    """I4: a store that starts a millisecond later begins above an idle predecessor's versions."""

    def run(boot_ms: int) -> MemoryStorage:
        storage = MemoryStorage(clock_ms=lambda: boot_ms, nonce=nonces.__next__)
        storage.serve_as("alpha", Limits())
        return storage

    first, second = run(NOW_MS), run(NOW_MS + 1)

    assert second.graph.version("a") > first.graph.version("a")


def test_nonces_and_clock_are_real_by_default() -> None:
    """By default nonces do not repeat, fit into a cursor, and the clock is in milliseconds."""
    drawn = {memory.draw_nonce() for _ in range(1_000)}

    assert 1_000 == len(drawn)
    assert all(is_server_id(nonce) and len(nonce) == 16 for nonce in drawn)
    assert NOW_MS < memory.wall_clock_ms() < 10 * NOW_MS
