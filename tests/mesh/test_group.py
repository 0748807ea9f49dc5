"""Nodes that exchange with each other: how many calls that takes, and how long news travels."""

from __future__ import annotations

import random

import pytest

from tests.mesh.model import full_mesh, url_of


@pytest.mark.parametrize("count", [2, 5])
def test_a_touch_costs_a_call_a_peer(count: int) -> None:
    """I2: one touch is pushed once to each peer, and nothing goes back and forth after it."""
    group = full_mesh(count, random.Random(count))
    others = [f"s{number}" for number in range(1, count)]
    for _ in range(20):
        group.run(group.now_s + 0.5)
        group.sent.clear()
        group.touch("s0")
        group.run(group.now_s + 0.2)
        assert group.is_alike
        assert sorted(each.target for each in group.sent if each.kind == "push") == others
        assert len(group.sent) <= 2 * count


@pytest.mark.parametrize("count", [2, 5])
def test_idle_servers_exchange_once_an_interval(count: int) -> None:
    """I2: without touches each server makes one call an interval."""
    group = full_mesh(count, random.Random(count))
    group.sent.clear()
    group.run(group.now_s + 100)

    assert len(group.sent) <= count * 100 / 0.9
    assert {each.kind for each in group.sent} == {"exchange"}


@pytest.mark.parametrize("seed", range(5))
def test_touches_everywhere_do_not_multiply(seed: int) -> None:
    """I2: while all servers are touched all the time, calls grow with touches, not with answers."""
    draw = random.Random(seed)
    group = full_mesh(5, draw)
    group.sent.clear()
    touches = 0
    ends_s = group.now_s + 5
    while group.now_s < ends_s:
        group.touch(draw.choice(list(group.servers)))
        touches += 1
        group.run(group.now_s + draw.expovariate(50))
    pushed = len(group.sent)
    group.sent.clear()
    group.run(group.now_s + 0.1)

    assert group.is_alike
    # A push to each of four peers, perhaps another that it was late for, and the exchanges.
    assert pushed <= touches * 4 * 1.25 + 5 * 5 * 2
    assert len(group.sent) <= 5 * 4 + 5


def test_a_restarted_peer_is_found_within_a_second() -> None:
    """Whoever comes back is called within the longest back-off, however long it was away."""
    group = full_mesh(3, random.Random(3))
    away = group.servers.pop("s2")
    group._due_at.pop("s2")
    group.run(group.now_s + 60)
    peer = group.servers["s0"].node.peer(url_of("s2"))
    assert peer is not None
    assert peer.health == "unhealthy"
    group.servers["s2"] = away
    back_s = group.now_s
    group.run(back_s + 5, done=lambda: peer.health == "healthy")

    assert group.now_s - back_s <= 1.0 + 0.01


@pytest.mark.parametrize(
    ("count", "trials", "late_max"), [(2, 100, 0), (5, 100, 0), (8, 50, 1), (16, 20, 2)]
)
def test_what_no_push_brings_arrives_within_three_intervals(
    count: int, trials: int, late_max: int
) -> None:
    """I5: without any push, digests bring news to all servers within about three intervals."""
    draw = random.Random(count)
    late = 0
    group = full_mesh(count, draw)
    for _ in range(trials):
        group.run(group.now_s + 3 + draw.random())
        began_s = group.now_s
        group.touch(draw.choice(list(group.servers)), tells=False)
        group.run(began_s + 60, done=lambda: group.is_alike)
        assert group.is_alike
        late += group.now_s - began_s > 3.0

    assert late <= late_max


@pytest.mark.parametrize("fails_after_s", [0.001, 2.0])
def test_a_push_that_fails_is_followed_by_an_exchange(fails_after_s: float) -> None:
    """I5: a peer that a push did not reach is called again at once, for an exchange."""
    group = full_mesh(5, random.Random(5))
    for _ in range(20):
        group.run(group.now_s + 3)
        group.loses = lambda sent: fails_after_s if sent.kind == "push" else None
        began_s = group.now_s
        group.touch("s0")
        group.run(began_s + 60, done=lambda: group.is_alike)

        assert group.now_s - began_s <= fails_after_s + 1.0


@pytest.mark.parametrize("seed", range(10))
def test_news_arrives_whatever_gets_lost(seed: int) -> None:
    """I8: while half of all calls fail, all servers end with the same once calls arrive again."""
    draw = random.Random(seed)
    group = full_mesh(5, draw)
    group.loses = lambda _: draw.choice([None, 0.001, 2.0])
    for _ in range(100):
        group.touch(draw.choice(list(group.servers)))
        group.run(group.now_s + draw.expovariate(20))
    group.loses = lambda _: None
    group.run(group.now_s + 10, done=lambda: group.is_alike)

    assert group.is_alike
