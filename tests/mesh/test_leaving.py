"""`mesh.membership`: who leaves, is forgotten or removed; bounds; the table of peers."""

from __future__ import annotations

import random

import pytest

from reality.core.cursor import Position
from reality.core.limits import MEMBERS_TOLD_MAX, PEERS_MAX
from reality.core.messages import Health
from reality.mesh.messages import Member
from reality.mesh.node import Call, Node
from tests.mesh.model import full_mesh, url_of
from tests.mesh.nodes import HELD, answer, met, node_of, said_by

A, B, C, D = map(url_of, "abcd")


def member(name: str) -> Member:
    return Member(server_id=name, url=url_of(name), public_url=f"http://public.{name}")


def ids(node: Node) -> list[str]:
    return [each.server_id for each in node.statuses(HELD, 0.0)]


def configured(node: Node) -> dict[str, bool]:
    return {each.url: each.is_configured for each in node.statuses(HELD, 0.0)}


# ---- leaving -------------------------------------------------------------------------------------


def test_a_goodbye_of_a_configured_peer_keeps_it() -> None:
    """A configured peer that has left is looked for once a second, quietly."""
    node = met("b")
    node.heard(said_by("b", kind="goodbye"), 0.5)
    peer = node.peer(B)

    assert peer is not None
    assert peer.health == "unknown"
    assert node.touched(0.6) == []
    assert node.tick(1.5) == [Call(B, "exchange")]


def test_a_goodbye_of_others_forgets_them() -> None:
    """Whoever was only heard of, or only called, is forgotten when it leaves."""
    node = node_of()
    node.heard(said_by("b"), 0.0)
    node.heard(said_by("c", url=""), 0.0)
    node.heard(said_by("b", kind="goodbye"), 0.5)
    node.heard(said_by("c", url="", kind="goodbye"), 0.5)

    assert ids(node) == []


@pytest.mark.parametrize("is_configured", [True, False])
def test_what_a_goodbye_has_overtaken_is_no_return(is_configured: bool) -> None:
    """A call that was sent before the goodbye, or is answered after it, brings nobody back."""
    node = met("b") if is_configured else node_of()
    node.heard(said_by("b"), 0.1)
    node.tick(0.1)
    node.heard(said_by("b", kind="goodbye"), 0.5)
    node.heard(said_by("b"), 0.6)
    answer(node, "b", 0.7)

    assert ids(node) == (["b"] if is_configured else [])
    assert node.health() in ({}, {"": "unknown"})
    assert node.reachable() == []


def test_who_has_only_called_is_told_a_goodbye() -> None:
    """Whoever is known to be there is reachable, before it has answered a call of this server."""
    node = node_of(B, C)
    node.heard(said_by("b"), 0.1)

    assert node.reachable() == [B]
    assert node.may_know(["b~1"]) == [B]


def test_who_comes_back_after_a_goodbye_is_a_peer_at_once() -> None:
    """Another run of a server that has left, or the same one when it answers again, is there."""
    node = met("b", "c")
    for name in "bc":
        node.heard(said_by(name, kind="goodbye"), 0.5)
    node.heard(said_by("b", run="b~2", origin="b~2"), 0.6)
    assert node.reachable() == [B]
    assert Call(C, "exchange") in node.tick(1.6)
    answer(node, "c", 1.7)
    assert node.reachable() == [B, C]


def test_the_removed_are_neither_called_nor_found_again() -> None:
    """A removed server is no peer, and cannot become one by calling or by being told of."""
    node = met("b", "c")
    node.heard(said_by("d", url=""), 0.2)
    node.removed(["b", "d"])
    node.heard(said_by("b"), 0.3)
    node.heard(said_by("d", url=""), 0.3)
    node.heard(said_by("c", members=[member("b"), member("d")]), 0.3)

    assert ids(node) == ["c"]
    assert node.touched(0.5) == [Call(C, "push")]


def test_a_configured_url_of_a_removed_server_is_given_up() -> None:
    """A URL is not called any more once a removed server has answered there."""
    node = node_of(B)
    node.removed(["b"])
    node.tick(0.0)
    assert answer(node, "b", 0.01) == []
    assert configured(node) == {}


def test_who_was_heard_of_is_forgotten_after_an_hour() -> None:
    """A peer that was not configured and cannot be reached is called in vain for an hour."""
    node = met("b", forget_s=3600.0)
    node.heard(said_by("b", members=[member("c")]), 0.5)
    now_s, calls = 0.5, 0
    while C in configured(node):
        for url, _ in node.tick(now_s):
            if url == C:
                calls += 1
                node.failed(C, now_s, was_busy=False)
            else:
                answer(node, "b", now_s)
        now_s += 0.5

    assert 3600 <= now_s <= 3610
    assert calls > 1_800
    for _ in range(20_000):
        now_s += 0.5
        for url, _ in node.tick(now_s):
            node.failed(url, now_s, was_busy=False)
    assert configured(node) == {B: True}  # configured: never


# ---- removal after a time ------------------------------------------------------------------------


def run(node: Node, from_s: float, to_s: float) -> list[str]:
    """Let nobody answer for a while; who is overdue in the end."""
    now_s = from_s
    while now_s < to_s:
        now_s = min(to_s, now_s + 0.5)
        for url, _ in node.tick(now_s):
            node.failed(url, now_s, was_busy=False)
    return node.overdue(now_s)


def test_who_is_silent_for_long_is_overdue() -> None:
    """`remove_after` seconds after the last contact a server is to be removed, and not before."""
    node = met("b", remove_after_s=60.0)

    assert run(node, 0.01, 59.0) == []
    assert run(node, 59.0, 61.0) == ["b"]
    assert run(met("b"), 0.01, 1_000.0) == []


