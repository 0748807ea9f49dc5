"""Which held syncs a touch concerns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.waiters import WaiterIndex, concerns
from reality.errors import InvalidKey
from tests.core.world import KEYS, PATTERNS, is_covered

_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)


def test_a_key_and_the_patterns_above_it_concern_its_asker() -> None:
    """A waiter is filed under its keys and every pattern that stands above one of them."""
    assert concerns(["a:b", "c"]) == {"a:b", "a:*", "*", "c"}


def test_only_patterns_concern_the_asker_of_a_hidden_key() -> None:
    """I7: a hidden key wakes nobody, as if it had never been touched."""
    assert concerns(["a:b", "c"], hidden={"a:b"}) == {"a:*", "*", "c"}


def test_patterns_cannot_be_waited_for() -> None:
    """A pattern among the keys is refused."""
    with pytest.raises(InvalidKey):
        concerns(["a:*"])


@given(st.lists(_keys, max_size=6), st.lists(st.sampled_from(KEYS + PATTERNS), max_size=3))
def test_a_touch_finds_exactly_whom_it_concerns(
    waiters: list[list[str]], touched: list[str]
) -> None:
    """I1: a touch finds every waiter whose keys it covers, each once, and nobody else."""
    index: WaiterIndex[int] = WaiterIndex()
    for number, keys in enumerate(waiters):
        index.add(number, concerns(keys))
    assert index.concerned(touched) == {
        number
        for number, keys in enumerate(waiters)
        if any(is_covered(key, name) for key in keys for name in touched)
    }


@given(st.lists(_keys, max_size=6), st.data())
def test_a_waiter_that_left_is_forgotten(waiters: list[list[str]], data: st.DataObject) -> None:
    """I6: once all waiters have left, twice even, the index holds nothing."""
    index: WaiterIndex[int] = WaiterIndex()
    for number, keys in enumerate(waiters):
        index.add(number, concerns(keys))
    for number in data.draw(st.permutations(range(len(waiters)))):
        index.discard(number, concerns(waiters[number]))
        index.discard(number, concerns(waiters[number]))
        assert number not in index.concerned(KEYS + PATTERNS)
    assert len(index) == 0


def test_what_was_found_may_be_changed() -> None:
    """Removing waiters while walking those found does not disturb the walk."""
    index: WaiterIndex[int] = WaiterIndex()
    for number in range(3):
        index.add(number, concerns(["a"]))
    for number in index.concerned(["a"]):
        index.discard(number, concerns(["a"]))
    assert len(index) == 0
