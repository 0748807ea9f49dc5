"""Pages of deltas: of any size, while it goes on, each name is told once (I6, I8)."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position
from reality.core.delta import Mark, Touched, cut_page
from tests.core.replicas import KEYS, graph_of, walk


def size_of(entries: Iterable[Touched]) -> int:
    """The bytes of entries as JSON arrays, and the commas between them."""
    return sum(len(msgspec.json.encode(msgspec.structs.astuple(each))) + 1 for each in entries)


def order(mark: Mark) -> tuple[int, bool, str]:
    """Where a mark stands: without a name it is after all of its batch."""
    return mark.sequence, not mark.name, mark.name


def test_a_huge_batch_is_split() -> None:
    """I6: 10,000 names of 512 bytes in one batch fit in pages of 60 kB, each name once."""
    names = [f"{number:05}".ljust(512, "x") for number in range(10_000)]
    graph = graph_of()
    graph.touch(names, now_ms=1)
    pages = walk(graph, "a~1", bytes_max=60_000)
    told = [each.name for page in pages for each in page.touched]

    assert sorted(told) == names
    assert all(size_of(page.touched) <= 60_000 for page in pages)
    assert len(pages) == pytest.approx(10_000 * 560 / 60_000, rel=0.1)
    assert all(page.upto_name for page in pages[:-1])
    receiver = graph_of("b~1")
    assert [receiver.merge(page).applied for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len(receiver) == 10_000


@pytest.mark.parametrize("seed", range(20))
def test_pages_hold_all_while_names_are_touched(seed: int) -> None:
    """I1: what is touched between pages is in one of them with its last touch; none is missing."""
    draw = random.Random(seed)
    graph, receiver = graph_of(), graph_of("b~1")
    for _ in range(draw.randint(1, 5)):
        graph.touch(draw.sample(KEYS, draw.randint(1, 20)), now_ms=1)
    begins, page = Mark(0), None
    while page is None or not page.last:
        page = graph.page(
            "a~1",
            Position(0),
            begins,
            names_max=draw.choice([1, 3, 1_000]),
            bytes_max=draw.choice([None, 1, 60, 200]),
        )
        receiver.merge(page)
        begins = page.ends
        if draw.random() < 0.4 and graph.touches < 300:
            graph.touch(draw.sample(KEYS, draw.randint(1, 20)), now_ms=2)
    # The last page tells how far it goes: at most what was touched after it is lacking.
    for page in graph.delta("a~1", since=receiver.digest["a~1"].sequence):
        receiver.merge(page)

    assert receiver.digest["a~1"] == graph.digest["a~1"]
    for key in KEYS:
        assert receiver.version(key) - receiver.version("none") == (
            graph.version(key) - graph.version("none")
        )


@given(
    st.lists(st.tuples(st.integers(1, 4), st.text("abc", min_size=1, max_size=3)), max_size=20),
    st.integers(1, 5),
    st.none() | st.integers(1, 300),
)
def test_pages_follow_on_each_other(
    entries: list[tuple[int, str]], names_max: int, bytes_max: int | None
) -> None:
    """Whatever the bounds, pages in a row have each entry once, in the order that marks have."""
    last = {name: sequence for sequence, name in sorted(entries)}
    touched = [
        Touched(name, sequence, 1, "", 0, False)
        for name, sequence in sorted(last.items(), key=lambda each: (each[1], each[0]))
    ]
    begins: Mark | None = Mark(0)
    told: list[Touched] = []
    while begins is not None:
        rest = [
            each
            for each in touched
            if each.sequence > begins.sequence or (begins.name and each.sequence == begins.sequence)
        ]
        page, ends = cut_page(rest, begins, names_max=names_max, bytes_max=bytes_max)
        assert page or not rest or ends is None
        assert bytes_max is None or len(page) <= 1 or size_of(page) <= bytes_max
        assert ends is None or order(ends) > order(begins)
        told += page
        begins = ends

    assert sorted(told, key=lambda each: each.name) == sorted(touched, key=lambda each: each.name)


def test_a_page_has_at_least_one_name() -> None:
    """However large a name, it gets its page."""
    entry = Touched("x" * 512, 1, 1, "h" * 256, 0, False)

    assert cut_page([entry], Mark(0), names_max=1, bytes_max=1) == ([entry], None)


def test_progress_is_what_was_had() -> None:
    """Until a delta is whole, the last page had is known, and how many names there are."""
    sender, receiver = graph_of(), graph_of("b~1")
    sender.touch(KEYS, now_ms=1)
    first, second, *_ = walk(sender, "a~1", bytes_max=200)
    assert receiver.progress("a~1") is None
    receiver.merge(first)
    receiver.merge(second)
    assert receiver.progress("a~1") == second
    assert receiver.pages_names("a~1") == len(first.touched) + len(second.touched)
    receiver.drop_pages("a~1")
    assert receiver.progress("a~1") is None
    assert receiver.pages_names("a~1") == 0
