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
        assert [each.target for each in group.sent if each.kind == "push"] == others
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
