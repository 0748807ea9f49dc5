"""Names in the order of their last touch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reality.core.recency import RecencyLog


class _Book:
    """A log together with the simplest thing it could be compared with: a dict."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.log = RecencyLog(lambda name, position: self.last.get(name) == position)

    def touch(self, name: str, position: int) -> None:
        is_new = name not in self.last
        self.last[name] = position
        self.log.append(name, position, is_new=is_new)

    def after(self, position: int) -> list[tuple[int, str]]:
        return [(found, name) for found, name in self.log.after(position)]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=400), st.integers(-1, 500)
)
def test_a_walk_finds_every_name_at_its_last_position(
    touches: list[tuple[int, int]], since: int
) -> None:
    """A walk from anywhere finds each name once, where it was last touched, oldest first."""
    book, position = _Book(), 0
    for name, step in touches:
        # Names of one batch share a position, but no name twice.
        position += step if book.last.get(f"k{name}") != position else step + 1
        book.touch(f"k{name}", position)
    expected = [(at, name) for name, at in book.last.items() if at > since]
    found = book.after(since)
    assert sorted(found) == sorted(expected)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert len(book.log) == len(book.last)


def test_the_log_stays_small() -> None:
    """I6: a million touches of three names keep no more than a few entries."""
    book = _Book()
    for position in range(100_000):
        book.touch(f"k{position % 3}", position)
    assert len(book.log) == 3
    assert len(book.log._names) <= 65
    assert len(book.log._positions) == len(book.log._names)
    assert book.after(-1) == [(99_997, "k1"), (99_998, "k2"), (99_999, "k0")]


def test_live_names_are_never_dropped() -> None:
    """Dropping what was overtaken loses no name, however many there are."""
    book = _Book()
    for position in range(1000):
        book.touch(f"k{position}", position)
    for position in range(1000, 3000):
        book.touch("hot", position)
    assert len(book.after(-1)) == 1001
    assert book.after(998) == [(999, "k999"), (2999, "hot")]


def test_an_empty_log_has_nothing() -> None:
    """There is nothing to walk in a log that was never appended to."""
    assert _Book().after(-1) == []
    assert len(_Book().log) == 0
