"""How pages of an origin become whole, and that nothing of them counts before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position
from reality.core.delta import Assembly, Delta, Touched
from reality.core.graph import Graph


def _page(
    since: int,
    after: int,
    upto: int,
    *,
    last: bool,
    register: int = 0,
    sender: str = "s~1",
    position: int = 10,
) -> Delta:
    touched = tuple(Touched(f"k{n}", n, 1, "", n, False) for n in range(after + 1, upto + 1))
    return Delta(
        origin="s~1",
        sender=sender,
        position=position,
        register=register,
        since=since,
        after=after,
        upto=Position(upto),
        last=last,
        touched=touched,
    )


def test_a_single_page_is_whole() -> None:
    """A page that is first and last is the delta."""
    page = _page(3, 3, 5, last=True, register=7)
    assert Assembly().add(page) == page


def test_pages_in_order_become_one_delta() -> None:
    """Pages that follow each other are joined; the greatest register counts."""
    assembly = Assembly()
    assert assembly.add(_page(3, 3, 5, last=False, register=9)) is None
    assert assembly.add(_page(3, 5, 6, last=False, register=8)) is None
    whole = assembly.add(_page(3, 6, 9, last=True, register=7, position=12))
    assert whole == _page(3, 3, 9, last=True, register=9, position=12)


def test_an_assembly_starts_again_after_a_whole() -> None:
    """Once a delta is whole, nothing of it is left for the next one to build on."""
    assembly = Assembly()
    assembly.add(_page(0, 0, 2, last=False))
    assert assembly.add(_page(0, 2, 4, last=True)) is not None
    assert assembly.add(_page(0, 2, 4, last=True)) is None


@pytest.mark.parametrize(
    "stray",
    [
        _page(0, 3, 4, last=True),  # leaves a gap
        _page(0, 1, 4, last=True),  # overlaps
        _page(1, 2, 4, last=True),  # of another delta
        _page(0, 2, 4, last=True, sender="t~1"),  # of another sender
        _page(0, 2, 4, last=True, position=9),  # read before the first page was
    ],
)
def test_a_page_that_does_not_continue_is_dropped(stray: Delta) -> None:
    """I1: a lost, repeated or foreign page makes no delta; the next first page starts anew."""
    assembly = Assembly()
    assembly.add(_page(0, 0, 2, last=False))
    assert assembly.add(stray) is None
    assembly.add(_page(0, 0, 2, last=False))
    assert assembly.add(_page(0, 2, 4, last=True)) == _page(0, 0, 4, last=True)


def test_a_first_page_starts_anew() -> None:
    """Another first page, perhaps of another sender, replaces what was held."""
    assembly = Assembly()
    assembly.add(_page(0, 0, 5, last=False))
    assembly.add(_page(0, 0, 2, last=False))
    assert assembly.add(_page(0, 5, 9, last=True)) is None


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.integers(0, 12), st.integers(1, 4))
def test_pages_hold_every_name_once_in_order(names: list[str], since: int, page_max: int) -> None:
    """A delta has each name touched after `since` once, in order, and ends at the digest."""
    graph = Graph("s~1", register=0)
    for now_ms, name in enumerate(names):
        graph.touch([name, name + ":x"], now_ms=now_ms)
    since = min(since, len(names))
    pages = list(graph.delta("s~1", since=since, page_max=page_max))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert [page.after for page in pages] == [since, *(page.upto.sequence for page in pages[:-1])]
    assert pages[-1].upto == Position(len(names))
    touched = [each for page in pages for each in page.touched]
    assert [each.sequence for each in touched] == sorted(each.sequence for each in touched)
    assert sorted(each.name for each in touched) == sorted(
        {name + end for name in names[since:] for end in ("", ":x")}
    )
    for page in pages:
        assert all(page.after < each.sequence <= page.upto.sequence for each in page.touched)
        assert len(page.touched) <= page_max + 1, "a batch of two names is not split"


def test_pages_of_two_senders_do_not_make_one_delta() -> None:
    """I8: a page of a server that is behind does not complete the pages of one that is ahead.

    The server ahead has moved `k` to a later page; the one behind had it in an earlier page.
    """
    ahead, behind = Graph("s~1", register=0), Graph("t~1", register=0)
    for now_ms, name in enumerate(("k", "m", "n")):
        ahead.touch([name], now_ms=now_ms)
    for page in ahead.delta("s~1", since=0):
        behind.merge(page)
    ahead.touch(["k"], now_ms=3)
    receiver = Graph("u~1", register=0)
    pages_ahead = ahead.delta("s~1", since=0, page_max=1)
    *_, last_of_behind = behind.delta("s~1", since=0, page_max=1)
    receiver.merge(next(pages_ahead))
    receiver.merge(last_of_behind)
    if "s~1" in receiver.digest:
        assert receiver.digest["s~1"] == behind.digest["s~1"]
        assert receiver.node("k") is not None, "the same digest must mean the same nodes"


def test_deltas_survive_the_wire() -> None:
    """A delta is plain data: written as MessagePack or JSON and read back it is the same."""
    page = _page(0, 0, 3, last=True)
    packed = msgspec.msgpack.encode(page)
    assert msgspec.msgpack.decode(packed, type=Delta) == page
    assert msgspec.json.decode(msgspec.json.encode(page), type=Delta) == page
