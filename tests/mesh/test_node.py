"""`mesh.node`: whom a server calls, and when. Messages in, calls out; time is a number."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reality.core.cursor import Position
from reality.mesh.node import Call
from tests.mesh.model import url_of
from tests.mesh.nodes import HELD, answer, met, node_of, said_by, settled

B, C, D = map(url_of, "bcd")


# ---- calls ---------------------------------------------------------------------------------------


def test_all_peers_are_sought_at_once() -> None:
    """A server that starts calls everybody, and asks for digests."""
    node = node_of(B, C, D)

    assert node.due_at() <= 0
    assert node.tick(0.0) == [Call(each, "exchange") for each in (B, C, D)]
    assert node.tick(0.0) == []


def test_news_is_pushed_to_all_at_once() -> None:
    """A touch makes one call to every healthy peer, without waiting for the clock."""
    node = met("b", "c", "d")

    assert node.touched(0.5) == [Call(each, "push") for each in (B, C, D)]


def test_one_call_a_peer_at_a_time() -> None:
    """What is touched while a call is under way goes with one call after it."""
    node = met("b", "c")
    assert len(node.touched(0.5)) == 2
    for number in range(100):
        assert node.touched(0.5 + number / 1_000) == []
    assert answer(node, "b", 0.6) == [Call(B, "push")]
    assert answer(node, "b", 0.7) == []
    assert answer(node, "c", 0.8) == [Call(C, "push")]


def test_pushes_to_a_peer_keep_a_gap() -> None:
    """Two pushes to one peer are `push_gap_s` apart at least; what comes between goes together."""
    node = met("b", push_gap_s=0.1)
    calls = []
    for number in range(1_000):
        now_s = 0.2 + number / 1_000
        calls += [(now_s, call) for call in node.touched(now_s) + node.tick(now_s)]
        if calls and calls[-1][0] == now_s:
            calls += [(now_s, call) for call in answer(node, "b", now_s)]
    starts = [at_s for at_s, _ in calls]

    assert 8 <= len(calls) <= 12
    assert all(after - before > 0.099 for before, after in pairwise(starts))


def test_a_push_that_is_due_is_made_when_the_gap_is_over() -> None:
    """The clock is asked for when the gap ends, and not before."""
    node = met("b", push_gap_s=0.1)
    node.touched(0.5)
    answer(node, "b", 0.51)
    assert node.touched(0.52) == []
    assert node.due_at() == pytest.approx(0.6)
    assert node.tick(0.55) == []
    assert node.tick(0.61) == [Call(B, "push")]


def test_an_exchange_covers_a_push() -> None:
    """Where both are due, one call of the greater kind is made."""
    node = met("b")
    node.touched(0.5)
    node.hinted("b", 0.5)
    node.touched(0.5)

    assert answer(node, "b", 0.6) == [Call(B, "exchange")]
    assert answer(node, "b", 0.7) == []


def test_a_hint_asks_who_has_the_news() -> None:
    """A hint that names a server makes an exchange with it; without a name, with all."""
    node = met("b", "c")

    assert node.hinted("b", 0.5) == [Call(B, "exchange")]
    assert node.hinted("nobody", 0.5) == []
    assert node.hinted("", 0.6) == [Call(C, "exchange")]


def test_whoever_may_know_is_asked() -> None:
    """Of origins that are lacking, the peers are asked that are known to have them."""
    node = met("b", "c")
    node.heard(said_by("c", digest={"x~1": (4, 0)}), 0.3)

    assert node.may_know(["x~1", "y~1"]) == [C]
    assert node.may_know(["y~1"]) == []
    assert node.wanted([C, D], 0.5) == [Call(C, "exchange")]
    assert node.are_calling([C])
    assert not node.are_calling([B, D])


# ---- the clock -----------------------------------------------------------------------------------


def test_one_peer_is_asked_an_interval_with_jitter() -> None:
    """Exchanges are an interval apart, up to a fifth longer or shorter, never in step."""
    node = met("b", "c", "d")
    settled(node, node.due_at())
    gaps = []
    before_s = node.due_at()
    for _ in range(500):
        now_s = node.due_at()
        calls = node.tick(now_s)
        assert [call.kind for call in calls] == ["exchange"]
        answer(node, calls[0].url.split("/")[2], now_s + 0.001)
        gaps.append(now_s - before_s)
        before_s = now_s

    assert min(gaps[1:]) >= 0.8
    assert max(gaps) <= 1.2
    assert 0.95 <= sum(gaps[1:]) / len(gaps[1:]) <= 1.05
    assert len({round(gap, 3) for gap in gaps}) > 100


def test_the_peer_that_waited_longest_is_asked() -> None:
    """Each peer is asked once before one is asked again, in no fixed order at first."""
    orders = set()
    for seed in range(20):
        node = node_of(B, C, D, seed=seed)
        node.tick(0.0)
        for name in "bcd":
            answer(node, name, 0.01)
        order = []
        for _ in range(6):
            now_s = node.due_at()
            (call,) = node.tick(now_s)
            order.append(call.url)
            answer(node, call.url.split("/")[2], now_s + 0.001)
        assert sorted(order[:3]) == [B, C, D]
        assert order[:3] == order[3:]
        orders.add(tuple(order[:3]))

    assert len(orders) > 3


def test_a_call_from_a_peer_counts_as_an_exchange() -> None:
    """Whoever has just exchanged with this server need not be asked."""
    node = met("b", "c")
    node.heard(said_by("c"), 0.5)

    assert node.tick(node.due_at()) == [Call(B, "exchange")]


def test_who_learns_tells_soon() -> None:
    """What an exchange brought, and a peer lacks, is told on within a quarter of an interval."""
    node = met("b", "c")
    held = HELD | {"x~1": Position(1)}
    settled(node, node.due_at())
    before_s = node.due_at()
    node.learned(held, before_s - 0.6)
    soon_s = node.due_at()
    assert before_s - 0.6 <= soon_s <= before_s - 0.35
    (call,) = node.tick(soon_s)
    assert call.kind == "exchange"
    later_s = node.due_at()
    node.learned(held, soon_s)  # once in that time
    assert node.due_at() == later_s


def test_what_all_know_is_not_told_on() -> None:
    """An exchange that brings what every peer has already makes no further one."""
    node = met("b", "c")
    settled(node, node.due_at())
    before_s = node.due_at()
    node.learned(HELD, before_s - 0.6)

    assert node.due_at() == before_s


# ---- failures ------------------------------------------------------------------------------------


def test_a_failing_peer_is_sought() -> None:
    """A peer that fails is asked for its digest once its back-off is over, again and again."""
    node = met("b")
    node.touched(0.5)
    node.failed(B, 0.5, was_busy=False)
    assert node.touched(0.51) == []
    now_s = 0.5
    for _ in range(50):
        calls: list[Call] = []
        before_s = now_s
        while not calls:
            now_s = node.due_at()
            calls = node.tick(now_s)
        assert calls == [Call(B, "exchange")]
        assert before_s + 0.05 <= now_s <= before_s + 1.0
        node.failed(B, now_s, was_busy=False)
    peer = node.peer(B)
    assert peer is not None
    before: str = peer.health
    assert before == "unhealthy"
    assert node.reachable() == []
    assert Call(B, "exchange") in node.tick(now_s + 1.0)
    answer(node, "b", now_s + 1.01)
    assert peer.health == "healthy"


def test_others_do_not_wait_for_a_failing_peer() -> None:
    """News goes to those that answer; the interval's exchange too."""
    node = met("b", "c")
    node.touched(0.5)
    node.failed(B, 0.5, was_busy=False)
    answer(node, "c", 0.5)

    assert node.touched(0.6) == [Call(C, "push")]
    assert node.reachable() == [C]


def test_a_peer_that_hangs_is_not_called_twice() -> None:
    """As long as a call is under way, neither clock nor news make another to the same peer."""
    node = met("b")
    node.touched(0.5)
    for number in range(100):
        assert node.tick(1.0 + number) == []
        assert node.touched(1.5 + number) == []
        assert node.due_at() > 1.0 + number


def test_a_busy_loop_does_not_count_against_a_peer() -> None:
    """A call that failed while this server could not run is repeated; the peer stays healthy."""
    node = met("b")
    node.touched(0.5)
    node.failed(B, 9.0, was_busy=True)
    peer = node.peer(B)

    assert peer is not None
    assert peer.health == "healthy"
    assert peer.failures == 0
    assert Call(B, "push") in node.tick(10.0) or peer.kind == "exchange"