def test_who_has_left_is_never_overdue() -> None:
    """A server that has said goodbye may stay away for as long as it likes."""
    node = met("b", remove_after_s=60.0)
    node.heard(said_by("b", kind="goodbye"), 0.5)

    assert run(node, 0.5, 1_000.0) == []


def test_who_was_never_in_contact_is_not_overdue() -> None:
    """I1: whoever others have told of may be well, where this server cannot see it."""
    node = met("b", remove_after_s=60.0)
    node.heard(said_by("b", members=[member("c")]), 0.5)

    assert node.overdue(0.5) == []
    assert run(node, 0.5, 1_000.0) == ["b"]


def test_a_pause_of_this_server_removes_nobody() -> None:
    """I1: a server that was suspended has heard nobody; that says nothing of the others."""
    node = met("b", remove_after_s=60.0)
    node.tick(5_000.0)
    assert node.overdue(5_000.0) == []
    assert run(node, 5_000.0, 5_055.0) == []
    assert run(node, 5_055.0, 5_062.0) == ["b"]


# ---- bounds --------------------------------------------------------------------------------------


def test_peers_are_bounded() -> None:
    """I6: 64 peers are called; one more cannot be configured, and is not found."""
    urls = [url_of(f"p{number}") for number in range(PEERS_MAX)]
    node = node_of(*urls)
    with pytest.raises(ValueError, match="may have 64 peers"):
        node.add(url_of("one-more"))
    node.add(urls[0])
    node.heard(said_by("p0", members=[member(f"q{number}") for number in range(32)]), 0.5)

    assert len(node.tick(1.0)) == PEERS_MAX
    assert len([each for each in configured(node) if each]) == PEERS_MAX


def test_callers_are_bounded() -> None:
    """I6: of those that only call, 64 are known; the others are answered all the same."""
    node = node_of()
    for number in range(200):
        node.heard(said_by(f"c{number}", url=""), 0.5)

    assert len(ids(node)) == PEERS_MAX


def test_members_told_are_bounded_and_drawn() -> None:
    """I6: 32 members are told of at a time, others the next time; only those that answer."""
    names = [f"p{number:02}" for number in range(60)]
    node = met(*names)
    node.hinted("p00", 0.5)
    node.failed(url_of("p00"), 0.6, was_busy=False)
    told: set[str] = set()
    for _ in range(20):
        members = node.members()
        assert len(members) == MEMBERS_TOLD_MAX
        assert len({each.server_id for each in members}) == MEMBERS_TOLD_MAX
        told |= {each.server_id for each in members}

    assert told == set(names)
    for now_s in (10.0, 20.0):
        node.tick(now_s)
        node.failed(url_of("p00"), now_s, was_busy=False)
    assert node.counts() == (60, 59)
    assert "p00" not in {each.server_id for _ in range(20) for each in node.members()}


# ---- what is told of them ------------------------------------------------------------------------


def test_the_table_of_peers() -> None:
    """For each peer: health, how far apart, latency, and when it was last heard of."""
    node = met("c", "b")
    node.heard(said_by("b", digest={"b~1": (7, 0)}), 2.0)
    held = HELD | {"a~1": Position(3), "b~1": Position(2)}
    b, c = node.statuses(held, 3.0)

    assert (b.server_id, b.url, b.health, b.is_configured) == ("b", B, "healthy", True)
    assert b.lag == 3 + 5
    assert b.last_contact_ms == 1_000
    assert b.latency_ms == pytest.approx(10)
    assert (c.server_id, c.lag, c.failures) == ("c", 3 + 2, 0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_health_of_a_group(count: int) -> None:
    """All are healthy while all answer; whoever is gone is unhealthy to all others soon."""
    group = full_mesh(count + 1, random.Random(count))
    del group.servers["s0"], group._due_at["s0"]
    group.run(group.now_s + 10)
    expected: dict[str, Health] = {f"s{number}": "healthy" for number in range(1, count + 1)}
    expected["s0"] = "unhealthy"
    for name, server in group.servers.items():
        seen = {each.server_id: each.health for each in server.node.statuses(HELD, group.now_s)} | {
            name: "healthy"
        }
        assert seen == expected


def test_who_is_caught_up() -> None:
    """A server has joined once every configured peer has told it all, or cannot be reached."""
    node = node_of(B, C, D)
    node.tick(0.0)
    assert not node.is_caught_up()
    answer(node, "b", 0.1)
    assert not node.is_caught_up()
    node.failed(C, 0.2, was_busy=False)
    assert not node.is_caught_up()
    answer(node, "d", 0.3, learned=True, more=True, digest={"d~1": (5, 0)})
    assert not node.is_caught_up()
    answer(node, "d", 0.4, digest={"d~1": (5, 0)}, held=HELD | {"d~1": Position(5)})
    assert node.is_caught_up()
    node.rejoin()
    assert not node.is_caught_up()


def test_own_trouble_is_no_excuse_to_join() -> None:
    """A call that failed because this server was busy is repeated before it has joined."""
    node = node_of(B)
    node.tick(0.0)
    node.failed(B, 3.0, was_busy=True)
    assert not node.is_caught_up()
    assert Call(B, "exchange") in node.tick(4.0)


def test_what_a_peer_brings_by_its_own_call_counts() -> None:
    """A server has joined as well once its peer, calling, has left nothing to ask for."""
    node = node_of(B)
    node.tick(0.0)
    node.heard(said_by("b", digest={"b~1": (5, 0)}), 0.1, held=HELD)
    assert not node.is_caught_up()
    node.heard(said_by("b", digest={"b~1": (5, 0)}), 0.2, held=HELD | {"b~1": Position(5)})
    assert node.is_caught_up()
